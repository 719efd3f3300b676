"""The types of frames, whatever the version of pandas calls them."""

from typing import Any

import pandas as pd
import pyarrow as pa

from batch_jobs.strategies.tables.frames.rows import TEXT

#: What the type of texts is called.
TEXTS = str(TEXT or pd.ArrowDtype(pa.string()))


def arrow_type(dtype: Any) -> pa.DataType:
    """Arrow's type of a column."""
    return dtype.pyarrow_dtype if isinstance(dtype, pd.ArrowDtype) else pa.string()
