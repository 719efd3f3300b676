"""Values in the binary form of PostgreSQL where Arrow has another, or only their text."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import characters_of, has_only_digits

UUID_LENGTH = 36
HYPHENS = (8, 13, 18, 23)
#: Decimals of whole groups of four digits, of which a NUMERIC is made, such that a number of units has 64 bits.
SCALE, LONGEST = 8, 27
GROUPS = 10 ** np.array([16, 12, 8, 4, 0], dtype=np.int64)
#: How many groups are before the point, less one.
WEIGHT = 2
NEGATIVE = 0x4000


def singles(values: pa.DoubleArray) -> pa.Array | None:
    """Doubles as the singles that the server reads from their texts; ``None`` where one is not sure to be that."""
    doubles = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        nearest = doubles.astype(np.float32)
        # a text is less than one step of a double away, and so on the same side of the middle between two singles
        steps = [np.nextafter(doubles, end).astype(np.float32) for end in (-np.inf, np.inf)]
        are_sure = (steps[0] == nearest) & (steps[1] == nearest) & ((nearest != 0) == (doubles != 0))
    are_sure |= np.isnan(doubles) | np.isinf(doubles)
    return pc.if_else(values.is_valid(), pa.array(nearest), None) if are_sure.all() else None


def uuids(texts: pa.StringArray) -> pa.Array | None:
    """UUIDs as their 16 bytes; ``None`` where one is not written in the usual form."""
    characters, edges = characters_of(texts.drop_null())
    if (np.diff(edges) != UUID_LENGTH).any():
        return None
    by_cell = characters.reshape(-1, UUID_LENGTH)
    digits = np.delete(by_cell, HYPHENS, axis=1)
    if (by_cell[:, HYPHENS] != ord("-")).any() or (digits <= ord(" ")).any():
        return None
    try:
        found = bytes.fromhex(digits.tobytes().decode("latin-1"))
    except ValueError:
        return None
    filled = texts.is_valid().to_numpy(zero_copy_only=False)
    held = np.zeros((len(texts), 16), np.uint8)
    held[filled] = np.frombuffer(found, np.uint8).reshape(-1, 16)
    return _records(held, texts)


def decimals(texts: pa.StringArray) -> pa.Array | None:
    """Plain decimals, each with as many digits after the point as it is written with; ``None`` where one has many."""
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    if not has_only_digits(texts) or lengths.max(initial=0) > LONGEST:
        return None
    try:
        numbers = pc.fill_null(texts.cast(pa.decimal128(LONGEST, SCALE)), 0)
    except pa.ArrowInvalid:
        return None
    units, high = np.frombuffer(numbers.buffers()[1], np.int64, 2 * len(texts), 16 * numbers.offset).reshape(-1, 2).T
    if (high != units >> 63).any():
        return None
    points = pc.fill_null(pc.find_substring(texts, "."), -1).to_numpy(zero_copy_only=False)
    held = np.empty((len(texts), 4 + len(GROUPS)), ">i2")
    held[:, 0], held[:, 1] = len(GROUPS), WEIGHT
    held[:, 2] = np.where(units < 0, NEGATIVE, 0)
    held[:, 3] = np.where(points < 0, 0, lengths - points - 1)
    held[:, 4:] = np.abs(units)[:, None] // GROUPS % 10_000
    return _records(held, texts)


def _records(held: npt.NDArray[Any], beside: pa.Array) -> pa.Array:
    """Rows of an array as bytes, null where the other array is."""
    width = held.shape[1] * held.itemsize
    records = pa.Array.from_buffers(pa.binary(width), len(held), [None, pa.py_buffer(held)])
    return pc.if_else(beside.is_valid(), records, pa.scalar(None, records.type))
