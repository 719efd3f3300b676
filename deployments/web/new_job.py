"""The form of a new job: its context, whether it looks first, when it starts, in how many partitions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError
from starlette.datastructures import FormData, QueryParams

from batch_jobs.deployments.api.errors import FileGone
from batch_jobs.deployments.api.schemas import CreateJob
from batch_jobs.deployments.web.forms import WHOLE, ContextForm, Errors
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.undos import UNDO
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import Names
from batch_jobs.strategies.sdk.errors import ContextRefused, FileKeyUnsafe, FileMissing
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS

#: The form's own fields, beside those of the context.
START_AT, TIME_ZONE, PARTITIONS, DRY_RUN, KEY = "start_at", "time_zone", "partitions", "dry_run", "key"
OWN = (START_AT, PARTITIONS)


class NewJobForm:
    """What was chosen and entered so far, and what of it is wrong.

    Args:
        strategy: of the job.
        context: the form of its context.
        key: by which sending the form twice makes one job.
    """

    def __init__(self, strategy: BatchJobStrategy, context: ContextForm, key: str) -> None:
        self.strategy = strategy
        self.context = context
        self.key = key
        self.entries: Mapping[str, list[str]] = context.entries({})
        self.own: dict[str, str] = dict.fromkeys((*OWN, TIME_ZONE), "")
        self.errors: Errors = {}
        self.own_errors: Errors = {}
        #: What imports or takes back is looked at first.
        self.dry_run = bool(context.naming(Names.FILE)) or strategy.batch_type == UNDO

    @property
    def has_partitions(self) -> bool:
        """Whether such a job may be cut into partitions."""
        return type(self.strategy).partition is not BatchJobStrategy.partition

    @property
    def most_partitions(self) -> int:
        """The largest number of them."""
        return MOST_PARTITIONS

    @property
    def opens_others(self) -> bool:
        """Whether something stands in a field that is not always shown."""
        given = self.context.entries({})
        return any(self.entries[one.key] != given[one.key] or one.key in self.errors for one in self.context.others)

    @property
    def first_wrong(self) -> str:
        """The first field with an error, as they stand in the form."""
        fields = [*self.context.first, *self.context.others]
        wrong = [one.id for one in fields if one.key in self.errors] + [f"field-{name}" for name in self.own_errors]
        return wrong[0] if wrong else ""

    def take_job(self, job: Job) -> None:
        """Fill it with a job's settings, but for its secrets."""
        self.entries = self.context.entries(job.context)
        self.dry_run = job.dry_run
        self.own[PARTITIONS] = str(job.partitions or "")

    def take_query(self, query: QueryParams) -> None:
        """Fill it with what an address names."""
        self.entries = {**self.entries, **self.context.named_in(query)}

    def take_form(self, data: FormData) -> CreateJob | None:
        """Take what was sent; returns the job that is wanted, ``None`` where something is wrong."""
        self.entries = self.context.entered(data)
        self.own = {name: _last(data, name).strip() for name in (*OWN, TIME_ZONE)}
        self.dry_run = _last(data, DRY_RUN) != "no"
        self.key = _last(data, KEY) or self.key
        context, self.errors = self.context.parse(data)
        wanted = self._wanted(context)
        return None if self.errors or self.own_errors else wanted

    def take_refusal(self, error: Exception, message: str) -> None:
        """Show why there is no job: at the field that it is about, where that is known."""
        if isinstance(error, ContextRefused):
            self.errors = self.context.wrong(error)
            return
        files = self.context.naming(Names.FILE) if isinstance(error, FileGone | FileMissing | FileKeyUnsafe) else []
        self.errors = {files[0].key if len(files) == 1 else WHOLE: [message]}

    def _wanted(self, context: dict[str, Any]) -> CreateJob | None:
        given = {"type": self.strategy.batch_type, "context": context, "dry_run": self.dry_run}
        partitions = self.own[PARTITIONS]
        try:
            return CreateJob.model_validate(
                given
                | {PARTITIONS: int(partitions) if partitions.isdecimal() else partitions or None}
                | {START_AT: self._start_at()}
            )
        except ValidationError as error:
            for entry in error.errors(include_url=False, include_input=False, include_context=False):
                name, message = str(entry["loc"][0]), str(entry["msg"]).removeprefix("Value error, ")
                errors = self.own_errors if name in OWN else self.errors
                errors.setdefault(name if name in OWN else WHOLE, []).append(message)
        return None

    def _start_at(self) -> str | None:
        """A browser's picker has no zone: it is the reader's own where the page knows it, else this machine's."""
        text, named = self.own[START_AT], self.own[TIME_ZONE]
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
            zone = ZoneInfo(named) if named else None
        except (ValueError, ZoneInfoNotFoundError, OSError):
            return f"{text} {named}"  # which is refused in words
        if at.tzinfo is not None:
            return text
        return (at.replace(tzinfo=zone) if zone else at.astimezone()).isoformat()


def _last(data: FormData, name: str) -> str:
    texts = [text for text in data.getlist(name) if isinstance(text, str)]
    return texts[-1] if texts else ""
