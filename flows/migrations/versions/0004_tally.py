"""Lists and counts that take the same time however many jobs there are."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")
OLD_INDEXES = {
    "ix_batch_job_status_id": ["status", "id"],
    "ix_batch_job_type_id": ["type", "id"],
    "ix_batch_job_created_by_id": ["created_by", "id"],
    "ix_batch_job_created_at_id": ["created_at", "id"],
    "ix_batch_job_created_by_created_at_id": ["created_by", "created_at", "id"],
}
INDEXES = {
    f"ix_batch_job_live_{'_'.join(columns)}": columns
    for columns in (
        ["created_at", "id"],
        ["created_by", "created_at", "id"],
        ["type", "created_at", "id"],
        ["status", "created_at", "id"],
    )
}
KIND = ("type", "status", "trigger", "created_by", "deleted_at")
CHANGED = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in KIND)


def upgrade() -> None:
    """Make lists by time the ones that have indexes, and tally the jobs that are there."""
    for name in OLD_INDEXES:
        op.drop_index(name, "batch_job")
    for name, columns in INDEXES.items():
        op.create_index(name, "batch_job", columns, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_table(
        "batch_job_tally",
        sa.Column("type", sa.String(255), primary_key=True),
        sa.Column("status", sa.String(16), primary_key=True),
        sa.Column("trigger", sa.String(16), primary_key=True),
        sa.Column("created_by", sa.String(255), primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
    )
    # the triggers first: on a server they wait for whoever writes, and nobody writes between them and the count
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.execute(
        """INSERT INTO batch_job_tally (type, status, trigger, created_by, jobs)
        SELECT type, status, trigger, coalesce(created_by, ''), count(*) FROM batch_job
        WHERE deleted_at IS NULL GROUP BY type, status, trigger, coalesce(created_by, '')"""
    )


def downgrade() -> None:
    """Put the indexes before it back."""
    for event in ("insert", "update", "delete"):
        on = " ON batch_job" if op.get_bind().dialect.name == "postgresql" else ""
        op.execute(f"DROP TRIGGER batch_job_tally_{event}{on}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION batch_job_tally_follow()")
    op.drop_table("batch_job_tally")
    for name in INDEXES:
        op.drop_index(name, "batch_job")
    for name, columns in OLD_INDEXES.items():
        op.create_index(name, "batch_job", columns)


def _sqlite_step(row: str, step: int) -> str:
    return f"""INSERT INTO batch_job_tally (type, status, trigger, created_by, jobs)
        SELECT {row}.type, {row}.status, {row}.trigger, coalesce({row}.created_by, ''), {step}
        WHERE {row}.deleted_at IS NULL
        ON CONFLICT (type, status, trigger, created_by) DO UPDATE SET jobs = jobs + excluded.jobs;"""


TRIGGERS = {
    "sqlite": (
        f"""CREATE TRIGGER batch_job_tally_insert AFTER INSERT ON batch_job
        BEGIN {_sqlite_step("NEW", 1)} END""",
        f"""CREATE TRIGGER batch_job_tally_update AFTER UPDATE OF {", ".join(KIND)} ON batch_job
        WHEN {CHANGED.replace("IS DISTINCT FROM", "IS NOT")}
        BEGIN {_sqlite_step("OLD", -1)} {_sqlite_step("NEW", 1)} END""",
        f"""CREATE TRIGGER batch_job_tally_delete AFTER DELETE ON batch_job
        BEGIN {_sqlite_step("OLD", -1)} END""",
    ),
    # one statement takes both rows of the tally, and always in one order, so that no two jobs wait for each other
    "postgresql": (
        """CREATE FUNCTION batch_job_tally_follow() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            INSERT INTO batch_job_tally AS tally (type, status, trigger, created_by, jobs)
            SELECT step.type, step.status, step.trigger, step.created_by, sum(step.jobs) FROM (
                SELECT OLD.type, OLD.status, OLD.trigger, coalesce(OLD.created_by, '') AS created_by, -1 AS jobs
                WHERE TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL
                UNION ALL
                SELECT NEW.type, NEW.status, NEW.trigger, coalesce(NEW.created_by, ''), 1
                WHERE TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL
            ) AS step
            GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
            ON CONFLICT (type, status, trigger, created_by) DO UPDATE SET jobs = tally.jobs + excluded.jobs;
            RETURN NULL;
        END $$""",
        """CREATE TRIGGER batch_job_tally_insert AFTER INSERT ON batch_job
        FOR EACH ROW EXECUTE FUNCTION batch_job_tally_follow()""",
        f"""CREATE TRIGGER batch_job_tally_update AFTER UPDATE OF {", ".join(KIND)} ON batch_job
        FOR EACH ROW WHEN ({CHANGED}) EXECUTE FUNCTION batch_job_tally_follow()""",
        """CREATE TRIGGER batch_job_tally_delete AFTER DELETE ON batch_job
        FOR EACH ROW EXECUTE FUNCTION batch_job_tally_follow()""",
    ),
}
