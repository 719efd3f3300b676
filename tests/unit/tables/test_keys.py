"""Hashes of keys, in memory and in their buckets on disk."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.importing.keys import KeyHashes

LAST = (1 << 64) - 1
#: Few enough to meet again, and at the edges of buckets.
hashes = st.lists(st.sampled_from([0, 1, (1 << 58) - 1, 1 << 58, (1 << 58) + 1, 1 << 63, LAST - 1, LAST]), max_size=12)


@pytest.mark.parametrize("held", [1, 5, 1000])
@given(batches=st.lists(hashes, max_size=5), asked=hashes)
def test_what_was_added_is_known_wherever_it_is_kept(held: int, batches: list[list[int]], asked: list[int]):
    with KeyHashes(held) as known:
        for batch in batches:
            known.add(np.array(batch, dtype=np.uint64))
        among = known.among(np.array(asked, dtype=np.uint64))
    assert among.tolist() == [any(one in batch for batch in batches) for one in asked]


@pytest.mark.parametrize("held", [1, 1000])
@given(batches=st.lists(hashes, max_size=5))
def test_what_was_added_twice_is_repeated_wherever_it_is_kept(held: int, batches: list[list[int]]):
    with KeyHashes(held) as known:
        for batch in batches:
            known.add(np.array(batch, dtype=np.uint64))
        repeated = known.repeated()
    everything = list(chain.from_iterable(batches))
    assert repeated.tolist() == sorted({one for one in everything if everything.count(one) > 1})
