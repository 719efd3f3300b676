"""What `check_transform` finds out about a strategy's `transform`."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from batch_jobs.strategies import ContextRefused, FrameChunk, FrameImport, JobRun
from batch_jobs.strategies.tables.frames.rows import LINE
from batch_jobs.strategies.tables.frames.transforming import TransformFailed
from batch_jobs.testing import Files, check_transform
from support.frames import TEXTS

pytest_plugins = ["batch_jobs.testing"]

Transform = Callable[[Any, pd.DataFrame, JobRun], pd.DataFrame]
GIVEN = pd.DataFrame({"code": [f"A{number:02}" for number in range(20)], "net": [float(n) for n in range(20)]})


def strategy(transform: Transform) -> FrameImport:
    class Prices(FrameImport):
        """Load prices."""

        identifier, batch_type = "prices-strategy", "prices"
        table, key = "prices", ["code"]

        class Context(FrameImport.Context):
            vat: float = 0.25

    Prices.transform = transform  # type: ignore[method-assign]
    return Prices()


def gross(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    frame["price"] = frame["net"] * (1 + job.context.vat)
    job.reject_rows(frame["net"] == 3, "net", "is three")
    return frame[frame["net"] != 5]


def twice_each(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return pd.concat([frame, frame.assign(code=frame["code"] + "-b")])


def without_order(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.sort_values("net", ascending=False)


@pytest.mark.parametrize("transform", [gross, twice_each, without_order])
def test_a_pure_transform_passes(transform: Transform):
    check_transform(strategy(transform), {}, GIVEN)


def by_chance(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.assign(price=random.random())


def remembering(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    seen = self.__dict__.setdefault("seen", set())
    job.reject_rows(frame["code"].isin(seen), "code", "was there before")
    seen |= set(frame["code"])
    return frame


def by_rank(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.assign(rank=range(len(frame)))


def by_mean(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    job.reject_rows(frame["net"] > 1.5 * frame["net"].mean(), "net", "is far above the others")
    return frame


def first_of_each_letter(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame[~frame["code"].str[:1].duplicated()]


def without_index(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.merge(pd.DataFrame({"code": ["A01", "A02"], "name": ["one", "two"]}), on="code")


def wide(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.assign(**{f"is_{code}": True for code in frame["code"]})


def of_python(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.assign(net=[int(net) if len(frame) == 1 else net for net in frame["net"]])


def of_no_rows(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame if len(frame) else pd.DataFrame({"code": []})


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (by_chance, r"is not pure: line 2 has price 0\.\d+ at first, and has price 0\.\d+ when it is called"),
        (remembering, r"is not pure: line 2 is not refused at first, and is refused \(code: was there before"),
        (by_rank, "depends on how the rows are cut .*: line 3 has rank 1 with all rows at once, and has rank 0"),
        (by_mean, r"line 17 is refused \(net: is far above the others\) with all rows at once, and is not refused"),
        (first_of_each_letter, "line 3 is made into 0 rows with all rows at once, and is made into 1 row"),
        (without_index, "does not keep the index: row 1 of what it returns says 0 there, and it was given line 2 to"),
        (wide, "gives other columns for a part of the rows: code, is_A00, .* with all rows at once, code, is_A"),
        (of_python, r"gives a column other types .*: net is double with all rows at once, int64 for line \d+"),
        (of_no_rows, "gives other columns for a part of the rows: code, net with all rows at once, code for no rows;"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_said_in_one_line_and_for_which_line(transform: Transform, said: str):
    with pytest.raises(AssertionError, match=f"^Prices.transform .*{said}") as raised:
        check_transform(strategy(transform), {}, GIVEN)

    assert "\n" not in str(raised.value)


def test_a_file_is_read_as_the_job_reads_it(files: Files):
    def one_by_one(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        types = frame.dtypes.astype(str).to_dict()
        assert types == {"code": TEXTS, "day": "date32[day][pyarrow]", "net": "int64[pyarrow]"}
        return frame.assign(late=frame["day"].astype(str) + str(len(frame)))

    key = files.add("prices.csv", "code;day;net\n007;01.12.2026;1\nnone;yes;2\n008;02.12.2026;3\n")
    context = {"file_key": key, "date_format": "%d.%m.%Y", "types": {"day": "date"}}

    with pytest.raises(
        AssertionError, match=r"line 2 has late '2026-12-012' with all .* late '2026-12-011' in a chunk"
    ):
        check_transform(strategy(one_by_one), context, files)
    with pytest.raises(ContextRefused, match="file_key is missing"):
        check_transform(strategy(one_by_one), {}, files)


def test_rows_that_a_strategy_fetches_are_checked_too(files: Files):
    class Fetched(FrameImport):
        """Load rows from elsewhere."""

        identifier, batch_type = "fetched-strategy", "fetched"
        table = "fetched"
        transform = by_rank  # type: ignore[assignment]

        def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
            for page in range(after or 0, 3):
                yield FrameChunk(pd.DataFrame({"number": [page, None if page == 2 else 7]}), page + 1)

    with pytest.raises(AssertionError, match=r"^Fetched.transform depends on .*: line 2 has rank 1 with all rows"):
        check_transform(Fetched(), {}, files)


def test_lines_of_a_frame_are_those_that_its_index_says():
    given = GIVEN.set_axis(pd.RangeIndex(100, 120, name=LINE))

    with pytest.raises(AssertionError, match="line 101 has rank 1 with all"):
        check_transform(strategy(by_rank), None, given)


def test_a_frame_has_the_types_of_a_job():
    def textual(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        assert frame.dtypes.astype(str).to_list() == [TEXTS, "double[pyarrow]"]
        assert frame["code"].isna().tolist() == [code is None for code in frame["code"].tolist()]
        return frame

    with pytest.raises(TransformFailed, match="AssertionError"):
        check_transform(strategy(textual), {}, GIVEN.assign(net="text"))
    check_transform(strategy(textual), {}, GIVEN)


def test_a_transform_may_read_the_target(target: Any):
    def named(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        with job.target.connect() as connection:
            return frame.assign(name=connection.scalar(text("SELECT name FROM names")))

    with target.begin() as connection:
        connection.execute(text("CREATE TABLE names (name VARCHAR(10))"))
        connection.execute(text("INSERT INTO names VALUES ('one')"))

    check_transform(strategy(named), {}, GIVEN, target=target)


def test_a_strategy_that_reads_no_file_is_checked_with_rows(files: Files):
    from batch_jobs.strategies.table_export import TableExport

    with pytest.raises(TypeError, match="TableExport reads no file"):
        check_transform(TableExport(), {"table": "names"}, files)
