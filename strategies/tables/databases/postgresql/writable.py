"""Whether PostgreSQL takes rows for a relation, before any is sent."""

from sqlalchemy import Connection, text

#: What an import does to a table, by its mode; a row that is there has to be read to be compared.
PRIVILEGES = {
    "append": ("INSERT",),
    "insert": ("INSERT", "SELECT"),
    "upsert": ("INSERT", "UPDATE", "SELECT"),
    "update": ("UPDATE", "SELECT"),
    "sync": ("INSERT", "UPDATE", "SELECT"),
}
#: Bits of ``pg_relation_is_updatable``.
UPDATE, INSERT = 4, 8
RELATION = text(
    "SELECT relkind, pg_relation_is_updatable(oid, true) AS takes, current_user AS role, "
    "ARRAY(SELECT p FROM unnest(CAST(:privileges AS text[])) AS p WHERE NOT has_any_column_privilege(oid, p)) "
    "AS lacking "
    "FROM pg_class WHERE oid = to_regclass(:name)"
)


def why_not_writable(connection: Connection, name: str, mode: str) -> str | None:
    """Why a relation takes no rows in this mode; ``None`` where it does. ``name`` is quoted, as SQL has it."""
    found = connection.execute(RELATION, {"name": name, "privileges": list(PRIVILEGES[mode])}).one_or_none()
    if found is None:
        return None
    if found.relkind == "m":
        return f"{name} is a materialized view, which only its query fills; load into the table behind it"
    needed = UPDATE if mode == "update" else INSERT
    if found.relkind == "v" and not found.takes & needed:
        return f"{name} is a view that PostgreSQL puts no rows into; load into the table behind it"
    if found.relkind == "v" and mode != "append":
        return f"{name} is a view, and has no unique index to match rows by; load into the table behind it, or append"
    if found.lacking:
        privileges = ", ".join(found.lacking)
        statement = f"GRANT {privileges} ON {name} TO {found.role}"
        return f"the role {found.role} may not load into {name}; its owner can allow it: {statement}"
    return None
