"""What the file of a job would look like, asked while its context is still being made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import to_jsonable_python
from ulid import ULID

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.jobs.context import describe_wrong_values
from batch_jobs.flows.secret_fields.masking import MASK
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.context_fields import Names, named, texts
from batch_jobs.strategies.sdk.errors import ContextRefused, PermanentError, exits_as_errors
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.sample import FileSample

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from batch_jobs.flows.jobs.model import Job
    from batch_jobs.flows.jobs.store import JobStore
    from batch_jobs.strategies.sdk.files import FileStore
    from batch_jobs.strategies.sdk.registry import Registry

ROWS = 20


class Samples:
    """Looks at the beginning of files; nothing is written.

    Args:
        strategies: gives the strategies.
        target: gives the target.
        files: gives the file store.
        access: what jobs may do with the target.
        jobs: gives the job table.
    """

    def __init__(
        self,
        strategies: "Callable[[], Registry]",
        target: "Callable[[], Engine]",
        files: "Callable[[], FileStore]",
        access: TargetAccess,
        jobs: "Callable[[], JobStore]",
    ) -> None:
        self._strategies, self._target, self._files, self._access = strategies, target, files, access
        self._jobs = jobs

    def of(
        self, batch_type: str, context: Mapping[str, Any], tables: Sequence[str] | None = None, rows: int = ROWS
    ) -> FileSample | None:
        """How a job of this context would read its file.

        Whether the file may be read is for the caller to know, as when a job is created. What is wrong with a field is
        one of the sample's ``problems``, and the field counts as not given; what is still missing is no problem.

        Args:
            batch_type: of the job.
            context: as far as it is known.
            tables: those of the API key that asks, ``None`` where that is for all.
            rows: how many of the file to show.

        Returns:
            The sample, whose ``refusal`` says where the file cannot be read so; ``None`` where the type of job reads no
            file, or the context names none yet.

        Raises:
            StrategyUnknown: there is no such type.
        """
        strategy = self._strategies().get(batch_type)
        values, problems = _allowed(self._access, strategy.Context, context, tables)
        given, wrong = _as_far_as_given(strategy.Context, values)
        problems += wrong
        keys = named(strategy.Context, values, Names.FILE)
        if given is None or not keys:
            return FileSample(keys[0], refusal=problems[-1]) if keys else None
        try:
            sample = strategy.sample(self._job(strategy, given, tables), rows)
        except PermanentError as refused:
            return FileSample(keys[0], problems=problems, refusal=str(refused))
        if sample is None:
            return None
        problems += _refused(strategy, values) if not wrong else []
        return replace(sample, problems=list(dict.fromkeys([*problems, *sample.problems])))

    def job_before(self, batch_type: str, created_by: str, sample: FileSample) -> "Job | None":
        """The newest job of a type and a person whose file had the same columns.

        Args:
            batch_type: of the job.
            created_by: who created it, as jobs have it.
            sample: of the file now; the order of its columns makes no difference.
        """
        return self._jobs().of_header(batch_type, created_by, sample.header) if sample.columns else None

    def settings_of(self, job: "Job") -> dict[str, Any]:
        """What a job was given, as a proposal for the next one.

        Args:
            job: of a type that there is.

        Returns:
            The fields of its context that are not the model's defaults, without its file and its secrets.

        Raises:
            StrategyUnknown: there is no such type.
        """
        model = self._strategies().get(job.type).Context
        defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
        return {
            name: value
            for name, value in job.context.items()
            if name in defaults and not _is_own(model, name, value) and value != _json(defaults[name])
        }

    def secrets_of(self, job: "Job") -> list[str]:
        """The fields of a job that hold secrets, which nobody is shown; its source is one."""
        return [name for name, value in job.context.items() if any(text == MASK for _, text in texts(value))]

    def _job(self, strategy: BatchJobStrategy, context: BaseModel, tables: Sequence[str] | None) -> JobRun:
        target, job_id = self._target(), f"batch_{ULID()}"
        parts = JobParts(
            target, self._files(), CheckpointStore(target, job_id, token=1), access=self._access.of_key(tables)
        )
        return JobRun(JobIdentity(job_id, strategy.batch_type, context, dry_run=True), parts)


def _allowed(
    access: TargetAccess, model: type[BaseModel], context: Mapping[str, Any], tables: Sequence[str] | None
) -> tuple[dict[str, Any], list[str]]:
    """The context without the tables that may not be used, and why not."""
    values, refused = dict(context), []
    for name in [name for name, value in values.items() if named(model, {name: value}, Names.TABLE)]:
        try:
            access.check_names(model, {name: values[name]}, tables)
        except ContextRefused as error:
            refused.append(str(error))
            del values[name]
    return values, refused


def _as_far_as_given(model: type[BaseModel], values: dict[str, Any]) -> tuple[BaseModel | None, list[str]]:
    """A context in which what is missing or wrong is ``None`` or the default, and what is wrong.

    ``None`` where the values are only wrong together.
    """
    lenient = _lenient(model)
    wrong: list[str] = []
    known = {name: value for name, value in values.items() if value not in (None, "")}
    while True:
        try:
            return lenient.model_validate(known), wrong
        except ValidationError as error:
            places = {str(entry["loc"][0]) for entry in error.errors(include_url=False) if entry["loc"]}
            wrong.append(describe_wrong_values(error, lambda place: ".".join(map(str, place))))
            if not places & known.keys():
                return None, wrong
            known = {name: value for name, value in known.items() if name not in places}
        except (AttributeError, LookupError, TypeError):  # a check of the author's own that counts on all fields
            return None, [*wrong, "the fields that are still missing are needed to look at the file"]


@lru_cache
def _lenient(model: type[BaseModel]) -> type[BaseModel]:
    """The same model with nothing required."""
    required = {name: field for name, field in model.model_fields.items() if field.is_required()}
    fields: dict[str, Any] = {name: (Optional[field.annotation], None) for name, field in required.items()}  # noqa: UP045  # mypy
    return create_model(model.__name__, __base__=model, **fields) if fields else model


def _refused(strategy: BatchJobStrategy, values: dict[str, Any]) -> list[str]:
    """Why a job of a whole context would not be created, if so."""
    try:
        with exits_as_errors():
            strategy.prepare(strategy.Context.model_validate(values))
    except ValidationError:  # something is still missing
        return []
    except PermanentError as refused:
        return [str(refused)]
    return []


def _is_own(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a field is of one job alone: its file, where that is fetched from, and what is secret."""
    names = (named(model, {name: value}, kind) for kind in (Names.FILE, Names.SOURCE))
    return any(names) or any(text == MASK for _, text in texts(value))


def _json(value: Any) -> Any:
    return to_jsonable_python(value, fallback=str)
