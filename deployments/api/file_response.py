"""Sending a file of the store: a stream in blocks, the whole or the part that was asked for."""

import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Annotated, Any, BinaryIO

from fastapi import Depends, Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from batch_jobs.deployments.api.errors import error_response
from batch_jobs.strategies.sdk.files import FileStore, harmless_name
from batch_jobs.strategies.tables.formats.format import media_types

BLOCK = 1 << 18
#: Beside what formats say of theirs. Whatever else a name ends in is sent as bytes: nothing that a browser would run.
TYPES = {
    ".json": "application/json",
    ".txt": "text/plain",
    ".gz": "application/gzip",
    ".zst": "application/zstd",
    ".zip": "application/zip",
}
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


async def _wanted(
    request: Request, range: Annotated[str | None, Header(description="One part of the file.")] = None
) -> str | None:
    """RFC 9110: with any other method it is not looked at, nor for a version that is not ours; files here name none."""
    return range if request.method == "GET" and "if-range" not in request.headers else None


#: The part of a file that a request asks for.
WantedRange = Annotated[str | None, Depends(_wanted)]


class _FileResponse(StreamingResponse):
    """A file, or its headers only where a request asks for no more."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "HEAD":
            await Response(None, self.status_code, self.headers)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def send_file(files: FileStore, key: str, wanted: str | None) -> Response:
    """A response with a file, always as an attachment.

    Args:
        files: the store.
        key: the file's key, already found readable.
        wanted: the ``Range`` header. One range is heeded; of several, as RFC 9110 allows, none.
    """
    size = files.size(key)
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": f'attachment; filename="{harmless_name(PurePosixPath(key).name)}"',
        "content-type": media_type(PurePosixPath(key).suffix.lower()),
    }
    span = _span(wanted, size)
    if span is None:
        return _FileResponse(_blocks(files, key, 0, size), 200, {**headers, "content-length": str(size)})
    start, stop = span
    if start >= stop:
        refused = error_response(416, "invalid_data", f"the file has {size} bytes")
        refused.headers["content-range"] = f"bytes */{size}"
        return refused
    part = {"content-range": f"bytes {start}-{stop - 1}/{size}", "content-length": str(stop - start)}
    return _FileResponse(_blocks(files, key, start, stop), 206, {**headers, **part})


def media_type(suffix: str) -> str:
    """What a file is sent as whose name ends so."""
    return {**media_types(), **TYPES}.get(suffix, "application/octet-stream")


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """From where to where, ``None`` for all of it; empty when that part is not there."""
    matched = RANGE.fullmatch(wanted or "")
    if matched is None or not any(matched.groups()):
        return None
    first, last = matched.groups()
    if not first:  # the last so many bytes
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


async def _blocks(files: FileStore, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
    stream: BinaryIO = await run_in_threadpool(files.open, key)
    try:
        await run_in_threadpool(stream.seek, start)
        left = stop - start
        while left and (block := await run_in_threadpool(stream.read, min(BLOCK, left))):
            left -= len(block)
            yield block
    finally:
        stream.close()
