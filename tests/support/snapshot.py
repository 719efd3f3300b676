"""Everything that a PostgreSQL database is and holds, to compare it with what it was."""

from collections.abc import Set

import psycopg
from psycopg import sql

#: Each gives rows whose first column is the table (or what else there is) that they are about.
QUERIES = (
    "SELECT relname, relkind, oid, relfilenode, relpersistence, reloptions, relacl::text, relrowsecurity FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace",
    "SELECT table_name, ordinal_position, column_name, udt_name, is_nullable, column_default, character_maximum_length "
    "FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "SELECT typname, enumlabel, enumsortorder FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid",
    "SELECT sequencename, data_type::text, start_value, increment_by, last_value FROM pg_sequences",
    "SELECT event_object_table, trigger_name, action_statement FROM information_schema.triggers",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT extname, extversion FROM pg_extension",
)
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
CONTENT = "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {table} AS t"

Snapshot = Set[tuple[object, ...]]


def snapshot(uri: str) -> Snapshot:
    """Every table, index, constraint, type, sequence and trigger, and a digest of each table's rows."""
    with psycopg.connect(uri) as connection:
        found: set[tuple[object, ...]] = set()
        for number, query in enumerate(QUERIES):
            rows = connection.execute(query).fetchall()
            found |= {(row[0], number, *map(str, row[1:])) for row in rows}
        for (table,) in connection.execute(TABLES).fetchall():
            content = connection.execute(sql.SQL(CONTENT).format(table=sql.Identifier(table))).fetchone()
            found.add((table, "content", content))
    return found
