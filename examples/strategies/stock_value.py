"""An export: a query, with a column that is computed."""

import pandas as pd

from batch_jobs.strategies import FrameExport, JobRun


class StockValue(FrameExport):
    """Write what is in stock to a file, with what it is worth."""

    identifier, batch_type = "stock-value-strategy", "stock-value"
    query = "SELECT code, price, stock FROM stock_level WHERE stock >= :at_least ORDER BY code"

    class Context(FrameExport.Context):
        at_least: int = 1

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["value"] = frame["price"] * frame["stock"]
        return frame
