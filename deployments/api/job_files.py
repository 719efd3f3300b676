"""The files of a job: what it wrote, and the rows it refused."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from deployments.api.access import Caller, Right
from deployments.api.descriptions import BAD_RANGE, FILE_CONTENT, PART_OF_FILE, refusals
from deployments.api.door import holding
from deployments.api.errors import NothingThere
from deployments.api.file_access import FileAccess
from deployments.api.parts import Api, Parts
from deployments.api.sending import WantedRange, send_file

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
