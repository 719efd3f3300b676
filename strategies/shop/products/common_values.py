"""Tags, types and the like that products of several partitions need: each is made once, with the same id by all.

No index of Medusa's keeps their values unique, so that their ids, which are made of the values, have to.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ulid import ULID

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.cutting import checked_groups
from batch_jobs.strategies.shop.importing.headers import ProductHeaders
from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.importing.work_file import read_groups, writing_work_file
from batch_jobs.strategies.shop.products.rows import cells_of
from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, key_hashes

#: How the ids of such values begin.
TYPE, TAG, COLLECTION, IMAGE = "ptyp", "ptag", "pcol", "img"
SCHEMA = pa.schema([("prefix", pa.string()), ("hash", pa.uint64())])


@dataclass(frozen=True)
class CommonValues:
    """The values, by their hashes, that more than one partition may need.

    ``hashes`` are sorted, by the prefix of their ids; ``seed`` is a ULID of the job, ``salt`` what else ids are made
    of.
    """

    hashes: dict[str, Hashes]
    seed: str
    salt: str

    def among(self, prefix: str, hashes: Hashes) -> Mask:
        """Which of these hashes are of such values."""
        known = self.hashes.get(prefix, np.empty(0, dtype=np.uint64))
        found: Mask = np.isin(hashes, known)
        return found

    def ids(self, prefix: str, values: pa.Array) -> pa.Array:
        """The ids of these values, for all partitions."""
        return pa.array([self._id(prefix, value) for value in values.to_pylist()], pa.string())

    def _id(self, prefix: str, value: str) -> str:
        moment = ULID.from_str(self.seed).bytes[:6]
        made_of = f"{self.seed}/{self.salt}/{prefix}/{value}".encode()
        return f"{prefix}_{ULID.from_bytes(moment + blake2b(made_of, digest_size=10).digest())}"


def common_values(job: JobRun) -> CommonValues | None:
    """What ``find_common_values`` found, for a partition of the job; ``None`` where this is no partition."""
    if job.partition is None:
        return None
    tables = [table for _, table in read_groups(job.files, _key(job))]
    found = pa.concat_tables([SCHEMA.empty_table(), *tables])
    hashes = {
        prefix: found.filter(pc.equal(found.column("prefix"), prefix)).column("hash").to_numpy()
        for prefix in pc.unique(found.column("prefix")).to_pylist()
    }
    # what an earlier attempt has made, and the shop has deleted since, is made anew
    return CommonValues(hashes, job.partition.plan["seed"], str(job.attempt))


def find_common_values(job: JobRun, headers: ProductHeaders) -> None:
    """Note which values several groups have, for the job's partitions."""
    with ExitStack() as open_things:
        met = {prefix: open_things.enter_context(KeyHashes()) for prefix in _columns(headers)}
        for group, _ in checked_groups(job, [name for names in _columns(headers).values() for name in names]):
            for prefix, names in _columns(headers).items():
                values = _values(group, names, has_lists=prefix == TAG)
                met[prefix].add(np.unique(key_hashes([pa.chunked_array([values])])))
        with writing_work_file(job.files, _key(job), SCHEMA) as writer:
            for prefix, hashes in met.items():
                repeated = hashes.repeated()
                if len(repeated):
                    rows = {"prefix": [prefix] * len(repeated), "hash": repeated}
                    writer.write(pa.table(rows, schema=SCHEMA))


def _columns(headers: ProductHeaders) -> dict[str, list[str]]:
    """By the prefix of their ids, the columns that have the values."""
    fixed = {
        prefix: [headers.fixed[name]]
        for prefix, name in ((TYPE, "Product Type"), (TAG, "Product Tags"), (COLLECTION, "Product Collection Handle"))
        if name in headers.fixed
    }
    return fixed | ({IMAGE: headers.images} if headers.images else {})


def _values(group: pa.Table, columns: list[str], has_lists: bool) -> pa.Array:
    values = pc.unique(pa.concat_arrays([cells_of(group, name) for name in columns])).drop_null()
    return pc.list_flatten(pc.split_pattern(values, ",")) if has_lists else values


def _key(job: JobRun) -> str:
    return f"jobs/{job.id}/common.arrow"
