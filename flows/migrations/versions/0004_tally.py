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
KIND = ("type", "status", "trigger", "created_by")
WATCHED = (*KIND, "deleted_at")
CHANGED = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in WATCHED)


def upgrade() -> None:
    """Make lists by time the ones that have indexes, and tally the jobs that are there."""
    for name in OLD_INDEXES:
        op.drop_index(name, "batch_job")
    for name, columns in INDEXES.items():
        op.create_index(name, "batch_job", columns, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_table(
        "batch_job_tally",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("created_by", sa.String(255)),
        sa.Column("jobs", sa.BigInteger, nullable=False),
    )
    # the triggers first: on a server they wait for whoever writes, and nobody writes between them and the count
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.execute(
        """INSERT INTO batch_job_tally (type, status, trigger, created_by, jobs)
        SELECT type, status, trigger, created_by, count(*) FROM batch_job
        WHERE deleted_at IS NULL GROUP BY type, status, trigger, created_by"""
    )


def downgrade() -> None:
    """Put the indexes before it back."""
    for statement in UNTRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.drop_table("batch_job_tally")
    for name in INDEXES:
        op.drop_index(name, "batch_job")
    for name, columns in OLD_INDEXES.items():
        op.create_index(name, "batch_job", columns)


def _sqlite_step(row: str, step: int) -> str:
    same = " AND ".join(f"{column} IS {row}.{column}" for column in KIND)
    kind = ", ".join(f"{row}.{column}" for column in KIND)
    return f"""
        INSERT INTO batch_job_tally ({", ".join(KIND)}, jobs)
        SELECT {kind}, 0 WHERE {row}.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM batch_job_tally WHERE {same});
        UPDATE batch_job_tally SET jobs = jobs + {step} WHERE {row}.deleted_at IS NULL AND {same};"""


def _postgresql_step(row: str, step: int) -> str:
    kind = ", ".join(f"{row}.{column}" for column in KIND)
    return f"EXECUTE format(counted, TG_TABLE_SCHEMA) USING {kind}, {step};"


TRIGGERS = {
    # SQLite has one writer at a time, who counts the row of a kind up or down
    "sqlite": (
        f"""CREATE TRIGGER batch_job_tally_insert AFTER INSERT ON batch_job
        BEGIN {_sqlite_step("NEW", 1)} END""",
        f"""CREATE TRIGGER batch_job_tally_update AFTER UPDATE OF {", ".join(WATCHED)} ON batch_job
        WHEN {CHANGED.replace("IS DISTINCT FROM", "IS NOT")}
        BEGIN {_sqlite_step("OLD", -1)} {_sqlite_step("NEW", 1)} END""",
        f"""CREATE TRIGGER batch_job_tally_delete AFTER DELETE ON batch_job
        BEGIN {_sqlite_step("OLD", -1)} END""",
    ),
    # PostgreSQL's writers would wait for each other at that row, so each adds one of its own; they are summed
    "postgresql": (
        f"""CREATE FUNCTION batch_job_tally_follow() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            counted text := 'INSERT INTO %I.batch_job_tally ({", ".join(KIND)}, jobs) VALUES ($1, $2, $3, $4, $5)';
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                EXECUTE format('DELETE FROM %I.batch_job_tally', TG_TABLE_SCHEMA);
                RETURN NULL;
            END IF;
            IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
                {_postgresql_step("OLD", -1)}
            END IF;
            IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
                {_postgresql_step("NEW", 1)}
            END IF;
            RETURN NULL;
        END $$""",
        """CREATE TRIGGER batch_job_tally_insert AFTER INSERT ON batch_job
        FOR EACH ROW EXECUTE FUNCTION batch_job_tally_follow()""",
        f"""CREATE TRIGGER batch_job_tally_update AFTER UPDATE OF {", ".join(WATCHED)} ON batch_job
        FOR EACH ROW WHEN ({CHANGED}) EXECUTE FUNCTION batch_job_tally_follow()""",
        """CREATE TRIGGER batch_job_tally_delete AFTER DELETE ON batch_job
        FOR EACH ROW EXECUTE FUNCTION batch_job_tally_follow()""",
        """CREATE TRIGGER batch_job_tally_truncate AFTER TRUNCATE ON batch_job
        FOR EACH STATEMENT EXECUTE FUNCTION batch_job_tally_follow()""",
    ),
}
UNTRIGGERS = {
    "sqlite": [f"DROP TRIGGER batch_job_tally_{event}" for event in ("insert", "update", "delete")],
    "postgresql": ["DROP FUNCTION batch_job_tally_follow() CASCADE"],
}
