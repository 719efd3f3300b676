"""What the view of a file's columns has beside the fields of the context, and how that becomes part of the context."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from batch_jobs.deployments.web.forms import Submitted
from batch_jobs.strategies.sdk.sample import FileColumn

#: How the fields of this view are named, before the column: of the file, or of the table for a default.
GOES_TO, TYPE, DEFAULT = "to:", "type:", "default:"
#: A column of the file that is left out, in the form.
LEFT_OUT = "(left out)"
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


class Names(Submitted):
    """A form whose names can be listed too."""

    def keys(self) -> Any:
        """All names."""


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

    def context(self, context: Mapping[str, Any], form: Submitted, names: list[str]) -> dict[str, Any]:
        """The context with what the form says of columns.

        Args:
            context: as the other fields have it.
            form: what came.
            names: of all fields that came.
        """
        found = dict(context)
        for field, beginning, is_there in (
            ("columns", GOES_TO, self.maps),
            ("types", TYPE, self.types),
            ("defaults", DEFAULT, self.defaults),
        ):
            given = {name.removeprefix(beginning): _last(form, name) for name in names if name.startswith(beginning)}
            if is_there and given:
                found[field] = _merged(found.get(field) or {}, given)
        left_out = {name for name, to in (found.get("columns") or {}).items() if to is None}
        formats = found.get("date_format")
        if isinstance(formats, dict) and left_out & set(formats):
            found["date_format"] = {name: text for name, text in formats.items() if name not in left_out}
        return {name: value for name, value in found.items() if value != {}}


def chosen(context: Mapping[str, Any], column: FileColumn) -> str:
    """What is chosen for a column of the file: a column of the table, nothing of its own, or to be left out."""
    columns = context.get("columns") or {}
    if column.name not in columns:
        return ""
    to = columns[column.name]
    return LEFT_OUT if to is None else str(to)


def with_proposal(context: Mapping[str, Any], proposed: Mapping[str, str], names: list[str]) -> dict[str, Any]:
    """The context with a proposal for the columns that it says nothing of, where that is another name."""
    columns = dict(context.get("columns") or {})
    for name in names:
        to = proposed.get(name)
        if to is not None and to != name and name not in columns and to not in columns.values():
            columns[name] = to
    return {**context, "columns": columns} if columns else dict(context)


def _merged(known: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    merged = {name: value for name, value in known.items() if name not in given}
    return merged | {name: None if text == LEFT_OUT else text for name, text in given.items() if text}


def _last(form: Submitted, name: str) -> str:
    return str(form.getlist(name)[-1])


def _parts(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    parts = get_args(annotation)
    return {annotation}.union(*map(_parts, parts)) if parts else {annotation}
