"""Which keys may be in a block, in a few bits for each: a Bloom filter."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.importing.keys import key_hashes

#: Bits for each key, and how many of them each sets: one in a hundred other keys looks as if it were there.
BITS, SET = 10, 5
LEAST = 64


def sieve_of(keys: pa.Table) -> bytes:
    """The sieve of the keys of some rows, as texts."""
    size = max(LEAST, 1 << (BITS * max(1, keys.num_rows) - 1).bit_length())
    bits = np.zeros(size, dtype=bool)
    bits[_places(keys, size)] = True
    return np.packbits(bits).tobytes()


def may_hold(sieve: bytes, key: Sequence[str]) -> bool:
    """Whether a key may be among those that a sieve was made of."""
    bits = np.unpackbits(np.frombuffer(sieve, dtype=np.uint8))
    names = [str(number) for number in range(len(key))]
    return bool(bits[_places(pa.table([pa.array([cell], pa.string()) for cell in key], names), len(bits))].all())


def held(sieve: bytes, keys: pa.Table) -> npt.NDArray[np.bool_]:
    """Which of some keys, as texts, may be among those that a sieve was made of."""
    bits = np.unpackbits(np.frombuffer(sieve, dtype=np.uint8)).astype(bool)
    found: npt.NDArray[np.bool_] = np.logical_and.reduce(bits[_places(keys, len(bits))].reshape(SET, keys.num_rows))
    return found


def _places(keys: pa.Table, size: int) -> npt.NDArray[np.uint64]:
    hashes = key_hashes([normal(column) for column in keys.columns])
    first, second = hashes, (hashes >> np.uint64(32)) | np.uint64(1)
    with np.errstate(over="ignore"):
        places = [(first + np.uint64(turn) * second) % np.uint64(size) for turn in range(SET)]
    return np.concatenate(places)


def normal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts of keys so that those of equal values are the same, as far as their looks tell."""
    lower = pc.utf8_lower(column)
    if not pc.any(pc.match_substring(lower, ".")).as_py():
        return lower
    return pc.replace_substring_regex(lower, r"^([+-]?\d+)\.0*$|^([+-]?\d+\.\d*[1-9])0+$", r"\1\2")
