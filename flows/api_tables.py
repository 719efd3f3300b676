"""The tables beside the job table that the HTTP API keeps: who may come in, whose a file is, what is secret or sent."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from flows.job_table import UtcDateTime, metadata

batch_job_api_key = Table(
    "batch_job_api_key",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    # the batch types it is for, empty for all
    Column("types", JSON),
    # a key has 256 random bits, so a plain SHA-256 of it cannot be searched for
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)

batch_job_upload = Table(
    "batch_job_upload",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
)

batch_job_secret = Table(
    "batch_job_secret",
    metadata,
    Column("job_id", String(64), ForeignKey("batch_job.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", Text, nullable=False),
)

batch_job_delivery = Table(
    "batch_job_delivery",
    metadata,
    Column(
        "event_id",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("batch_job_event.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("error", Text),
    Index("ix_batch_job_delivery_next_at", "next_at"),
)

#: One row: the last event that the webhook needs not look at any more.
batch_job_delivery_position = Table(
    "batch_job_delivery_position",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False),
)
