"""Reading a file as frames and writing them in chunks of one's own."""

import pandas as pd
import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.frames.upserting import upsert
from batch_jobs.strategies.tables.importing.import_options import FileOptions
from support.frames import TEXTS

TABLE = "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, price NUMERIC(10, 2), stock INTEGER)"
TYPES = {"code": "text", "price": "numeric(10,2)"}


class ByHand(BatchJobStrategy):
    """Load a file chunk by chunk."""

    identifier, batch_type = "by-hand-strategy", "by-hand"
    Context = FileOptions

    def process(self, job: JobRun) -> None:
        for chunk in job.frames(job.context.file_key, after=job.checkpoint, types=TYPES, decimal=","):
            frame = chunk.frame
            job.reject_rows(frame["price"] < 0, "price", "is below zero")
            frame = frame[frame["price"].isna() | (frame["price"] >= 0)]
            with job.chunk(cursor=chunk.cursor) as connection:
                job.count(**vars(upsert(connection, "goods", frame, key=["code"])))
                job.progress.advance(len(chunk.frame))

    def build_template(self) -> str:
        return ""


@pytest.fixture
def by_hand(importing_by):
    importing = importing_by(lambda frame, job: frame)
    importing.strategy = ByHand()
    return importing


def test_a_file_is_read_in_chunks_and_written_by_hand(by_hand, run_sql):
    run_sql(TABLE)
    run_sql("INSERT INTO goods VALUES ('01', 1.50, 7), ('02', 1, 8)")
    content = "code;price;stock\n01;1,5;7\n02;2,25;8\n03;-1;9\n04;;1\n05;x;1\n06;3;2;4\n07;4;3\n"
    result = by_hand(content)
    assert (result.created, result.updated, result.unchanged, result.rejected) == (2, 1, 1, 3)
    reasons = [line.rpartition(",")[2] for line in by_hand.rejects(result)[1:]]
    assert reasons[:2] == ["price: is below zero", "price: 'x' is not a number"]
    assert "header has 3" in reasons[2]
    rows = [
        (code, price and float(price), stock) for code, price, stock in run_sql("SELECT * FROM goods ORDER BY code")
    ]
    assert rows == [("01", 1.5, 7), ("02", 2.25, 8), ("04", None, 1), ("07", 4.0, 3)]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_it_goes_on_at_the_checkpoint(by_hand, run_sql, fails_at):
    run_sql(TABLE)
    content = "code;price;stock\n" + "".join(f"{n:02};{n};{n}\n" for n in range(10))
    job = by_hand.job(content)
    again = by_hand.broken_off(job, at=fails_at)
    assert run_sql("SELECT count(*), sum(stock) FROM goods") == [(10, 45)]
    assert (again.result.created, again.result.advancement_count) == (10, 10)


WRONG = [
    (pd.DataFrame({"code": ["a"], "prize": [1]}), {}, "the frame has prize, which goods does not have"),
    (pd.DataFrame({"price": [1]}), {}, "the frame lacks code of the key code"),
    (pd.DataFrame({"code": ["a", "a"], "stock": [1, 2]}), {}, "two rows of the frame have the key code=a"),
    (pd.DataFrame({"code": ["a"], "price": ["x"]}), {}, "price: 'x' is not a number, on row 0 of the frame"),
    (pd.DataFrame({"code": ["there"], "stock": [1]}), {"mode": "insert"}, "row 0 of the frame is already in goods"),
    (pd.DataFrame({"code": ["a"], "stock": [1]}), {"mode": "update"}, "the key on row 0 of the frame is not in goods"),
    (pd.DataFrame({"code": ["a"], "stock": [1.5]}), {}, "stock is double and the column INTEGER"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "options", "message"), WRONG)
def test_a_frame_that_does_not_fit_is_refused(target, run_sql, frame, options, message):
    run_sql(TABLE)
    run_sql("INSERT INTO goods VALUES ('there', 1, 1)")
    with pytest.raises(JobRefused, match=message), target.begin() as connection:
        upsert(connection, "goods", frame, **options)
    assert run_sql("SELECT * FROM goods") == [("there", 1, 1)]


def test_frames_of_numpy_and_of_arrow_are_written_alike(target, run_sql):
    run_sql(TABLE)
    plain = pd.DataFrame({"code": ["a", "b", None], "price": [1.5, None, 2.0], "stock": [1, 2, 3]}).dropna(
        subset="code"
    )
    for frame in (plain, plain.convert_dtypes(dtype_backend="pyarrow"), plain.astype({"code": "category"})):
        with target.begin() as connection:
            upsert(connection, "goods", frame)
        rows = run_sql("SELECT code, price, stock FROM goods ORDER BY code")
        assert [(code, price and float(price), stock) for code, price, stock in rows] == [("a", 1.5, 1), ("b", None, 2)]
    with target.begin() as connection:
        assert vars(upsert(connection, "goods", plain.iloc[:0])) == {"created": 0, "updated": 0, "unchanged": 0}


def test_rows_are_refused_in_frames_alone(importing_by):
    job = importing_by(lambda frame, job: frame).job("code\na\n")
    with pytest.raises(RuntimeError, match=r"belongs in transform"):
        job.reject_rows([True], None, "x")


def test_frames_are_what_table_import_loads(importing_by, run_sql):
    importing = importing_by(lambda frame, job: frame)
    importing.strategy = TableImport()
    job = importing.job("a;b;c\n1;2,5;x\n2;;\n", table="there", decimal=",")
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)
    (chunk,) = job.frames(job.context.file_key, decimal=",")
    assert [str(dtype) for dtype in chunk.frame.dtypes] == [
        "int64[pyarrow]",
        "decimal128(18, 1)[pyarrow]",
        TEXTS,
    ]
    loaded = [(a, b and float(b), c) for a, b, c in run_sql("SELECT a, b, c FROM there ORDER BY a")]
    assert (
        loaded
        == [(1, 2.5, "x"), (2, None, None)]
        == [
            tuple(None if pd.isna(value) else float(value) if place == 1 else value for place, value in enumerate(row))
            for row in chunk.frame.itertuples(index=False)
        ]
    )
