"""When a key was last used, the trace that a job is a part of, and lists of one's uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what may be empty, so that a program of the release before goes on beside this one."""
    op.add_column("batch_job_api_key", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.add_column("batch_job", sa.Column("traceparent", sa.String(64)))
    op.create_index("ix_batch_job_upload_owner_key", "batch_job_upload", ["owner", "key"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_batch_job_upload_owner_key", "batch_job_upload")
    op.drop_column("batch_job", "traceparent")
    op.drop_column("batch_job_api_key", "last_used_at")
