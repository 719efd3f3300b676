"""A file in another shop's layout as a product import reads it.

What is made for Medusa stands beside the file's own cells, so that a rejects file has the row as it was.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused
from batch_jobs.strategies.sdk.rejected_rows import ARROW
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.shop.importing.columns import is_made
from batch_jobs.strategies.shop.importing.headers import PRODUCT_HANDLE
from batch_jobs.strategies.shop.layouts.layout import Layout, Row
from batch_jobs.strategies.shop.layouts.shopify import Shopify
from batch_jobs.strategies.shop.layouts.woocommerce import WooCommerce
from batch_jobs.strategies.tables.formats.reading import BadRow, Batch, Reader
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT

#: The layout that needs no reading of its own.
MEDUSA = "medusa"
NO_CURRENCY = "currency is for the layouts of other shops; Medusa's columns of prices name their own"
LAYOUTS: dict[str, type[Layout]] = {layout.name: layout for layout in (Shopify, WooCommerce)}
ROWS = 5_000


def layout_of(context: Any, columns: Iterable[str]) -> str:
    """The layout that the context names, and without one that of the file's header."""
    given = getattr(context, "layout", MEDUSA)
    if given is not None:
        return str(given)
    targets = {target for rule in context.columns.values() for target in _targets(rule)}
    if PRODUCT_HANDLE in {*columns, *targets}:
        return MEDUSA
    return next((layout.name for layout in LAYOUTS.values() if layout.knows(columns)), MEDUSA)


def in_layout(reader: Reader, context: Any, file: str) -> Reader:
    """The file as its layout has it; ``file`` is its name, for errors.

    Raises:
        InputRefused: nobody said what the prices are in, or said it of a file that does.
    """
    layout, currency = layout_of(context, reader.columns), getattr(context, "currency", None)
    if layout == MEDUSA:
        if currency is not None:
            raise InputRefused(file, f"{NO_CURRENCY}; leave currency out, or set layout where it is another shop's")
        return reader
    if currency is None:
        raise InputRefused(
            file,
            f"by its header it is a product file of {layout}, which does not say what its prices are in; "
            "set currency, such as eur",
        )
    return LayoutReader(reader, LAYOUTS[layout](file, reader.columns, currency), is_found=context.layout is None)


def refuse_currency(layout: str | None, currency: str | None) -> None:
    """Refuse a layout whose prices are in no currency, and a currency that nothing is in.

    Raises:
        ContextRefused: says which is missing.
    """
    if layout not in (None, MEDUSA) and currency is None:
        raise ContextRefused(f"layout {layout} needs a currency, such as eur: its files do not say what prices are in")
    if layout == MEDUSA and currency is not None:
        raise ContextRefused(NO_CURRENCY)


def refuse_other_layout(file: str, context: Any, columns: list[str]) -> None:
    """Refuse a file that is to be read as Medusa's and has the header of another shop's.

    Raises:
        InputRefused: names the layout.
    """
    for layout in LAYOUTS.values() if context.layout == MEDUSA and not context.columns else ():
        if layout.knows(columns):
            raise InputRefused(
                file,
                f"it looks like a product file of {layout.name}; set layout to {layout.name}, and currency to what its "
                "prices are in",
            )


def layout_columns(context: Any, columns: list[str]) -> dict[str, Any]:
    """What the columns of a file are to the import, as the context's ``columns`` has it.

    Of another shop's file, only what was made for Medusa and what the context names is taken.
    """
    if layout_of(context, columns) == MEDUSA:
        return dict(context.columns)
    wanted = {target for given in context.columns.values() for target in _targets(given)}
    made = {column: column.split(ARROW, 1)[1] for column in columns if is_made(column, columns)}
    taken = {column: None if target in wanted else target for column, target in made.items()}
    return {**dict.fromkeys(columns), **taken, **context.columns}


class LayoutReader(Reader):
    """A file of another shop: its own columns, and what its layout makes of them for Medusa.

    Args:
        reader: the file, settled.
        layout: what its columns mean.
        wanted: columns that are taken beside those that the layout reads.
        is_found: whether the layout was found by the header.
    """

    def __init__(self, reader: Reader, layout: Layout, wanted: Collection[str] = (), *, is_found: bool = False) -> None:
        self._reader, self._layout = reader, layout
        self._taken = layout.heeded().union(wanted)
        layout.prepare(self._rows)
        notes: Counter[str] = Counter()
        targets: dict[str, None] = {}
        filled: dict[str, None] = {}
        for row in layout.convert(_noting(self._rows(), filled), notes):
            targets.update(dict.fromkeys(row.made))
        self._made = {target: f"{layout.source_of(target)}{ARROW}{target}" for target in targets}
        self.columns = [*reader.columns, *self._made.values()]
        how = {"layout_is": "found by the header"} if is_found else {}
        self.described = {**reader.described, "layout": layout.name, **how, **self._left_out(filled, notes)}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """All batches; a start in the middle is not for a layout, whose rows need those before them."""
        rows = self._layout.convert(self._rows(), Counter())
        while held := list(islice(rows, ROWS)):
            yield self._batch(held)

    def _rows(self) -> Iterator[Row]:
        for batch in self._reader.batches():
            bad = {
                cell.index: f"{cell.column}: {cell.message}" for cell in batch.bad_cells if cell.column in self._taken
            }
            cells_of = zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True)
            rows = [Row(line, cells, bad.get(index)) for index, (line, cells) in enumerate(cells_of)]
            rows += [Row(bad.line, bad.row, bad.message) for bad in batch.bad_rows]
            yield from sorted(rows, key=lambda row: row.line) if batch.bad_rows else rows

    def _batch(self, held: list[Row]) -> Batch:
        good, names = [row for row in held if row.error is None], [*self._reader.columns, SURPLUS_COLUMN]
        columns = {name: pa.array([row.cells.get(name) for row in good], pa.string()) for name in names}
        for target, name in self._made.items():
            columns[name] = pa.array([row.made.get(target) for row in good], pa.string())
        bad = [BadRow(row.line, row.error, {**row.cells, **self._cells_of(row)}) for row in held if row.error]
        lines = pa.array([row.line for row in good], pa.int64())
        return Batch(pa.table(columns), lines, bad, {"line": held[0].line})

    def _cells_of(self, row: Row) -> dict[str, str | None]:
        return {self._made[target]: cell for target, cell in row.made.items() if target in self._made}

    def _left_out(self, filled: dict[str, None], notes: Counter[str]) -> dict[str, str]:
        """What does not come along, for people."""
        read = {name.split(ARROW, 1)[0] for name in self._made.values()} | self._layout.heeded()
        columns = [name for name in filled if name not in read and name not in LEFT_OUT]
        found = {"left out": ", ".join(columns)} if columns else {}
        counted = "; ".join(f"{note}: {count}" for note, count in notes.items() if count)
        return {**found, "notes": counted} if counted else found


def _noting(rows: Iterator[Row], filled: dict[str, None]) -> Iterator[Row]:
    """The rows as they pass, with the names of the columns that have a value in one of them."""
    for row in rows:
        filled.update(dict.fromkeys(name for name, cell in row.cells.items() if cell))
        yield row


def _targets(given: Any) -> Iterator[str]:
    """The names that the context gives one column of the file."""
    for rule in given if isinstance(given, list) else [given]:
        if rule:
            yield rule if isinstance(rule, str) else rule.to
