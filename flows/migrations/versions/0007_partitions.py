"""How many partitions of a job are worked on at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that is empty for the setting's number, as the release before leaves it."""
    op.add_column("batch_job", sa.Column("partitions", sa.Integer))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("batch_job", "partitions")
