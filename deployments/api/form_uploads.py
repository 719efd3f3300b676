"""Reading a form with files: each goes to the file store as it comes, nothing is held in memory.

On python-multipart, which bounds a part's head and says where a form ends. streaming-form-data, as fast, does neither:
it takes a form that is cut off between two files for a whole one, and 1 MB of head in small pieces costs it 20 s.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import InputWrong, TooLarge, WrongMediaType
from batch_jobs.strategies.sdk.files import FileStore, upload_key

FIELD = "files"
MOST_FILES = 100
OVERHEAD = 1 << 20  # bytes that a form may have beside its files: heads, and what stands before and after its parts


async def receive_files(
    request: Request,
    api: Api,
    owner: str,
    texts: Collection[str] = (),
    check: Callable[[Mapping[str, str]], None] = lambda texts: None,
) -> list[str]:
    """Read a form with files, which become their owner's uploads.

    Args:
        request: its body is the form.
        api: has the store.
        owner: whose they are.
        texts: names of short fields that the form may have beside its files.
        check: gets what is in those; the files are removed again where it raises.

    Returns:
        The files' keys.

    Raises:
        InputWrong: this is no form, or it is cut off.
        TooLarge: the files are, or what is beside them.
        WrongMediaType: it is no form with files.
    """
    limit = api.settings.max_upload_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit + OVERHEAD:
        raise TooLarge("the files of an upload", limit)
    reader = FormReader(api.files, request.headers.get("content-type", ""), limit, texts)
    try:
        stored = await _read(request, reader)
        check(reader.texts)
        await asyncio.to_thread(api.uploads.add, owner, stored)
    except BaseException:
        await asyncio.to_thread(reader.undo)
        raise
    return [key for key, _ in stored]


async def _read(request: Request, reader: "FormReader") -> list[tuple[str, int]]:
    try:
        async for data in request.stream():
            await asyncio.to_thread(reader.feed, data)
    except ClientDisconnect:
        raise InputWrong("the connection ended before the form did") from None
    return await asyncio.to_thread(reader.finish)


class FormReader:
    """Takes the bytes of one form; blocking, so it is fed in a thread.

    Args:
        files: where the files go.
        content_type: the request's, which names the boundary.
        limit: bytes that all files may have together.
        texts: names of short fields that the form may have beside its files.

    Raises:
        WrongMediaType: it is no form with files.
    """

    def __init__(self, files: FileStore, content_type: str, limit: int, texts: Collection[str] = ()) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise WrongMediaType("an upload is multipart/form-data with one or more fields named files")
        self._files = files
        self._limit = limit
        self._text_names = frozenset(texts)
        self._text: bytearray | None = None
        self._texts: dict[str, bytearray] = {}
        self._seen = self._size = 0
        self._stored: list[tuple[str, int]] = []
        self._open: _OpenFile | None = None
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._ended = False
        self._parser = self._parsing(options[b"boundary"])

    @property
    def texts(self) -> dict[str, str]:
        """What came in the short fields."""
        return {name: bytes(text).decode(errors="replace") for name, text in self._texts.items()}

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            InputWrong: this is no form.
            TooLarge: the files are, or what is beside them.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InputWrong(f"the form cannot be read: {error}") from None
        self._seen += len(data)
        if self._seen - self._size > OVERHEAD:
            raise TooLarge("what a form has beside its files", OVERHEAD)

    def finish(self) -> list[tuple[str, int]]:
        """The files' keys and sizes, after the last bytes.

        Raises:
            InputWrong: the form is cut off or has no file.
        """
        if not self._ended:
            raise InputWrong("the form is cut off")
        if not self._stored:
            raise InputWrong("files must be one or more files")
        return self._stored

    def undo(self) -> None:
        """Remove whatever came."""
        if self._open:
            self._open.drop()
            self._open = None
        for key, _ in self._stored:
            self._files.remove(key)
        self._stored.clear()

    def _parsing(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_file,
                    "on_part_data": self._write,
                    "on_part_end": self._close_file,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InputWrong(f"the form cannot be read: {error}") from None

    def _begin(self) -> None:
        self._headers.clear()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _open_file(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if not options.get(b"name"):
            raise InputWrong("each part of the form must have a name; that of a file is files")
        name = options[b"name"].decode(errors="replace")
        self._text = self._texts.setdefault(name, bytearray()) if name in self._text_names else None
        if self._text is not None:
            return
        if name != FIELD:
            raise InputWrong(f"property {name[:100]} should not exist")
        if b"filename" not in options:
            raise InputWrong("files must be files")
        if len(self._stored) >= MOST_FILES:
            raise InputWrong(f"files must be {MOST_FILES} files at most")
        self._open = _OpenFile(self._files, upload_key(options[b"filename"].decode(errors="replace")))

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._text is not None:  # it counts as what is beside the files
            self._text += data[start:end]
            return
        self._size += end - start
        if self._size > self._limit:
            raise TooLarge("the files of an upload", self._limit)
        if self._open:
            self._open.write(data[start:end])

    def _close_file(self) -> None:
        if self._open:
            self._stored.append(self._open.keep())
            self._open = None

    def _end(self) -> None:
        self._ended = True


class _OpenFile:
    """A file that is being written under a passing name."""

    def __init__(self, files: FileStore, key: str) -> None:
        self._key = key
        self._size = 0
        self._writing: AbstractContextManager[BinaryIO] = files.writing(key)
        self._stream = self._writing.__enter__()

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except OSError as error:
            self._writing.__exit__(type(error), error, error.__traceback__)  # it knows what an error of its file means
            raise
        self._size += len(data)

    def keep(self) -> tuple[str, int]:
        self._writing.__exit__(None, None, None)
        return self._key, self._size

    def drop(self) -> None:
        dropped = _Dropped()
        try:
            self._writing.__exit__(_Dropped, dropped, None)
        except _Dropped:
            return


class _Dropped(Exception):
    """Ends the writing of a file without keeping it."""
