"""How cells are to be understood: fields that the contexts of all importing strategies into tables have."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, field_validator, model_validator

from batch_jobs.strategies.tables.values.typenames import type_named

#: What a format may have: what Python's ``strptime`` reads everywhere in the same way.
DIRECTIVES = frozenset("aAbBdHIjmMpSfuUVwWyYGz%")
_SAMPLE = datetime(2023, 11, 23, 21, 47, 58, tzinfo=UTC)


class ValueOptions(BaseModel):
    """What the cells of a file do not say of themselves."""

    null_values: list[str] = Field(
        default_factory=list, title="Words for nothing", description="Cells that mean no value, such as NA or \\N"
    )
    decimal: str | None = Field(
        default=None,
        title="Decimal mark",
        description="In numbers, such as a comma; default a point",
        pattern=r"^[.,]$",
    )
    thousands: str | None = Field(
        default=None,
        title="Thousands mark",
        description="In numbers, such as a comma, a point, a blank or an apostrophe; default none",
        min_length=1,
        max_length=1,
    )
    date_format: str | dict[str, str] | None = Field(
        default=None,
        title="Date format",
        description="How days and times are written, as %d.%m.%Y: one for all columns, or one for each by name; "
        "default as ISO 8601 has them",
    )
    time_zone: str | None = Field(
        default=None, title="Time zone", description="Of times that name none, such as Europe/Vienna; default UTC"
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        title="Types",
        description="Column -> its type in a table to create, such as numeric(10,2); default found by all its values",
    )
    empty: Literal["null", "default", "keep"] = Field(
        default="null",
        title="Empty cells",
        description="null: no value; default: what the column has by itself; keep: leave what is there as it is",
    )
    defaults: dict[str, str] = Field(
        default_factory=dict,
        title="Defaults",
        description="Table column -> what a row gets in it that has no value for it: its cell is empty, or the file "
        "lacks the column; written as the file writes such values",
    )

    @field_validator("date_format")
    @classmethod
    def _check_formats(cls, given: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for format in given.values() if isinstance(given, dict) else [given] if given is not None else []:
            _check_format(format)
        return given

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, given: str | None) -> str | None:
        try:
            return ZoneInfo(given).key if given else None
        except (KeyError, ValueError, OSError):  # not found, no such name, a folder
            raise ValueError(f"{given!r} is not a time zone; write one such as Europe/Vienna or UTC") from None

    @field_validator("types")
    @classmethod
    def _check_types(cls, given: dict[str, str]) -> dict[str, str]:
        for name in given.values():
            type_named(name)
        return given

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        if self.thousands and (self.thousands.isalnum() or self.thousands in "+-"):
            raise ValueError(f"thousands may not be {self.thousands!r}, which numbers have themselves")
        if self.thousands == (self.decimal or "."):
            default = "" if self.decimal else " unless decimal is given"
            raise ValueError(f"decimal and thousands are both {self.thousands!r}{default}; they must differ")
        return self

    def unknown_columns(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The columns that an option names and that are not among these: option -> columns."""
        known = set(names)
        given = {"types": self.types, "date_format": self.date_format if isinstance(self.date_format, dict) else {}}
        found = {option: [name for name in columns if name not in known] for option, columns in given.items()}
        return {option: columns for option, columns in found.items() if columns}


def _check_format(format: str) -> None:
    used = re.findall("%(.?)", format)
    unknown = [directive for directive in used if directive not in DIRECTIVES]
    if unknown or not used:
        reason = f"date_format {format!r} has %{unknown[0]}, which is not read" if unknown else _not_whole(format)
        raise ValueError(reason)
    try:
        read = datetime.strptime(_SAMPLE.strftime(format), format)
    except (ValueError, re.error):
        raise ValueError(_not_whole(format)) from None
    has_time = set(used) & set("HIMSfp")
    is_whole_time = not has_time or read.time().replace(second=0) == _SAMPLE.time().replace(second=0)
    is_whole_day = read.date() == _SAMPLE.date() or (has_time and not set(used) - set("HIMSfpz%"))
    if not (is_whole_time and is_whole_day):
        raise ValueError(_not_whole(format))


def _not_whole(format: str) -> str:
    return f"date_format {format!r} does not give a whole day or time; write one such as %d.%m.%Y or %d.%m.%Y %H:%M"
