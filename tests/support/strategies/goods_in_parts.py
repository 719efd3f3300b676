from batch_jobs.strategies import FrameExport


class GoodsInParts(FrameExport):
    """Export goods in parts of few rows."""

    identifier = "goods-in-parts-strategy"
    batch_type = "goods-in-parts"
    table = "goods"
    rows_a_part = 1_000
