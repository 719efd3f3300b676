"""The key by which rows of the file and of the table are the same."""

from sqlalchemy import Engine, Table

from strategies.errors import JobRefused
from strategies.tabular.tables import quoted, quoted_table, shown, unique_keys


def choose_key(mode: str, asked: list[str], table: Table | None, columns: list[str]) -> list[str]:
    """The columns of the key; none where the mode has no use for one.

    Raises:
        JobRefused: a key is needed and there is none, or the file lacks a column of it.
    """
    absent = [name for name in asked if name not in columns]
    if absent:
        raise JobRefused(
            f"the key {shown(asked)} needs {shown(absent)}, which the file does not have; it has: {shown(columns)}"
        )
    if mode == "append" or asked:
        return asked
    own = [column.name for column in table.primary_key] if table is not None else []
    if own and set(own) <= set(columns):
        return own
    raise JobRefused(
        f"{mode} needs a key; give `key` the columns that tell rows apart, among: "
        f"{shown(columns)}{_why_not(table, own)}"
    )


def check_unique(engine: Engine, table: Table, key: list[str]) -> None:
    """Refuse a key that the database does not keep unique, because two jobs at once could then double a row.

    Raises:
        JobRefused: with the statement that makes the index.
    """
    if set(key) in unique_keys(engine, table):
        return
    name = quoted("_".join([table.name, *key, "key"])[:63])
    columns = ", ".join(quoted(column) for column in key)
    statement = f"CREATE UNIQUE INDEX {name} ON {quoted_table(table)} ({columns})"
    raise JobRefused(
        f"{table.fullname} has no unique index on exactly {shown(key)}, so rows cannot be matched by it; "
        f"run: {statement}"
    )


def _why_not(table: Table | None, own: list[str]) -> str:
    if table is None:
        return ""
    return f" (the primary key {shown(own)} is not in the file)" if own else f" ({table.fullname} has no primary key)"
