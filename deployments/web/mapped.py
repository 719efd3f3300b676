"""What the view of a file's columns has beside the fields of the context, and how that becomes part of the context."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from batch_jobs.deployments.web.forms import Submitted
from batch_jobs.deployments.web.written_values import TEXT
from batch_jobs.strategies.sdk.sample import FileColumn

#: How the fields of this view are named, before the column: of the file, or of the table for a default.
GOES_TO, CALLED, LEAVE, TYPE, DEFAULT = "to:", "called:", "leave:", "type:", "default:"
#: What is chosen for a column of the file: to be left out, what another job had for it, or after this a name.
LEFT_OUT, AS_GIVEN, NAMED = "-", "*", "="
#: Types that a column of a new table may be given.
TYPES = (
    "text",
    "integer",
    "bigint",
    "numeric",
    "double",
    "boolean",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "json",
)


@dataclass(frozen=True)
class Mapped:
    """What a context model can say of columns."""

    model: type[BaseModel]

    @property
    def maps(self) -> bool:
        """Whether columns of the file can be named otherwise."""
        return "columns" in self.model.model_fields

    @property
    def leaves_out(self) -> bool:
        """Whether columns of the file can be left out."""
        return self.maps and NoneType in _parts(self.model.model_fields["columns"].annotation)

    @property
    def types(self) -> bool:
        """Whether columns of a new table can be given a type."""
        return "types" in self.model.model_fields

    @property
    def defaults(self) -> bool:
        """Whether columns of the table can be given a value for rows that have none."""
        return "defaults" in self.model.model_fields

    def context(
        self, context: Mapping[str, Any], form: Submitted, names: Collection[str], is_new: bool
    ) -> dict[str, Any]:
        """The context with what the form says of columns.

        Args:
            context: as the other fields have it.
            form: what came.
            names: of all fields that came.
            is_new: whether the columns of the table are those of the file, so that they change their names with them.
        """
        found, before = dict(context), _dict(context, "columns")
        if self.maps:
            found["columns"] = _chosen(before, form, names)
            found = _without_left_out(found)
        if self.types:
            found["types"] = _typed(found, before, _given(form, names, TYPE))
        if self.defaults:
            found["defaults"] = _filled(_dict(found, "defaults"), _given(form, names, DEFAULT))
        if self.maps and is_new:
            found = _renamed(found, _new_names(before, found["columns"]))
        return {name: value for name, value in found.items() if value != {} or name not in OF_COLUMNS}


#: The fields of a context that the view draws beside the columns.
OF_COLUMNS = ("columns", "types", "defaults")


def field_name(prefix: str, column: str) -> str:
    """What a column's field is called; browsers would change the line ends in a name."""
    return prefix + TEXT.write(column)


def chosen(context: Mapping[str, Any], column: FileColumn) -> str:
    """What is chosen for a column of the file, as its field has it."""
    columns = _dict(context, "columns")
    if column.name not in columns:
        return ""
    to = columns[column.name]
    if to is None:
        return LEFT_OUT
    return NAMED + to if isinstance(to, str) else AS_GIVEN


def with_proposal(
    context: Mapping[str, Any], proposed: Mapping[str, str], columns: Iterable[FileColumn]
) -> dict[str, Any]:
    """The context with a proposal for the columns that it says nothing of and that go nowhere by their own name."""
    found = dict(_dict(context, "columns"))
    for column in columns:
        to = proposed.get(column.name)
        is_free = column.name not in found and column.target is None
        if to is not None and to != column.name and is_free and to not in found.values():
            found[column.name] = to
    return {**context, "columns": found} if found else dict(context)


def _chosen(known: Mapping[str, Any], form: Submitted, names: Collection[str]) -> dict[str, Any]:
    """What is known of columns, with what was chosen for those that were shown."""
    found = dict(known)
    for column, text in _given(form, names, GOES_TO).items():
        if text == AS_GIVEN:
            continue
        found.pop(column, None)
        if text == LEFT_OUT:
            found[column] = None
        elif text.startswith(NAMED):
            found[column] = TEXT.read(text.removeprefix(NAMED))
    for column, text in _given(form, names, CALLED).items():
        if text != known.get(column):
            found.pop(column, None)
            found |= {column: text.strip()} if text.strip() else {}
    return found | dict.fromkeys(_given(form, names, LEAVE))


def _without_left_out(context: dict[str, Any]) -> dict[str, Any]:
    """A context whose further options name no column that is left out."""
    left_out = {name for name, to in context["columns"].items() if to is None}
    parts = {key: context[key] for key in ("date_format", "types") if isinstance(context.get(key), dict)}
    kept = {key: {name: text for name, text in part.items() if name not in left_out} for key, part in parts.items()}
    gone = [key for key, part in kept.items() if not part]
    return {name: value for name, value in {**context, **kept}.items() if name not in gone}


def _filled(known: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What is known of columns, with what was given; what is emptied is no longer known."""
    others = {name: value for name, value in known.items() if name not in given or value == given[name]}
    return others | {name: text for name, text in given.items() if text}


def _typed(context: Mapping[str, Any], before: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The types by the columns of the table; they are given by those of the file, which may be called otherwise now."""
    now = _dict(context, "columns")
    shown = {
        name for column in given for name in (column, before.get(column), now.get(column)) if isinstance(name, str)
    }
    others = {name: type for name, type in _dict(context, "types").items() if name not in shown}
    chosen = {now.get(column, column): type for column, type in given.items() if type}
    return others | {name: type for name, type in chosen.items() if name is not None}


def _new_names(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str | None]:
    """Columns of a new table that are called otherwise now, or are no more."""
    changed = {name for name in {*before, *now} if before.get(name, name) != now.get(name, name)}
    old = {name: before.get(name, name) for name in changed}
    return {was: now.get(name, name) for name, was in old.items() if isinstance(was, str)}


def _renamed(context: dict[str, Any], new: Mapping[str, str | None]) -> dict[str, Any]:
    """A context whose further options follow the columns of the table."""
    defaults = {new.get(column, column): value for column, value in _dict(context, "defaults").items()}
    found = {**context, "defaults": {column: value for column, value in defaults.items() if column is not None}}
    if isinstance(found.get("key"), list):
        key = [new.get(column, column) for column in found["key"]]
        found["key"] = [column for column in key if column is not None]
    return found


def _dict(context: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = context.get(name)
    return value if isinstance(value, dict) else {}


def _given(form: Submitted, names: Collection[str], prefix: str) -> dict[str, str]:
    """What came in the fields of a kind, by column."""
    return {
        TEXT.read(name.removeprefix(prefix)): str(form.getlist(name)[-1]) for name in names if name.startswith(prefix)
    }


def _parts(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    parts = get_args(annotation)
    return {annotation}.union(*map(_parts, parts)) if parts else {annotation}
