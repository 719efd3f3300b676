"""A job as its views show it: what may be done to it now, and what is said of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Any

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.schemas import job_json
from batch_jobs.deployments.web.choices import Choice, Choices
from batch_jobs.deployments.web.forms import ContextForm
from batch_jobs.flows.errors import NotUndoable
from batch_jobs.flows.jobs.confirm_by_other import removed_rows
from batch_jobs.flows.jobs.model import Job, JobEvent
from batch_jobs.flows.jobs.partitions import rest_text, to_show
from batch_jobs.flows.jobs.plan import Section, sections
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status
from batch_jobs.flows.jobs.undos import UNDO, UNDONE, shown_plan
from batch_jobs.strategies.sdk.leaving_out import FOUND, LeaveOut
from batch_jobs.strategies.sdk.result import ErrorEntry, PartitionEntry

#: What a visitor may ask for beside a confirmation, in the order of the buttons.
ASKED = (Action.RESUME, Action.RETRY, Action.PAUSE, Action.CANCEL)
SHOWN_ERRORS = 5
SHOWN_EVENTS = 200
#: Parts of a plan: what a person decides by, and what says how the file was read or whether it is the same still.
TO_DECIDE_BY = ("sample", "rejects")
TECHNICAL = ("checksum", "total", "files", "file", "options", "key", "counts", "leave_out", "job", "force", "forced")


@dataclass(frozen=True)
class Setting:
    """A setting of a job: what it is called, and whether its value is the one by default."""

    label: str
    value: Any
    is_default: bool


@dataclass(frozen=True)
class ShownJob:
    """A job, and who looks at it.

    Args:
        api: has what belongs to the job.
        job: the job.
        caller: looks at it.
        rows_per_second: over the last seconds, ``None`` where that is not known.
    """

    api: Api
    job: Job
    caller: Caller
    rows_per_second: float | None = None

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """What the API shows of its result."""
        return job_json(self.job, self.caller, ["result"])["result"] or {}

    @cached_property
    def context(self) -> Mapping[str, Any]:
        """Its settings as the API shows them: secrets are masked."""
        context: Mapping[str, Any] = job_json(self.job, self.caller, ["context"])["context"]
        return context

    @cached_property
    def settings(self) -> Sequence[Setting]:
        """Its settings that say something, by the names that forms have for them."""
        strategy = self.api.strategies.by_type.get(self.job.type)
        fields = (
            {} if strategy is None else {one.key: one for one in ContextForm(strategy.Context, may_query=True).fields}
        )
        given = {name: value for name, value in self.context.items() if value not in (None, "", [], {})}
        return [
            Setting(fields[name].label, value, value == fields[name].default)
            if name in fields
            else Setting(name, value, False)
            for name, value in given.items()
        ]

    @property
    def stamp(self) -> str:
        """Another one as soon as the job is another."""
        return f"{self.job.version}.{self.job.updated_at.timestamp():.6f}"

    # What may be done to it.

    @property
    def may_change(self) -> bool:
        """Whether the visitor may do anything to it."""
        return self.caller.may(Right.CHANGE)

    @property
    def may_see_files(self) -> bool:
        """Whether the visitor sees its plan, files and log."""
        return self.caller.may(Right.FILES)

    @property
    def actions(self) -> Sequence[Action]:
        """What the visitor can do to it now, beside confirming it."""
        moves = TRANSITIONS[self.job.status] if self.may_change else {}
        return [action for action in ASKED if moves.get(action, self.job.status) is not self.job.status]

    @cached_property
    def asks_other(self) -> str | None:
        """Why it is not this visitor who may confirm it, ``None`` where they may."""
        return self.api.service.why_not_confirm(self.job, self.caller.name) if self.job.awaits_confirmation else None

    @property
    def confirmable_until(self) -> datetime | None:
        """When it is canceled unless somebody confirms it."""
        seconds = timedelta(seconds=self.api.settings.confirm_timeout)
        return self.job.pre_processed_at + seconds if self.job.pre_processed_at else None

    @property
    def is_too_late(self) -> bool:
        """Whether nobody can confirm it any more, though it waits yet."""
        until = self.confirmable_until
        return until is not None and until < datetime.now(UTC)

    @property
    def removed_rows(self) -> int:
        """How many rows it removes at most: who confirms it has to type that."""
        return 0 if "removed" in self.choice.leave_out.kinds else removed_rows(self.job.plan)

    @cached_property
    def choice(self) -> Choice:
        """What of it is ticked to be left out while it waits."""
        waits = self.job.awaits_confirmation and self.may_see_files
        return Choices(self.api.files).of(self.job.id) if waits else Choice(LeaveOut())

    @property
    def choice_stamp(self) -> str:
        """Another one for another choice: what is confirmed has to be what was shown."""
        return blake2b(json.dumps(self.choice.leave_out.as_json()).encode(), digest_size=8).hexdigest()

    @property
    def can_be_made_anew(self) -> bool:
        """Whether the visitor can make a job of the same settings."""
        known = self.job.type in self.api.strategies.by_type and self.job.type != UNDO
        return known and self.may_change and self.caller.may_type(self.job.type)

    # How it goes.

    @property
    def is_running(self) -> bool:
        """Whether something happens to it without a person."""
        return not self.job.needs_a_person

    @property
    def starts_later(self) -> bool:
        """Whether its time has not come."""
        at = self.job.start_at
        return self.job.status is Status.CREATED and at is not None and at > datetime.now(UTC)

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at the speed of the last seconds; ``None`` where that is not known."""
        count, speed = self.job.result.count, self.rows_per_second
        if self.job.status is not Status.PROCESSING or count is None or not speed:
            return None
        return max(0.0, (count - self.job.result.advancement_count) / speed)

    @property
    def partitions(self) -> Sequence[PartitionEntry]:
        """A few of its partitions: those that somebody has to look at."""
        return to_show(self.job.result.partitions)

    @property
    def other_partitions(self) -> str:
        """How many more there are."""
        return rest_text(self.job.result.partitions, self.partitions)

    @property
    def errors(self) -> Sequence[ErrorEntry]:
        """Its last errors, without traces where the visitor is not to see them."""
        entries = self.result.get("errors", [])[-SHOWN_ERRORS:]
        return [ErrorEntry.model_validate(entry) for entry in entries] if self.job.status is Status.FAILED else []

    @cached_property
    def events(self) -> Sequence[JobEvent]:
        """Its last steps, oldest first."""
        return self.api.service.events(self.job.id)[-SHOWN_EVENTS:]

    @property
    def why_failed(self) -> str | None:
        """The last reason in its history, where no error says the same: a process that was killed could write none."""
        if self.job.status is not Status.FAILED:
            return None
        why = next((event.why for event in reversed(self.events) if event.to_status is Status.FAILED), None)
        return why if why not in [entry.message for entry in self.errors] else None

    # What it found and left.

    @cached_property
    def whole_plan(self) -> Mapping[str, Any]:
        """What its preview found, as the API shows it; nothing for those to whom it does not."""
        return shown_plan(self.job, self.api.visible(self.caller)) if self.may_see_files else {}

    @property
    def plan(self) -> Sequence[Section]:
        """The same as tables, what a person decides by first; without what only machines compare."""
        names = sorted(self.whole_plan, key=lambda name: name not in TO_DECIDE_BY)
        return sections({name: self.whole_plan[name] for name in names if name not in TECHNICAL})

    @property
    def technical_plan(self) -> Sequence[Section]:
        """The rest of it."""
        return sections({name: value for name, value in self.whole_plan.items() if name in TECHNICAL})

    @property
    def counts(self) -> Mapping[str, Any]:
        """How many rows are to be made, changed and so on, by its preview."""
        counts = self.whole_plan.get("counts")
        return counts if isinstance(counts, Mapping) else {}

    @property
    def left_out_lines(self) -> int:
        """How many lines of its file were left out by choice; they are with the refused rows, to be had again."""
        found = self.whole_plan.get(FOUND)
        lines = found.get("lines") if isinstance(found, Mapping) else None
        return lines if isinstance(lines, int) and self.has_run else 0

    @cached_property
    def undoes(self) -> str | None:
        """The job that this one takes back."""
        return str(self.job.context.get(UNDONE)) if self.job.type == UNDO else None

    @cached_property
    def undone_by(self) -> Sequence[Job]:
        """The undos of it that the visitor sees, the newest first."""
        undos = self.api.service.undos.of(self.job.id) if self.has_run else []
        return [undo for undo in undos if self.caller.sees_only in (None, undo.created_by)]

    @property
    def has_run(self) -> bool:
        """Whether it has ended and may have changed something."""
        return self.job.has_ended and self.job.processing_at is not None

    @cached_property
    def why_not_undo(self) -> str | None:
        """Why it cannot be undone, as far as its row and those of other jobs say; ``None`` where it may be possible."""
        try:
            self.api.service.undos.check(self.job.id)
        except NotUndoable as error:
            return str(error)
        return None
