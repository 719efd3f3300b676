"""Finding keys that occur more than once, or that were met before, without holding them all in memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

BUCKETS = 64
HELD = 1 << 19  # hashes held before they are written to their buckets: 4 MB
_MIX = np.uint64(0x9E3779B97F4A7C15)
#: Where each bucket but the first begins.
_EDGES = np.arange(1, BUCKETS, dtype=np.uint64) * np.uint64((1 << 64) // BUCKETS)


def key_hashes(columns: list[pa.ChunkedArray]) -> Hashes:
    """One hash of 8 bytes for each row's key."""
    combined = np.zeros(len(columns[0]), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            combined = combined * _MIX + _column_hashes(column)
    return combined


def canonical(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells as text in which equal values are equal: 1.50 and 1.5 are one decimal number."""
    if pa.types.is_decimal(column.type):
        return pc.utf8_rtrim(pc.replace_substring_regex(column.cast(pa.string()), r"(\.\d*?)0+$", r"\1"), ".")
    if pa.types.is_floating(column.type):
        return pc.add(column, 0.0).cast(pa.string())  # -0.0 becomes 0.0
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _column_hashes(column: pa.ChunkedArray) -> Hashes:
    if pa.types.is_integer(column.type) and not column.null_count:
        return _scattered(column.to_numpy().astype(np.uint64))
    cells = column if pa.types.is_binary(column.type) else canonical(column)
    return pd.util.hash_array(cells.to_numpy(), categorize=False)


def _scattered(values: Hashes) -> Hashes:
    # splitmix64: neighbouring numbers must not end in one bucket
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class KeyHashes:
    """Key hashes, in buckets on disk once there are many; knows which occur more than once, and which are among them.

    Args:
        held: how many are held in memory, at most.
    """

    def __init__(self, held: int = HELD) -> None:
        self._limit = held
        self._held: list[Hashes] = []
        self._count = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, hashes: Hashes) -> None:
        """Take the hashes of some rows."""
        self._held.append(hashes)
        self._count += len(hashes)
        if self._count >= self._limit:
            self._write_buckets()

    def repeated(self) -> Hashes:
        """The hashes that occur more than once, sorted: of equal keys, and of the few that only look so."""
        if self._folder is None:
            return _repeated(self._take())
        self._write_buckets()
        return np.sort(np.concatenate([_repeated(bucket) for bucket in self._buckets()]))

    def among(self, hashes: Hashes) -> Mask:
        """Which of these hashes have been added."""
        wanted = np.sort(hashes)
        met = np.zeros(len(wanted), dtype=bool)
        for part in self._held:
            met |= _met(wanted, part)
        if self._folder is not None:
            edges = np.searchsorted(wanted, _EDGES)
            # one bucket after another, so that memory does not grow with all that were added
            parts = zip(np.split(wanted, edges), np.split(met, edges), self._buckets(), strict=True)
            for of_bucket, met_of_bucket, bucket in parts:
                met_of_bucket |= _met(of_bucket, bucket)
        found: Mask = met[np.searchsorted(wanted, hashes)]
        return found

    def _write_buckets(self) -> None:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="batch-jobs-keys-")
        hashes = np.sort(self._take())
        for path, bucket in zip(self._paths(), np.split(hashes, np.searchsorted(hashes, _EDGES)), strict=True):
            with path.open("ab") as stream:
                stream.write(bucket.tobytes())

    def _take(self) -> Hashes:
        taken = np.concatenate([*self._held, np.empty(0, dtype=np.uint64)])
        self._held, self._count = [], 0
        return taken

    def _buckets(self) -> Iterator[Hashes]:
        return (np.fromfile(path, dtype=np.uint64) for path in self._paths())

    def _paths(self) -> list[Path]:
        assert self._folder is not None
        return [Path(self._folder.name) / str(number) for number in range(BUCKETS)]


def _repeated(hashes: Hashes) -> Hashes:
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _met(wanted: Hashes, others: Hashes) -> Mask:
    """Which of these sorted hashes are among the others; the first of equal ones stands for all."""
    met = np.zeros(len(wanted), dtype=bool)
    if len(wanted):
        places = np.searchsorted(wanted, others)
        places[places == len(wanted)] = 0
        met[places[wanted[places] == others]] = True
    return met
