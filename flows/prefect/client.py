"""What this project asks of Prefect about the runs of jobs: start one, look at some, let one go on, end one."""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from batch_jobs.flows.errors import DeploymentLacking, NotLaunched, PrefectAway
from batch_jobs.flows.jobs.model import OVER, Job
from batch_jobs.flows.prefect.address import API_URL, AUTH_STRING, KnownPrefect

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

#: Every strategy's deployment has this name: ``table-import/batch-jobs``.
DEPLOYMENT_NAME = "batch-jobs"
#: Runs that one question to Prefect may name; its API answers with 200 at most.
RUNS_AT_ONCE = 200
ANSWER_SECONDS = 10
#: What a context may have at most that a run's parameters show, as JSON; Prefect takes 512 KiB by default.
SHOWN_CONTEXT_BYTES = 100_000

RESCHEDULED = "Rescheduled"
NOT_BEGUN = frozenset({"SCHEDULED", "PENDING", "PAUSED"})


@dataclass(frozen=True)
class RunState:
    """The state of a Prefect run: its type and name, as Prefect spells them, its message, and since when."""

    type: str
    name: str
    message: str = ""
    since: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.type in OVER


class PrefectRuns:
    """The runs of jobs in one Prefect.

    Args:
        find: finds it, ``None`` where there is none; asked each time, as another one may be served by now. What
            Prefect's own settings name goes before it.

    Every method raises ``PrefectAway`` when Prefect does not answer or none is named.
    """

    def __init__(self, find: Callable[[], KnownPrefect | None] = lambda: None) -> None:
        self._find = find
        self._deployments: dict[str, UUID] = {}

    def launch(self, job: Job) -> str:
        """Ask for a run of the job's deployment and return its id; asking twice for one job as it is makes one run.

        Raises:
            NotLaunched: Prefect does not answer, or has no deployment of the job's type.
        """
        from prefect.exceptions import ObjectNotFound

        name = f"{job.type}/{DEPLOYMENT_NAME}"
        try:
            with self.client() as client:
                if name in self._deployments:
                    with suppress(ObjectNotFound):  # another Prefect is served by now, or it was deployed anew
                        return _new_run(client, self._deployments[name], job)
                self._deployments[name] = client.read_deployment_by_name(name).id
                return _new_run(client, self._deployments[name], job)
        except ObjectNotFound:
            raise DeploymentLacking(job) from None
        except PrefectAway as error:
            raise NotLaunched(job, str(error)) from None

    def state(self, run_id: str) -> RunState | None:
        """The state a run is in, ``None`` where Prefect knows no such run."""
        return self.states([run_id]).get(run_id)

    def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of many runs, by id; the ones that Prefect does not know are missing."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        found: dict[str, RunState] = {}
        if not run_ids:
            return found
        with self.client() as client:
            for start in range(0, len(run_ids), RUNS_AT_ONCE):
                wanted = [UUID(run_id) for run_id in run_ids[start : start + RUNS_AT_ONCE]]
                runs = client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=wanted)), limit=RUNS_AT_ONCE
                )
                found.update((str(run.id), run_state(run.state)) for run in runs if run.state is not None)
        return found

    def resume(self, run_id: str, who: str) -> bool:
        """Let a suspended run go on; ``False`` when it is not suspended (any more)."""
        with self.client() as client:
            answer = client.resume_flow_run(UUID(run_id), run_input={"confirmed_by": who})
        return answer.status.value == "ACCEPT"

    def cancel(self, run_id: str, message: str) -> None:
        """Cancel a run: at once where nobody works on it, by its worker where one does; one that is over stays so."""
        from prefect.states import Cancelled, Cancelling

        state = self.state(run_id)
        if state is None or state.is_over:
            return
        self._propose(run_id, Cancelled(message=message) if state.type in NOT_BEGUN else Cancelling(message=message))

    def end(self, run_id: str, kind: str, message: str, name: str | None = None) -> None:
        """End a run that nobody works on any more, as ``CRASHED`` or ``CANCELLED``; one that is over stays so.

        Args:
            run_id: the run.
            kind: the type of its last state.
            message: why it is ended.
            name: the state's name where it says more than its type.
        """
        from prefect.states import Cancelled, Crashed

        state = self.state(run_id)
        if state is None or state.is_over:
            return
        last: State[Any] = {"CRASHED": Crashed, "CANCELLED": Cancelled}[kind](message=message)
        self._propose(run_id, last.model_copy(update={"name": name or last.name}))

    def put_back(self, run_id: str, message: str, after: timedelta = timedelta(0)) -> None:
        """Let another worker take over a run that this one is to leave, at once or after some time."""
        self._propose(run_id, rescheduled(message, after))

    def _propose(self, run_id: str, state: "State[Any]") -> None:
        from prefect.exceptions import ObjectNotFound

        with self.client() as client, suppress(ObjectNotFound):
            client.set_flow_run_state(UUID(run_id), state)

    @contextmanager
    def client(self) -> Iterator["SyncPrefectClient"]:
        """Prefect's own client, for questions that are not about runs of jobs."""
        import httpx
        from prefect.exceptions import PrefectHTTPStatusError

        try:
            with self._new_client() as client:
                yield client
        except PrefectHTTPStatusError as error:
            code = error.response.status_code
            wanted = f"; set {AUTH_STRING} to what it asks for" if code == HTTPStatus.UNAUTHORIZED else ""
            raise PrefectAway(f"Prefect refuses ({code}){wanted}") from error
        except (
            httpx.HTTPError,
            RuntimeError,
        ) as error:  # a refused first connection is wrapped
            raise PrefectAway(f"Prefect does not answer ({error or type(error).__name__})") from None

    def known(self) -> KnownPrefect | None:
        """The Prefect that is asked, ``None`` where none is named."""
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

        named, auth_string = PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value()
        return KnownPrefect(named, API_URL, auth_string) if named else self._find()

    def _new_client(self) -> "SyncPrefectClient":
        from prefect.client.orchestration import SyncPrefectClient, get_client
        from prefect.context import FlowRunContext
        from prefect.settings import PREFECT_API_KEY

        known = self.known()
        if known:
            return SyncPrefectClient(
                known.api_url,
                auth_string=known.auth_string,
                api_key=PREFECT_API_KEY.value(),
                httpx_settings=_http_settings(known.api_url),
            )
        # without an address Prefect's client would start a server of its own, which knows no job but that of this run
        if FlowRunContext.get() is None:
            raise PrefectAway("no Prefect is named: PREFECT_API_URL is not set")
        return get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS})


def rescheduled(message: str, after: timedelta = timedelta(0)) -> "State[Any]":
    """The state of a run that is due again, at once or after some time, for whichever worker takes it up."""
    from prefect.states import Scheduled

    return Scheduled(name=RESCHEDULED, message=message, scheduled_time=datetime.now(UTC) + after)


def _new_run(client: "SyncPrefectClient", deployment_id: UUID, job: Job) -> str:
    """Make a run of a deployment and return its id; raises ``ObjectNotFound`` where Prefect has no such deployment."""
    from prefect.client.schemas.actions import DeploymentFlowRunCreate
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
    from prefect.states import Scheduled, to_state_create

    asked = DeploymentFlowRunCreate(
        parameters=run_parameters(job),
        enforce_parameter_schema=False,  # the job's context was checked; one that is too large is not passed
        state=to_state_create(Scheduled(scheduled_time=job.start_at)),
        name=f"{job.type} {job.id}",
        idempotency_key=f"{job.id}-{job.attempt}-{job.version}",
    )
    if job.traceparent:
        asked.labels = _labels(job.traceparent)
    try:
        answer = client.request(
            "POST",
            "/deployments/{id}/create_flow_run",
            path_params={"id": deployment_id},
            json=asked.model_dump(mode="json", exclude_unset=True),
        )
    except PrefectHTTPStatusError as error:
        if error.response.status_code == HTTPStatus.NOT_FOUND:
            raise ObjectNotFound(error) from error
        raise
    return str(answer.json()["id"])


def run_parameters(job: Job) -> dict[str, Any]:
    """What a job's flow is called with; a context that Prefect would refuse stays in the row, where the run reads it.

    Others are passed too, to be seen in Prefect's UI.
    """
    is_shown = len(json.dumps(job.context)) <= SHOWN_CONTEXT_BYTES
    return {"context": job.context if is_shown else None, "dry_run": job.dry_run, "job_id": job.id}


def _labels(traceparent: str) -> dict[str, Any]:
    """What lets Prefect's own spans of the run go on from those of the job."""
    from prefect.telemetry.run_telemetry import LABELS_TRACEPARENT_KEY

    return {LABELS_TRACEPARENT_KEY: traceparent}


def _http_settings(address: str) -> dict[str, Any]:
    if not address.startswith("http:"):
        return {"timeout": ANSWER_SECONDS}
    from batch_jobs.flows.prefect.quick_retry import QuickRetry

    # nobody asks for the certificates, which take longer to read than all else
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return {"timeout": ANSWER_SECONDS, "verify": bare, "transport": QuickRetry(verify=bare)}


def run_state(state: "State[Any]") -> RunState:
    """Prefect's state as this project keeps it."""
    return RunState(state.type.value, state.name or state.type.value.title(), state.message or "", state.timestamp)
