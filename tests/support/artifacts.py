"""What a job's run shows in Prefect."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact

from batch_jobs.flows.jobs.model import Job


def artifacts_of(job: Job) -> list[Artifact]:
    """The artifacts of a job's run; without a filter Prefect gives the first 200 of all."""
    of_its_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(job.flow_run_id)]))
    with get_client(sync_client=True) as client:
        return list(client.read_artifacts(artifact_filter=of_its_run))
