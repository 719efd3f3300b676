"""What the routes work with, put together once and found again in each request."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from batch_jobs.deployments.api.authentication import Authentication
from batch_jobs.deployments.api.authorization import Caller
from batch_jobs.deployments.api.errors import NotYours
from batch_jobs.deployments.api.job_starter import HandingOver
from batch_jobs.deployments.api.job_stream import JobWatch
from batch_jobs.deployments.api.metrics import Metrics
from batch_jobs.deployments.api.readiness import Readiness
from batch_jobs.deployments.api.signed_links import Links
from batch_jobs.flows.access.keys import keys_of_setting
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.workspace import Workspace


@dataclass
class Api:
    """The parts of one API over a workspace."""

    workspace: Workspace

    @property
    def service(self) -> BatchJobService:
        """The one way in to jobs."""
        return self.workspace.service

    @property
    def compat(self) -> bool:
        """Whether Medusa's status codes and texts are wanted."""
        return self.workspace.settings.medusa_compat

    @cached_property
    def authentication(self) -> Authentication:
        """Who comes in."""
        settings = self.workspace.settings
        given = keys_of_setting(settings.api_keys.get_secret_value())
        return Authentication(self.workspace.api_keys, given, settings.api_rate_limit)

    @cached_property
    def links(self) -> Links:
        """Download links."""
        return Links(self.workspace.seal.key("links"), self.workspace.settings.link_seconds)

    @cached_property
    def handing(self) -> HandingOver:
        """Hands new jobs to Prefect, behind the answer's back."""
        return HandingOver(self.service, self.workspace.settings.home)

    @cached_property
    def watch(self) -> JobWatch:
        """Looks at the jobs of all open streams."""
        return JobWatch(self.service, self.authentication.working)

    @cached_property
    def metrics(self) -> Metrics:
        """What Prometheus may ask for."""
        return Metrics(lambda: self.workspace.store.tally.by_status())

    @cached_property
    def readiness(self) -> Readiness:
        """Whether the parts behind the API answer."""
        return Readiness(self.workspace)

    def job(self, job_id: str, caller: Caller) -> Job:
        """A job that the caller sees.

        Raises:
            JobUnknown: there is none, or it is not the caller's to see, which sounds the same.
            NotYours: it is not the caller's, where Medusa's answers are wanted.
        """
        if not _may_be_an_id(job_id):
            raise JobUnknown(ascii(job_id[:64]))
        try:
            return self.service.find(job_id, caller.sees_only, caller.types)
        except JobUnknown:
            if self.compat and self.service.count(JobFilter(ids=[job_id])):
                raise NotYours from None
            raise


async def api_of(request: Request) -> Api:
    """The parts of the API that serves a request."""
    api: Api = request.app.state.api
    return api


def _may_be_an_id(text: str) -> bool:
    return len(text) <= 64 and text.isascii() and text.isprintable()


Parts = Annotated[Api, Depends(api_of)]
