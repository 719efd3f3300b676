"""From an error to its answer: the one place that knows status codes, ours and Medusa v1's."""

import logging
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException

from batch_jobs.deployments.api import errors
from batch_jobs.deployments.api.bodies import DEEPEST
from batch_jobs.flows.errors import (
    ActionIllegal,
    ConfirmedTooLate,
    DatabaseUnreachable,
    IdempotencyKeyTaken,
    JobActive,
    JobMoved,
    JobTaken,
    JobUnknown,
    NotLaunched,
)
from batch_jobs.flows.jobs.transitions import Action
from batch_jobs.strategies.sdk.errors import BatchJobError, ContextRefused, FileKeyUnsafe, FileMissing, StrategyUnknown

#: Where a code of PostgreSQL begins so: deadlocks, no room, no lock, a statement that took too long.
BUSY_STATES = ("40", "53", "55", "57014")
#: A program limit is passed by what is asked; a driver that refuses by itself, as too many parameters, gives no code.
WRONG_STATES = ("54", "None")
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Trouble(Enum):
    """Why the database did not do what it was asked."""

    AWAY = "the job database does not answer"
    BUSY = "the job database is busy, ask again in a second"
    ASKED_WRONGLY = "the job database cannot do this"


def trouble_of(error: DBAPIError) -> Trouble:
    """Why an error came: drivers use one class for a lost connection and for many another thing."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, error)
    state = str(getattr(original, "sqlstate", None))
    if state.startswith(BUSY_STATES):
        return Trouble.BUSY
    if _never_asked(error) or not state.startswith(WRONG_STATES):
        return Trouble.AWAY
    return Trouble.ASKED_WRONGLY


def _of_sqlite(code: int, error: DBAPIError) -> Trouble:
    if code in BUSY_CODES:
        return Trouble.BUSY
    return Trouble.ASKED_WRONGLY if code == sqlite3.SQLITE_ERROR and not _never_asked(error) else Trouble.AWAY


def _never_asked(error: DBAPIError) -> bool:
    """Whether there was no connection to ask through, or it was lost meanwhile."""
    return error.statement is None or error.connection_invalidated


logger = logging.getLogger("batch_jobs.api")

UNEXPECTED = "An unknown error occurred."
#: Medusa's texts, where a client may look for them.
COMPAT_TEXTS = {
    Action.CONFIRM: "Cannot confirm processing for a batch job that is not pre processed",
    Action.CANCEL: "Cannot cancel completed batch job",
}


@dataclass(frozen=True)
class Failure:
    """How an error is answered: status and Medusa's type and code; ``compat`` is Medusa's status where it differs."""

    status: int
    type: str
    code: str | None = None
    compat: int | None = None

    def status_for(self, compat: bool) -> int:
        """The status to answer with."""
        return self.compat if compat and self.compat else self.status


CONFLICT = Failure(409, "conflict", "invalid_state_error")
#: The first class of an error's ancestry that is here decides.
FAILURES: Mapping[type[Exception], Failure] = {
    errors.NotLoggedIn: Failure(401, "unauthorized"),
    errors.NotPermitted: Failure(403, "not_allowed"),
    errors.TooManyRequests: Failure(429, "not_allowed", "too_many_requests"),
    errors.TooManyStreams: Failure(429, "not_allowed", "too_many_requests"),
    errors.InputWrong: Failure(400, "invalid_data"),
    errors.TooLarge: Failure(413, "invalid_data"),
    errors.TooSlow: Failure(408, "invalid_data"),
    errors.WrongMediaType: Failure(415, "invalid_data"),
    errors.NotYours: Failure(400, "not_allowed"),
    errors.NothingThere: Failure(404, "not_found"),
    errors.LinkInvalid: Failure(403, "not_allowed"),
    errors.FileInUse: CONFLICT,
    StrategyUnknown: Failure(404, "not_found"),
    JobUnknown: Failure(404, "not_found"),
    FileMissing: Failure(404, "not_found"),
    FileKeyUnsafe: Failure(400, "invalid_data"),
    ContextRefused: Failure(422, "invalid_data", compat=400),
    ActionIllegal: Failure(409, "not_allowed", "invalid_state_error", compat=400),
    IdempotencyKeyTaken: CONFLICT,
    ConfirmedTooLate: CONFLICT,
    JobActive: CONFLICT,
    JobMoved: CONFLICT,
    JobTaken: CONFLICT,
    NotLaunched: Failure(503, "unexpected_state", "api_error"),
    DatabaseUnreachable: Failure(503, "database_error", "api_error"),
    OperationalError: Failure(503, "database_error", "api_error"),
    InterfaceError: Failure(503, "database_error", "api_error"),
    PoolExhausted: Failure(503, "database_error", "api_error"),
    BatchJobError: Failure(400, "invalid_data"),
    Exception: Failure(500, "unknown_error", "unknown_error"),
}
#: Errors whose text is not for the outside; they get an id that is in the log beside it.
HIDDEN = (DatabaseUnreachable, OperationalError, InterfaceError, PoolExhausted)
#: Starlette's own refusals, by status.
HTTP_TYPES = {404: "not_found", 405: "not_allowed"}
#: What a wrong field must be, in the words of Medusa's validator, by pydantic's name of what is wrong.
MUST_BE = {
    "string_type": "must be a string",
    "bool_type": "must be a boolean value",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
}
#: Why a body could not be parsed, by what its parser raised; FastAPI says only that it could not.
UNREADABLE: Mapping[type[Exception], str] = {
    RecursionError: f"the body is too deep; a context may have {DEEPEST} levels",
    UnicodeDecodeError: "the body is not UTF-8",
    ValueError: f"a whole number in the body may have at most {sys.get_int_max_str_digits()} digits",
}


def answer(error: Exception, request_id: str, compat: bool) -> Response:
    """The response that tells an error."""
    failure = _failure(error)
    if compat and isinstance(error, errors.NotLoggedIn):
        return PlainTextResponse("Unauthorized", 401)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, errors.TooManyRequests) else {}
    if failure.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(
        failure.status_for(compat), failure.type, _message(error, failure, request_id, compat), failure.code, headers
    )


def _failure(error: Exception) -> Failure:
    if isinstance(error, DBAPIError) and trouble_of(error) is Trouble.ASKED_WRONGLY:
        return FAILURES[Exception]
    return next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)


def as_http(error: BatchJobError) -> HTTPException:
    """The error as one that FastAPI lets through while it reads a body."""
    return HTTPException(FAILURES[type(error)].status, str(error))


def error_response(
    status: int, kind: str, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in Medusa's shape."""
    body: dict[str, Any] = {"type": kind, "message": message, **({"code": code} if code else {})}
    return JSONResponse(body, status, headers)


def install(app: FastAPI, compat: bool) -> None:
    """Let every error that a route raises be answered here."""

    async def refuse(request: Request, error: Exception) -> Response:
        return answer(error, request.state.request_id, compat)

    async def refuse_input(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(400, "invalid_data", wrong_input(error))

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = HTTP_TYPES.get(error.status_code, "invalid_data")
        told = _unreadable(error.__cause__) or f"{error.detail}.".replace("..", ".")
        return error_response(error.status_code, kind, told, headers=error.headers)

    app.add_exception_handler(RequestValidationError, refuse_input)
    app.add_exception_handler(HTTPException, refuse_http)
    for kind in FAILURES:
        if kind is not Exception:  # what nobody foresaw is the frame's to answer
            app.add_exception_handler(kind, refuse)


def _unreadable(cause: BaseException | None) -> str | None:
    return next((told for kind, told in UNREADABLE.items() if isinstance(cause, kind)), None)


def wrong_input(error: RequestValidationError) -> str:
    """Every wrong field, as Medusa's validator words it."""
    texts = [_wrong_field(entry) for entry in error.errors()]
    return ", ".join(dict.fromkeys(texts))


def _wrong_field(entry: Mapping[str, Any]) -> str:
    name = ".".join(str(step) for step in entry["loc"][1:])
    kind = entry["type"]
    if kind == "json_invalid":
        return "the body is not JSON"
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


def _message(error: Exception, failure: Failure, request_id: str, compat: bool) -> str:
    if failure.status == 500 or isinstance(error, HIDDEN):
        logger.error("%s: %s", request_id, error, exc_info=error)
        said = UNEXPECTED if failure.status == 500 else _database_says(error)
        return said if compat else f"{said.rstrip('.')}; error id {request_id}"
    if isinstance(error, StrategyUnknown):
        return f"Unable to find a BatchJob strategy with the type {error.batch_type}"
    if isinstance(error, JobUnknown):
        return f"Batch job with id {error.job_id} was not found"
    if isinstance(error, JobActive):  # its own words name the other job, which may be somebody else's
        return "there is an active job of this kind, and its type allows one at a time"
    if isinstance(error, IdempotencyKeyTaken):  # its own words have the key as the table has it
        return f"the Idempotency-Key belongs to {error.job_id}, a job that was created with another body"
    if isinstance(error, FileMissing):
        return f"there is no file {error.key}"
    if compat and isinstance(error, ActionIllegal):
        return COMPAT_TEXTS.get(error.action, str(error))
    return str(error)


def _database_says(error: Exception) -> str:
    return (trouble_of(error) if isinstance(error, DBAPIError) else Trouble.AWAY).value
