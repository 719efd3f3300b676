"""A strategy whose process is killed, again and again, and that is retried until it completes."""

import json
import os
import pickle
import random
import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from pydantic import BaseModel
from sqlalchemy import Connection, Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import Checkpoint, CheckpointStore
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun, SilentReport
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.sources import Sources
from batch_jobs.strategies.sdk.testing import prepared
from batch_jobs.strategies.testing.runs import Run

CHUNK_SIZE = 10
#: No attempt of a test takes longer.
SECONDS = 300.0


@dataclass(frozen=True)
class Kill:
    """When the process of an attempt is killed: at what it commits next, a chunk or the file that it writes.

    Args:
        step: which of them, from 1, counted in each attempt anew.
        is_committed: whether it is in by then.
    """

    step: int
    is_committed: bool

    @classmethod
    def inside(cls, step: int) -> "Kill":
        """Inside a chunk, whose rows are written and not committed; or when the file is not whole yet."""
        return cls(step, is_committed=False)

    @classmethod
    def after(cls, step: int) -> "Kill":
        """At the end of a chunk, or of the file, which is in."""
        return cls(step, is_committed=True)

    def __str__(self) -> str:
        return f"Kill.{'after' if self.is_committed else 'inside'}({self.step})"


class AttemptFailed(Exception):
    """An attempt failed by itself, with an error that cannot be handed on from its process."""


def killed_and_retried(
    strategy: BatchJobStrategy,
    context: BaseModel | dict[str, Any] | None = None,
    *,
    target: Engine,
    files: FileStore,
    kills: int | Sequence[Kill] = 3,
    seed: int = 0,
    chunk_size: int = CHUNK_SIZE,
    sources: Sources | None = None,
) -> Run:
    """Run a strategy in processes that are killed by SIGKILL, each retried from its checkpoint, the last to its end.

    The table should be afterwards as after one run.

    Args:
        strategy: the strategy to run.
        context: its parameters, as its ``Context`` or as a dict for it.
        target: the database it reads and writes; not one in memory.
        files: where its input and output files are.
        kills: how many attempts are killed, at moments that are drawn, or when each is.
        seed: what is drawn depends on it alone.
        chunk_size: rows a chunk should have; small enough for several chunks.
        sources: what it may fetch from elsewhere; nothing by default.

    Returns:
        What all attempts together left.

    Raises:
        ContextRefused: ``prepare`` refuses the context.
        ValueError: nothing would be tested by it: there is a single chunk, or no moment as it was asked for.
        Exception: whatever a hook raises.
    """
    if database_of(target).is_embedded and target.url.database in (None, "", ":memory:"):
        raise ValueError("a database in memory ends with its process; give a target in a file, such as the fixture's")
    job = _Job(strategy, prepared(strategy, context), target, files, chunk_size, sources or Sources())
    is_drawn = isinstance(kills, int)
    planned = _drawn(kills, seed) if isinstance(kills, int) else kills
    smaller = f"give more rows or a chunk_size below {chunk_size}"
    with TemporaryDirectory(prefix="batch-jobs-kills-") as folder:
        kept = _Kept(Path(folder))
        for number, kill in enumerate(planned, 1):
            if not job.attempt(number, kept, kill, at_the_end=is_drawn):
                raise ValueError(f"{kill} was not reached: attempt {number} came to its end before it; {smaller}")
        job.attempt(len(planned) + 1, kept, None, at_the_end=False)
    if is_drawn and kept.chunks == 1:
        raise ValueError(f"there is a single chunk, so that nothing went on after one; {smaller}")
    return Run.ended(kept.result, kept.plan, files)


def _drawn(count: int, seed: int) -> list[Kill]:
    chance = random.Random(seed)
    return [Kill(chance.randint(1, 2), chance.random() < 0.5) for _ in range(count)]


class _Kept(SilentReport):
    """What an attempt leaves for the next one, in a folder, as a job table would have it."""

    def __init__(self, folder: Path) -> None:
        self._state, self._error = folder / "state.json", folder / "error.pickle"
        self.result, self.plan = JobResult(), dict[str, Any]()
        self.is_looked_at, self.chunks = False, 0

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep the result and the plan."""
        self.result, self.plan = result, plan
        state = {name: getattr(self, name) for name in ("plan", "is_looked_at", "chunks")}
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps({**state, "result": result.model_dump()}))
        new.replace(self._state)

    def save_soon(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep the result and the plan."""
        self.save(result, plan)

    def keep_error(self, error: BaseException) -> None:
        """Keep what ended the attempt."""
        error.add_note("".join(traceback.format_exception(error)))
        try:
            kept = pickle.dumps((type(error), error.args, vars(error)))
        except Exception:  # of a class that pickle does not find by its name, or with what it cannot take
            said = " ".join(f"{type(error).__name__}: {error}".split())
            kept = pickle.dumps((AttemptFailed, (said,), {"__notes__": error.__notes__}))
        self._error.write_bytes(kept)

    def load(self) -> None:
        """Take over what the attempt left, in the process that started it; raises what ended it."""
        if self._error.exists():
            kind, arguments, attributes = pickle.loads(self._error.read_bytes())
            error: BaseException = kind.__new__(kind, *arguments)  # its __init__ may take others than it has kept
            vars(error).update(attributes)
            raise error
        if self._state.exists():
            state = json.loads(self._state.read_text())
            self.result, self.plan = JobResult.model_validate(state["result"]), state["plan"]
            self.is_looked_at, self.chunks = state["is_looked_at"], state["chunks"]


class _Steps:
    """Counts what an attempt commits, and kills its process at the one that is meant."""

    def __init__(self, kill: Kill | None) -> None:
        self._kill, self._committed = kill, 0

    def before_commit(self) -> None:
        """One is written and not in yet."""
        if self._kill == Kill.inside(self._committed + 1):
            _die()

    def after_commit(self) -> None:
        """One is in."""
        self._committed += 1
        if self._kill == Kill.after(self._committed):
            _die()


class _Checkpoints(CheckpointStore):
    """Those of a job whose chunks are steps."""

    def __init__(self, engine: Engine, job_id: str, token: int, steps: _Steps) -> None:
        super().__init__(engine, job_id, token)
        self._steps = steps

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the target."""
        with super().transaction() as connection:
            yield connection
        self._steps.after_commit()

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction."""
        self._steps.before_commit()
        super().save(connection, checkpoint)


class _Outputs(FileStore):
    """A file store in which every file that is written is a step."""

    def __init__(self, url: str, steps: _Steps) -> None:
        super().__init__(url)
        self._steps = steps

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Write a file."""
        with super().writing(key) as stream:
            yield stream
            self._steps.before_commit()
        self._steps.after_commit()


@dataclass(frozen=True)
class _Job:
    """A job whose attempts have processes of their own."""

    strategy: BatchJobStrategy
    context: BaseModel
    target: Engine
    files: FileStore
    chunk_size: int
    sources: Sources
    id: str = field(default_factory=lambda: f"batch_{ULID()}")

    def attempt(self, number: int, kept: _Kept, kill: Kill | None, at_the_end: bool) -> bool:
        """Make an attempt.

        Args:
            number: from 1.
            kept: what the one before left, and this one leaves.
            kill: when its process is killed.
            at_the_end: whether it is killed after its last step where the moment does not come.

        Returns:
            Whether it was killed.
        """
        # a fork, not a new Python: it takes a hundredth of the time, and knows classes that a test defines in itself
        process = get_context("fork").Process(target=self._go, args=(number, kept, kill, at_the_end))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which those of pyarrow are prepared for
            process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"attempt {number} took longer than {SECONDS:g} s")
        kept.load()
        if process.exitcode == -signal.SIGKILL and kill is None:
            raise AttemptFailed(f"attempt {number} was killed by somebody else; perhaps the machine lacks memory")
        return process.exitcode == -signal.SIGKILL

    def _go(self, number: int, kept: _Kept, kill: Kill | None, at_the_end: bool) -> None:
        self.target.dispose(close=False)  # its connections are those of the process that was forked
        try:
            self._run(number, kept, kill, at_the_end)
        except BaseException as error:
            kept.keep_error(error)
            raise SystemExit(1) from None

    def _run(self, number: int, kept: _Kept, kill: Kill | None, at_the_end: bool) -> None:
        steps = _Steps(kill)
        checkpoints = _Checkpoints(self.target, self.id, number, steps)
        parts = JobParts(self.target, self.files, checkpoints, kept, chunk_size=self.chunk_size, sources=self.sources)
        identity = JobIdentity(self.id, self.strategy.batch_type, self.context, attempt=number)
        job = JobRun(identity, parts, kept.result, kept.plan)
        if not kept.is_looked_at:  # what an attempt before has found stands, as it does in a job
            hooks.pre_process(self.strategy, job)
            kept.is_looked_at = True
            job.save()
        job.files = _Outputs(self.files.url, steps)
        hooks.process(self.strategy, job)
        kept.chunks = job.chunks_done
        if kill is not None and at_the_end:
            _die()
        hooks.post_process(self.strategy, job)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
