"""Several files in one job, and files in archives."""

import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import FileKeyUnsafe, InputChanged, InputRefused, JobRefused
from batch_jobs.strategies.table_import import TableImport


@pytest.fixture
def load(importing):
    def run(file_key, **context):
        job = make(file_key, **context)
        hooks.process(TableImport(), job)
        return job

    def make(file_key, **context):
        strategy = TableImport()
        prepared = strategy.prepare(strategy.Context(file_key=file_key, **{"table": "goods", **context}))
        job = importing._run_of(f"batch_{len(importing.jobs)}", prepared, 1, None)
        hooks.pre_process(strategy, job)
        return job

    run.preview = make
    return run


@pytest.fixture
def goods(run_sql):
    run_sql("CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, stock INTEGER)")
    return lambda: run_sql("SELECT code, stock FROM goods ORDER BY code")


def put(importing, key, content):
    with importing.files.writing(key) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
    return key


def test_files_are_loaded_in_the_order_given_with_columns_in_any_order(importing, load, goods):
    later = put(importing, "in/b.csv", "stock,code\n2,B\n20,A\n")
    first = put(importing, "in/a.csv", "code,stock\nA,1\nC,3\n")

    job = load([later, first], mode="upsert")

    assert goods() == [("A", 20), ("B", 2), ("C", 3)]
    assert (job.result.count, job.result.created, job.result.rejected) == (4, 3, 1)
    assert importing.rejects(job.result) == [
        "stock,code,reject_line,reject_reason,reject_file",
        "1,A,2,key code=A is already on line 3 of in/b.csv,in/a.csv",
    ]


def test_a_pattern_means_all_files_that_match_sorted_by_their_key(importing, load, goods):
    for number in (3, 1, 2):
        put(importing, f"uploads/0{number}/part.csv", f"code,stock\nP{number},{number}\n")
    put(importing, "uploads/04/other.tsv", "no\ttable\n")
    put(importing, "elsewhere/part.csv", "code,stock\nX,1\n")

    job = load("uploads/*.csv", mode="insert")

    assert goods() == [("P1", 1), ("P2", 2), ("P3", 3)]
    files = job.plan["files"]
    assert [(file["key"], file["rows"]) for file in files] == [
        (f"uploads/0{number}/part.csv", 1) for number in (1, 2, 3)
    ]
    assert len({file["checksum"] for file in files}) == 3
    told = [line.message for line in job.result.stat_descriptors if line.key.startswith("import-file-")]
    assert told[0] == f"uploads/01/part.csv: 1 row, SHA-256 {files[0]['checksum']}"


def test_a_pattern_without_a_match_is_one_line(load, goods):
    with pytest.raises(JobRefused, match=r"no file of the file store matches uploads/\*\.csv; `batch-jobs files list`"):
        load("uploads/*.csv")
    with pytest.raises(FileKeyUnsafe):
        load("../*.csv")


def test_a_key_that_looks_like_a_pattern_is_the_file_of_that_name(importing, load, goods):
    load(put(importing, "in/data[1].csv", "code,stock\nA,1\n"))

    assert goods() == [("A", 1)]


def test_bad_rows_and_bad_files_are_named(importing, load, goods):
    good = put(importing, "in/a.csv", "code,stock\nA,1\n")
    bad = put(importing, "in/b.csv", "code,stock\nB,many\nC,1,2\n")

    job = load([good, bad])

    assert goods() == [("A", 1)]
    rejects = importing.rejects(job.result)
    assert [row.rsplit(",", 1)[1] for row in rejects[1:]] == ["in/b.csv", "in/b.csv"]
    assert ",2,stock: 'many' is not a whole number," in rejects[1]
    assert "C,1," in rejects[2]
    with pytest.raises(InputRefused, match=r"in/c\.csv: it lacks stock and has price beside the columns of in/a\.csv"):
        load([good, put(importing, "in/c.csv", "code,price\nA,1\n")])
    with pytest.raises(InputRefused, match=r"in/d\.jsonl: it is jsonl and in/a\.csv is csv"):
        load([good, put(importing, "in/d.jsonl", '{"code": "D"}\n')])
    with pytest.raises(InputRefused, match=r"in/e\.csv: the file is empty"):
        load([good, put(importing, "in/e.csv", "")])


def test_a_rejects_file_of_several_files_can_be_corrected_and_loaded(importing, load, goods):
    job = load([put(importing, "in/a.csv", "code,stock\nA,x\n"), put(importing, "in/b.csv", "code,stock\nB,y\n")])
    with importing.files.open(job.result.rejects_file_key) as stream:
        corrected = stream.read().decode().replace("A,x", "A,1").replace("B,y", "B,2")

    load(put(importing, "in/c.csv", corrected))

    assert goods() == [("A", 1), ("B", 2)]


def test_objects_of_some_files_may_lack_what_those_of_others_have(importing, load, run_sql):
    first = put(importing, "in/a.jsonl", '{"code": "A"}\n' * 1)
    second = put(importing, "in/b.jsonl", '{"code": "B", "stock": 2}\n')

    load([first, second], table="fresh")

    assert run_sql("SELECT code, stock FROM fresh ORDER BY code") == [("A", None), ("B", 2)]


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
def test_a_stopped_job_goes_on_inside_any_file(importing, load, goods, stop_after, monkeypatch):
    keys = [
        put(importing, f"in/{name}.csv", "code,stock\n" + "".join(f"{name}{n},{n}\n" for n in range(4)))
        for name in "abc"
    ]
    job = load.preview(keys, mode="insert")
    chunks, chunk = 0, type(job).chunk

    def interrupted(self, cursor):
        nonlocal chunks
        chunks += 1
        if chunks > stop_after:
            raise RuntimeError("killed")
        return chunk(self, cursor)

    monkeypatch.setattr(type(job), "chunk", interrupted)
    with pytest.raises(RuntimeError, match="killed"):
        hooks.process(TableImport(), job)
    monkeypatch.setattr(type(job), "chunk", chunk)
    again = importing.again(job)
    hooks.pre_process(TableImport(), again)
    hooks.process(TableImport(), again)

    assert goods() == [(f"{name}{n}", n) for name in "abc" for n in range(4)]
    assert (again.result.created, again.result.rejected) == (12, 0)


def test_a_file_that_changed_is_named_and_new_ones_are_left_alone(importing, load, goods):
    for name in "ab":
        put(importing, f"in/{name}.csv", f"code,stock\n{name},1\n")
    job = load.preview("in/*.csv", mode="insert")
    put(importing, "in/c.csv", "code,stock\nc,1\n")
    hooks.process(TableImport(), job)
    assert goods() == [("a", 1), ("b", 1)]

    job = load.preview("in/*.csv", mode="upsert")
    put(importing, "in/b.csv", "code,stock\nb,9\n")
    with pytest.raises(InputChanged, match=r"the file in/b\.csv has changed since the preview"):
        hooks.process(TableImport(), job)


def test_the_preview_shows_changes_with_their_file(importing, load, goods):
    load(put(importing, "in/a.csv", "code,stock\nA,1\nB,2\n"))

    job = load.preview(
        [put(importing, "in/b.csv", "code,stock\nA,9\n"), put(importing, "in/c.csv", "code,stock\nB,9\n")],
        mode="upsert",
    )

    assert [(change["file"], change["line"], change["after"]) for change in job.plan["sample"]] == [
        ("in/b.csv", 2, "9"),
        ("in/c.csv", 2, "9"),
    ]


def test_parquet_and_packed_files_are_several_too(importing, load, run_sql):
    stream = io.BytesIO()
    pq.write_table(pa.table({"code": ["A"], "stock": [1]}), stream)
    keys = [put(importing, f"in/{n}.parquet.gz", gzip.compress(stream.getvalue())) for n in range(2)]

    load(keys, table="fresh")

    assert run_sql("SELECT code, stock FROM fresh") == [("A", 1), ("A", 1)]


def test_a_file_of_an_archive_is_named(importing, load, goods):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", "code,stock\nA,1\n")
        archive.writestr("b.csv", "code,stock\nB,2\n")
    key = put(importing, "in/both.zip", stream.getvalue())

    with pytest.raises(InputRefused, match=r"it has 2 tables: a\.csv, b\.csv; name one, as in/both\.zip#a\.csv"):
        load(key)
    load([f"{key}#b.csv", f"{key}#a.csv"])

    assert goods() == [("A", 1), ("B", 2)]


def test_many_files_whose_encodings_show_late_are_read_once_more(importing, load, run_sql):
    importing.chunk_size = 100_000
    late = "code,note\n" + "x,plain\n" * 200_000 + "y,ünï\n"
    keys = [put(importing, "in/a.csv", "code,note\na,b\n"), put(importing, "in/b.csv", late.encode("cp1252"))]

    load(keys, table="fresh")

    assert run_sql("SELECT note FROM fresh WHERE code = 'y'") == [("ünï",)]
