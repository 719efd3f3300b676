"""The JSON of requests and answers: bodies checked as Medusa v1's validator does, jobs in its fields and some more."""

import json
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.errors import InputWrong, WrongMediaType, wrong_fields
from batch_jobs.deployments.time_parsing import parse_time
from batch_jobs.flows.access.uploads import Upload
from batch_jobs.flows.jobs.context import checked_partitions
from batch_jobs.flows.jobs.model import Job, JobEvent
from batch_jobs.flows.jobs.queries import TIME_COLUMNS
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS
from batch_jobs.strategies.sdk.result import JobResult

DEEPEST = 32  # levels of a context
MOST_ROWS = 10_000  # corrected ones in a body; a file may have any number
MOST_VALUES = 50_000  # of a context with its names; to look at one and to refuse one takes time


class Body(BaseModel):
    """A body that has nothing but its fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _bounded(context: dict[str, Any]) -> dict[str, Any]:
    """Refuse a context of too many values, before anybody looks at each."""
    left = MOST_VALUES
    waiting: list[Any] = [context]
    while waiting:
        parts = _parts(waiting.pop())
        left -= len(parts)
        if left < 0:
            raise ValueError(f"must not have more than {MOST_VALUES} values")
        waiting += [part for part in parts if isinstance(part, Mapping | list)]
    return context


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


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:  # half a character
        return False


def _parse_time(value: Any) -> datetime | None:
    try:
        return None if value is None else parse_time(value)
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31T12:00:00Z") from None


Text = Annotated[str, AfterValidator(_storable)]


class CreateJob(Body):
    """What a job is made from."""

    type: Text = Field(max_length=255, description="The strategy's batch type.", examples=["table-export"])
    context: Annotated[dict[str, Any], AfterValidator(_bounded), AfterValidator(_storable)] = Field(
        description="The strategy's parameters; `GET /admin/batch-jobs/strategies` has their schema.",
        examples=[{"table": "products"}],
    )
    dry_run: bool = Field(False, description="Look at the input, then wait for `confirm`.")
    start_at: Annotated[datetime | None, BeforeValidator(_parse_time)] = Field(
        None, description="When it is to start; at once by default.", examples=["2026-01-31T22:00:00Z"]
    )
    partitions: Annotated[int | None, BeforeValidator(checked_partitions)] = Field(
        None,
        ge=1,
        le=MOST_PARTITIONS,
        description="How many partitions are worked on at a time, of a type that is cut into some; the setting's"
        " number by default.",
        examples=[4],
    )


class UndoJob(Body):
    """How a job is undone; an empty body means what is here by default."""

    force: bool = Field(False, description="Take changes back too that others have written over since.")
    dry_run: bool = Field(True, description="Look at what will be put back, then wait for `confirm`.")

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value


class Confirm(Body):
    """What of a job is confirmed."""

    leave_out: Annotated[LeaveOut | None, Field(strict=False)] = Field(
        None, description="The parts that are left out; nothing by default."
    )


class CorrectedRow(Body):
    """A refused row with cells as they should be."""

    line: int = Field(ge=1, description="The line that it begins on.", examples=[3])
    file: Text | None = Field(None, max_length=512, description="The input file, where there are several.")
    cells: Annotated[dict[str, str | None], AfterValidator(_storable)] = Field(
        description="The corrected cells by column; `null` is an empty one.", examples=[{"price": "2.50"}]
    )


class Correct(Body):
    """Corrected rows: as they are here, or in a file."""

    rows: list[CorrectedRow] | None = Field(None, max_length=MOST_ROWS, description="The rows that are corrected.")
    file_key: Text | None = Field(
        None, max_length=512, description="Instead: the key of the rejects file with its cells corrected."
    )
    dry_run: bool = Field(
        False, description="Wait for `confirm`; where a job that waits is corrected, the new one waits too."
    )


class FileKey(Body):
    """Names a file."""

    file_key: Text = Field(
        max_length=512, description="The file's key.", examples=["uploads/01KB3V5W7Q0000000000000000/products.csv"]
    )


BodyOf = TypeVar("BodyOf", bound=Body)


def parse_body(form: type[BodyOf], text: bytes, content_type: str) -> BodyOf:
    """Read a body.

    Args:
        form: what it has to be.
        text: its bytes.
        content_type: the request's.

    Raises:
        InputWrong: in Medusa's words: it is no JSON, or has not this form.
        WrongMediaType: it does not say that it is JSON.
    """
    if text and not _is_json(content_type):
        raise WrongMediaType("a body is read as JSON only; send it with Content-Type: application/json")
    try:
        return form.model_validate(_parse_json(text) if text else None)
    except ValidationError as error:
        entries = ({**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_input=False))
        raise InputWrong(wrong_fields(entries)) from None


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise InputWrong(f"the body is too deep; a context may have {DEEPEST} levels") from None
    except UnicodeDecodeError:
        raise InputWrong("the body is not UTF-8") from None
    except json.JSONDecodeError:
        raise InputWrong("the body is not JSON") from None
    except ValueError:  # the one other that it raises
        digits = sys.get_int_max_str_digits()
        raise InputWrong(f"a whole number in the body may have at most {digits} digits") from None


def _is_json(content_type: str) -> bool:
    kind, _, subtype = content_type.partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


#: The columns of Medusa's batch job, in its order.
MEDUSA_FIELDS = (
    "id",
    "created_at",
    "updated_at",
    "deleted_at",
    "type",
    "created_by",
    "context",
    "result",
    "dry_run",
    "pre_processed_at",
    "confirmed_at",
    "processing_at",
    "completed_at",
    "canceled_at",
    "failed_at",
    "status",
)
#: What we know beside it.
MORE_FIELDS = ("attempt", "trigger", "start_at", "paused_at", "partitions", "belongs_to")
FIELDS = (*MEDUSA_FIELDS, *MORE_FIELDS)
#: Shown whatever ``fields`` asks for; Medusa computes two of them wrongly then (section 5 of its description).
ALWAYS = frozenset({"id", "created_at", "status", "dry_run"})


def format_time(at: datetime | None) -> str | None:
    """A time as JavaScript writes it: UTC, milliseconds, Z."""
    return None if at is None else f"{at.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def job_json(job: Job, caller: Caller | None, fields: Collection[str] = FIELDS) -> dict[str, Any]:
    """A job with some of its fields.

    Args:
        job: the job.
        caller: who is shown it; traces of errors are for administrators, and where partitions run is for those who may
            read files. ``None`` sees what an operator does.
        fields: which ones.
    """
    return {name: _shown(job, name, caller) for name in FIELDS if name in fields or name in ALWAYS}


def user_json(job: Job) -> dict[str, Any] | None:
    """What Medusa's ``expand=created_by_user`` adds: the holder of the key, of whom only the name is known."""
    if job.created_by is None:
        return None
    unknown = ("created_at", "updated_at", "deleted_at", "email", "first_name", "last_name", "api_token", "metadata")
    return {"id": job.created_by, "role": "member", **dict.fromkeys(unknown)}


def event_json(event: JobEvent) -> dict[str, Any]:
    """One step of a job's history."""
    return {**event.model_dump(mode="json"), "at": format_time(event.at)}


def upload_json(upload: Upload) -> dict[str, Any]:
    """An upload in a list."""
    at = format_time(upload.created_at)
    return {"key": upload.key, "size": upload.size, "owner": upload.owner, "created_at": at}


def _shown(job: Job, name: str, caller: Caller | None) -> Any:
    present = _FORMS.get(name)
    if present:
        return present(job)
    return _result(job, caller) if name == "result" else getattr(job, name)


def _result(job: Job, caller: Caller | None) -> dict[str, Any] | None:
    if job.status is Status.CREATED and job.result == JobResult():
        return None  # as Medusa's until something was found
    found = job.result.model_dump(exclude_none=True)
    if caller is None or not (caller.may(Right.EVERYBODYS) and caller.may(Right.FILES)):
        found["errors"] = [{**entry, "err": None} for entry in found["errors"]]
    if caller is not None and not caller.may(Right.FILES):
        for entry in found.get("partitions", ()):
            entry.pop("where", None)
    return found


def _time(name: str) -> Callable[[Job], Any]:
    return lambda job: format_time(getattr(job, name))


_FORMS: Mapping[str, Callable[[Job], Any]] = {name: _time(name) for name in (*TIME_COLUMNS, "start_at", "deleted_at")}
