"""Any table, any file, any mode: an undo leaves all as it was, but for what others have changed since."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.files import FileStore
from support.importing import Importing
from support.undoing import Undoing

TEXTS = st.text("abé'\" ,;\\\n\x1fZ0", max_size=4)
KEYS = st.integers(-3, 9)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXTS,
    "price": st.decimals("-99.99", "99.99", places=2).map(str),
    "ratio": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "stock": st.integers(-5, 5),
    "is_new": st.sampled_from(["true", "false"]),
    "day": st.dates().map(str),
    "at": st.datetimes().map(lambda at: at.isoformat(" ")),
    "note": TEXTS,
}
TABLE = (
    "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'new', price NUMERIC(10, 2), "
    "ratio DOUBLE PRECISION, stock INTEGER DEFAULT 3, is_new BOOLEAN, day DATE, at TIMESTAMP, note TEXT, "
    "CONSTRAINT few CHECK (stock < 5))"
)
ROW = st.fixed_dictionaries({}, optional={name: values | st.none() for name, values in VALUES.items()})
ROWS = st.dictionaries(KEYS, ROW, max_size=9)
MODES = st.sampled_from(["append", "insert", "upsert", "update", "sync", "marks"])
EDITS = st.lists(st.tuples(KEYS, st.sampled_from(["delete", "insert", *VALUES]), TEXTS), max_size=6)
#: What an edit sets a column to.
EDITED = {
    "name": ":value",
    "note": ":value",
    "is_new": "NOT is_new",
    "day": "'2001-02-03'",
    "at": "'2001-02-03 04:05:06'",
    "price": "1.25",
    "ratio": "1.25",
    "stock": "3",
}


def as_stored(target: Engine) -> dict[Any, tuple[str, ...]]:
    """Every cell as its text, with its kind where the database has such."""
    kind = "typeof({0}) || ' ' || quote({0})" if target.dialect.name == "sqlite" else "CAST({0} AS text)"
    cells = ", ".join(kind.format(name) for name in ("id", *VALUES))
    with target.connect() as connection:
        return {row[0]: tuple(row) for row in connection.execute(text(f"SELECT id, {cells} FROM thing"))}


def sql(target: Engine, statement: str, **values: Any) -> None:
    with target.begin() as connection:
        connection.execute(text(statement), values)


def fill(target: Engine, rows: dict[int, dict[str, Any]]) -> None:
    with target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS thing"))
        connection.execute(text(TABLE))
    importing = Importing(target, FileStore("memory://"))
    if rows:
        lines = "".join(json.dumps({"id": key, **values}) + "\n" for key, values in rows.items())
        job = importing.job(lines, name="in.jsonl", table="thing", mode="insert", keep_changes=False)
        run(importing, job)


def run(importing: Importing, job: Any) -> Any:
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)
    return job


def load(target: Engine, files: FileStore, rows: dict[int, dict[str, Any]], mode: str, empty: str) -> Any:
    importing = Importing(target, files)
    lines = "".join(json.dumps({"id": key, **values}) + "\n" for key, values in rows.items())
    context: dict[str, Any] = {"mode": mode, "empty": empty}
    if mode in ("sync", "marks"):
        context |= {"mode": "sync", "max_removed": 100}
    if mode == "marks":
        context["missing"] = {"mark": {"note": "gone", "price": 0}}
    job = importing.job(lines, name="in.jsonl", table="thing", **context)
    return run(importing, job)


def edit(target: Engine, edits: list[tuple[int, str, str]]) -> None:
    for key, what, value in edits:
        if what == "delete":
            sql(target, "DELETE FROM thing WHERE id = :key", key=key)
        elif what == "insert":
            new = "INSERT INTO thing (id, name) VALUES (:key, :value) ON CONFLICT DO NOTHING"
            sql(target, new, key=key, value=value)
        else:
            given = {"value": value} if ":value" in EDITED[what] else {}
            sql(target, f"UPDATE thing SET {what} = {EDITED[what]} WHERE id = :key", key=key, **given)


@pytest.mark.long
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=ROWS, file=ROWS, mode=MODES, empty=st.sampled_from(["null", "default", "keep"]), edits=EDITS)
def test_an_undo_puts_all_back_but_what_others_wrote(
    target: Engine, importing: Importing, before: Any, file: Any, mode: str, empty: str, edits: Any
):
    fill(target, before)
    was = as_stored(target)
    try:
        job = load(target, importing.files, file, mode, empty)
    except JobRefused:
        return
    after = as_stored(target)
    undoing = Undoing(importing)

    edit(target, edits)
    edited = as_stored(target)
    expected = {key: row for key in {*was, *edited, *after} if (row := expected_row(key, was, after, edited))}
    if after == was:
        return
    try:
        preview = undoing.preview(job.id)
    except JobRefused:
        assert expected == edited
        return
    assert as_stored(target) == edited
    undoing.process(preview)
    found = as_stored(target)
    assert found == expected
    counts, result = preview.plan["counts"], preview.result
    assert (counts["create"], counts["update"], counts["remove"], counts["unchanged"]) == (
        result.created, result.updated, result.removed, result.unchanged,
    )  # fmt: skip

    if found != edited:  # an undo of the undo
        undoing(preview.id)
        assert as_stored(target) == edited


def expected_row(key: Any, was: Any, after: Any, edited: Any) -> tuple[str, ...] | None:
    before, then, now = was.get(key), after.get(key), edited.get(key)
    if before == then:
        return now
    if now is None or before is None or then is None:
        return before if now == then else now
    changed = [place for place, cell in enumerate(before) if cell != then[place]]
    if any(now[place] != then[place] for place in changed):
        return now
    return tuple(before[place] if place in changed else cell for place, cell in enumerate(now))
