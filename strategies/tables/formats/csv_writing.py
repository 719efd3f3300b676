"""Writing CSV: by the database where its cells are wanted as they are, by Arrow otherwise."""

import codecs
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.writing import WriteOptions, dated, text_of, with_decimal
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.formats.format import Rows
    from batch_jobs.strategies.tables.selecting import SelectedColumn


def write_csv(rows: "Rows", stream: BinaryIO, options: WriteOptions, delimiter: str) -> Iterator[int]:
    """Write a whole file; yields the number of rows now and then."""
    if options.header:
        stream.write(codecs.BOM_UTF8 if options.bom else b"")
        stream.write(csv_header(rows.names, delimiter))
    if not options.changes_cells:
        yield from rows.copy_csv(delimiter, options.neutralise, stream)
        return
    for batch in rows.batches():
        cells = dated(batch, rows.columns, options.date_format).columns
        stream.write(csv_rows(rows.columns, cells, delimiter, options))
        yield batch.num_rows


def copy_by_arrow(
    batches: Iterator[pa.Table],
    columns: "Sequence[SelectedColumn]",
    delimiter: str,
    neutralise: bool,
    stream: BinaryIO,
) -> Iterator[int]:
    """Write rows of text as CSV where a database does not; yields the number of rows now and then."""
    options = WriteOptions(neutralise=neutralise)
    for batch in batches:
        stream.write(csv_rows(columns, batch.columns, delimiter, options))
        yield batch.num_rows


def csv_rows(
    columns: "Sequence[SelectedColumn]", cells: Sequence[pa.ChunkedArray], delimiter: str, options: WriteOptions
) -> memoryview:
    """The lines of some rows of text, with the decimal mark, the word for nothing and the formulas as asked for."""
    written = []
    for column, chunks in zip(columns, cells, strict=True):
        texts = chunks.combine_chunks()
        if options.neutralise and column.is_text:
            texts = neutralised(texts)
        if options.decimal != "." and column.is_number:
            texts = with_decimal(texts, options.decimal)
        written.append(texts)
    return csv_lines(written, delimiter, options.null)


def csv_lines(columns: list[pa.Array], delimiter: str, null: str = "") -> memoryview:
    """Lines of CSV in UTF-8; cells are text and get quotes only where they need them, a null is ``null`` without."""
    quoted = [_quoted(pc.cast(column, pa.large_string()), delimiter, null) for column in columns]
    quoted[-1] = _joined(quoted[-1], _text("\n"), "")
    return text_of(_joined(*quoted, delimiter))


def csv_header(names: list[str], delimiter: str) -> memoryview:
    """The header's line."""
    return csv_lines([pa.array([name]) for name in names], delimiter)


def _quoted(cells: pa.Array, delimiter: str, null: str) -> pa.Array:
    special = pc.or_(pc.match_substring_regex(cells, f'["\\r\\n{_escaped(delimiter)}]'), pc.equal(cells, ""))
    if null:
        special = pc.or_(special, pc.equal(cells, null))
    if pc.any(special).as_py():
        mark = _text('"')
        cells = pc.if_else(special, _joined(mark, pc.replace_substring(cells, '"', '""'), mark, ""), cells)
    return pc.fill_null(cells, null) if null else cells


def _escaped(delimiter: str) -> str:
    return "\\" + delimiter if delimiter in "\\]^-" else delimiter


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _joined(*parts: pa.Array | pa.Scalar | str) -> pa.Array:
    *cells, between = parts
    return pc.binary_join_element_wise(*cells, _text(between), null_handling="replace", null_replacement="")
