"""Who may confirm a job that waits for it, and what of it a confirmation leaves out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from batch_jobs.flows.errors import ActionIllegal, JobUnknown, OtherMustConfirm
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.confirm_by_other import ConfirmByOther
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.jobs.undos import UNDO, UNDONE, Undos
from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from batch_jobs.strategies.sdk.registry import Registry

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.files import FileStore


class Confirmations:
    """Looks at confirmations before they are made.

    Args:
        store: the job table.
        claims: finds out about late confirmations.
        strategies: gives the strategies there are.
        undos: which jobs can be undone.
        rule: which jobs somebody else than created them has to confirm.
        files: gives the file store, where previews keep what they found; ``None`` where there is none.
    """

    def __init__(
        self,
        store: JobStore,
        claims: Claims,
        strategies: Callable[[], Registry],
        undos: Undos,
        rule: ConfirmByOther,
        files: "Callable[[], FileStore] | None",
    ) -> None:
        self._store = store
        self._claims = claims
        self._strategies = strategies
        self._undos = undos
        self._rule = rule
        self._files = files

    def check(self, job_id: str, who: str | None) -> None:
        """Refuse a confirmation by somebody, ``None`` where nobody knows for sure by whom.

        Raises:
            ConfirmedTooLate: it was not confirmed in time and is canceled.
            OtherMustConfirm: by the two-person rule it is not they who may.
            NotUndoable: it is an undo of a job that goes on meanwhile, or was undone.
        """
        job = self._store.get(job_id)
        self._claims.refuse_expired(job)
        if job.type == UNDO:
            self._undos.check(job.context[UNDONE])
        why = self.why_by_other(job, job.plan) if job.status is Status.PRE_PROCESSED else None
        if why:
            self._rule.refuse(job, why, who, self._corrected_by(job))

    def choice(self, job_id: str, leave_out: LeaveOut | Mapping[str, Any] | None) -> dict[str, Any]:
        """What a confirmation changes in a job beside its status: the plan, where parts are left out, and why.

        Raises:
            ActionIllegal: it does not wait for a confirmation.
            LeaveOutRefused: its type does not offer to leave that out, or there is no such part.
        """
        wish = LeaveOut.of(leave_out)
        if not wish:
            return {}
        job = self._store.get(job_id)
        if not job.awaits_confirmation:
            raise ActionIllegal(job_id, job.status, Action.CONFIRM)
        strategy = self._strategies().get(job.type)
        if self._files is None:
            raise LeaveOutRefused("there is no file store here, in which the changes to choose from are")
        strategy.check_leave_out(wish, job_id, job.plan or {}, self._files())
        return {"why": str(wish), "plan": {**(job.plan or {}), WISH: wish.as_json()}}

    def why_by_other(self, job: Job, plan: dict[str, Any] | None) -> str | None:
        """Why somebody else than created a job has to confirm it, ``None`` where that may be anybody.

        Args:
            job: the job.
            plan: what its preview found.
        """
        return self._rule.why(self._types(job), plan) if self._rule.limits else None

    def why_not(self, job: Job, who: str) -> str | None:
        """Why it is not somebody who may confirm a job that waits, ``None`` where they may."""
        why = self.why_by_other(job, job.plan)
        try:
            if why:
                self._rule.refuse(job, why, who, self._corrected_by(job))
        except OtherMustConfirm as error:
            return str(error)
        return None

    def may_need_other(self, batch_type: str) -> bool:
        """Whether jobs of a type may fall under the two-person rule."""
        return self._rule.covers(batch_type)

    def _corrected_by(self, job: Job) -> Sequence[Job]:
        """The jobs whose rows a job corrects: the one that it belongs to, and so on."""
        found: list[Job] = []
        with suppress(JobUnknown):  # pruned by now
            while job.belongs_to is not None:
                job = self._store.get(job.belongs_to)
                found.append(job)
        return found

    def _types(self, job: Job) -> Sequence[str]:
        """The job's type; of an undo that of what is undone, too, as it changes the same rows."""
        types = []
        with suppress(JobUnknown):  # what was undone may be pruned by now
            for one in self._undos.chain(job):
                types.append(one.type)
        return types
