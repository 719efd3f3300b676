"""What the HTTP API keeps: keys, whose a file is, secrets of contexts, what the webhook has sent."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables, and the indexes of lists by time."""
    op.create_table(
        "batch_job_api_key",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("types", sa.JSON),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_table(
        "batch_job_upload",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT),
    )
    op.create_table(
        "batch_job_secret",
        sa.Column("job_id", sa.String(64), sa.ForeignKey("batch_job.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
    )
    _create_deliveries()
    op.create_index("ix_batch_job_created_at_id", "batch_job", ["created_at", "id"])
    op.create_index("ix_batch_job_created_by_created_at_id", "batch_job", ["created_by", "created_at", "id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_batch_job_created_by_created_at_id", "batch_job")
    op.drop_index("ix_batch_job_created_at_id", "batch_job")
    for table in ("delivery_position", "delivery", "secret", "upload", "api_key"):
        op.drop_table(f"batch_job_{table}")


def _create_deliveries() -> None:
    event = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "batch_job_delivery",
        sa.Column(
            "event_id",
            event,
            sa.ForeignKey("batch_job_event.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", MOMENT),
        sa.Column("delivered_at", MOMENT),
        sa.Column("error", sa.Text),
    )
    op.create_index("ix_batch_job_delivery_next_at", "batch_job_delivery", ["next_at"])
    op.create_table(
        "batch_job_delivery_position",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
    )
