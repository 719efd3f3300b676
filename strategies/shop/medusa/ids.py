"""New ids as Medusa v1 makes them: a prefix and a ULID; many at once, in ascending order."""

import os
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", dtype=np.uint8)
TIME_LETTERS, RANDOM_LETTERS = 10, 16


def new_ids(prefix: str, count: int) -> pa.Array:
    """This many new ids ``prefix_ULID``, ascending.

    Rows written in the order of their ids keep an index on them compact and quick, and their order can be read again.
    """
    start = np.frombuffer(f"{prefix}_".encode(), dtype=np.uint8)
    now = int(time.time() * 1000)
    moment = ALPHABET[[(now >> 5 * place) & 31 for place in reversed(range(TIME_LETTERS))]]
    letters = np.empty((count, len(start) + TIME_LETTERS + RANDOM_LETTERS), dtype=np.uint8)
    letters[:, : len(start)] = start
    letters[:, len(start) : -RANDOM_LETTERS] = moment
    letters[:, -RANDOM_LETTERS:] = _ascending(count)
    offsets = np.arange(count + 1, dtype=np.int32) * letters.shape[1]
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))


def _ascending(count: int) -> npt.NDArray[np.uint8]:
    # the system's randomness, because a generator of one's own would be the same in two forked workers
    letters = ALPHABET[np.frombuffer(os.urandom(count * RANDOM_LETTERS), dtype=np.uint8) & 31]
    ordered = np.sort(letters.view(f"S{RANDOM_LETTERS}"))
    return ordered.view(np.uint8).reshape(count, RANDOM_LETTERS)
