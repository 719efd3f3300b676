"""The work pool, and the deployments in it: one of every strategy's flow, and one that a schedule creates jobs with."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.client.schemas.actions import WorkPoolCreate
from prefect.context import AsyncClientContext
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists

from batch_jobs.deployments.worker.worker import WORK_POOL, JobWorker
from batch_jobs.flows.prefect.client import DEPLOYMENT_NAME
from batch_jobs.flows.runs.flow import CATALOG, flow_variable
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.registry import StrategyClass

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool

#: Distinguishes our deployments and runs from others in the Prefect UI.
TAG = "batch-jobs"
SCHEDULED = "batch_jobs.flows.scheduled"


async def deploy(workspace: Workspace) -> "WorkPool":
    """Make the work pool where it is missing and deploy everything there is into it; return the pool."""
    async with AsyncClientContext.get_or_create() as context:  # one client for all of it
        client = context.client
        with suppress(ObjectAlreadyExists):
            template = JobWorker.get_default_base_job_template()
            await client.create_work_pool(
                WorkPoolCreate(name=WORK_POOL, type=JobWorker.type, base_job_template=template)
            )
        pool = await client.read_work_pool(WORK_POOL)
        for deployment in _deployments(workspace):  # at once, SQLite would refuse most, and each would wait seconds
            await deployment.aapply()
    return pool


def _deployments(workspace: Workspace) -> Iterator[RunnerDeployment]:
    for _, strategy in sorted(workspace.strategies.by_type.items()):
        yield _of_strategy(strategy)
    yield _deployment(f"{SCHEDULED}.create_batch_job")


def _of_strategy(strategy: StrategyClass) -> RunnerDeployment:
    entrypoint = f"{CATALOG}.{flow_variable(strategy.batch_type)}"
    return _deployment(entrypoint, strategy.description() or None, strategy.concurrency_limit)


def _deployment(
    entrypoint: str, description: str | None = None, concurrency_limit: int | None = None
) -> RunnerDeployment:
    return RunnerDeployment.from_entrypoint(
        entrypoint,
        name=DEPLOYMENT_NAME,
        tags=[TAG],
        description=description,
        concurrency_limit=concurrency_limit,
        work_pool_name=WORK_POOL,
    )
