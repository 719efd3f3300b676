"""Files from a browser: in parts that go on where they were cut off, or in one form where there is no script."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi, json_body
from batch_jobs.deployments.api.errors import InputWrong
from batch_jobs.deployments.api.form_uploads import receive_files
from batch_jobs.deployments.api.schemas import Body, Text
from batch_jobs.deployments.log import add_facts
from batch_jobs.deployments.web.guard import CSRF_FIELD, CurrentSession, CurrentVisitor, check_repeated, visits
from batch_jobs.deployments.web.routes.new import after_file, strategy_of

router = APIRouter(prefix="/uploads")


class BeginUpload(Body):
    """What a browser knows of a file before it sends it."""

    name: Text
    size: int
    fingerprint: Text


@router.post("", dependencies=[visits(Right.FILES)])
def begin(body: Annotated[BeginUpload, json_body(BeginUpload)], api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Begin an upload, or go on with the one of the same file: ``offset`` is where."""
    upload = api.workspace.resumable_uploads.begin(visitor.name, body.name, body.size, body.fingerprint)
    return JSONResponse({"id": upload.id, "offset": upload.received})


@router.patch("/{upload_id}", dependencies=[visits(Right.FILES)])
async def append(
    request: Request, upload_id: str, api: CurrentApi, visitor: CurrentVisitor, upload_offset: Annotated[str, Header()]
) -> Response:
    """Take the next bytes, which begin at ``upload-offset``; ``offset`` is where to go on."""
    if not upload_offset.isascii() or not upload_offset.isdigit() or len(upload_offset) > 18:
        raise InputWrong("upload-offset must be a number of bytes")
    try:
        data = await request.body()
    except ClientDisconnect:
        raise InputWrong("the connection ended before the part did") from None
    given: tuple[Any, ...] = (upload_id, visitor.name, int(upload_offset), data)
    return JSONResponse({"offset": await run_in_threadpool(api.workspace.resumable_uploads.append, *given)})


@router.post("/{upload_id}/finish", dependencies=[visits(Right.FILES)])
def finish(upload_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Make the parts a file; ``key`` is what a context calls ``file_key``."""
    key = api.workspace.resumable_uploads.finish(upload_id, visitor.name)
    add_facts(action="upload", files=[key])
    return JSONResponse({"key": key})


@router.post("/file", dependencies=[visits(Right.FILES)])
async def upload(request: Request, api: CurrentApi, visitor: CurrentVisitor, session: CurrentSession) -> Response:
    """Take files in one form, and lead to what comes after them for the type that the form names."""
    named: dict[str, str] = {}

    def check(texts: Mapping[str, str]) -> None:
        check_repeated(texts.get(CSRF_FIELD, ""), session)
        named.update(texts)

    keys = await receive_files(request, api, visitor.name, (CSRF_FIELD, "type"), check)
    add_facts(action="upload", files=keys)
    strategy = await run_in_threadpool(strategy_of, api, visitor, named.get("type", ""))
    return RedirectResponse(after_file(strategy, keys), 303)
