"""The errors of the HTTP API, each one sentence, and the one place that knows their status codes."""

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException
from starlette.routing import Match

from batch_jobs.deployments.log import add_facts
from batch_jobs.flows.errors import (
    ActionIllegal,
    ChangesUnknown,
    ConfirmedTooLate,
    CorrectionRefused,
    DatabaseUnreachable,
    IdempotencyKeyTaken,
    JobActive,
    JobMoved,
    JobTaken,
    JobUnknown,
    JobUnreadable,
    NotLaunched,
    NotUndoable,
    OtherMustConfirm,
    UploadNotTaken,
    UploadOutOfStep,
    UploadUnknown,
)
from batch_jobs.flows.jobs.transitions import Action
from batch_jobs.strategies.sdk.database import is_full
from batch_jobs.strategies.sdk.errors import (
    BatchJobError,
    ContextRefused,
    FileKeyUnsafe,
    FileMissing,
    LeaveOutRefused,
    StorageFull,
    StrategyUnknown,
)

logger = logging.getLogger("batch_jobs.api")


class NotLoggedIn(BatchJobError):
    """No key, or none that works."""

    def __init__(self) -> None:
        super().__init__(
            "a key is needed in the header x-medusa-access-token or Authorization: Bearer; `batch-jobs keys create`"
            " makes one"
        )


class NotPermitted(BatchJobError):
    """The key's role or types do not allow it."""


class TooManyRequests(BatchJobError):
    """More requests than the rate limit allows."""

    def __init__(self, rate: str, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"more requests than {rate}; try again in {seconds} s")


class InputWrong(BatchJobError):
    """A query, header or body that cannot be used; the text names the field, as Medusa's do."""


class TooLarge(BatchJobError):
    """A body with more bytes than are taken."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} may have at most {limit} bytes")


class TooSlow(BatchJobError):
    """A body that did not come, or not in time."""


class WrongMediaType(BatchJobError):
    """A body in a form that is not read."""


class NotYours(BatchJobError):
    """Somebody else's job, refused as Medusa does, which discloses that it exists."""

    def __init__(self) -> None:
        super().__init__("Cannot access a batch job that does not belong to the logged in user")


class NothingThere(BatchJobError):
    """A job has no such file, a strategy no template."""


class LinkInvalid(BatchJobError):
    """A link that was not made here, is too old, or was made with a key that may not read the file any more."""

    def __init__(self) -> None:
        super().__init__("the link is not valid or no longer; ask for a new one")


class FileInUse(BatchJobError):
    """A file of a job that is not ended, or that its context names."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} belongs to a job that has not ended; cancel it first or wait. Nothing was deleted")


class FileGone(BatchJobError):
    """A context names a file that is not there any more."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no file {key} any more; upload it again and name the new key. There is no job")


class TooManyStreams(BatchJobError):
    """More open streams than one key may have."""

    def __init__(self, limit: int) -> None:
        self.seconds = 5
        super().__init__(f"this key has {limit} open streams; close one, or ask for the job again and again instead")


#: Where a code of PostgreSQL begins so: deadlocks, no room, no lock, a statement that took too long.
BUSY_STATES = ("40", "53", "55", "57014")
#: A program limit is passed by what is asked; a driver that refuses by itself, as too many parameters, gives no code.
WRONG_STATES = ("54", "None")
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class DatabaseFailure(Enum):
    """Why the database did not do what it was asked."""

    AWAY = "the job database does not answer"
    FULL = "the job database is full, nothing was recorded"
    BUSY = "the job database is busy, ask again in a second"
    BAD_STATEMENT = "the job database cannot do this"


def classify(error: DBAPIError) -> DatabaseFailure:
    """Why an error came: drivers use one class for a lost connection and for many another thing."""
    original = error.orig
    if is_full(error):
        return DatabaseFailure.FULL
    if isinstance(original, sqlite3.Error):
        return _classify_sqlite(getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, error)
    state = str(getattr(original, "sqlstate", None))
    if state.startswith(BUSY_STATES):
        return DatabaseFailure.BUSY
    if _has_no_connection(error) or not state.startswith(WRONG_STATES):
        return DatabaseFailure.AWAY
    return DatabaseFailure.BAD_STATEMENT


def _classify_sqlite(code: int, error: DBAPIError) -> DatabaseFailure:
    if code in BUSY_CODES:
        return DatabaseFailure.BUSY
    return (
        DatabaseFailure.BAD_STATEMENT
        if code == sqlite3.SQLITE_ERROR and not _has_no_connection(error)
        else DatabaseFailure.AWAY
    )


def _has_no_connection(error: DBAPIError) -> bool:
    """Whether there was no connection to ask through, or it was lost meanwhile."""
    return error.statement is None or error.connection_invalidated


UNEXPECTED = "An unknown error occurred."
#: Medusa's texts, where a client may look for them.
COMPAT_TEXTS = {
    Action.CONFIRM: "Cannot confirm processing for a batch job that is not pre processed",
    Action.CANCEL: "Cannot cancel completed batch job",
}


@dataclass(frozen=True)
class ErrorStatus:
    """How an error is answered: status and Medusa's type and code; ``compat`` is Medusa's status where it differs."""

    status: int
    type: str
    code: str | None = None
    compat: int | None = None

    def status_for(self, compat: bool) -> int:
        """The status to answer with."""
        return self.compat if compat and self.compat else self.status


FULL = ErrorStatus(507, "unexpected_state", "api_error")
CONFLICT = ErrorStatus(409, "conflict", "invalid_state_error")
#: The first class of an error's ancestry that is here decides.
STATUSES: Mapping[type[Exception], ErrorStatus] = {
    NotLoggedIn: ErrorStatus(401, "unauthorized"),
    NotPermitted: ErrorStatus(403, "not_allowed"),
    TooManyRequests: ErrorStatus(429, "not_allowed", "too_many_requests"),
    TooManyStreams: ErrorStatus(429, "not_allowed", "too_many_requests"),
    InputWrong: ErrorStatus(400, "invalid_data"),
    TooLarge: ErrorStatus(413, "invalid_data"),
    TooSlow: ErrorStatus(408, "invalid_data"),
    WrongMediaType: ErrorStatus(415, "invalid_data"),
    NotYours: ErrorStatus(400, "not_allowed"),
    NothingThere: ErrorStatus(404, "not_found"),
    LinkInvalid: ErrorStatus(403, "not_allowed"),
    FileInUse: CONFLICT,
    FileGone: ErrorStatus(422, "invalid_data", compat=400),
    StrategyUnknown: ErrorStatus(404, "not_found"),
    JobUnknown: ErrorStatus(404, "not_found"),
    ChangesUnknown: ErrorStatus(404, "not_found"),
    FileMissing: ErrorStatus(404, "not_found"),
    FileKeyUnsafe: ErrorStatus(400, "invalid_data"),
    UploadUnknown: ErrorStatus(404, "not_found"),
    UploadOutOfStep: CONFLICT,
    UploadNotTaken: ErrorStatus(413, "invalid_data"),
    StorageFull: FULL,
    ContextRefused: ErrorStatus(422, "invalid_data", compat=400),
    LeaveOutRefused: ErrorStatus(422, "invalid_data", compat=400),
    CorrectionRefused: ErrorStatus(422, "invalid_data", compat=400),
    ActionIllegal: ErrorStatus(409, "not_allowed", "invalid_state_error", compat=400),
    IdempotencyKeyTaken: CONFLICT,
    ConfirmedTooLate: CONFLICT,
    OtherMustConfirm: ErrorStatus(403, "not_allowed"),
    JobActive: CONFLICT,
    NotUndoable: CONFLICT,
    JobMoved: CONFLICT,
    JobTaken: CONFLICT,
    JobUnreadable: CONFLICT,
    NotLaunched: ErrorStatus(503, "unexpected_state", "api_error"),
    DatabaseUnreachable: ErrorStatus(503, "database_error", "api_error"),
    OperationalError: ErrorStatus(503, "database_error", "api_error"),
    InterfaceError: ErrorStatus(503, "database_error", "api_error"),
    PoolExhausted: ErrorStatus(503, "database_error", "api_error"),
    BatchJobError: ErrorStatus(400, "invalid_data"),
    Exception: ErrorStatus(500, "unknown_error", "unknown_error"),
}
#: Errors whose text is not for the outside; they get an id that is in the log beside it.
HIDDEN = (DatabaseUnreachable, OperationalError, InterfaceError, PoolExhausted)
LONGEST_MESSAGE = 2000  # characters; a message may repeat what was sent
MOST_SHOWN = 20  # wrong fields
#: Those that a route may have.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: Starlette's own refusals, by status.
HTTP_TYPES = {404: "not_found", 405: "not_allowed"}
#: What a wrong field must be, in the words of Medusa's validator, by pydantic's name of what is wrong.
MUST_BE = {
    "string_type": "must be a string",
    "bool_type": "must be a boolean value",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
}


def response_to(error: Exception, request_id: str, compat: bool) -> Response:
    """The response to an error."""
    status, message = explain(error, request_id, compat)
    if compat and isinstance(error, NotLoggedIn):
        return PlainTextResponse("Unauthorized", 401)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyRequests | TooManyStreams) else {}
    if status.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(status.status_for(compat), status.type, message, status.code, headers)


def explain(error: Exception, request_id: str, compat: bool = False) -> tuple[ErrorStatus, str]:
    """How an error is answered, and what is said of it; the log has what is not for the outside."""
    add_facts(error=type(error).__name__)
    status = _status_of(error)
    return status, _message(error, status, request_id, compat)


def _status_of(error: Exception) -> ErrorStatus:
    if isinstance(error, DBAPIError) and classify(error) is DatabaseFailure.BAD_STATEMENT:
        return STATUSES[Exception]
    if isinstance(error, DBAPIError) and classify(error) is DatabaseFailure.FULL:
        return FULL
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def error_response(
    status: int, kind: str, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in Medusa's shape."""
    body: dict[str, Any] = {"type": kind, "message": shortened(message), **({"code": code} if code else {})}
    return JSONResponse(body, status, headers)


def shortened(message: str) -> str:
    """A message that is not longer than one may be."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"


def add_error_handlers(app: FastAPI, compat: bool) -> None:
    """Let every error that a route raises be answered here."""

    async def refuse(request: Request, error: Exception) -> Response:
        return response_to(error, request.state.request_id, compat)

    async def refuse_input(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(400, "invalid_data", wrong_fields(error.errors()))

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = HTTP_TYPES.get(error.status_code, "invalid_data")
        headers = {"Allow": _allowed(app, request)} if error.status_code == 405 else error.headers
        return error_response(error.status_code, kind, f"{error.detail}.".replace("..", "."), headers=headers)

    app.add_exception_handler(RequestValidationError, refuse_input)
    app.add_exception_handler(HTTPException, refuse_http)
    for kind in STATUSES:
        if kind is not Exception:  # what nobody foresaw is answered by the outermost middleware
            app.add_exception_handler(kind, refuse)


def _allowed(app: FastAPI, request: Request) -> str:
    """Every method of a path; the framework names those of the first of its routes."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return ", ".join(
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)
    )


def wrong_fields(entries: Iterable[Mapping[str, Any]]) -> str:
    """Every wrong field, as Medusa's validator words it.

    Args:
        entries: pydantic's, each with the place of the input (such as ``body``) before the field's own.
    """
    return ", ".join(dict.fromkeys(_wrong_field(entry) for entry in islice(entries, MOST_SHOWN)))


def _wrong_field(entry: Mapping[str, Any]) -> str:
    name = ".".join(str(step) for step in entry["loc"][1:])
    kind = entry["type"]
    if kind == "extra_forbidden":
        return f"property {name[:100]} should not exist"
    if kind == "missing":
        wanted = MISSING.get(name)
        return f"{name} {wanted}" if wanted else "the body must be an object"
    if not name:
        return "the body must be an object"
    return f"{name} {MUST_BE.get(kind, entry['msg'].removeprefix('Value error, '))}"


#: What a missing field had to be.
MISSING = {"type": "must be a string", "context": "must be an object", "file_key": "must be a string"}


def _message(error: Exception, status: ErrorStatus, request_id: str, compat: bool) -> str:
    if status.status == 500 or isinstance(error, HIDDEN):
        logger.error("%s: %s", request_id, error, exc_info=error)
        said = UNEXPECTED if status.status == 500 else _database_message(error)
        return said if compat else f"{said.rstrip('.')}; error id {request_id}"
    if isinstance(error, StrategyUnknown):
        return f"Unable to find a BatchJob strategy with the type {error.batch_type}"
    if isinstance(error, JobUnknown):
        return f"Batch job with id {error.job_id} was not found"
    if isinstance(error, JobActive):  # its own words name the other job, which may be somebody else's
        return "there is an active job of this kind, and its type allows one at a time"
    if isinstance(error, IdempotencyKeyTaken):  # its own words have the key as the table has it
        return f"the Idempotency-Key belongs to {error.job_id}, a job that was created with another body"
    if isinstance(error, StorageFull):  # its own words have the store's address
        logger.error("%s: %s", request_id, error)
        return f"{error.what} is full; nothing was stored"
    if isinstance(error, FileMissing):
        return f"there is no file {error.key}"
    if compat and isinstance(error, ActionIllegal):
        return COMPAT_TEXTS.get(error.action, str(error))
    return str(error)


def _database_message(error: Exception) -> str:
    return (classify(error) if isinstance(error, DBAPIError) else DatabaseFailure.AWAY).value
