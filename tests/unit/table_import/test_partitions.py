"""An import that is cut into partitions leaves the table, the counts and the rejects of one that is not."""

import gzip
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from batch_jobs.strategies.sdk.partitioning import PartitionsFailed
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.importing.inputs import PlannedFile
from batch_jobs.strategies.tables.importing.partitions import partitions
from batch_jobs.strategies.tables.importing.plan import ImportPlan
from support.importing import Importing
from support.partitions import BreakingOff, InAnyOrder

RunSql = Callable[[str], list[tuple[Any, ...]]]

#: So long that some ten rows are a megabyte, which is what a reader reads at a time.
NOTE = "x" * 100_000
ROWS = 60
COUNTS = ("created", "updated", "unchanged", "removed", "rejected")
TABLE = "CREATE TABLE goods (code varchar(20) PRIMARY KEY, stock integer CHECK (stock < 1000), note text)"


@pytest.fixture
def target(postgres_url: str) -> Any:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def cut(importing: Importing) -> Callable[..., JobRun]:
    """Runs a job in partitions."""

    def run(content: bytes, how: InAnyOrder, **context: Any) -> JobRun:
        job = importing.preview(content, **context)
        hooks.process(importing.strategy, job, how)
        hooks.post_process(importing.strategy, job)
        return job

    return run


def goods(ragged: bool = True) -> bytes:
    """Rows with long notes, of which some cannot be read, some have a key again, and some the database refuses."""
    random.seed(3)
    lines = ["code,stock,note"]
    for number in range(ROWS):
        stock = "many" if number % 13 == 5 else 2_000 if number % 17 == 3 else number
        code = f"c{number // 2}" if number % 11 == 4 else f"c{number}"
        note = f'"{number}\n{NOTE}"' if number % 7 == 1 else NOTE
        lines.append(f"{code},{stock},{note}" + ",too many" * (ragged and number % 19 == 6))
        lines += [""] * (number % 5 == 0)
    return ("\r\n".join(lines)).encode()


MODES = ["append", "insert", "upsert", "update", "sync"]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_partitions_in_any_order_leave_what_one_process_leaves(
    importing: Importing, cut: Callable[..., JobRun], run_sql: RunSql, mode: str, at_once: int
):
    options: dict[str, Any] = {"table": "goods", "mode": mode}
    options |= {"missing": "delete", "max_removed": 5} if mode == "sync" else {}
    definition = TABLE.replace(" PRIMARY KEY", "") if mode == "append" else TABLE
    found = []
    for run in (
        lambda: importing(goods(mode != "sync"), **options),
        lambda: cut(goods(mode != "sync"), InAnyOrder(at_once=at_once), **options).result,
    ):
        run_sql("DROP TABLE IF EXISTS goods")
        run_sql(definition)
        run_sql("INSERT INTO goods VALUES ('c7', 1, 'old'), ('c8', 8, 'old'), ('gone', 1, 'old'), ('c41', 1, 'old')")
        result = run()
        rows = run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY 1, 2, 3")
        counts = {name: getattr(result, name) for name in (*COUNTS, "advancement_count", "progress")}
        found.append((rows, counts, importing.rejects(result)))
    assert found[0] == found[1]
    assert found[1][1]["rejected"] > 5
    assert len(result.partitions) == 3
    assert sum(entry.rows or 0 for entry in result.partitions) == ROWS


def test_a_new_table_is_created_by_whichever_partition_comes_first(
    importing: Importing, cut: Callable[..., JobRun], run_sql: RunSql
):
    job = cut(goods(), InAnyOrder(at_once=3), table="goods", mode="upsert", key=["code"])
    rows = run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY code")
    run_sql("DROP TABLE goods")
    whole = importing(goods(), table="goods", mode="upsert", key=["code"])
    assert run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY code") == rows
    assert importing.rejects(job.result) == importing.rejects(whole)
    assert job.result.created == whole.created == len(rows)


def test_partitions_leave_out_what_the_job_leaves_out(importing: Importing, run_sql: RunSql):
    options: dict[str, Any] = {"table": "goods", "mode": "sync", "missing": "delete", "max_removed": 5}
    wish = {"keys": ["c3", "c40", "gone"], "rules": [{"column": "stock", "change_percent_above": 500}]}
    found = []
    for how in (None, InAnyOrder(at_once=3)):
        run_sql("DROP TABLE IF EXISTS goods")
        run_sql(TABLE)
        run_sql("INSERT INTO goods VALUES ('c7', 1, 'old'), ('c8', 8, 'old'), ('gone', 1, 'old'), ('away', 1, 'old')")
        job = importing.preview(goods(ragged=False), **options)
        importing.strategy.check_leave_out(LeaveOut.of(wish), job.id, job.plan, job.files)
        job.plan[WISH] = wish
        hooks.process(importing.strategy, job, how)
        hooks.post_process(importing.strategy, job)
        counts = {name: getattr(job.result, name) for name in (*COUNTS, "advancement_count", "progress")}
        rejects = [line.rpartition("x,")[2] for line in importing.rejects(job.result)]
        found.append((run_sql("SELECT code, stock FROM goods ORDER BY 1"), counts, rejects))
    assert found[0] == found[1]
    codes = [code for code, _ in found[1][0]]
    assert ("c3" in codes, "c40" in codes, "gone" in codes, "away" in codes) == (False, False, True, False)
    assert dict(found[1][0])["c7"] == 1
    assert len(job.result.partitions) == 3


def test_partitions_that_break_off_go_on_where_each_was(importing: Importing, run_sql: RunSql):
    job = importing.preview(goods(), table="goods", mode="upsert", key=["code"])
    with pytest.raises(PartitionsFailed):
        hooks.process(importing.strategy, job, InAnyOrder(checkpoints=BreakingOff))
    plan, before = dict(job.plan), run_sql("SELECT count(*) FROM goods")[0][0]
    assert before > 0
    again = importing.again(job)
    hooks.pre_process(importing.strategy, again)
    assert again.plan == plan
    hooks.process(importing.strategy, again, InAnyOrder(size=9, claim=2))
    hooks.post_process(importing.strategy, again)
    rows = run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY code")
    run_sql("DROP TABLE goods")
    whole = importing(goods(), table="goods", mode="upsert", key=["code"])
    assert run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY code") == rows
    assert importing.rejects(again.result) == importing.rejects(whole)
    assert again.result.created == whole.created == len(rows)


def test_numbers_that_the_database_gives_out_go_on_after_those_of_all_partitions(
    cut: Callable[..., JobRun], run_sql: RunSql
):
    run_sql("CREATE TABLE goods (id serial PRIMARY KEY, note text)")
    content = "id,note\n" + "".join(f"{number},{NOTE}\n" for number in range(1, ROWS + 1))
    job = cut(content.encode(), InAnyOrder(size=8, at_once=4), table="goods", mode="upsert")
    assert len(job.result.partitions) > 3
    assert run_sql("SELECT nextval('goods_id_seq')") == [(ROWS + 1,)]


def test_max_rejects_counts_those_of_all_partitions(importing: Importing, run_sql: RunSql):
    run_sql(TABLE)
    content = "code,stock,note\n" + "".join(f"c{row},{row % 15 * 100},{NOTE}\n" for row in range(ROWS))
    job = importing.preview(content, table="goods", mode="upsert", max_rejects=15)
    with pytest.raises(PartitionsFailed, match="15"):
        hooks.process(importing.strategy, job, InAnyOrder())
    assert run_sql("SELECT count(*) FROM goods")[0][0] < ROWS - 15


@pytest.mark.parametrize(
    ("statements", "options", "reason"),
    [
        ([f"{TABLE[:-1]}, parent varchar(20) REFERENCES goods)"], {}, "rows of goods refer to others of it"),
        ([TABLE, "CREATE UNIQUE INDEX notes ON goods (md5(note))"], {}, "for its index notes"),
        ([TABLE, "CREATE UNIQUE INDEX stocks ON goods (stock) WHERE stock > 1"], {}, "for its index stocks"),
        ([TABLE], {"mode": "append"}, "for its index goods_pkey"),
        ([f"{TABLE[:-1]}, EXCLUDE USING btree (stock WITH =))"], {}, "for its index goods_stock_excl"),
        ([TABLE, "CREATE RULE one AS ON INSERT TO goods DO ALSO NOTIFY goods"], {}, "for its rule one"),
        (
            [
                TABLE,
                "CREATE TRIGGER one BEFORE UPDATE ON goods FOR EACH ROW "
                "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            ],
            {},
            "for its trigger one",
        ),
        ([TABLE, "ALTER TABLE goods ENABLE ROW LEVEL SECURITY"], {}, "for its row security"),
        (
            [f"{TABLE[:-1]}, half integer GENERATED ALWAYS AS (stock / 2) STORED UNIQUE)"],
            {},
            "for its index goods_half_key",
        ),
        ([f"{TABLE[:-1]}, one integer DEFAULT 1 UNIQUE)"], {}, "for its index goods_one_key"),
        (
            [
                f"{TABLE} PARTITION BY HASH (code)",
                "CREATE TABLE part_1 PARTITION OF goods FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
                "CREATE UNIQUE INDEX of_part ON part_1 (stock)",
            ],
            {},
            "for its index of_part",
        ),
        ([TABLE], {"comment": "#"}, "it has comments, escapes or blanks before quotes"),
        ([TABLE], {"name": "goods.csv.gz"}, "a packed file is read from its beginning"),
        ([TABLE], {"rows": 2}, "the input is small"),
    ],
)
def test_what_cannot_be_cut_is_not_and_the_summary_says_why(
    importing: Importing, run_sql: RunSql, statements: list[str], options: dict[str, Any], reason: str
):
    for statement in statements:
        run_sql(statement)
    content = b"code,stock,note\n" + b"".join(
        b"c%d,%d,%s\n" % (row, row, NOTE.encode()) for row in range(options.pop("rows", ROWS))
    )
    content = gzip.compress(content) if options.get("name") else content
    job = importing.preview(content, **{"table": "goods", "mode": "upsert", **options})
    assert importing.strategy.partition(job, 3) == []
    (said,) = [line.message for line in job.result.stat_descriptors if line.key == "partitions"]
    assert said.startswith("one: ")
    assert said.endswith(reason)


@pytest.mark.parametrize(
    "statements",
    [
        [f"{TABLE[:-1]}, id serial UNIQUE, ref uuid DEFAULT gen_random_uuid() UNIQUE, old text UNIQUE)"],
        [
            f"{TABLE} PARTITION BY HASH (code)",
            "CREATE TABLE part_1 PARTITION OF goods FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            "CREATE TABLE part_2 PARTITION OF goods FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        ],
    ],
)
def test_indexes_that_no_row_of_the_file_can_violate_do_not_matter(
    importing: Importing, run_sql: RunSql, statements: list[str]
):
    for statement in statements:
        run_sql(statement)
    assert len(importing.strategy.partition(importing.preview(goods(), table="goods", mode="upsert"), 3)) == 3


def test_sqlite_has_one_writer_and_one_partition_is_not_cut_at_all(tmp_path: Path, importing: Importing):
    job = importing.preview(goods(), table="goods", mode="upsert", key=["code"])
    assert TableImport().partition(job, 1) == []
    assert "partitions" not in [line.key for line in job.result.stat_descriptors]
    on_sqlite = Importing(make_engine(f"sqlite:///{tmp_path / 't.db'}"), FileStore(str(tmp_path / "files")))
    job = on_sqlite.preview(goods(), table="goods", mode="upsert", key=["code"])
    assert TableImport().partition(job, 2) == []
    assert [line.message for line in job.result.stat_descriptors if line.key == "partitions"] == [
        "one: sqlite has one writer"
    ]


@pytest.mark.parametrize("is_packed", [False, True])
def test_several_files_are_cut_wherever_each_can_be(
    importing: Importing, cut: Callable[..., JobRun], run_sql: RunSql, is_packed: bool
):
    run_sql(TABLE)
    keys = []
    for name in ("a", "b"):
        rows = "".join(f"{name}{row},{row},{NOTE}\n" for row in range(ROWS)).encode()
        content = b"code,stock,note\n" + rows
        keys.append(importing.put(gzip.compress(content) if is_packed else content, "in.csv" + ".gz" * is_packed))
    job = importing.job_of(TableImport.Context(file_key=keys, table="goods", mode="upsert"))
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job, InAnyOrder(at_once=3))
    assert job.result.created == 2 * ROWS
    names = [entry.name for entry in job.result.partitions]
    if is_packed:
        assert names == ["in.csv.gz (1) from line 1 to before in.csv.gz (2) line 1", "in.csv.gz (2) from line 1"]
    else:
        assert len(names) == 3
        assert names[1].startswith("in.csv (1) from line ")
        assert " to before in.csv (2) line " in names[1]


def test_a_large_file_is_cut_into_more_parts_than_run_at_once_but_not_into_small_ones():
    def sizes(rows: int, size: int) -> list[int]:
        marks = [
            {"start": {"byte": row} if row else None, "line": row + 1, "rows": row} for row in range(0, rows, 5_000)
        ]
        file = PlannedFile(key="a.csv", version="1")
        plan = ImportPlan(mapping={}, key=[], total=rows, marks=marks, files=[file])
        found = partitions(plan, size)
        assert found[0].plan["start"] is None
        assert found[-1].plan["until"] is None
        assert all(one.plan["until"] == other.plan["start"] for one, other in itertools.pairwise(found))
        return [partition.rows or 0 for partition in found]

    assert sizes(2_000_000, 2) == [250_000] * 8
    assert sizes(1_200_000, 2) == [200_000] * 6
    assert sizes(50_000, 4) == [10_000, 15_000, 10_000, 15_000]
    assert sizes(10_000, 4) == [5_000, 5_000]
