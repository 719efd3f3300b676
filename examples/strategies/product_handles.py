"""A back-fill: a column filled in where it is empty."""

import pandas as pd

from batch_jobs.strategies import FrameUpdate, JobRun


class ProductHandles(FrameUpdate):
    """Fill in the handles of products that have none, made of their titles."""

    identifier, batch_type = "product-handles-strategy", "product-handles"
    table, columns, where = "product_page", ["title"], "handle IS NULL"

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["handle"] = frame["title"].str.strip().str.lower().str.replace(r"[^a-z0-9]+", "-", regex=True)
        job.reject_rows(frame["handle"].str.strip("-") == "", "title", "has no letter")
        return frame[["id", "handle"]]
