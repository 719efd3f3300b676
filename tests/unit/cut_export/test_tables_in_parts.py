"""An export in parts makes the file of the uncut one: of one snapshot, in one order, each row once."""

import gzip
import io
import itertools
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import BatchJobError, StopRequested
from batch_jobs.strategies.sdk.job import SilentReport
from batch_jobs.strategies.sdk.partition_run import OneByOne
from batch_jobs.strategies.table_export import TableExport


class InSmallParts(TableExport):
    """The same, where few rows are enough for a part."""

    rows_a_part = 100


GOODS = (
    "CREATE TABLE goods (id integer PRIMARY KEY, name text, price numeric(8, 2), made timestamptz, tags text[], "
    "is_new boolean, data jsonb)",
    "INSERT INTO goods SELECT n * 3, CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN '=1+' || n "
    "WHEN 2 THEN E'a \"b\",\\n' || n ELSE 'name ' || n END, n / 4.0, "
    "timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', ARRAY['x', n::text], "
    "n % 2 = 0, jsonb_build_object('n', n) FROM generate_series(1, 1000) n",
)


@pytest.fixture
def goods(exports):
    exports.sql(*GOODS)
    return exports


@pytest.mark.parametrize("packing", [None, "gz", "zst", "zip"])
@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_and_packing_has_the_rows_of_the_uncut_file(goods, format, packing):
    context = {"table": "goods", "format": format, "compression": packing}
    whole, parts = (unpacked(way(InSmallParts, **context), packing) for way in (goods.whole, goods.parts))
    if format == "parquet":
        assert pq.read_table(io.BytesIO(parts)).equals(pq.read_table(io.BytesIO(whole)))
    else:
        assert parts == whole


def unpacked(file, packing):
    if packing == "gz":
        return gzip.decompress(file)
    if packing == "zst":
        with pa.CompressedInputStream(pa.BufferReader(file), "zstd") as stream:
            return stream.read()
    if packing == "zip":
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            (name,) = archive.namelist()
            return archive.read(name)
    return file


def test_a_packed_file_of_parts_can_be_loaded_again(goods, tmp_path):
    from batch_jobs.strategies.sdk.testing import run_strategy
    from batch_jobs.strategies.table_import import TableImport

    goods.sql("CREATE TABLE again (LIKE goods INCLUDING ALL)")
    for packing in ("gz", "zst"):
        job = goods.run(InSmallParts, OneByOne(3), table="goods", compression=packing)
        assert len(job.result.partitions) == 10
        context = {"file_key": job.result.file_key, "table": "again", "mode": "upsert"}
        result = run_strategy(TableImport(), context, target=goods.target, files=goods.store)
        assert result.created + result.unchanged == 1000


@pytest.mark.parametrize(
    "options",
    [
        {"bom": True, "null": "-", "decimal": ",", "date_format": "%d.%m.%Y", "delimiter": ";"},
        {"columns": ["name", "price"], "rename": {"name": "Name"}, "neutralise": False},
        {"order_by": ["-id"]},
        {"order_by": ["is_new", "-id"]},
        {"order_by": ["name", "id"]},
        {"order_by": ["-name", "id"]},
        {"order_by": ["-name", "-made", "id"]},
    ],
)
def test_options_and_orders_are_those_of_the_uncut_file(goods, options):
    goods.sql("UPDATE goods SET made = NULL WHERE id % 7 = 0")
    assert goods.parts(InSmallParts, table="goods", **options) == goods.whole(InSmallParts, table="goods", **options)


def test_what_others_write_meanwhile_is_not_in_the_file(goods):
    before = goods.whole(InSmallParts, table="goods")
    numbers = itertools.count(1)

    def write():
        number = next(numbers)
        goods.sql(
            f"INSERT INTO goods (id, name) SELECT 10 * n + 1, 'later' FROM generate_series({number}00, {number}50) n "
            "ON CONFLICT DO NOTHING",
            f"UPDATE goods SET name = 'changed' WHERE id % 13 = {number}",
            f"DELETE FROM goods WHERE id % 17 = {number}",
        )

    assert goods.parts(InSmallParts, write, table="goods") == before
    assert goods.whole(InSmallParts, table="goods") != before


@pytest.mark.parametrize(
    ("columns", "key", "rows"),
    [
        ("a text, b integer, v text", "a, b", "SELECT chr(97 + n % 20), n, n::text FROM generate_series(1, 500) n"),
        ('a text COLLATE "C", v text', "a", "SELECT CASE n % 2 WHEN 0 THEN 'Ä' ELSE 'a' END || n, n::text"),
        ("a text, v text", "a", """SELECT E'it''s \\\\ ' || n || '%', n::text"""),
        ("a char(9), v text", "a", "SELECT 'x' || n, n::text"),
        (
            "a double precision, v text",
            "a",
            "SELECT CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE n / 7. END, n",
        ),
        ("a timestamptz, v text", "a", "SELECT timestamptz '2026-03-29 00:00+01' + n * interval '7.3 min', n::text"),
        ("a uuid, v text", "a", "SELECT md5(n::text)::uuid, n::text"),
        ("a bytea, v text", "a", "SELECT decode(md5(n::text), 'hex'), n::text"),
        ("a integer[], v text", "a", "SELECT ARRAY[n % 10, n], n::text"),
        ("a numeric, b boolean, v text", "a, b", "SELECT n / 3.0, n % 2 = 0, n::text"),
        ("a interval, v text", "a", "SELECT n * interval '1 day 1 second', n::text"),
    ],
)
def test_keys_of_every_kind_cut_a_table(exports, columns, key, rows):
    rows = rows if "FROM" in rows else f"{rows} FROM generate_series(1, 500) n"
    exports.sql(f"CREATE TABLE keyed ({columns}, PRIMARY KEY ({key}))", f"INSERT INTO keyed {rows} ORDER BY random()")
    assert exports.parts(InSmallParts, table="keyed") == exports.whole(InSmallParts, table="keyed")


def test_a_table_without_a_key_is_cut_by_its_blocks(exports):
    exports.sql("CREATE TABLE bare (v text)", "INSERT INTO bare SELECT repeat('x', n) FROM generate_series(1, 400) n")
    exports.sql("DELETE FROM bare WHERE length(v) % 3 = 0")
    assert exports.parts(InSmallParts, table="bare") == exports.whole(InSmallParts, table="bare")


def test_names_that_need_quotes_and_parts_of_a_partitioned_table(exports):
    exports.sql(
        'CREATE TABLE "Odd table" ("The %s ""key""" integer PRIMARY KEY, v text) PARTITION BY HASH ("The %s ""key""")',
        'CREATE TABLE one PARTITION OF "Odd table" FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
        'CREATE TABLE two PARTITION OF "Odd table" FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
        'INSERT INTO "Odd table" SELECT n, n FROM generate_series(1, 300) n',
    )
    assert exports.parts(InSmallParts, table="Odd table") == exports.whole(InSmallParts, table="Odd table")


class Doubled(InSmallParts):
    def transform(self, frame, job):
        frame["id"] = frame["id"] * 2
        return frame


class Mailed(InSmallParts):
    def post_process(self, job):
        assert job.result.file_key


@pytest.mark.parametrize(
    ("strategy", "context", "reason"),
    [
        (TableExport, {"table": "goods"}, "a part has at least 50,000 rows"),
        (InSmallParts, {"query": "SELECT * FROM goods ORDER BY id"}, "a query is read in one go"),
        (InSmallParts, {"table": "goods_seen"}, "goods_seen is no table"),
        (InSmallParts, {"table": "goods", "order_by": ["name"]}, "which of two rows comes first"),
        (InSmallParts, {"table": "goods", "format": "xlsx"}, "a file of format xlsx cannot be put together of parts"),
        (InSmallParts, {"table": "goods", "rows_per_file": 100}, "rows_per_file splits the file otherwise"),
        (InSmallParts, {"table": "mothers"}, "other tables inherit from mothers"),
        (InSmallParts, {"table": "rows"}, "its order cannot be cut"),
        (Doubled, {"table": "goods"}, "transform makes the columns of the first rows"),
        (Mailed, {"table": "goods"}, "Mailed has a post_process of its own"),
    ],
)
def test_what_cannot_be_cut_exactly_is_written_whole_and_says_why(goods, strategy, context, reason):
    goods.sql(
        "CREATE VIEW goods_seen AS SELECT * FROM goods",
        "CREATE TABLE mothers (id integer PRIMARY KEY)",
        "CREATE TABLE daughters () INHERITS (mothers)",
        "INSERT INTO mothers SELECT generate_series(1, 200)",
        "CREATE TYPE pair AS (a integer, b integer)",
        "CREATE TABLE rows (id pair PRIMARY KEY, v text)",
        "INSERT INTO rows SELECT ROW(n, n)::pair, n FROM generate_series(1, 200) n",
    )
    assert reason in goods.not_cut(strategy, **context)


class Stopping(SilentReport):
    """Asks the job to stop at the n-th look."""

    def __init__(self, looks):
        self.left = looks

    def stop_reason(self):
        self.left -= 1
        return "canceled" if self.left < 0 else None


def test_a_canceled_and_a_failed_export_leave_no_file_and_no_parts(goods):
    strategy = InSmallParts()
    job = goods.job(InSmallParts, table="goods")
    hooks.pre_process(strategy, job)
    hooks.process(strategy, job, OneByOne(3))
    assert len(goods.store.list(f"jobs/{job.id}/parts")) == 10
    job._report = Stopping(5)
    with pytest.raises(StopRequested):
        hooks.post_process(strategy, job)
    strategy.on_cancel(job)
    assert goods.store.list() == []


def test_a_part_whose_snapshot_is_gone_fails_in_one_line(goods):
    class Forgetful(InSmallParts):
        def around_partitions(self, job):
            with super().around_partitions(job) as shared:
                pass
            from contextlib import nullcontext

            return nullcontext(shared)

    strategy, job = Forgetful(), goods.job(Forgetful, table="goods")
    hooks.pre_process(strategy, job)
    with pytest.raises(BatchJobError, match="the snapshot that this part was to be read from is gone") as caught:
        hooks.process(strategy, job, OneByOne(3))
    assert "\n" not in str(caught.value)
    strategy.on_failure(job, caught.value)
    assert goods.store.list() == []


def test_sqlite_has_one_part(tmp_path):
    from batch_jobs.strategies.sdk.database import make_engine
    from batch_jobs.strategies.sdk.files import FileStore
    from batch_jobs.strategies.sdk.testing import run_strategy

    engine = make_engine(f"sqlite:///{tmp_path / 'target.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE goods (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO goods VALUES {', '.join(f'({n})' for n in range(100))}")
    result = run_strategy(
        InSmallParts(), {"table": "goods"}, target=engine, files=FileStore(str(tmp_path / "files")), partitions=4
    )
    engine.dispose()
    assert result.partitions == []
    assert ("partitions", "one: sqlite has no snapshot that several processes can read") in [
        (line.key, line.message) for line in result.stat_descriptors
    ]
