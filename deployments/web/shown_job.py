"""A job as its views show it: what may be done to it now, and what is said of it."""

from dataclasses import dataclass
from functools import cached_property

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.schemas import job_json
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status

#: What a visitor may ask for, in the order of the buttons.
ASKED = (Action.CONFIRM, Action.RESUME, Action.RETRY, Action.PAUSE, Action.CANCEL)


@dataclass(frozen=True)
class ShownJob:
    """A job, and who looks at it."""

    job: Job
    caller: Caller

    @cached_property
    def result(self) -> dict[str, object]:
        """What the API shows of its result."""
        return job_json(self.job, self.caller, ["result"])["result"] or {}

    @property
    def actions(self) -> list[Action]:
        """What the visitor can do to it now."""
        if not self.caller.may(Right.CHANGE):
            return []
        moves = TRANSITIONS[self.job.status]
        possible = [
            action
            for action in ASKED
            if action in moves and (action is not Action.CONFIRM or self.job.awaits_confirmation)
        ]
        return [action for action in possible if moves[action] is not self.job.status]

    @property
    def can_be_undone(self) -> bool:
        """Whether it may have changed something that a job of its own takes back."""
        return self.caller.may(Right.CHANGE) and self.job.has_ended and self.job.processing_at is not None

    @property
    def is_running(self) -> bool:
        """Whether something happens to it without a person."""
        return not self.job.needs_a_person

    @property
    def seconds(self) -> float | None:
        """How long it has been processed, or was."""
        begun = self.job.processing_at
        ended = self.job.completed_at or self.job.canceled_at or self.job.failed_at or self.job.updated_at
        return (ended - begun).total_seconds() if begun else None

    @property
    def rows_per_second(self) -> float | None:
        """Its rows by its seconds; ``None`` where it has none yet."""
        return self.job.result.advancement_count / self.seconds if self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at that speed; ``None`` where that is not known."""
        count, speed = self.job.result.count, self.rows_per_second
        if self.job.status is not Status.PROCESSING or count is None or not speed:
            return None
        return max(0.0, (count - self.job.result.advancement_count) / speed)
