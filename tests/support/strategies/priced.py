"""Imports of one's own whose rows can be corrected."""

import pandas as pd
from pydantic import BaseModel

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import FileKey
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.frames.frame_import import FrameImport


class Doubled(FrameImport):
    """Load goods at twice their price."""

    identifier = "doubled-strategy"
    batch_type = "doubled"
    table = "doubled"
    key = ("code",)

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        """Refuse what costs too much, and double the rest."""
        job.reject_rows(frame["price"] > 100, "price", "costs too much")
        frame["price"] = frame["price"] * 2
        return frame


class Looked(BatchJobStrategy):
    """Look at goods in frames."""

    identifier = "looked-strategy"
    batch_type = "looked"

    class Context(BaseModel):
        """Which file."""

        file_key: FileKey
        corrections: FileKey | None = None

    def pre_process(self, job: JobRun) -> None:
        """Refuse what costs too much."""
        for chunk in job.frames(job.context.file_key, types={"price": "numeric(8,2)"}):
            job.reject_rows(chunk.frame["price"] > 100, "price", "costs too much")

    def process(self, job: JobRun) -> None:
        """Count."""
        for chunk in job.frames(job.context.file_key, after=job.checkpoint, types={"price": "numeric(8,2)"}):
            with job.chunk(cursor=chunk.cursor):
                job.count(created=len(chunk.frame))

    def build_template(self) -> str:
        """None."""
        return ""


class Unread(Looked):
    """The same, with no field for corrections."""

    identifier = "unread-strategy"
    batch_type = "unread"

    class Context(BaseModel):
        """Which file."""

        file_key: FileKey
