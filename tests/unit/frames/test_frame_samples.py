"""A sample of a file for a strategy in pandas shows what the strategy makes of its first rows."""

from typing import Any

import pandas as pd
import pytest

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from support.importing import Importing


class Gross(FrameImport):
    """Prices with tax."""

    identifier, batch_type = "gross-strategy", "gross"
    table, key = "gross", ("code",)

    def transform(self, frame: pd.DataFrame, job: Any) -> pd.DataFrame:
        job.reject_rows(frame["net"] < 0, "net", "is below zero")
        frame = frame[frame["net"] >= 0]
        return pd.DataFrame({"code": frame["code"], "gross": frame["net"] * 2}, index=frame.index)


class Broken(Gross, abstract=True):
    """A typing mistake."""

    identifier, batch_type = "broken-strategy", "broken"

    def transform(self, frame: pd.DataFrame, job: Any) -> pd.DataFrame:
        return frame[["nett"]]


def sampled(importing: Importing, strategy: FrameImport, content: str) -> Any:
    importing.strategy = strategy
    return strategy.sample(importing.job(content), 20)


def test_the_rows_that_are_made_stand_beside_the_cells(importing: Importing):
    found = sampled(importing, Gross(), "code,net,note\nA,2,x\nB,-1,y\nC,4,\n")
    assert [(one.name, one.target) for one in found.columns] == [("code", "code"), ("net", None), ("note", None)]
    assert [one.name for one in found.target_columns] == ["code", "gross"]
    assert [cell.raw for cell in found.rows[0].cells] == ["A", "2", "x"]
    made = [[{name: cell.value for name, cell in row.items()} for row in one.made] for one in found.rows]
    assert made == [[{"code": "A", "gross": "4"}], [], [{"code": "C", "gross": "8"}]]
    assert [cell.problem for cell in found.rows[1].cells] == [None, "is below zero", None]


def test_a_transform_that_fails_is_a_line(importing: Importing):
    with pytest.raises(JobRefused, match=r"Broken.transform failed on line \d+ of test_frame_samples.py: .*nett"):
        sampled(importing, Broken(), "code,net\nA,1\n")
