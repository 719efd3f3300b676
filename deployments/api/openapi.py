"""The OpenAPI document: the forms of bodies and answers, with examples, and how a key is shown."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from batch_jobs.deployments.api.list_query import LARGEST_LIMIT, LARGEST_OFFSET, MOST_VALUES, NEVER_NULL
from batch_jobs.deployments.api.schemas import FIELDS
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.queries import ORDER_COLUMNS, TIME_COLUMNS
from batch_jobs.flows.jobs.transitions import Status

#: The ways to show a key.
SECURITY_SCHEMES = {
    "medusa": {"type": "apiKey", "in": "header", "name": "x-medusa-access-token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
TEXT = {"type": "string"}
TIME = {"type": ["string", "null"], "format": "date-time"}
JOB_ID = "batch_01KB3V5W7Q9M4T8R2YXGZN6H1C"
FILE_KEY = "uploads/01KB3V5W7Q9M4T8R2YXGZN6H1C/products.csv"
EXAMPLE_JOB = {
    "id": JOB_ID,
    "type": "table-export",
    "status": "completed",
    "created_by": "shop",
    "context": {"table": "products", "format": "csv"},
    "result": {"count": 100, "advancement_count": 100, "progress": 1.0, "file_key": f"jobs/{JOB_ID}/products.csv"},
    "dry_run": False,
    **{f"{name}_at": "2026-11-24T03:06:06.117Z" for name in ("created", "updated", "completed")},
}
JOB = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "type": TEXT,
        "status": {"enum": [str(status) for status in Status]},
        "created_by": {"type": ["string", "null"]},
        "context": {"type": "object"},
        "result": {"type": ["object", "null"]},
        "dry_run": {"type": "boolean"},
        "attempt": {"type": "integer"},
        "trigger": {"enum": [str(trigger) for trigger in Trigger]},
        **dict.fromkeys((*TIME_COLUMNS, "start_at", "deleted_at"), TIME),
    },
    "required": ["id", "status", "created_at", "dry_run"],
    "example": EXAMPLE_JOB,
}
ERROR = {
    "type": "object",
    "properties": {"type": TEXT, "message": TEXT, "code": TEXT},
    "required": ["type", "message"],
    "example": {"type": "not_found", "message": f"Batch job with id {JOB_ID} was not found"},
}
REASONS = {
    400: "Wrong input",
    401: "No key, or none that works",
    403: "The key's role or types do not allow it",
    404: "Not there, or not the caller's",
    409: "Not possible in the job's status, or it conflicts with another request",
    413: "Too large",
    415: "In a form that is not read",
    422: "The strategy refuses the context",
}


def answers(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def body(form: type[BaseModel]) -> dict[str, Any]:
    """What a route with a ``json_body`` adds to its description."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": form.model_json_schema()}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors a route answers with, and those that every route does."""
    always: dict[int | str, dict[str, Any]] = {
        429: answers("Too many requests", ERROR),
        503: answers("The job database does not answer, or is busy", ERROR),
    }
    return {**{status: answers(REASONS[status], ERROR) for status in statuses}, **always}


def an_object(**properties: Any) -> dict[str, Any]:
    """An object with properties that are all always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def an_array(items: dict[str, Any]) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items}


ONE_JOB = answers("The job", an_object(batch_job=JOB))
MANY_JOBS = answers(
    "A page of jobs",
    {
        "type": "object",
        "properties": {
            "batch_jobs": an_array(JOB),
            "count": {"type": "integer", "description": "How many there are in all; not with a cursor."},
            "offset": {"type": "integer"},
            "limit": {"type": "integer"},
            "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page."},
        },
        "required": ["batch_jobs", "limit"],
    },
)
EVENT = an_object(
    id={"type": "integer"},
    at=TIME,
    action=TEXT,
    from_status={"type": ["string", "null"]},
    to_status=TEXT,
    who=TEXT,
    why={"type": ["string", "null"]},
    attempt={"type": "integer"},
    version={"type": "integer"},
)
EVENTS = answers("The job's history, oldest first", an_object(events=an_array(EVENT)))
PLAN = answers("What the job found and will do", an_object(plan={"type": "object"}))
EVENT_STREAM = {"description": "Server-sent events", "content": {"text/event-stream": {"schema": TEXT}}}
STRATEGIES = answers(
    "What jobs there can be",
    an_object(strategies=an_array(an_object(type=TEXT, identifier=TEXT, description=TEXT, context={"type": "object"}))),
)
UPLOADS = answers("The files' keys, and links to them", an_object(uploads=an_array(an_object(url=TEXT, key=TEXT))))
DELETED = answers("It is gone", an_object(id=TEXT, object={"const": "file"}, deleted={"const": True}))
DOWNLOAD_URL = answers("A link that works for a while", an_object(download_url=TEXT))
FILE = {"schema": {"type": "string", "format": "binary"}}
FILE_CONTENT = {"description": "The file", "content": {"*/*": FILE}}
PART_OF_FILE = {"description": "The part that was asked for", "content": {"*/*": FILE}}
BAD_RANGE = {"description": "The part is not there", "content": {"application/json": {"schema": ERROR}}}


def _parameter(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description, **more}


def _times(name: str) -> dict[str, Any]:
    moment = {"type": "string", "format": "date-time"}
    compared = {
        "type": "object",
        "properties": dict.fromkeys(("lt", "gt", "lte", "gte"), moment),
        "additionalProperties": False,
        "minProperties": 1,
    }
    also = "" if name in NEVER_NULL else f" `{name}=null`: it has not come to that."
    return _parameter(name, compared, f"`{name}[gt]=2026-01-31`, or seconds since 1970.{also}", style="deepObject")


def _texts(name: str) -> dict[str, Any]:
    several = {**an_array(TEXT), "maxItems": MOST_VALUES}
    return _parameter(f"{name}[]", several, f"Any of these; also as `{name}[0]=`.")


def _whole(largest: int, usual: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": largest, "default": usual}


#: The list's parameters; ``list_query`` reads them.
LIST_PARAMETERS = [
    _parameter("limit", _whole(LARGEST_LIMIT, 10), "How many at most."),
    _parameter("offset", _whole(LARGEST_OFFSET, 0), "How many to leave out."),
    _parameter(
        "order",
        {"enum": [f"{sign}{name}" for name in ORDER_COLUMNS for sign in ("", "-")]},
        "A column, with `-` for descending; default `-created_at`.",
    ),
    _parameter("fields", {"enum": [*FIELDS, *(f"-{name}" for name in FIELDS)]}, "With commas between: only these."),
    _parameter("expand", {"const": "created_by_user"}, "Adds who created it."),
    _texts("id"),
    _texts("type"),
    _parameter("status", {"enum": [str(status) for status in Status]}, "One, or several with commas between."),
    _parameter("created_by", TEXT, "The name of the key."),
    _parameter("trigger", {"enum": [str(trigger) for trigger in Trigger]}, "What made it."),
    *(_times(name) for name in TIME_COLUMNS),
    _parameter("cursor", TEXT, "The `next_cursor` of the page before; jobs that are added meanwhile shift nothing."),
]


def document(app: FastAPI, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """FastAPI's document, with how to show a key where one is asked for."""
    described = app.openapi_schema or make()
    described.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
    for methods in described["paths"].values():
        for operation in methods.values():
            if "401" in operation["responses"]:
                operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return described
