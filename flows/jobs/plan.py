"""A job's plan as tables, whatever a strategy keeps in it: for the terminal and for Prefect's UI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Section:
    """A table of the plan; ``head`` is empty where the rows explain themselves."""

    title: str
    rows: list[list[str]]
    head: list[str]


def shown(plan: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan for people; keys that begin with an underscore are the strategy's own."""
    return {name: value for name, value in (plan or {}).items() if not name.startswith("_")}


def sections(plan: Mapping[str, Any] | None) -> list[Section]:
    """One table for the single values, and one for each key that has several; empty ones are left out."""
    facts = {name: value for name, value in shown(plan).items() if not isinstance(value, (dict, list))}
    found = [_section("", {name: value for name, value in facts.items() if value is not None})]
    found += [_section(_title(name), value) for name, value in shown(plan).items() if name not in facts]
    return [section for section in found if section.rows]


def cell(value: Any) -> str:
    """A value of a context or a plan in one cell."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _section(title: str, value: dict[str, Any] | list[Any]) -> Section:
    if isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values()):
        return _table(title, [{"": name, **inner} for name, inner in value.items()])
    if isinstance(value, dict):
        return Section(title, [[name, cell(inner)] for name, inner in value.items()], [])
    if all(isinstance(row, dict) for row in value):
        return _table(title, value)
    return Section(title, [[cell(value)]], [])


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Section:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Section(title, [[cell(row.get(name)) for name in columns] for row in rows], columns)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
