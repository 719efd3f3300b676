"""The routes of files: Medusa v1's uploads, downloads by signed links, and what a job wrote and refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from batch_jobs.deployments.api import openapi
from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, json_body, requires
from batch_jobs.deployments.api.errors import NothingThere
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.api.file_response import WantedRange, send_file
from batch_jobs.deployments.api.form_uploads import receive_files
from batch_jobs.deployments.api.links import download_link, linked_file
from batch_jobs.deployments.api.list_query import UploadQuery
from batch_jobs.deployments.api.openapi import (
    BAD_RANGE,
    DELETED,
    DOWNLOAD_URL,
    FILE_CONTENT,
    MANY_UPLOADS,
    OF_BODIES,
    PART_OF_FILE,
    UPLOAD_PARAMETERS,
    UPLOADS,
    refusals,
)
from batch_jobs.deployments.api.schemas import FileKey, upload_json
from batch_jobs.deployments.log import add_facts
from batch_jobs.strategies.sdk.errors import FileMissing

router = APIRouter()

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
                    },
                    "required": ["files"],
                    "additionalProperties": False,
                }
            }
        },
    }
}
FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: FILE_CONTENT,
    206: PART_OF_FILE,
    416: BAD_RANGE,
    **refusals(401, 403, 404, 409),
}


#: field of a result -> what the file is called that it names.
FILES_OF_JOBS = {"file_key": "result file", "rejects_file_key": "rejects"}
#: Medusa has two routes for files, one of them for those that are protected, which here all are.
UPLOADING: dict[str, Any] = {
    "dependencies": [requires(Right.FILES)],
    "tags": ["files"],
    "summary": "Upload files",
    "response_class": JSONResponse,
    "responses": {200: UPLOADS, **refusals(401, 403, *OF_BODIES)},
    "openapi_extra": FORM,
}


@router.post("/admin/uploads/protected", **UPLOADING)
@router.post("/admin/uploads", **UPLOADING)
async def upload(request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """Put files into the store; a `key` is what a context calls `file_key`. Every upload is protected."""
    stored = await receive_files(request, api, caller.name)
    add_facts(action="upload", files=stored)
    shown = [{"url": download_link(request, api, caller, key), "key": key} for key in stored]
    return JSONResponse({"uploads": shown})


@router.get(
    "/admin/uploads",
    dependencies=[requires(Right.FILES)],
    tags=["files"],
    summary="List uploads",
    response_class=JSONResponse,
    responses={200: MANY_UPLOADS, **refusals(401, 403)},
    openapi_extra={"parameters": UPLOAD_PARAMETERS},
)
def list_uploads(request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """The caller's uploads, an administrator's being everybody's, newest first; paged as jobs are."""
    query = UploadQuery.parse(request.query_params.multi_items())
    found = api.uploads.page(caller.sees_only, query.limit, query.offset, query.before)
    answer: dict[str, Any] = {"uploads": [upload_json(upload) for upload in found]}
    if not query.by_cursor:
        answer |= {"count": api.uploads.count(caller.sees_only), "offset": query.offset}
    return JSONResponse({**answer, "limit": query.limit, "next_cursor": query.next_cursor(found)})


@router.delete(
    "/admin/uploads",
    dependencies=[requires(Right.FILES)],
    tags=["files"],
    summary="Delete a file",
    response_class=JSONResponse,
    responses={200: DELETED, **refusals(401, 403, 404, 409, *OF_BODIES)},
    openapi_extra=openapi.body(FileKey),
)
def delete(body: Annotated[FileKey, json_body(FileKey)], api: CurrentApi, caller: CurrentCaller) -> Response:
    """Delete a file of the caller's; one that was deleted before is gone all the same."""
    if not FileAccess(api, caller).delete(body.file_key) and not api.compat:
        raise FileMissing(body.file_key)
    add_facts(action="delete", file=body.file_key)
    return JSONResponse({"id": body.file_key, "object": "file", "deleted": True})


@router.post(
    "/admin/uploads/download-url",
    dependencies=[requires(Right.FILES)],
    tags=["files"],
    summary="Get a download link",
    response_class=JSONResponse,
    responses={200: DOWNLOAD_URL, **refusals(401, 403, 404, 409, *OF_BODIES)},
    openapi_extra=openapi.body(FileKey),
)
def download_url(
    body: Annotated[FileKey, json_body(FileKey)], request: Request, api: CurrentApi, caller: CurrentCaller
) -> Response:
    """A link that needs no key, works for a while, and for as long as the key it was made with may read the file."""
    key = FileAccess(api, caller).readable(body.file_key)
    add_facts(action="link", file=key)
    return JSONResponse({"download_url": download_link(request, api, caller, key)})


@router.get(
    "/files/{token}/{name}",
    tags=["files"],
    summary="Download a file by its link",
    response_class=StreamingResponse,
    responses={200: FILE_CONTENT, 206: PART_OF_FILE, 416: BAD_RANGE, **refusals(403, 404, 409)},
)
def download(token: str, name: str, api: CurrentApi, wanted: WantedRange) -> Response:
    """The file of a link; `name` is what a browser calls it. One `Range` is heeded."""
    key = linked_file(api, token)
    add_facts(action="download", file=key)
    return send_file(api.files, key, wanted)


def send_file_of_job(api: Api, caller: Caller, job_id: str, field: str, wanted: str | None) -> Response:
    """A file that a job wrote, as far as a caller may read it.

    Args:
        api: has the job and the file.
        caller: asks for it.
        job_id: whose file.
        field: of the job's result that names it.
        wanted: the ``Range`` header.

    Raises:
        JobUnknown: the caller sees no such job.
        NothingThere: it has no such file.
        FileMissing: the file is gone, or not the caller's.
    """
    job = api.job(job_id, caller)
    key = getattr(job.result, field)
    if key is None:
        raise NothingThere(f"{job.id} has no {FILES_OF_JOBS[field]}")
    add_facts(action="download", file=key)
    return send_file(api.files, FileAccess(api, caller).readable(key), wanted)


def _add_file_of_job(name: str, field: str, summary: str, what: str) -> None:
    def send(job_id: str, api: CurrentApi, caller: CurrentCaller, wanted: WantedRange) -> Response:
        return send_file_of_job(api, caller, job_id, field, wanted)

    send.__name__, send.__doc__ = name, what
    router.get(
        f"/admin/batch-jobs/{{job_id}}/{name}",
        dependencies=[requires(Right.FILES)],
        tags=["batch jobs"],
        summary=summary,
        response_class=StreamingResponse,
        responses=FILE_ANSWERS,
    )(send)


_add_file_of_job("output", "file_key", "Get a job's result file", "The file that the job wrote.")
_add_file_of_job(
    "rejects",
    "rejects_file_key",
    "Get a job's refused rows",
    "The input rows that were refused, each with its line and the reason, to be corrected and imported again.",
)
