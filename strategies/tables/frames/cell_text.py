"""Values of a frame as the text that exports have of such."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.arrow_text import Bad, as_text

_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
#: What an element of an array needs quotes for.
_SPECIAL = r'[{}",\\\s]|^$|^(?i:null)$'


def cell_text(values: pa.Array, nested: bool, scale: int = 0) -> tuple[pa.Array, Bad]:
    """Values as the text of an export's cells.

    Args:
        values: of any type.
        nested: whether lists are to be JSON, rather than as PostgreSQL writes arrays.
        scale: how many decimals a decimal number keeps though they are zeros: a division gives it twenty.

    Returns:
        The text, and what has no text by index.
    """
    type = values.type
    if pa.types.is_list(type) and not nested and not pa.types.is_nested(type.value_type):
        return _arrays(values)
    texts, bad = as_text(values)
    if pa.types.is_floating(type):
        for word, written in _WORDS.items():
            texts = pc.if_else(pc.equal(texts, word), written, texts)
    elif pa.types.is_decimal(type):
        texts = _decimals(texts, scale)
    elif pa.types.is_timestamp(type) or pa.types.is_time(type):
        texts = pc.replace_substring_regex(texts, r"(\.\d*?)0+(\+00:00)?$", r"\1\2")
        texts = pc.replace_substring_regex(texts, r"\.?(\+00):00$|\.$", r"\1")
    return texts, bad


def _decimals(texts: pa.Array, scale: int) -> pa.Array:
    if pc.any(pc.match_substring(texts, "E")).as_py():  # how Arrow writes small ones
        texts = pa.array([text and format(Decimal(text), "f") for text in texts.to_pylist()], pa.string())
    kept = r"\." + r"\d" * scale
    return pc.utf8_rtrim(pc.replace_substring_regex(texts, rf"({kept}\d*?)0+$", r"\1"), ".")


def _arrays(values: pa.Array) -> tuple[pa.Array, Bad]:
    elements, bad = cell_text(values.flatten(), nested=False)
    if pa.types.is_boolean(values.type.value_type):
        elements = pc.utf8_slice_codeunits(elements, 0, 1)
    escaped = pc.replace_substring_regex(elements, r'(["\\])', r"\\\1")
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    written = pc.fill_null(pc.if_else(pc.match_substring_regex(elements, _SPECIAL), quoted, elements), "NULL")
    cells = iter(written.to_pylist())
    lengths = pc.list_value_length(values).to_pylist()
    texts = [None if length is None else f"{{{','.join(next(cells) for _ in range(length))}}}" for length in lengths]
    return pa.array(texts, pa.string()), bad
