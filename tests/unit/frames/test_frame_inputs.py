"""Everything that table-import takes, by way of frames."""

import json

import pandas as pd
import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.job import JobRun

TABLE = "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, n INTEGER)"


def same(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame


def positive(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    job.reject_rows(frame["n"] < 0, "n", "is below zero")
    return frame[frame["n"] != 0]


def test_sync_removes_what_is_not_returned_but_for_what_is_rejected(importing_by, run_sql):
    run_sql(TABLE)
    run_sql("INSERT INTO goods VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4)")
    importing = importing_by(positive)
    content = "code,n\na,1\nb,-1\nc,0\ne,5\n"
    counts = importing.preview(content, mode="sync", max_removed="100%").plan["counts"]
    result = importing(content, mode="sync", max_removed="100%")
    assert (counts["create"], counts["unchanged"], counts["remove"], counts["reject"], counts["left_out"]) == (
        1,
        1,
        2,
        1,
        1,
    )
    assert (result.created, result.unchanged, result.removed, result.rejected) == (1, 1, 2, 1)
    assert run_sql("SELECT code, n FROM goods ORDER BY code") == [("a", 1), ("b", 2), ("e", 5)]


def test_several_files_are_one_input_and_each_reject_has_its_file(importing_by, run_sql):
    run_sql(TABLE)
    importing = importing_by(positive)
    for name, content in (("one.csv", "code,n\na,1\nb,-1\n"), ("two.csv", "n,code\n3,c\n-4,d\n")):
        importing.put(content, name)
    keys = sorted(file.key for file in importing.files.list("") if file.key.endswith(".csv"))
    job = importing.job_of(importing.strategy.Context(file_key=keys))
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)
    assert run_sql("SELECT code, n FROM goods ORDER BY code") == [("a", 1), ("c", 3)]
    header, *rejects = importing.rejects(job.result)
    assert header == "code,n,reject_line,reject_reason,reject_file"
    assert sorted(line.split(",")[2:4] for line in rejects) == [["3", "n: is below zero"]] * 2


def test_json_lines_whose_later_rows_have_further_keys(importing_by, run_sql):
    rows = [{"code": f"c{n}", "n": n} for n in range(3000)] + [{"code": "last", "n": 1, "more": 2.5}]
    importing = importing_by(lambda frame, job: frame.drop(columns="more", errors="ignore"), chunk_size=1000)
    run_sql(TABLE)
    result = importing("".join(json.dumps(row) + "\n" for row in rows), name="in.jsonl")
    assert (result.created, result.rejected) == (3001, 0)


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_a_run_goes_on_inside_a_batch_that_is_several_chunks(importing_by, run_sql, fails_at):
    run_sql(TABLE)

    def split(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(frame["n"] == 5, "n", "is five")
        frame["code"] = frame["code"].map(lambda code: [code, f"{code}x"])
        return frame[frame["n"] != 3].explode("code").astype({"code": "string[pyarrow]"})

    importing = importing_by(split, chunk_size=3)
    content = "code,n\n" + "".join(f"c{n},{n}\n" for n in range(9))
    job = importing.job(content)
    again = importing.broken_off(job, at=fails_at)
    assert run_sql("SELECT count(*), count(DISTINCT n), sum(n) FROM goods") == [(14, 7, 2 * (36 - 8))]
    assert (again.result.created, again.result.rejected, again.result.advancement_count) == (14, 1, 9)
    assert importing.rejects(again.result)[1:] == ["c5,5,7,n: is five"]


def test_a_corrected_rejects_file_goes_in_as_it_is(importing_by, run_sql):
    run_sql(TABLE)
    importing = importing_by(positive)
    result = importing("code,n\na,1\nb,-2\nc,-3\n")
    corrected = "\n".join(importing.rejects(result)).replace("'-2", "2").replace("-2", "2") + "\n"
    again = importing(corrected)
    assert (again.created, again.rejected) == (1, 1)
    assert run_sql("SELECT code, n FROM goods ORDER BY code") == [("a", 1), ("b", 2)]


def test_a_file_with_a_header_alone_and_one_without_a_header(importing_by, run_sql):
    run_sql(TABLE)
    assert importing_by(same)("code,n\n").created == 0
    named = importing_by(lambda frame, job: frame.rename(columns={"column_1": "code", "column_2": "n"}))
    assert named("a,1\nb,2\n", header=False).created == 2


def test_a_type_for_a_column_that_is_not_there_is_refused(importing_by, run_sql):
    run_sql(TABLE)
    with pytest.raises(Exception, match="types names m, which is not loaded; what is: code, n"):
        importing_by(same)("code,n\na,1\n", types={"m": "text"})


def test_a_column_of_the_file_may_have_the_name_of_the_index(importing_by, run_sql):
    run_sql("CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, line INTEGER)")
    importing = importing_by(lambda frame, job: frame.sort_values("line", ascending=False))
    assert importing("code,line\na,7\nb,8\n").created == 2
