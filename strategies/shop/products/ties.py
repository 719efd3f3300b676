"""What makes the rows of one product depend on those of others, so that an import of them is not cut."""

from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.cutting import checked_groups
from batch_jobs.strategies.shop.importing.grouping import Distinct, run_starts
from batch_jobs.strategies.shop.importing.headers import PRODUCT_HANDLE, ProductHeaders
from batch_jobs.strategies.shop.products.rows import cells_of
from batch_jobs.strategies.tables.importing.keys import KeyHashes, key_hashes


def why_tied(job: JobRun, headers: ProductHeaders, distinct: Distinct) -> str | None:
    """What does, in words; ``None`` where nothing does.

    A code that is repeated is refused before anything is cut, as is one that another product of the shop has. What is
    left are codes that change what a later row means: a handle that a product gives up, and codes that are the same
    but for what a shop does not keep or not heed.
    """
    if job.plan["by_column"].get(headers.fixed[PRODUCT_HANDLE], {}).get("changed"):
        return "products get other handles, by which later rows may mean them"
    alike = _alike(job, distinct)
    return f"the file has the same {alike} twice, written differently" if alike else None


def _alike(job: JobRun, distinct: Distinct) -> str | None:
    """The first column in which two rows that go in have cells that differ in blanks around them or as formulas."""
    names = [*distinct.by_row, *distinct.by_key]
    with ExitStack() as open_things:
        met = {name: open_things.enter_context(KeyHashes()) for name in names}
        for group, marked in checked_groups(job, names):
            starts = run_starts(group)
            goes_in = ~marked.column("refused").to_numpy()[np.cumsum(starts) - 1]
            for name in names:
                counted = pa.array(goes_in if name in distinct.by_row else goes_in & starts)
                cells = cells_of(group, name).filter(counted).drop_null()
                met[name].add(key_hashes([pa.chunked_array([pc.utf8_trim_whitespace(cells)])]))
        return next((name for name in names if len(met[name].repeated())), None)
