"""The fields that change how a file is read, drawn beside its sample with the choices that it offers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from batch_jobs.deployments.web.form_field import FormField, Widget
from batch_jobs.deployments.web.forms import ContextForm
from batch_jobs.strategies.sdk.errors import BatchJobError
from batch_jobs.strategies.sdk.sample import FileSample
from batch_jobs.strategies.tables.formats.format import get_format
from batch_jobs.strategies.tables.formats.options import ReadingOptions

#: The order is that of the page.
READING = (
    "table", "mode", "key", "sheet", "layout", "currency", "skip_rows", "delimiter", "encoding", "decimal", "thousands",
    "date_format", "null_values", "header", "skip_footer", "quote", "escape", "comment", "time_zone", "empty",
)  # fmt: skip
#: Those of them that are folded away as long as nothing is in them.
SELDOM = ("header", "skip_footer", "quote", "escape", "comment", "time_zone", "empty")
#: The usual marks in numbers, and a number with each.
DECIMALS = {".": "1234.56", ",": "1234,56"}
THOUSANDS = {".": "1.234.567", ",": "1,234,567", " ": "1 234 567", "'": "1'234'567", "’": "1’234’567"}
DELIMITERS = {",": ",", ";": ";", "|": "|", '"\\t"': "⇥"}
ENCODINGS = ("utf-8", "cp1252", "iso-8859-15", "utf-16")
DATE_FORMATS = (
    "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %H:%M",
)  # fmt: skip
SHOWN_DAY = datetime(2026, 1, 31, 14, 5, 9, tzinfo=UTC)
#: More columns than this are named in a field rather than ticked.
MOST_TICKS = 60


def reading_fields(
    form: ContextForm, sample: FileSample | None, context: Mapping[str, Any], entries: Mapping[str, Sequence[str]]
) -> Iterator[tuple[FormField, list[str]]]:
    """The fields, each with what is in it.

    Args:
        form: of the context.
        sample: of the file.
        context: which the sample is of.
        entries: what is in the fields of the form.
    """
    by_key = {one.key: one for one in form.fields}
    heeded = _heeded(sample)
    for name in READING:
        one = by_key.get(name)
        texts = list(entries[name]) if one else []
        if one is None or not (name in heeded or any(texts)):
            continue
        drawn = _with_choices(one, sample, texts)
        is_ticked = drawn.widget is Widget.CHOICES and one.widget is not drawn.widget
        if is_ticked and (not any(texts) or isinstance(context.get(name), list)):
            texts = drawn.texts(context.get(name, []))
        yield drawn, texts


def _heeded(sample: FileSample | None) -> set[str]:
    """The fields that a file of this kind is read by; what has no format we know may be read by all."""
    unheeded: set[str] = set()
    if sample is not None and sample.described.get("format"):
        try:
            unheeded = set(ReadingOptions.model_fields) - get_format(sample.described["format"]).read_options
        except BatchJobError:
            unheeded = set()
    if sample is not None and len(sample.sheets) < 2 and sample.columns:
        unheeded.add("sheet")
    return set(READING) - unheeded


def _with_choices(one: FormField, sample: FileSample | None, texts: Sequence[str]) -> FormField:
    if one.key == "decimal":
        return _closed(one, list(DECIMALS), DECIMALS)
    if one.key == "thousands":
        return _closed(one, list(THOUSANDS), THOUSANDS)
    if one.key == "sheet" and sample is not None and sample.sheets:
        return _closed(one, sample.sheets, {})
    if one.key == "key" and sample is not None and one.written.item:
        return _ticked(one, [column.name for column in sample.target_columns if not column.is_computed])
    if one.key == "date_format" and not any("\n" in text or "=" in text for text in texts):
        days = tuple((text, SHOWN_DAY.strftime(text)) for text in DATE_FORMATS)
        return replace(one, widget=Widget.LINE, suggestions=days)
    if one.key in ("delimiter", "encoding"):
        usual = DELIMITERS if one.key == "delimiter" else {name: name for name in ENCODINGS}
        return replace(one, suggestions=tuple(usual.items()))
    return one


def _closed(one: FormField, choices: Sequence[Any], shown: Mapping[Any, str]) -> FormField:
    """A select of the usual values; another one that is given is offered too."""
    return replace(one, widget=Widget.CHOICE, written=replace(one.written, choices=tuple(choices)), shown=shown)


def _ticked(one: FormField, names: Sequence[str]) -> FormField:
    """A tick for each column."""
    if not names or len(names) > MOST_TICKS or one.written.item is None:
        return one
    item = replace(one.written.item, choices=tuple(names), is_closed=True)
    return replace(one, widget=Widget.CHOICES, written=replace(one.written, item=item))
