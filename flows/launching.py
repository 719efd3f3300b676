"""Handing a job to Prefect: a run of the deployment of its type."""

from typing import cast

from flows.errors import NotLaunched
from flows.job import Job

#: Every strategy's deployment has this name: ``table-import/batch-jobs``.
DEPLOYMENT_NAME = "batch-jobs"


def launch(job: Job) -> str:
    """Ask Prefect to run a job and return the flow run's id; asking twice for one attempt makes one run.

    Raises:
        NotLaunched: Prefect does not answer, or has no deployment of the job's type.
    """
    import httpx
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    try:
        run = run_deployment(
            f"{job.type}/{DEPLOYMENT_NAME}",
            parameters={"context": job.context, "dry_run": job.dry_run, "job_id": job.id},
            timeout=0,
            idempotency_key=f"{job.id}-{job.attempt}-{job.version}",
            as_subflow=False,
        )
    except ObjectNotFound:
        raise NotLaunched(job.id, f"Prefect has no deployment {job.type}/{DEPLOYMENT_NAME}") from None
    except httpx.HTTPError as error:
        raise NotLaunched(job.id, f"Prefect does not answer ({error or type(error).__name__})") from None
    return str(cast(FlowRun, run).id)
