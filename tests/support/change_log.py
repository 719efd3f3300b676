"""The change log as tests look at it, and what it should say of two states of a table."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from sqlalchemy import Engine, inspect, select, text

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes, change_table
from batch_jobs.strategies.sdk.checkpoint import create_table
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY, LINE, ChangedRows, unpacked
from batch_jobs.strategies.tables.changes.stored import stored_values

#: kind, key, and of each column that changed what it was and is.
Entry = tuple[str, tuple[Any, ...], dict[str, tuple[Any, Any]]]


def logged(target: Engine, job_id: str | None = None) -> list[Entry]:
    """All rows of the log, or those of a job."""
    if not inspect(target).has_table(change_table.name):
        return []
    query = select(change_table).order_by(change_table.c.made_at, change_table.c.chunk, change_table.c.number)
    with target.connect() as connection:
        blocks = connection.execute(query if job_id is None else query.where(change_table.c.job_id == job_id)).all()
    return [entry for block in blocks for entry in _entries(block)]


def log_change(target: Engine, job_id: str, chunk: int = 1, **columns: list[Any]) -> None:
    """Let a job have changed rows of ``products``: their ``code``, and what each column was and is by turns."""
    rows = {KEY + "code": columns.pop("code", ["A"]), LINE: list(range(2, 2 + len(next(iter(columns.values()), [0]))))}
    for name, cells in (columns or {"price": [("9.50", "9.90")]}).items():
        rows |= {BEFORE + name: [was for was, _ in cells], AFTER + name: [is_ for _, is_ in cells]}
    block = ChangedRows("products", "updated", ["code"], pa.table(rows)).encoded()
    create_table(target, change_table)
    changes = Changes(ChangeOptions(), True)
    changes.add(block)
    with target.begin() as connection:
        changes.write(connection, job_id, None, chunk)


def _entries(block: Any) -> Iterator[Entry]:
    rows = unpacked(block.data)
    assert rows.num_rows == block.rows
    cells = {field.name: stored_values(field, rows.column(field.name)) for field in rows.schema}
    names = dict.fromkeys(name[1:] for name in cells if name[0] in (BEFORE, AFTER))
    for row in range(rows.num_rows):
        key = tuple(cells[KEY + name][row] for name in block.key_columns)
        sides = {name: tuple(cells.get(mark + name, {row: None})[row] for mark in (BEFORE, AFTER)) for name in names}
        if block.kind == "updated":
            sides = {name: (was, is_) for name, (was, is_) in sides.items() if (was, is_) != (None, None)}
        yield block.kind, key, sides


def differences(before: list[dict[str, Any]], after: list[dict[str, Any]], key: list[str]) -> list[Entry]:
    """What the log should say where a table had these rows and has those."""
    was = {tuple(row[name] for name in key): row for row in before}
    is_ = {tuple(row[name] for name in key): row for row in after}
    found: list[Entry] = []
    for place in {**was, **is_}:
        old, new = was.get(place), is_.get(place)
        names = [name for name in (old or new or {}) if name not in key]
        if old is None or new is None:
            sides = {name: (old and old[name], new and new[name]) for name in names}
            found.append(("created" if old is None else "removed", place, sides))
        elif old != new:
            found.append(("updated", place, {name: (old[name], new[name]) for name in names if old[name] != new[name]}))
    return found


def rows_of(target: Engine, table: str) -> list[dict[str, Any]]:
    """The rows of a table as the log has their values: texts on PostgreSQL."""
    with target.connect() as connection:
        names = [column["name"] for column in inspect(connection).get_columns(table)]
        cast = "CAST({0} AS TEXT) AS {0}" if target.dialect.name == "postgresql" else "{0}"
        cells = ", ".join(cast.format(name) for name in names)
        return [dict(row._mapping) for row in connection.execute(text(f"SELECT {cells} FROM {table}"))]


def comparable(entries: list[Entry]) -> list[Any]:
    """In an order of their own, numbers as numbers whatever their form."""
    return sorted(
        (kind, tuple(map(_plain, key)), sorted((name, _plain(was), _plain(is_)) for name, (was, is_) in sides.items()))
        for kind, key, sides in entries
    )


def _plain(value: Any) -> str:
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return repr(value)
