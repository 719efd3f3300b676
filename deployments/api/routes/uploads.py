"""The routes of files: Medusa v1's uploads, and downloads by signed links."""

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from batch_jobs.deployments.api.authentication import KeyBeforeBody, holding
from batch_jobs.deployments.api.authorization import Caller, Right
from batch_jobs.deployments.api.bodies import FileKey
from batch_jobs.deployments.api.dependencies import Api, Parts
from batch_jobs.deployments.api.errors import InputWrong, LinkInvalid, TooLarge
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.api.file_response import WantedRange, send_file
from batch_jobs.deployments.api.form_uploads import OVERHEAD, FormReader
from batch_jobs.deployments.api.openapi import (
    BAD_RANGE,
    DELETED,
    DOWNLOAD_URL,
    FILE_CONTENT,
    PART_OF_FILE,
    UPLOADS,
    refusals,
)
from batch_jobs.deployments.api.signed_links import Link
from batch_jobs.strategies.sdk.errors import FileMissing

router = APIRouter(tags=["files"], route_class=KeyBeforeBody)

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


@router.post(
    "/admin/uploads/protected",
    summary="Upload files",
    response_class=JSONResponse,
    responses={200: UPLOADS, **refusals(400, 401, 403, 413, 415)},
    openapi_extra=FORM,
)
@router.post(
    "/admin/uploads",
    summary="Upload files",
    response_class=JSONResponse,
    responses={200: UPLOADS, **refusals(400, 401, 403, 413, 415)},
    openapi_extra=FORM,
)
@holding(Right.FILES)
async def upload(request: Request, api: Parts, caller: Caller) -> Response:
    """Put files into the store; a `key` is what a context calls `file_key`. Every upload is protected."""
    limit = api.workspace.settings.max_upload_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit + OVERHEAD:
        raise TooLarge("the files of an upload", limit)
    reader = FormReader(api.workspace.files, request.headers.get("content-type", ""), limit)
    try:
        stored = await _read(request, reader)
        await asyncio.to_thread(api.workspace.uploads.add, caller.name, stored)
    except BaseException:
        await asyncio.to_thread(reader.undo)
        raise
    shown = [{"url": _link(request, api, caller, key), "key": key} for key, _ in stored]
    return JSONResponse({"uploads": shown})


@router.delete(
    "/admin/uploads",
    summary="Delete a file",
    response_class=JSONResponse,
    responses={200: DELETED, **refusals(400, 401, 403, 404, 409)},
)
@holding(Right.FILES)
def delete(body: FileKey, api: Parts, caller: Caller) -> Response:
    """Delete a file of the caller's; one that was deleted before is gone all the same."""
    if not FileAccess(api, caller).delete(body.file_key) and not api.compat:
        raise FileMissing(body.file_key)
    return JSONResponse({"id": body.file_key, "object": "file", "deleted": True})


@router.post(
    "/admin/uploads/download-url",
    summary="Get a download link",
    response_class=JSONResponse,
    responses={200: DOWNLOAD_URL, **refusals(400, 401, 403, 404)},
)
@holding(Right.FILES)
def download_url(body: FileKey, request: Request, api: Parts, caller: Caller) -> Response:
    """A link that needs no key, works for a while, and dies with the key it was made with."""
    key = FileAccess(api, caller).readable(body.file_key)
    return JSONResponse({"download_url": _link(request, api, caller, key)})


@router.head("/files/{token}/{name}", include_in_schema=False)
@router.get(
    "/files/{token}/{name}",
    summary="Download a file by its link",
    response_class=StreamingResponse,
    responses={200: FILE_CONTENT, 206: PART_OF_FILE, 416: BAD_RANGE, **refusals(403, 404)},
)
def download(token: str, name: str, api: Parts, wanted: WantedRange) -> Response:
    """The file of a link; `name` is what a browser calls it. One `Range` is heeded."""
    link = api.links.read(token)
    if not api.authentication.is_valid(link.api_key_id):
        raise LinkInvalid
    if not api.workspace.files.exists(link.file_key):
        raise FileMissing(link.file_key)
    return send_file(api.workspace.files, link.file_key, wanted)


async def _read(request: Request, reader: FormReader) -> list[tuple[str, int]]:
    try:
        async for data in request.stream():
            await asyncio.to_thread(reader.feed, data)
    except ClientDisconnect:
        raise InputWrong("the connection ended before the form did") from None
    return await asyncio.to_thread(reader.finish)


def _link(request: Request, api: Api, caller: Caller, key: str) -> str:
    base = api.workspace.settings.api_public_url or str(request.base_url).rstrip("/")
    token = api.links.token(Link(key, caller.key_id))
    return f"{base}/files/{token}/{quote(key.rsplit('/', 1)[-1])}"
