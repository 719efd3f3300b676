"""What a confirmation leaves out of a job: some columns, kinds, keys, lines, or what a rule says."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError, model_validator

from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.lines import LINES_OF_A_FILE

#: The parts of ``LeaveOut`` that there are.
PARTS = ("columns", "kinds", "keys", "lines", "rules")
#: Where a job keeps what its confirmation leaves out, and what came of that, in its plan.
WISH, FOUND = "leave_out", "left_out"
MOST = 100_000  # keys or lines

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Cell = str | bool | int | Decimal
Kind = Literal["created", "updated", "removed"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """Known rows of which a column changes in a way; one of its conditions is enough."""

    column: Name = Field(description="The table's column.", examples=["price"])
    change_percent_below: Decimal | None = Field(
        default=None,
        allow_inf_nan=False,
        description="It changes by less than so many per cent of what it was: `-50` is every fall by more than half.",
        examples=[-50],
    )
    change_percent_above: Decimal | None = Field(
        default=None,
        allow_inf_nan=False,
        description="It changes by more than so many per cent: `30` is every rise by more.",
    )
    becomes_empty: bool = Field(default=False, description="It loses its value.")

    @model_validator(mode="after")
    def _says_something(self) -> "Rule":
        if self.change_percent_below is None and self.change_percent_above is None and not self.becomes_empty:
            raise ValueError("needs change_percent_below, change_percent_above or becomes_empty")
        return self

    @property
    def is_about_numbers(self) -> bool:
        """Whether it compares what the column was with what it becomes."""
        return self.change_percent_below is not None or self.change_percent_above is not None


class FileLine(_Strict):
    """A line of one of several files."""

    file: Name
    line: StrictInt = Field(ge=1)


class LeaveOut(_Strict):
    """What is left out; a row is where one of these says so, of all others a column is where ``columns`` has it."""

    columns: list[Name] = Field(
        default_factory=list,
        max_length=1_000,
        description="Columns of the table: known rows keep what they have, new ones get the default.",
        examples=[["price"]],
    )
    kinds: list[Kind] = Field(
        default_factory=list, max_length=3, description="Rows that would be created, updated or removed."
    )
    keys: list[Cell | list[Cell] | dict[str, Cell]] = Field(
        default_factory=list,
        max_length=MOST,
        description="Rows by their key: its value, or of a key of several columns `{column: value}`.",
    )
    lines: list[StrictInt | FileLine] = Field(
        default_factory=list,
        max_length=MOST,
        description="Rows by the line they begin on; of several files `{file, line}`.",
    )
    rules: list[Rule] = Field(default_factory=list, max_length=100, description="Known rows by how they change.")

    @classmethod
    def of(cls, given: "LeaveOut | Mapping[str, Any] | None") -> "LeaveOut":
        """What was given, checked.

        Raises:
            LeaveOutRefused: it has not this form.
        """
        if isinstance(given, LeaveOut):
            return given
        try:
            return cls.model_validate(dict(given or {}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise LeaveOutRefused(f"leave_out {place}: {first['msg'].removeprefix('Value error, ')}") from None

    def __bool__(self) -> bool:
        return any(getattr(self, part) for part in PARTS)

    @property
    def parts(self) -> list[str]:
        """Which parts are given."""
        return [part for part in PARTS if getattr(self, part)]

    def as_json(self) -> dict[str, Any]:
        """What is given, as the plan keeps it."""
        given: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return given

    def __str__(self) -> str:
        """For the history."""
        texts = (f"{part} {json.dumps(value, ensure_ascii=False)}" for part, value in self.as_json().items())
        return f"leaves out {'; '.join(texts)}"[:1_000]

    def key_texts(self, key: Sequence[str]) -> list[tuple[str, ...]]:
        """The keys as texts, in the order of the key's columns.

        Raises:
            LeaveOutRefused: one is none of this key.
        """
        return [_key_texts(given, key) for given in self.keys]

    def fitting_keys(self, key: Sequence[str]) -> dict[int, tuple[str, ...]]:
        """The keys that are of these columns, as texts, by their places in ``keys``."""
        found: dict[int, tuple[str, ...]] = {}
        for place, given in enumerate(self.keys if key else ()):
            with suppress(LeaveOutRefused):
                found[place] = _key_texts(given, key)
        return found

    def line_numbers(self, files: Sequence[str]) -> list[int]:
        """The lines as one series of numbers, see ``lines``.

        Raises:
            LeaveOutRefused: it is not known of which file one is.
        """
        return [_line_number(given, files) for given in self.lines]


def _key_texts(given: Cell | list[Cell] | dict[str, Cell], key: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, dict) and set(given) == set(key):
        return tuple(_text(given[name]) for name in key)
    if isinstance(given, list) and len(given) == len(key):
        return tuple(map(_text, given))
    if not isinstance(given, dict | list) and len(key) == 1:
        return (_text(given),)
    raise LeaveOutRefused(f"leave_out names the key {_shown(given)}, and keys are of {', '.join(key)}")


def _line_number(given: int | FileLine, files: Sequence[str]) -> int:
    if isinstance(given, FileLine):
        places = [place for place, file in enumerate(files) if given.file in (file, file.rpartition("/")[2])]
        if len(places) != 1:
            raise LeaveOutRefused(f"leave_out names the file {given.file}; the job has {', '.join(files)}")
        return places[0] * LINES_OF_A_FILE + given.line
    if len(files) > 1:
        raise LeaveOutRefused(
            f'leave_out names line {given}, and there are {len(files)} files: give {{"file", "line"}}'
        )
    return given


def _text(cell: Cell) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _shown(given: object) -> str:
    return json.dumps(given, ensure_ascii=False, default=str)[:200]
