"""The job table and its history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIMES = ("pre_processed_at", "confirmed_at", "processing_at", "paused_at", "completed_at", "canceled_at", "failed_at")


def upgrade() -> None:
    """Create both tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "batch_job",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("strategy", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("context", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(255), unique=True),
        sa.Column("flow_run_id", sa.String(36)),
        sa.Column("flow_run_state", sa.String(32)),
        sa.Column("flow_run_state_name", sa.String(255)),
        sa.Column("heartbeat_at", moment),
        sa.Column("worker_host", sa.String(255)),
        sa.Column("worker_pid", sa.Integer),
        sa.Column("worker_started_at", sa.Float),
        sa.Column("claim", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        *(sa.Column(name, moment) for name in TIMES),
        sa.Column("updated_at", moment, nullable=False),
        sa.Column("deleted_at", moment),
    )
    for column in ("status", "type", "created_by"):
        op.create_index(f"ix_batch_job_{column}_id", "batch_job", [column, "id"])
    op.create_index("ix_batch_job_flow_run_id", "batch_job", ["flow_run_id"])
    op.create_table(
        "batch_job_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.String(64), sa.ForeignKey("batch_job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("from_status", sa.String(16)),
        sa.Column("to_status", sa.String(16), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("why", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_batch_job_event_job_id_id", "batch_job_event", ["job_id", "id"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("batch_job_event")
    op.drop_table("batch_job")
