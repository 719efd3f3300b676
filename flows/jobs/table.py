"""The tables of the job database: jobs and their history, and what the HTTP API keeps beside them.

The migrations create them; these descriptions are what statements are built from, and a test compares the two.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from batch_jobs.flows.jobs.model import OPEN_RUN
from batch_jobs.flows.jobs.transitions import ENDED
from batch_jobs.strategies.sdk.database import database_named


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, kept without its zone on SQLite, which has none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC, the zone left out on SQLite."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if not database_named(dialect.name).has_time_zones else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: SQLite counts up its own kind of integer only.
Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

batch_job = Table(
    "batch_job",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("strategy", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_by", String(255)),
    Column("context", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("plan", JSON),
    # patterns of the tables of the target that the key which made it is for, empty for all
    Column("tables", JSON),
    Column("dry_run", Boolean, nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("idempotency_key", String(255), unique=True),
    # not to be started before
    Column("start_at", UtcDateTime),
    # what a strategy's `unique` makes of the job; only one row that has not ended may hold a key as its active one
    Column("queue_key", String(255)),
    Column("active_key", String(255)),
    Column("flow_run_id", String(36)),
    Column("flow_run_state", String(32)),
    Column("flow_run_state_name", String(255)),
    Column("heartbeat_at", UtcDateTime),
    # who runs the job now, empty when nobody does
    Column("worker_host", String(255)),
    Column("worker_pid", Integer),
    Column("worker_started_at", Float),
    # the version at which that process took the job: its fencing token in the target
    Column("claim", BigInteger),
    Column("version", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("pre_processed_at", UtcDateTime),
    Column("confirmed_at", UtcDateTime),
    Column("processing_at", UtcDateTime),
    Column("paused_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("canceled_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    # the span that made the job, as W3C's header of this name writes it
    Column("traceparent", String(64)),
    # how many are worked on at a time, empty for the setting's number
    Column("partitions", Integer),
    # the job whose rows it corrects, empty for a job by itself
    Column("belongs_to", String(64)),
    # what the columns of its file are, as one text, empty where it read none
    Column("header", String(64)),
    Index("ix_batch_job_flow_run_id", "flow_run_id"),
)

# The conditions of partial indexes, which are in ``indexes``; ``queries`` finds jobs by them.
#: A job that is pruned is marked deleted first.
is_kept = batch_job.c.deleted_at.is_(None)
has_open_run = batch_job.c.flow_run_state.in_(OPEN_RUN)
has_not_ended = batch_job.c.status.not_in(sorted(ENDED))

# How many live jobs there are of a kind, so that counting them takes the same time however many there are: the sum over
# all rows of the kind. Triggers of the database write them, whoever writes the jobs.
batch_job_tally = Table(
    "batch_job_tally",
    metadata,
    Column("id", Number, Identity(), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("created_by", String(255)),
    Column("jobs", BigInteger, nullable=False),
)

batch_job_event = Table(
    "batch_job_event",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("job_id", String(64), ForeignKey("batch_job.id", ondelete="CASCADE"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(16), nullable=False),
    Column("from_status", String(16)),
    Column("to_status", String(16), nullable=False),
    Column("who", String(255), nullable=False),
    Column("why", Text),
    Column("attempt", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    # when Prefect got it as an event, empty until then
    Column("published_at", UtcDateTime),
    Index("ix_batch_job_event_job_id_id", "job_id", "id"),
)

# What the HTTP API and the webhook keep beside the jobs.

batch_job_api_key = Table(
    "batch_job_api_key",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    # the batch types it is for, empty for all
    Column("types", JSON),
    # patterns of the tables of the target that it is for, empty for all
    Column("tables", JSON),
    # a key has 256 random bits, so a plain SHA-256 of it cannot be searched for
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    # true to the minute
    Column("last_used_at", UtcDateTime),
)

#: Of the page's sessions those that were signed out; ``until`` is when the cookie expires by itself.
batch_job_ended_session = Table(
    "batch_job_ended_session",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("until", UtcDateTime, nullable=False),
)

batch_job_upload = Table(
    "batch_job_upload",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("ix_batch_job_upload_owner_key", "owner", "key"),
)

# Uploads that come in parts; ``received`` says how many bytes of them count.
batch_job_unfinished_upload = Table(
    "batch_job_unfinished_upload",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("owner", "name", "size", "fingerprint", name="uq_batch_job_unfinished_upload_file"),
)

batch_job_upload_part = Table(
    "batch_job_upload_part",
    metadata,
    Column("upload_id", String(26), ForeignKey("batch_job_unfinished_upload.id", ondelete="CASCADE"), primary_key=True),
    Column("begins_at", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(255), nullable=False),
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
        Number,
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

#: One row: the last event that the webhook need not look at any more.
batch_job_delivery_position = Table(
    "batch_job_delivery_position",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False),
)
