"""Finding rows among others by their keys."""

import pyarrow as pa
import pyarrow.compute as pc

SEPARATOR = "\x1f"


def places_of(keys: pa.Table, among: pa.Table) -> pa.Array:
    """Where each of some keys is among others, null where it is not; both are texts, in columns in the same order."""
    return pc.index_in(_joined(keys), value_set=_joined(among))


def _joined(keys: pa.Table) -> pa.Array:
    columns = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string()) for column in keys.columns
    ]
    if len(columns) == 1:
        return columns[0]
    # doubled in a cell, so that cells joined are equal only where each is
    cells = (pc.replace_substring(column, SEPARATOR, 2 * SEPARATOR) for column in columns)
    return pc.binary_join_element_wise(*cells, f"{SEPARATOR}|")
