"""Errors of jobs and of running them, each one line that says what to do."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_jobs.flows.jobs.transitions import Action, Status, allowed_from
from batch_jobs.strategies.sdk.errors import BatchJobError, PermanentError

if TYPE_CHECKING:
    from batch_jobs.flows.jobs.model import Job

COMMANDS = "`batch-jobs list` shows what there is"


class JobUnknown(BatchJobError):
    """There is no job of this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}; {COMMANDS}")


class ChangesUnknown(BatchJobError):
    """What a job changes, or what was changed in a table, is not kept, or not there yet."""


class JobUnreadable(BatchJobError):
    """The row of a job is none of a job: somebody changed it by hand."""

    def __init__(self, job_id: str, wrong: Sequence[str]) -> None:
        super().__init__(
            f"{job_id} cannot be read, its row in the table batch_job was changed by hand: {'; '.join(wrong)};"
            " correct it there"
        )


class ActionIllegal(BatchJobError):
    """An action that is not possible in the status the job is in; the job is as it was."""

    def __init__(self, job_id: str, status: Status, action: Action) -> None:
        self.status = status
        self.action = action
        super().__init__(
            f"{job_id} is {status}; {action} is possible from {_any_of(allowed_from(action))}. Nothing was changed."
        )


class JobMoved(BatchJobError):
    """Somebody else changed the job between reading and writing it; read it again."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"{job_id} was changed by somebody else at the same moment; look at it again. Nothing was changed."
        )


class JobTaken(BatchJobError):
    """Another living process runs the job."""

    def __init__(self, job_id: str, process: str) -> None:
        super().__init__(
            f"{job_id} is being run by {process}; `batch-jobs watch {job_id}` follows it. Nothing was changed."
        )


class RevisionDiffers(BatchJobError):
    """The job table is not as this version of the program knows it; another version, or a migration, is needed."""


class DatabaseAhead(RevisionDiffers):
    """The job table is newer than this version of the program."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the job database is at revision {found} and this version of the program knows none after {known}: a newer"
            " release has upgraded it; use that release here"
        )


class DatabaseBehind(RevisionDiffers):
    """The job table is older than this version of the program."""

    def __init__(self, found: str, needed: str) -> None:
        super().__init__(
            f"the job database is at revision {found} and this version needs {needed}; run `batch-jobs db upgrade`"
        )


class DatabaseUnreachable(BatchJobError):
    """A database does not answer."""

    def __init__(self, setting: str, url: str, reason: str) -> None:
        super().__init__(f"the database of {setting} ({url}) does not answer: {reason}")


class NotLaunched(BatchJobError):
    """The job is recorded, but has no Prefect run yet."""

    def __init__(self, job: "Job", reason: str, starts: str | None = None) -> None:
        super().__init__(f"{job.id} is recorded but not started: {reason}; it starts {starts or _when_served(job)}")


class DeploymentLacking(NotLaunched):
    """What serves was started before there was a strategy of this type."""

    def __init__(self, job: "Job") -> None:
        anew = "once `batch-jobs serve` or `worker` is started anew, which then knows the type"
        super().__init__(job, f"Prefect has no deployment of {job.type}", anew)


class PrefectAway(BatchJobError):
    """Prefect does not answer, or none is named; what needs it is done once it is back."""


class JobActive(BatchJobError):
    """The strategy allows one active job of this kind, and there is one."""

    def __init__(self, batch_type: str, job_id: str, status: Status) -> None:
        self.job_id = job_id
        super().__init__(
            f"{batch_type} allows one such job at a time and {job_id} is {status}; wait for it or cancel it first"
        )


class NotUndoable(BatchJobError):
    """A job cannot be undone, or not go on as it was; nothing was changed."""


class RejectsCursorWrong(BatchJobError):
    """A cursor that is none of a job's rejects."""

    def __init__(self) -> None:
        super().__init__("cursor must be the cursor of the page before")


class CorrectionRefused(PermanentError):
    """Rows of a job cannot be corrected so; the job is as it was."""


class ConfirmedTooLate(BatchJobError):
    """The time in which a previewed job could be confirmed is over."""

    def __init__(self, job_id: str, why: str) -> None:
        super().__init__(f"{job_id} is canceled: {why}; create a new job")


class OtherMustConfirm(BatchJobError):
    """By the two-person rule somebody else has to confirm the job; it waits as before."""

    def __init__(self, job_id: str, reason: str, why: str, creator: str | None) -> None:
        if creator is None:
            to_do = "create it anew with a key of the HTTP API or by `batch-jobs create`, as somebody"
        else:
            to_do = (
                f"anybody but {creator} may, with a key of the HTTP API that sees the job (an admin's), or by"
                f" `batch-jobs confirm {job_id}` as another user of the system"
            )
        super().__init__(
            f"{job_id} needs the confirmation of somebody else than created it (BATCH_JOBS_CONFIRM_BY_OTHER: {why}),"
            f" and {reason}; {to_do}. Nothing was changed."
        )


class IdempotencyKeyTaken(BatchJobError):
    """The key was used for a job with another body."""

    def __init__(self, key: str, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"the idempotency key {key!r} belongs to {job_id}, a job of another type, context, dry_run, start_at or"
            " number of partitions"
        )


class SealBroken(BatchJobError):
    """Secrets of a context were sealed with another key."""

    def __init__(self) -> None:
        super().__init__(
            "the secret fields of the context cannot be opened here; set BATCH_JOBS_SECRET_KEY to the value it had when"
            " the job was created, or create the job anew"
        )


class SettingWrong(BatchJobError):
    """A setting has a value that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"BATCH_JOBS_{name}: {reason}")


class UploadUnknown(BatchJobError):
    """There is no such unfinished upload of whoever asks."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no unfinished upload {upload_id[:64]}; begin it anew")


class UploadOutOfStep(BatchJobError):
    """A part of an upload does not begin where the upload stands; ``offset`` is where that is."""

    def __init__(self, name: str, offset: int) -> None:
        self.offset = offset
        super().__init__(f"of {name} {offset:,} bytes are there; go on from there")


class UploadNotTaken(BatchJobError):
    """An upload may not be as large, called so, or come in so many parts."""


class ApiKeyUnknown(BatchJobError):
    """There is no such API key."""

    def __init__(self, id_or_name: str) -> None:
        super().__init__(f"there is no API key {id_or_name}; `batch-jobs keys list` shows what there is")


class JobTableOlder(BatchJobError):
    """A job's row was restored from a backup that is older than what its later attempts did in the target."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the target has a later attempt of {job_id} than the job table, which was restored from an older backup;"
            f" nothing was written. `batch-jobs retry {job_id}` goes on after the last chunk in the target"
        )


class PreviewForgotten(PermanentError):
    """A job is at its start by its row, and has written by the target: a new preview would count rows that are in."""

    def __init__(self, job_id: str, chunks: int) -> None:
        super().__init__(
            f"the target has {chunks} chunks of {job_id} already, of which the job table knows nothing: it was restored"
            " from an older backup. Restore the target to the same time, or create a new job"
        )


def _any_of(statuses: Iterable[Status]) -> str:
    *first, last = [str(status) for status in statuses]
    return f"{', '.join(first)} or {last}" if first else last


def _when_served(job: "Job") -> str:
    when = f"at {job.start_at:%Y-%m-%dT%H:%MZ} or " if job.start_at and job.start_at > datetime.now(UTC) else ""
    return f"{when}as soon as `batch-jobs serve` runs"


class RunnerIncomplete(BatchJobError):
    """Partitions cannot run where the setting says."""

    def __init__(self, runner: str, missing: Sequence[str]) -> None:
        super().__init__(f"BATCH_JOBS_TASK_RUNNER is {runner}, which lacks {'; '.join(missing)}. Nothing was begun")
