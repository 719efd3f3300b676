"""Which jobs can be undone, and which have been: an undo is a job of its own that names the one it takes back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batch_jobs.flows.errors import NotUndoable
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.model import Job, Visible
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status

#: The type of an undo.
UNDO = "undo"
#: In its context, the id of the job that it takes back.
UNDONE = "job"
OVER = (Status.COMPLETED, Status.FAILED, Status.CANCELED)
#: In its plan, rows that somebody changed since; of each ``by`` is the job that did.
CHANGED_SINCE = ("rejects", "overwritten")


def shown_plan(job: Job, visible: Visible) -> dict[str, Any]:
    """The plan of a job for people; of an undo's with who created the jobs that changed rows since.

    Args:
        job: of any type.
        visible: which of these jobs they may look at; who created others is not said.
    """
    plan = job.shown_plan
    changed = {name: plan[name] for name in CHANGED_SINCE if job.type == UNDO and plan.get(name)}
    ids = sorted({row["by"] for rows in changed.values() for row in rows if row["by"]})
    jobs = visible(ids) if ids else {}
    return plan | {name: [_with_creator(row, jobs) for row in rows] for name, rows in changed.items() if jobs}


def _with_creator(row: dict[str, Any], jobs: Mapping[str, Job]) -> dict[str, Any]:
    job = jobs.get(row["by"] or "")
    return row if job is None else {**row, "created_by": job.created_by}


class Undos:
    """Looks after undos of jobs.

    Args:
        store: the job table.
        claims: finds out about dead processes.
    """

    def __init__(self, store: JobStore, claims: Claims) -> None:
        self._store = store
        self._claims = claims

    def check(self, job_id: str) -> None:
        """Refuse to undo a job that may write yet, or that was undone.

        Raises:
            JobUnknown: there is no such job.
            NotUndoable: it is so.
        """
        job = self._claims.fail_if_dead(job_id)
        if job.status not in OVER:
            raise NotUndoable(
                f"{job.id} is {job.status}, and only a job that has ended can be undone; wait for it or cancel it first"
            )
        undo = self.standing(job_id)
        if undo is not None and not undo.result.rejected:
            raise NotUndoable(f"{job.id} was undone already, by {undo.id}; undo that one to have its changes again")

    def check_retry(self, job: Job) -> None:
        """Refuse to go on with a job of which something was taken back: what is gone would not be written again.

        Raises:
            NotUndoable: it is so.
        """
        begun = [undo for undo in self.of(job.id) if undo.processing_at is not None]
        if begun:
            raise NotUndoable(f"{job.id} was undone by {begun[0].id}, so that it cannot go on; create a new job")

    def type_of(self, job: Job) -> str:
        """The type that has the say over a job: of an undo that of the job which it takes back."""
        return list(self.chain(job))[-1].type

    def chain(self, job: Job) -> Iterator[Job]:
        """A job, and if it is an undo the job that it takes back, and so on.

        Raises:
            JobUnknown: one of them is gone.
        """
        seen = {job.id}
        yield job
        while job.type == UNDO and (undone := str(job.context.get(UNDONE))) not in seen:
            job = self._store.get(undone)
            seen.add(job.id)
            yield job

    def standing(self, job_id: str) -> Job | None:
        """The undo of a job that is done, and was not undone itself."""
        done = [undo for undo in self.of(job_id) if undo.status is Status.COMPLETED]
        return next((undo for undo in done if self.standing(undo.id) is None), None)

    def of(self, job_id: str) -> Sequence[Job]:
        """The undos of a job, the newest first, whatever became of them."""
        return self._store.naming(UNDO, UNDONE, job_id)
