"""Whether a strategy's ``transform`` makes each row of itself alone, however the input is cut into chunks."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.sdk.testing import new_job, prepared
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from batch_jobs.strategies.tables.frames.frame_reader import FrameReader
from batch_jobs.strategies.tables.frames.making import arrow_of, column_names
from batch_jobs.strategies.tables.frames.rows import LINE, FrameRows, Lines, Make, frame_of
from batch_jobs.strategies.tables.frames.source_reader import SourceReader
from batch_jobs.strategies.tables.frames.transforming import Transform, transformed
from batch_jobs.strategies.tables.importing.inputs import Inputs, input_keys

#: Rows a chunk has, beside all of them.
SIZES = (1, 2, 7)
#: So many rows are looked at; each is transformed some times.
ROWS = 1_000
#: Where the first row of a frame is that has no lines: below a file's header.
FIRST_LINE = 2
#: The line of rows whose index says none.
NOWHERE = -1


def check_transform(
    strategy: BatchJobStrategy,
    context: BaseModel | dict[str, Any] | None,
    rows: pd.DataFrame | FileStore,
    *,
    target: Engine | None = None,
    seed: int = 0,
) -> None:
    """Check that ``transform`` gives the same for the same rows, and for rows in chunks of any size and order.

    The preview of a job and its run may cut the input in other ways, and so does a retry: the job does what its preview
    said only where that changes nothing. Looked at are rows, rejects, and the types of columns; of an import also
    whether each row has in its index the line that it comes from. The first 1,000 rows are tried.

    Args:
        strategy: whose ``transform``.
        context: its parameters, as its ``Context`` or as a dict for it.
        rows: the input's, as a frame; or the file store with the file that ``file_key`` of the context names, or of a
            strategy that fetches ``frames`` any file store.
        target: the database, where ``transform`` reads it; an empty one by default.
        seed: the order of the chunks depends on it alone.

    Raises:
        AssertionError: it does not hold; says which, and for which line.
        TypeError: the strategy has no ``transform``, or no file as its input.
        BatchJobError: ``transform`` fails, or gives no frame.
    """
    __tracebackhide__ = True  # the author's line is what pytest is to show
    transform = getattr(strategy, "transform", None)
    if transform is None:
        raise TypeError(f"{type(strategy).__name__} has no transform to be checked")
    engine = target or make_engine("sqlite://")
    if isinstance(rows, FileStore):
        job = new_job(strategy, prepared(strategy, context), engine, rows)
        given = _rows_of_input(strategy, job)
    else:
        values = context.model_dump() if isinstance(context, BaseModel) else context or {}
        job = new_job(strategy, strategy.Context.model_validate(values), engine, FileStore("memory://"))
        given = _as_in_a_job(rows)
    try:
        _Trial(strategy, transform, job, given.iloc[:ROWS]).run(random.Random(seed))
    except _Fault as fault:
        raise AssertionError(f"{type(strategy).__name__}.transform {fault}") from None


class _Fault(Exception):
    """What does not hold, as the rest of a sentence."""


@dataclass
class _Made:
    """What was made of some rows: by line the rows, each cell as text, and the reasons of rejects."""

    rows: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    rejects: dict[int, list[str]] = field(default_factory=dict)

    def add(self, rows: Iterable[tuple[int, dict[str, str]]], refused: Sequence[Reject]) -> None:
        """Take what was made of one chunk; what else becomes of a refused row does not count."""
        for reject in refused:
            self.rejects.setdefault(reject.line, []).append(reject.reason)
        for line, row in rows:
            if line not in self.rejects:
                self.rows.setdefault(line, []).append(row)

    def difference(self, other: "_Made") -> tuple[int, str, str] | None:
        """The first line that became something else, and what it is here and there; ``None`` where none did."""
        for line in sorted({*self.rows, *self.rejects, *other.rows, *other.rejects}):
            reasons = [_refusal(made.rejects.get(line, [])) for made in (self, other)]
            if reasons[0] != reasons[1]:
                return line, reasons[0], reasons[1]
            rows = [made.rows.get(line, []) for made in (self, other)]
            if line == NOWHERE:
                rows = [sorted(some, key=repr) for some in rows]
            if len(rows[0]) != len(rows[1]):
                return line, _rows_made(rows[0]), _rows_made(rows[1])
            for here, there in zip(*rows, strict=True):
                for name in here:
                    if here[name] != there[name]:
                        return line, f"has {name} {here[name]}", f"has {name} {there[name]}"
        return None


def _refusal(reasons: list[str]) -> str:
    return f"is refused ({', '.join(sorted(reasons))})" if reasons else "is not refused"


def _rows_made(rows: list[dict[str, str]]) -> str:
    return f"is made into {len(rows)} row{'s' if len(rows) != 1 else ''}"


class _Trial:
    """Calls a ``transform`` with the same rows in many ways, and holds what it makes of them against each other."""

    def __init__(self, strategy: BatchJobStrategy, transform: Transform, job: JobRun, given: pd.DataFrame) -> None:
        self._strategy, self._transform, self._job, self._given = strategy, transform, job, given
        self._types: dict[str, pa.DataType] = {}

    def run(self, chance: random.Random) -> None:
        """Try them all.

        Raises:
            _Fault: the first thing that does not hold.
        """
        whole = self._made([self._given])
        self._hold(
            whole.difference(self._made([self._given])),
            ("at first", "when it is called again"),
            "is not pure",
            "it may depend on nothing but its frame and job.context",
        )
        for size in SIZES:
            chunks = [self._given.iloc[start : start + size] for start in range(0, len(self._given), size)]
            chance.shuffle(chunks)
            self._hold(
                whole.difference(self._made(chunks)),
                ("with all rows at once", f"in a chunk of {size}" + (" rows" if size > 1 else " row")),
                "depends on how the rows are cut into chunks",
                "make each row of itself alone",
            )
        self._made([self._given.iloc[:0]])

    def _hold(self, difference: tuple[int, str, str] | None, when: tuple[str, str], fault: str, advice: str) -> None:
        if difference:
            line, here, there = difference
            raise _Fault(f"{fault}: {self._place(line)} {here} {when[0]}, and {there} {when[1]}; {advice}")

    def _made(self, chunks: Iterable[pd.DataFrame]) -> _Made:
        """What is made of rows that come so."""
        made = _Made()
        for chunk in chunks:
            frame = chunk.copy()
            rows = FrameRows(pa.Table.from_pandas(chunk, preserve_index=False), chunk.index.to_numpy(), frame)
            result = transformed(self._strategy, self._transform, frame, rows, self._job)
            columns = {name: arrow_of(result[name], name) for name in sorted(column_names(result))}
            self._check_columns(columns, chunk)
            cells = [[repr(cell) for cell in column.to_pylist()] for column in columns.values()]
            texts = [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
            made.add(zip(self._lines(result, rows), texts, strict=True), rows.refused)
        return made

    def _check_columns(self, columns: dict[str, pa.Array], chunk: pd.DataFrame) -> None:
        types = {name: column.type for name, column in columns.items()}
        self._types = self._types or types
        if types.keys() != self._types.keys():
            raise _Fault(
                f"gives other columns for a part of the rows: {shown(list(self._types))} with all rows at once, "
                f"{shown(list(types))} for {self._part(chunk.index.to_numpy())}; return the same ones each time"
            )
        for name, column in columns.items():
            whole = self._types[name]
            if column.type != whole and column.null_count < len(column) and not pa.types.is_null(whole):
                raise _Fault(
                    f"gives a column other types for a part of the rows: {name} is {whole} with all rows at once, "
                    f"{column.type} for {self._part(chunk.index.to_numpy())}; end with .astype of one type"
                )

    def _lines(self, result: pd.DataFrame, rows: FrameRows) -> list[int]:
        """The line that each row comes from."""
        places = rows.places(result.index)
        if isinstance(self._strategy, FrameImport) and (places < 0).any():
            lost = int((places < 0).argmax())
            raise _Fault(
                f"does not keep the index: row {lost + 1} of what it returns says {result.index[lost]!r} there, "
                f"and it was given {self._part(rows.lines)}; "
                "rejects and counts name lines by the index, so leave out reset_index, or give it back at the end"
            )
        return [int(rows.lines[place]) if place >= 0 else NOWHERE for place in places]

    def _part(self, lines: Lines) -> str:
        if not len(lines):
            return "no rows"
        first, last = (self._place(int(lines[at])) for at in (0, -1))
        return first if len(lines) == 1 else f"{first} to {last}"

    def _place(self, line: int) -> str:
        return "a row" if line == NOWHERE else self._job.rejects.place(line)


def _rows_of_input(strategy: BatchJobStrategy, job: JobRun) -> pd.DataFrame:
    """The first rows of a job's input, as ``transform`` gets them in the job."""
    frames: list[pd.DataFrame] = []

    def keep(frame: pd.DataFrame, rows: FrameRows) -> pd.DataFrame:
        frames.append(frame.copy())
        return frame

    reader = _reader(strategy, job, keep)
    reader.settle()  # the types are those of the whole input
    frames.clear()
    for _ in reader.batches():
        if sum(map(len, frames)) >= ROWS:
            break
    return pd.concat(frames)


def _reader(strategy: BatchJobStrategy, job: JobRun, make: Make) -> Reader:
    if not isinstance(strategy, FrameImport):
        raise TypeError(f"{type(strategy).__name__} reads no file; give rows of its table or query as a frame")
    if type(strategy).frames is not FrameImport.frames:
        return SourceReader(lambda after: strategy.frames(job, after), make)
    inputs = Inputs(job, input_keys(job))
    format = inputs.format(job.context.format)
    return FrameReader(inputs.reader(format, job.context), make, format, job.context)


def _as_in_a_job(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of an author's with Arrow's types and an index of lines, which its own is where it is called so."""
    has_lines = frame.index.name == LINE
    lines = frame.index.to_numpy("int64") if has_lines else np.arange(FIRST_LINE, FIRST_LINE + len(frame))
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    # pandas' own texts are large ones in Arrow; a file's are not
    fields = [field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in rows.schema]
    return frame_of(rows.cast(pa.schema(fields)), lines)
