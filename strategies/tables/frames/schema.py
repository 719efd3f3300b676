"""What a strategy's ``schema`` says of its rows: one of pandera's for frames, or a pydantic model of a row."""

from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.frames.making import arrow_of
from batch_jobs.strategies.tables.frames.rows import FrameRows
from batch_jobs.strategies.tables.values.arrays import quoted


def checked_by(schema: Any, frame: pd.DataFrame, rows: FrameRows) -> pd.DataFrame:
    """The rows that are as the schema says; each cell of others is a reject with its reason.

    Args:
        schema: a ``DataFrameSchema`` or ``DataFrameModel`` of pandera's, a pydantic model of a row, or ``None``.
        frame: to check.
        rows: takes what is refused.

    Returns:
        The frame; with values that pandera changed, where the schema coerces.

    Raises:
        JobRefused: the frame as a whole is not as the schema says, such as by its columns.
    """
    if schema is None:
        return frame
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        _check_each(schema, frame, rows)
        return frame
    return _validated(schema, frame, rows)


def _validated(schema: Any, frame: pd.DataFrame, rows: FrameRows) -> pd.DataFrame:
    from pandera.errors import SchemaErrors  # an extra

    try:
        validated: pd.DataFrame = schema.validate(frame, lazy=True)
        return validated
    except SchemaErrors as errors:
        failures = errors.failure_cases
    whole = failures[failures["index"].isna()]
    if len(whole):
        said = "; ".join(dict.fromkeys(_of_the_frame(failure) for failure in whole.to_dict("records")))
        raise JobRefused(f"the frame is not as its schema says: {said}")
    for failure in failures.drop_duplicates(["index", "column", "check"]).to_dict("records"):
        column = None if pd.isna(failure["column"]) else str(failure["column"])
        rows.refuse(pd.Index([failure["index"]], name=frame.index.name), column, _reason(failure))
    return _validated(schema, frame[~frame.index.isin(failures["index"])], rows)


def _reason(failure: dict[str, Any]) -> str:
    if pd.isna(failure["failure_case"]):
        return "is empty, which the schema does not allow"
    value = failure["failure_case"]
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{quoted(shown)} is not as the schema says: {failure['check']}"


def _of_the_frame(failure: dict[str, Any]) -> str:
    """A failure that no row is to blame for: a column that is missing, or of another type."""
    column = failure["column"] if isinstance(failure["column"], str) else ""
    return " ".join(str(part) for part in (column, failure["check"], failure["failure_case"]) if part).strip()


def _check_each(model: type[BaseModel], frame: pd.DataFrame, rows: FrameRows) -> None:
    columns = {str(name): arrow_of(series, str(name)) for name, series in frame.items()}
    for label, row in zip(frame.index, pa.table(columns).to_pylist(), strict=True):
        try:
            model.model_validate(row)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                column = str(one["loc"][0]) if one["loc"] else None
                reason = f"{quoted(str(one['input']))}: {one['msg']}"
                rows.refuse(pd.Index([label], name=frame.index.name), column, reason)
