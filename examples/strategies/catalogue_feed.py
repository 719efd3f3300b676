"""An API with pages, into a table of ours: a source that is no file."""

from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
from pydantic import Field

from batch_jobs.strategies import FrameChunk, FrameImport, JobRun


class CatalogueFeed(FrameImport):
    """Load the catalogue that an API gives page by page."""

    identifier, batch_type = "catalogue-feed-strategy", "catalogue-feed"
    table, key = "catalogue", ["code"]

    class Context(FrameImport.SourceContext):
        url: str = Field(description="Answers ?after=CODE with the items after it, and none at the end")

    def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
        with httpx.Client(timeout=30) as client:
            while True:
                answer = client.get(job.context.url, params={"after": after or ""}).raise_for_status().json()
                yield FrameChunk(pd.DataFrame(answer["items"], columns=["code", "title", "price"]), answer["next"])
                after = answer["next"]
                if after is None:
                    return

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["title"] = frame["title"].str.strip()
        return frame[frame["title"] != ""]
