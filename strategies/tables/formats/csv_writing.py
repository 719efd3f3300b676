"""Writing delimited text."""

import pyarrow as pa
import pyarrow.compute as pc


def csv_lines(columns: list[pa.Array], delimiter: str) -> memoryview:
    """Lines of CSV in UTF-8; cells are text and get quotes only where they need them."""
    quoted = [_quoted(pc.cast(column, pa.large_string()), delimiter) for column in columns]
    quoted[-1] = _joined(quoted[-1], _text("\n"), "")
    return _bytes_of(_joined(*quoted, delimiter))


def csv_header(names: list[str], delimiter: str) -> memoryview:
    """The header's line."""
    return csv_lines([pa.array([name]) for name in names], delimiter)


def _quoted(cells: pa.Array, delimiter: str) -> pa.Array:
    special = pc.or_(pc.match_substring_regex(cells, f'["\\r\\n{_escaped(delimiter)}]'), pc.equal(cells, ""))
    if not pc.any(special).as_py():
        return cells
    mark = _text('"')
    return pc.if_else(special, _joined(mark, pc.replace_substring(cells, '"', '""'), mark, ""), cells)


def _escaped(delimiter: str) -> str:
    return "\\" + delimiter if delimiter in "\\]^-" else delimiter


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _joined(*parts: pa.Array | pa.Scalar | str) -> pa.Array:
    *cells, between = parts
    return pc.binary_join_element_wise(*cells, _text(between), null_handling="replace", null_replacement="")


def _bytes_of(lines: pa.Array) -> memoryview:
    offsets, data = lines.buffers()[1:]
    ends = memoryview(offsets).cast("q")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]] if data else memoryview(b"")
