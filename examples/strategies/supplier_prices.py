"""A supplier's price list, changed a little, into a table of ours."""

import pandas as pd

from batch_jobs.strategies import FrameImport, JobRun


class SupplierPrices(FrameImport):
    """Load the supplier's weekly price list."""

    identifier, batch_type = "supplier-prices-strategy", "supplier-prices"
    table, key = "supplier_price", ["code"]

    class Context(FrameImport.Context):
        vat: float = 0.2

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["code"] = frame["Art.-Nr."].str.strip().str.zfill(8)
        frame["price"] = (frame["Net"] * (1 + job.context.vat)).round(2)
        job.reject_rows(frame["price"] <= 0, "price", "is not above zero")
        return frame[["code", "price"]]
