"""A schema of the rows that a strategy returns: each bad cell is a reject with its reason."""

import pandas as pd
import pandera.pandas as pandera
import pytest
from pydantic import BaseModel, Field

from batch_jobs.strategies.sdk.errors import JobRefused

TABLE = "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, price DOUBLE PRECISION, stock INTEGER)"
CONTENT = "code,price,stock\na,1e0,1\nb,-2e0,2\nc,3e0,\nd,-4e0,-4\ne,5e0,5\n"


class Row(BaseModel):
    code: str
    price: float = Field(gt=0)
    stock: int = Field(ge=0)


SCHEMAS = {
    "pandera": pandera.DataFrameSchema({
        "price": pandera.Column(float, pandera.Check.gt(0)), "stock": pandera.Column(int, pandera.Check.ge(0)),
    }),
    "pydantic": Row,
}  # fmt: skip
REASONS = {
    "pandera": [
        "b,-2e0,2,3,price: '-2' is not as the schema says: greater_than(0)",
        'c,3e0,,4,"stock: is empty, which the schema does not allow"',
        "d,-4e0,-4,5,price: '-4' is not as the schema says: greater_than(0); stock: '-4' is not as the schema says: "
        "greater_than_or_equal_to(0)",
    ],
    "pydantic": [
        "b,-2e0,2,3,price: '-2.0': Input should be greater than 0",
        "c,3e0,,4,stock: 'None': Input should be a valid integer",
        "d,-4e0,-4,5,price: '-4.0': Input should be greater than 0; "
        "stock: '-4': Input should be greater than or equal to 0",
    ],
}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_cell_that_is_not_as_the_schema_says_is_a_reject(importing_by, run_sql, kind):
    run_sql(TABLE)
    importing = importing_by(lambda frame, job: frame, schema=SCHEMAS[kind])
    preview = importing.preview(CONTENT)
    result = importing(CONTENT)
    assert (
        (result.created, result.rejected)
        == (2, 3)
        == (preview.plan["counts"]["create"], preview.plan["counts"]["reject"])
    )
    assert [line.replace("'", "") for line in importing.rejects(result)[1:]] == [
        line.replace("'", "") for line in REASONS[kind]
    ]  # formulas are neutralised in the rejects file
    assert run_sql("SELECT code FROM goods ORDER BY code") == [("a",), ("e",)]


def test_a_frame_that_lacks_what_the_schema_has_is_refused(importing_by, run_sql):
    run_sql(TABLE)
    importing = importing_by(lambda frame, job: frame.drop(columns="price"), schema=SCHEMAS["pandera"])
    with pytest.raises(JobRefused, match="the frame is not as its schema says: column_in_dataframe price"):
        importing(CONTENT)


def test_a_schema_that_coerces_changes_the_values(importing_by, run_sql):
    run_sql(TABLE)
    coercing = pandera.DataFrameSchema({"stock": pandera.Column(int, nullable=False)}, coerce=True)
    importing = importing_by(lambda frame, job: frame.assign(stock=frame["stock"] * 1.0), schema=coercing)
    result = importing(CONTENT)
    assert (result.created, result.rejected) == (4, 1)


def test_a_schema_of_another_kind_is_refused_when_the_strategy_is_defined(importing_by):
    with pytest.raises(TypeError, match="schema"):
        importing_by(lambda frame, job: frame, schema=pd.DataFrame)
