"""What a job reports: Medusa v1's ``result`` of a batch job, the counts by outcome beside it, and its progress."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, Field

#: Keys of lines whose wording and blanks are for Medusa's admin; other lines say the same to people.
FOR_MEDUSA = frozenset({"product-import-count"})


class StatDescriptor(BaseModel):
    """One line of a job's summary."""

    key: str = Field(examples=["import-plan"])
    name: str = Field(examples=["Plan"])
    message: str = Field(examples=["3 rows to create, 1 to update, 0 to refuse"])


class ErrorEntry(BaseModel):
    """One error of a job: ``err`` holds the trace, shortened; ``refused`` if no other attempt can do better."""

    message: str = Field(examples=["the table goods has no column colour"])
    code: str = Field(examples=["JobRefused"])
    err: Any = Field(default=None, description="The trace, shortened; for administrators.")
    refused: bool = Field(default=False, description="Whether no other attempt can do better.")


class Counters(BaseModel):
    """Rows by outcome; ``advanced`` is the number of rows gone through, whatever became of them."""

    advanced: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    rejected: int = 0


def add_up(parts: Iterable[Counters]) -> Counters:
    """The sum of some counts."""
    sums = Counters()
    for part in parts:
        for name in Counters.model_fields:
            setattr(sums, name, getattr(sums, name) + getattr(part, name))
    return sums


class PartitionEntry(BaseModel):
    """One partition of a job that runs in several."""

    name: str = Field(examples=["lines 1-250,000"])
    status: str = Field(description="waiting, running, stopped, completed or failed.", examples=["running"])
    rows: int | None = Field(default=None, description="Rows it has, where that is known.", examples=[250000])
    advanced: int = Field(default=0, description="Rows gone through.", examples=[120000])
    rows_per_second: float | None = Field(default=None, description="Since it was first begun.", examples=[41000.5])
    attempt: int = Field(default=0, description="How often it was begun, in all.", examples=[1])
    where: str | None = Field(
        default=None, description="Host and process that have it, or had it last.", examples=["worker-2:4711"]
    )
    error: str | None = Field(default=None, description="Why it failed.")


class JobResult(BaseModel):
    """The ``result`` of a job row; counts are rows, ``progress`` is 0 to 1, ``file_size`` is bytes."""

    count: int | None = Field(default=None, description="Rows there are, once that is known.", examples=[100])
    advancement_count: int = Field(default=0, description="Rows gone through.", examples=[100])
    progress: float = Field(default=0.0, description="From 0 to 1.", examples=[1.0])
    errors: list[ErrorEntry] = Field(default_factory=list)
    stat_descriptors: list[StatDescriptor] = Field(default_factory=list)
    file_key: str | None = Field(
        default=None, description="The file that the job wrote.", examples=["jobs/batch_01/goods.csv"]
    )
    file_size: int | None = Field(default=None, description="Its bytes.", examples=[2048])
    rejects_file_key: str | None = Field(
        default=None, description="The file of refused rows, each with its line and reason."
    )
    created: int = Field(default=0, description="Rows that were added.")
    updated: int = Field(default=0, description="Rows that were changed.")
    unchanged: int = Field(default=0, description="Rows that were as they should be.")
    removed: int = Field(default=0, description="Rows that were removed.")
    rejected: int = Field(default=0, description="Rows that were refused.")
    partitions: list[PartitionEntry] = Field(
        default_factory=list,
        description="The parts of a job that runs in several.",
        exclude_if=lambda partitions: not partitions,
    )

    def describe(self, key: str, name: str, message: str) -> None:
        """Set the summary line of this key, in the order of first sight."""
        entry = StatDescriptor(key=key, name=name, message=message)
        keys = [known.key for known in self.stat_descriptors]
        if key in keys:
            self.stat_descriptors[keys.index(key)] = entry
        else:
            self.stat_descriptors.append(entry)

    @property
    def summary(self) -> list[StatDescriptor]:
        """The summary's lines for people."""
        return [entry for entry in self.stat_descriptors if entry.key not in FOR_MEDUSA]

    def show(self, counters: Counters) -> None:
        """Take over what is committed; nothing shown goes down, so that a retry never seems to lose work."""
        self.advancement_count = max(self.advancement_count, counters.advanced)
        self.created, self.updated, self.unchanged = counters.created, counters.updated, counters.unchanged
        self.removed = counters.removed
        self.rejected = max(self.rejected, counters.rejected)
        if self.count:
            self.progress = max(self.progress, min(1.0, self.advancement_count / self.count))


SAVE_INTERVAL = 1.0  # seconds; more often would cost more than the work it reports


class Progress:
    """The ``job.progress`` of a strategy: set ``total``, call ``advance``."""

    def __init__(
        self, result: JobResult, save: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counters = Counters()
        #: What partitions have counted.
        self.elsewhere = Counters()
        self._result = result
        self._save = save
        self._clock = clock
        self._saved_at = -SAVE_INTERVAL
        self._in_chunk = False

    @property
    def total(self) -> int | None:
        """How many rows there are in all, ``None`` while unknown."""
        return self._result.count

    @total.setter
    def total(self, rows: int | None) -> None:
        self._result.count = rows

    def advance(self, rows: int = 1) -> None:
        """Count rows gone through; inside a chunk they show only once the chunk is committed."""
        self.counters.advanced += rows
        if not self._in_chunk:
            self.publish()

    def begin_chunk(self) -> Counters:
        """Hold back what is counted from here; return the counts so far, to go back to when the chunk fails."""
        self._in_chunk = True
        return self.counters.model_copy()

    def end_chunk(self, counters: Counters) -> None:
        """Take these counts as committed and show them."""
        self._in_chunk = False
        self.counters = counters
        self.publish()

    def publish(self) -> None:
        """Show the counts in the result, and save it when the last save is long enough ago."""
        self._result.show(add_up([self.counters, self.elsewhere]))
        now = self._clock()
        if now - self._saved_at >= SAVE_INTERVAL:
            self._saved_at = now
            self._save()
