"""The bodies of requests, checked as Medusa's validator does: no unknown field, no conversion."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from batch_jobs.deployments.time_parsing import moment

DEEPEST = 32  # levels of a context


class Body(BaseModel):
    """A body that has nothing but its fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _storable(value: Any, level: int = 0) -> Any:
    """Refuse what JSON may hold and a database cannot."""
    if level > DEEPEST:
        raise ValueError(f"must not be deeper than {DEEPEST} levels")
    if isinstance(value, str) and not _is_text(value):
        raise ValueError("must not contain NUL or half characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain numbers that are not finite")
    for part in _parts(value):
        _storable(part, level + 1)
    return value


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _moment(value: Any) -> datetime | None:
    try:
        return None if value is None else moment(value)
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31T12:00:00Z") from None


Text = Annotated[str, AfterValidator(_storable)]


class CreateJob(Body):
    """What a job is made from."""

    type: Text = Field(max_length=255, description="The strategy's batch type.", examples=["table-export"])
    context: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(
        description="The strategy's parameters; `GET /admin/batch-jobs/strategies` has their schema.",
        examples=[{"table": "products"}],
    )
    dry_run: bool = Field(False, description="Look at the input, then wait for `confirm`.")
    start_at: Annotated[datetime | None, BeforeValidator(_moment)] = Field(
        None, description="When it is to start; at once by default.", examples=["2026-01-31T22:00:00Z"]
    )


class FileKey(Body):
    """Names a file."""

    file_key: Text = Field(
        max_length=512, description="The file's key.", examples=["uploads/01KB3V5W7Q0000000000000000/products.csv"]
    )
