"""Which job another one belongs to: whose rows it corrects."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that is empty for a job by itself, as the release before leaves it."""
    op.add_column("batch_job", sa.Column("belongs_to", sa.String(64)))
    of_another = sa.text("belongs_to IS NOT NULL")
    op.create_index(
        "ix_batch_job_belongs_to", "batch_job", ["belongs_to"], sqlite_where=of_another, postgresql_where=of_another
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_batch_job_belongs_to", "batch_job")
    op.drop_column("batch_job", "belongs_to")
