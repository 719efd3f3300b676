"""A time to start at, one active job of a kind, and events that are told to Prefect."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOT_ENDED = sa.text("status NOT IN ('completed', 'canceled', 'failed')")
OPEN_RUN = sa.text("flow_run_state IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')")
UNPUBLISHED = sa.text("published_at IS NULL")


def upgrade() -> None:
    """Add the columns and their indexes; what happened before counts as told."""
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("start_at", moment),
        sa.Column("queue_key", sa.String(255)),
        sa.Column("active_key", sa.String(255)),
    ):
        op.add_column("batch_job", column)
    op.add_column("batch_job_event", sa.Column("published_at", moment))
    op.execute("UPDATE batch_job_event SET published_at = at")
    op.create_index(
        "uq_batch_job_active_key",
        "batch_job",
        ["active_key"],
        unique=True,
        sqlite_where=NOT_ENDED,
        postgresql_where=NOT_ENDED,
    )
    op.create_index("ix_batch_job_open_run", "batch_job", ["id"], sqlite_where=OPEN_RUN, postgresql_where=OPEN_RUN)
    op.create_index(
        "ix_batch_job_event_unpublished",
        "batch_job_event",
        ["id"],
        sqlite_where=UNPUBLISHED,
        postgresql_where=UNPUBLISHED,
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_batch_job_event_unpublished", "batch_job_event")
    op.drop_index("ix_batch_job_open_run", "batch_job")
    op.drop_index("uq_batch_job_active_key", "batch_job")
    op.drop_column("batch_job_event", "published_at")
    for column in ("active_key", "queue_key", "start_at"):
        op.drop_column("batch_job", column)
