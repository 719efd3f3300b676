"""What routes ask for: the parts of the API, the caller, its rights, and only then a body."""

from typing import Annotated, Any

from fastapi import Depends, Request, params
from starlette.concurrency import run_in_threadpool

from batch_jobs.deployments.api.auth import Authentication, Caller, Right, token_of
from batch_jobs.deployments.api.errors import NotYours
from batch_jobs.deployments.api.job_starter import JobStarter
from batch_jobs.deployments.api.job_stream import JobStreams
from batch_jobs.deployments.api.metrics import Metrics
from batch_jobs.deployments.api.schemas import BodyOf, parse_body
from batch_jobs.deployments.log import add_facts
from batch_jobs.flows.access.keys import keys_of_setting
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job, Visible
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.workspace import Workspace

QUICK_BYTES = 1 << 15  # a body of more is read in a thread: nobody else is answered while one is read here


class Api:
    """The parts of one API over a workspace, all opened at once, so that two first requests do not open one twice.

    Args:
        workspace: the installation.

    Raises:
        SettingWrong: API_KEYS cannot be read.
    """

    def __init__(self, workspace: Workspace) -> None:
        settings = workspace.settings
        given = keys_of_setting(settings.api_keys.get_secret_value())
        self.workspace = workspace
        self.settings = settings
        self.compat = settings.medusa_compat  # whether Medusa's status codes and texts are wanted
        self.files = workspace.files
        self.strategies = workspace.strategies
        self.service = workspace.service
        self.uploads = workspace.uploads
        self.authentication = Authentication(workspace.api_keys, given, settings.api_rate_limit)
        self.links_key = workspace.seal.key("links")
        self.starter = JobStarter(workspace.service, settings.home)
        self.streams = JobStreams(workspace.service, self.authentication.working)
        self.metrics = Metrics(lambda: workspace.store.tally.by_status())

    def job(self, job_id: str, caller: Caller) -> Job:
        """A job that the caller sees.

        Raises:
            JobUnknown: there is none, or it is not the caller's to see, in the same words.
            NotYours: it is not the caller's, where Medusa's answers are wanted.
        """
        if not _may_be_an_id(job_id):
            raise JobUnknown(ascii(job_id[:64]))
        try:
            job = self.service.find(job_id, caller.sees_only, caller.types)
        except JobUnknown:
            if self.compat and self.service.count(JobFilter(ids=[job_id])):
                raise NotYours from None
            raise
        add_facts(job=job.id, type=job.type)
        return job

    def visible(self, caller: Caller) -> Visible:
        """Which of some jobs the caller sees."""
        return lambda ids: {job.id: job for job in self.service.of_ids(ids) if caller.sees(job)}


def _may_be_an_id(text: str) -> bool:
    return len(text) <= 64 and text.isascii() and text.isprintable()


async def _api_of(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


async def _caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CurrentApi = Annotated[Api, Depends(_api_of)]
#: The holder of the key, in a route with ``requires``.
CurrentCaller = Annotated[Caller, Depends(_caller_of)]


def requires(right: Right) -> params.Depends:
    """A route's ``dependencies``: its caller has to show a key that has a right.

    These go before what the route's function asks for, so that no body is read from anybody else.
    """

    async def check(request: Request) -> None:  # itself without dependencies: each costs every request
        authentication = request.app.state.api.authentication
        address = request.client.host if request.client else "unknown"
        token = token_of(request.headers)
        add_facts(key="refused" if token else "none")
        if not token:
            authentication.refuse(address)
        caller = await authentication.caller(token, address)
        add_facts(holder=caller.name, key=caller.key_id)
        caller.require(right)
        request.state.caller = caller

    depends: params.Depends = Depends(check)
    return depends


def json_body(form: type[BodyOf], if_none: bytes = b"") -> params.Depends:
    """Let a parameter be the request's body. FastAPI's own would be read before any dependency.

    Args:
        form: what it has to be.
        if_none: what is read where there is none.
    """

    async def read(request: Request) -> Any:
        body, content_type = await request.body(), request.headers.get("content-type", "")
        if not body and if_none:
            return parse_body(form, if_none, "application/json")
        if len(body) <= QUICK_BYTES:
            return parse_body(form, body, content_type)
        return await run_in_threadpool(parse_body, form, body, content_type)

    depends: params.Depends = Depends(read)
    return depends
