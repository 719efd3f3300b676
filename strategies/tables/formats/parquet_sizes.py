"""How much of a Parquet file is read at a time, by what its cells unpack to: a small file may repeat a large value."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.header import refuse_too_many

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS = 10_000
#: Of a batch, which is held a few times over.
MOST_BYTES = 1 << 27
MOST_CELLS = 1 << 23
#: What a column of a row group may unpack to in any case, and beyond only where it is not so many times as large.
ALWAYS_UNPACKED = 1 << 28
LARGEST_RATIO = 100
#: Values of a list's or a structure's column in a row group, by the same rule: runs of equal ones take no bytes at all.
ALWAYS_REPEATED = 1 << 24
#: What the values of a dictionary may become in a row group, by the same rule.
ALWAYS_REPEATED_BYTES = 1 << 30
LARGEST_REPETITION = 1_000


def rows_at_a_time(file: "pq.ParquetFile", coded: "pq.ParquetFile", name: str, groups: int) -> int:
    """How many rows of the file memory holds.

    Args:
        file: as it is read.
        coded: the same file, its texts opened as dictionaries.
        name: the file's name.
        groups: how many of its row groups are read.

    Raises:
        InputRefused: it is a bomb.
    """
    leaves = [file.schema.column(place) for place in range(len(file.schema))]
    refuse_too_many(len(leaves), name)
    fixed = sum(leaf.length for leaf in leaves if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY")
    most = min(ROWS, MOST_CELLS // len(leaves), MOST_BYTES // max(1, fixed))
    for group in range(groups):
        chunks = file.metadata.row_group(group)
        rows = max(1, chunks.num_rows)
        columns = [chunks.column(place) for place in range(len(leaves))]
        for chunk in columns:
            _refuse_bomb(chunk, rows, name)
        values = max(1, *(chunk.num_values // rows for chunk in columns))
        most = min(most, MOST_CELLS // values, MOST_BYTES // max(1, chunks.total_byte_size // rows))
        for chunk in filter(_may_repeat, columns):
            most = min(most, _rows_of_coded(coded, group, chunk, rows, name))
    return max(1, int(most))


def _may_repeat(chunk: Any) -> bool:
    is_coded = chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page
    return bool(is_coded and chunk.total_uncompressed_size * chunk.num_values > MOST_BYTES)


def coded_columns(file: "pq.ParquetFile") -> list[str]:
    """The columns whose values may stand in a dictionary, by their paths."""
    leaves = (file.schema.column(place) for place in range(len(file.schema)))
    return [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]


def _refuse_bomb(chunk: Any, rows: int, name: str) -> None:
    packed = max(1, chunk.total_compressed_size)
    if chunk.total_uncompressed_size > max(ALWAYS_UNPACKED, LARGEST_RATIO * packed):
        raise InputRefused(
            name,
            f"its column {chunk.path_in_schema} unpacks to more than {ALWAYS_UNPACKED >> 20} MB and {LARGEST_RATIO} "
            "times its size; write it without compression if that is right",
        )
    if chunk.num_values > rows and chunk.num_values > max(ALWAYS_REPEATED, LARGEST_RATIO * packed):
        raise InputRefused(
            name, f"its column {chunk.path_in_schema} has {chunk.num_values:,} values in {packed:,} bytes; it is a bomb"
        )


def _rows_of_coded(coded: "pq.ParquetFile", group: int, chunk: Any, rows: int, name: str) -> int:
    """How many rows memory holds of a column that may repeat the values of a dictionary."""
    window = min(ROWS, rows)
    path, longest = chunk.path_in_schema, 0
    for batch in coded.iter_batches(1, row_groups=[group], columns=[path], use_threads=False):
        lengths = [pc.max(pc.binary_length(found.dictionary)).as_py() or 0 for found in _coded(batch)]
        longest = max(lengths, default=0)
        break
    if longest * max(window, chunk.num_values * window // rows) <= MOST_BYTES:
        return window
    whole = largest = 0
    for batch in coded.iter_batches(window, row_groups=[group], columns=[path], use_threads=False):
        unpacked = sum(_unpacked_size(found) for found in _coded(batch))
        whole, largest = whole + unpacked, max(largest, unpacked)
        if whole > max(ALWAYS_REPEATED_BYTES, LARGEST_REPETITION * chunk.total_uncompressed_size):
            raise InputRefused(
                name,
                f"its column {path} repeats values of up to {longest:,} bytes until they are more than "
                f"{ALWAYS_REPEATED_BYTES >> 20} MB and {LARGEST_REPETITION:,} times its size; write it without a "
                "dictionary if that is right",
            )
    return min(window, window * MOST_BYTES // max(1, largest), ALWAYS_REPEATED_BYTES // longest)


def _unpacked_size(values: pa.DictionaryArray) -> int:
    lengths = pc.binary_length(values.dictionary)
    return int(pc.sum(lengths.take(values.indices).cast(pa.int64())).as_py() or 0)


def _coded(batch: pa.RecordBatch) -> list[pa.DictionaryArray]:
    """The arrays of a batch that have a dictionary, however deep they lie."""
    found, left = [], list(batch.columns)
    while left:
        values = left.pop()
        if pa.types.is_dictionary(values.type):
            found.append(values)
        elif pa.types.is_struct(values.type):
            left += [values.field(place) for place in range(values.type.num_fields)]
        elif pa.types.is_map(values.type):
            left += [values.keys, values.items]
        elif pa.types.is_nested(values.type):
            left.append(values.values)
    return found
