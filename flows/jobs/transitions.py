"""The life of a job as data: which action is allowed in which status, and where it leads."""

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Where a job is in its life; the names are Medusa v1's, and ``paused``."""

    CREATED = "created"
    PRE_PROCESSED = "pre_processed"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"


class Action(StrEnum):
    """What can be done to a job, by a person or by the run."""

    PRE_PROCESS = "pre_process"
    CONFIRM = "confirm"
    PROCESS = "process"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    CANCEL = "cancel"
    FAIL = "fail"
    RETRY = "retry"


#: status -> {action: next status}. Whatever is not here is refused.
TRANSITIONS: Mapping[Status, Mapping[Action, Status]] = {
    # the row is there; its input has not been looked at yet
    Status.CREATED: {
        Action.PRE_PROCESS: Status.PRE_PROCESSED,
        Action.CANCEL: Status.CANCELED,
        Action.FAIL: Status.FAILED,
    },
    # what will happen is known; a dry run waits here for a person, any other job goes on by itself
    Status.PRE_PROCESSED: {
        Action.CONFIRM: Status.CONFIRMED,
        Action.CANCEL: Status.CANCELED,
        Action.FAIL: Status.FAILED,
    },
    # a person or the job itself confirmed; no row has been written yet
    Status.CONFIRMED: {
        Action.PROCESS: Status.PROCESSING,
        Action.CANCEL: Status.CANCELED,
        Action.FAIL: Status.FAILED,
    },
    # chunks are being written
    Status.PROCESSING: {
        Action.PAUSE: Status.PAUSED,
        Action.COMPLETE: Status.COMPLETED,
        Action.CANCEL: Status.CANCELED,
        Action.FAIL: Status.FAILED,
    },
    # stopped at a chunk edge, to go on from there
    Status.PAUSED: {
        Action.RESUME: Status.PROCESSING,
        Action.CANCEL: Status.CANCELED,
        Action.FAIL: Status.FAILED,
    },
    # the end; nothing moves a completed job
    Status.COMPLETED: {},
    # the end; canceling once more changes nothing and is fine
    Status.CANCELED: {
        Action.CANCEL: Status.CANCELED,
    },
    # stopped by an error or a lost process; goes back to the start of its life, and on from its checkpoint
    Status.FAILED: {
        Action.RETRY: Status.CREATED,
    },
}

#: The end of a job's life; only a failed one comes back, by retry.
ENDED = frozenset({Status.COMPLETED, Status.CANCELED, Status.FAILED})
#: Nobody works on a job in one of these: whoever did has stopped, or will at its next chunk edge.
STOPPED = ENDED | {Status.PAUSED}
#: A job in one of these has something to do that needs no person.
RUNNABLE = frozenset({Status.CREATED, Status.CONFIRMED, Status.PROCESSING})


def allowed_from(action: Action) -> list[Status]:
    """The statuses in which an action is possible and changes something, in the order of a job's life."""
    return [status for status, moves in TRANSITIONS.items() if moves.get(action, status) is not status]
