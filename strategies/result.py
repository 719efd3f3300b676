"""What a job has to tell: Medusa v1's ``result`` of a batch job, and the counts by outcome beside it."""

from typing import Any

from pydantic import BaseModel, Field


class StatDescriptor(BaseModel):
    """One line of a job's summary."""

    key: str
    name: str
    message: str


class ErrorEntry(BaseModel):
    """One error of a job: ``err`` holds the trace, shortened; ``refused`` if no other attempt can do better."""

    message: str
    code: str
    err: Any = None
    refused: bool = False


class Counters(BaseModel):
    """Rows by outcome; ``advanced`` is the number of rows gone through, whatever became of them."""

    advanced: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0


class JobResult(BaseModel):
    """The ``result`` of a job row; counts are rows, ``progress`` is 0 to 1, ``file_size`` is bytes."""

    count: int | None = None
    advancement_count: int = 0
    progress: float = 0.0
    errors: list[ErrorEntry] = Field(default_factory=list)
    stat_descriptors: list[StatDescriptor] = Field(default_factory=list)
    file_key: str | None = None
    file_size: int | None = None
    rejects_file_key: str | None = None
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def describe(self, key: str, name: str, message: str) -> None:
        """Set the summary line of this key, in the order of first sight."""
        entry = StatDescriptor(key=key, name=name, message=message)
        keys = [known.key for known in self.stat_descriptors]
        if key in keys:
            self.stat_descriptors[keys.index(key)] = entry
        else:
            self.stat_descriptors.append(entry)

    def show(self, counters: Counters) -> None:
        """Take over what is committed; nothing shown goes down, so that a retry never seems to lose work."""
        self.advancement_count = max(self.advancement_count, counters.advanced)
        self.created, self.updated, self.unchanged = counters.created, counters.updated, counters.unchanged
        self.rejected = max(self.rejected, counters.rejected)
        if self.count:
            self.progress = max(self.progress, min(1.0, self.advancement_count / self.count))
