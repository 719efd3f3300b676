"""What the template of the mapping view is given."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from batch_jobs.deployments.web.form_field import Widget
from batch_jobs.deployments.web.forms import ContextForm
from batch_jobs.deployments.web.mapped import (
    AS_GIVEN,
    CALLED,
    DEFAULT,
    GOES_TO,
    LEAVE,
    LEFT_OUT,
    NAMED,
    TYPE,
    TYPES,
    Mapped,
    chosen,
    field_name,
)
from batch_jobs.deployments.web.reading_fields import SELDOM, reading_fields
from batch_jobs.deployments.web.written_values import TEXT
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.sample import FileColumn, FileSample

#: For which table columns were proposed, and fields whose secrets have to be given again.
PROPOSED_FOR, LOST = "proposed_for", "lost"
#: So many choices in all selects are quick to draw and to morph; beyond, names are entered with suggestions.
MOST_OPTIONS = 4_000
#: How many cells of a column are shown beside it.
EXAMPLES = 3


def mapping_values(
    strategy: BatchJobStrategy,
    form: ContextForm,
    context: Mapping[str, Any],
    sample: FileSample | None,
    entries: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What is drawn of a context and of the file as it is read by that."""
    reading = list(reading_fields(form, sample, context, entries))
    return {
        "type": strategy.batch_type,
        "form": form,
        "entries": entries,
        "sample": sample,
        "model": Mapped(strategy.Context),
        "reading": reading,
        "seldom": SELDOM,
        "has_seldom": any(texts != one.empty_texts for one, texts in reading if one.key in SELDOM),
        "drawn": [one.key for one, _ in reading],
        "columns": _columns(sample, context) if sample else [],
        "targets": _targets(sample) if sample else [],
        "has_selects": bool(sample and _has_selects(sample)),
        "made": _made(sample) if sample else [],
        "field_name": field_name,
        "element_id": element_id,
        "written": TEXT.write,
        "names": {"to": GOES_TO, "called": CALLED, "leave": LEAVE, "type": TYPE, "default": DEFAULT},
        "choices": {"left_out": LEFT_OUT, "as_given": AS_GIVEN, "named": NAMED},
        "types": TYPES,
        "table_widget": Widget.TABLE,
    }


def element_id(kind: str, *names: str | None) -> str:
    """The id of what is drawn of a column, so that what was chosen there is not taken for another one's."""
    return f"{kind}-{sha256(json.dumps(names).encode()).hexdigest()[:16]}"


def _columns(sample: FileSample, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each column of the file with what is chosen for it, and what its field holds."""
    types = context.get("types") or {}
    defaults = context.get("defaults") or {}
    return [
        {
            "column": column,
            "place": place,
            "chosen": chosen(context, column),
            "given": (context.get("columns") or {}).get(column.name),
            "examples": _examples(sample, place),
            "type": types.get(column.name, types.get(column.renamed)) if column.renamed is not None else None,
            "default": defaults.get(column.target, "") if column.target is not None else "",
            "goes_to": [name for name in (column.target, *column.further_targets) if name is not None],
        }
        for place, column in enumerate(sample.columns)
    ]


def _examples(sample: FileSample, place: int) -> list[str]:
    """The first cells of a column that are not empty."""
    cells = (row.cells[place].raw for row in sample.rows if place < len(row.cells))
    return [raw for raw in cells if raw][:EXAMPLES]


def _targets(sample: FileSample) -> list[dict[str, Any]]:
    """The columns of the table that something may go into, each with the columns of the file that go there."""
    sources: dict[str, list[str]] = {}
    for column in sample.columns:
        for target in dict.fromkeys((_wanted(column), *column.further_targets)):
            if target is not None:
                sources.setdefault(target, []).append(column.name)
    return [
        {"column": target, "sources": sources.get(target.name, [])}
        for target in sample.target_columns
        if not target.is_computed
    ]


def _wanted(column: FileColumn) -> str | None:
    """Where a column is to go, also where another one goes already and the job would be refused."""
    return column.renamed if column.target is None else column.target


def _has_selects(sample: FileSample) -> bool:
    """Whether names are chosen of a table's own; a shop's stand for further ones, such as a price in each currency."""
    is_table = sample.target_exists and sample.target is not None
    return is_table and len(sample.columns) * len(sample.target_columns) <= MOST_OPTIONS


def _made(sample: FileSample) -> list[str]:
    """The columns of the rows that a strategy makes of those of the file."""
    return list(dict.fromkeys(name for row in sample.rows for made in row.made for name in made))
