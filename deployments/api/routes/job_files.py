"""The files of a job: what it wrote, and the rows it refused."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from batch_jobs.deployments.api.authentication import holding
from batch_jobs.deployments.api.authorization import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, Parts
from batch_jobs.deployments.api.errors import NothingThere
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.api.file_response import WantedRange, send_file
from batch_jobs.deployments.api.openapi import BAD_RANGE, FILE_CONTENT, PART_OF_FILE, refusals

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: FILE_CONTENT,
    206: PART_OF_FILE,
    416: BAD_RANGE,
    **refusals(401, 403, 404),
}


@router.head("/{job_id}/output", include_in_schema=False)
@router.get("/{job_id}/output", summary="Get a job's result file", response_class=StreamingResponse, responses=ANSWERS)
@holding(Right.FILES)
def output(job_id: str, api: Parts, caller: Caller, wanted: WantedRange) -> Response:
    """The file that the job wrote."""
    return _file(api, caller, job_id, "file_key", "no result file", wanted)


@router.head("/{job_id}/rejects", include_in_schema=False)
@router.get(
    "/{job_id}/rejects", summary="Get a job's refused rows", response_class=StreamingResponse, responses=ANSWERS
)
@holding(Right.FILES)
def rejects(job_id: str, api: Parts, caller: Caller, wanted: WantedRange) -> Response:
    """The input rows that were refused, each with its line and the reason, to be corrected and imported again."""
    return _file(api, caller, job_id, "rejects_file_key", "no rejects", wanted)


def _file(api: Api, caller: Caller, job_id: str, field: str, none: str, wanted: str | None) -> Response:
    job = api.job(job_id, caller)
    key = getattr(job.result, field)
    if key is None:
        raise NothingThere(f"{job.id} has {none}")
    return send_file(api.workspace.files, FileAccess(api, caller).readable(key), wanted)
