"""Which tables of the target an API key is for, and with it each job that it makes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("batch_job_api_key", "batch_job")


def upgrade() -> None:
    """Add columns that are empty for all tables, as the release before leaves them."""
    for table in TABLES:
        op.add_column(table, sa.Column("tables", sa.JSON))


def downgrade() -> None:
    """Take them away."""
    for table in TABLES:
        op.drop_column(table, "tables")
