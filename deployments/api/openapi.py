"""The OpenAPI document: the forms of bodies and answers, with examples, and how a key is shown."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from batch_jobs.deployments.api.list_query import (
    CHANGES_FORMATS,
    LARGEST_LIMIT,
    LARGEST_OFFSET,
    LARGEST_PERCENT,
    MOST_VALUES,
    NEVER_NULL,
    USUAL_CHANGES,
)
from batch_jobs.deployments.api.schemas import FIELDS
from batch_jobs.flows.jobs.model import JobEvent, Trigger
from batch_jobs.flows.jobs.plan import shown
from batch_jobs.flows.jobs.queries import ORDER_COLUMNS, TIME_COLUMNS
from batch_jobs.flows.jobs.transitions import ENDED, Status
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.tables.changes.reading import KINDS
from batch_jobs.strategies.tables.importing.plan import ImportPlan

#: The ways to show a key.
SECURITY_SCHEMES = {
    "medusa": {"type": "apiKey", "in": "header", "name": "x-medusa-access-token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
TEXT = {"type": "string"}
TIME = {"type": ["string", "null"], "format": "date-time"}
JOB_ID = "batch_01KB3V5W7Q9M4T8R2YXGZN6H1C"
FILE_KEY = "uploads/01KB3V5W7Q9M4T8R2YXGZN6H1C/products.csv"
AT = "2026-11-24T03:06:06.117Z"
EXAMPLE_RESULT = {
    "count": 100,
    "advancement_count": 100,
    "progress": 1.0,
    "errors": [],
    "stat_descriptors": [{"key": "export", "name": "Export", "message": "100 rows to products.csv"}],
    "file_key": f"jobs/{JOB_ID}/products.csv",
    "file_size": 20480,
    "created": 0,
    "updated": 0,
    "unchanged": 0,
    "removed": 0,
    "rejected": 0,
}
EXAMPLE_JOB = {
    "id": JOB_ID,
    "type": "table-export",
    "status": "completed",
    "created_by": "shop",
    "context": {"table": "products", "format": "csv"},
    "result": EXAMPLE_RESULT,
    "dry_run": False,
    **{f"{name}_at": AT for name in ("created", "updated", "completed")},
}
EXAMPLE_EVENT = {
    "id": 42,
    "at": AT,
    "action": "confirm",
    "from_status": "pre_processed",
    "to_status": "confirmed",
    "who": "shop",
    "why": None,
    "attempt": 1,
    "version": 5,
}
EXAMPLE_PLAN = {
    "file": {"format": "csv", "encoding": "utf-8", "delimiter": ","},
    "mapping": {"code": "code", "price": "price"},
    "key": ["code"],
    "total": 3,
    "counts": {"create": 1, "update": 1, "unchanged": 0, "remove": 0, "reject": 1},
    "columns": {"price": {"changed": 1, "emptied": 0}},
    "sample": [{"line": 2, "key": {"code": "A-001"}, "column": "price", "before": "9.50", "after": "9.90"}],
    "rejects": [{"line": 4, "column": "price", "message": "'cheap' is no number"}],
}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model as it is answered: what may be left out is not required."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


#: What answers are made of that is a model, with an example each.
MODELS: dict[type[BaseModel], dict[str, Any]] = {
    JobResult: EXAMPLE_RESULT,
    JobEvent: EXAMPLE_EVENT,
    ImportPlan: EXAMPLE_PLAN,
}


def _components() -> dict[str, Any]:
    """The schemas of the models and of what they are made of; of a plan only what people are shown."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in MODELS]
    _, made = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = made["$defs"]
    for model, example in MODELS.items():
        schemas[model.__name__]["examples"] = [example]
    plan = schemas[ImportPlan.__name__]
    plan["properties"] = shown(plan["properties"])
    return schemas


JOB = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "type": TEXT,
        "status": {"enum": [str(status) for status in Status]},
        "created_by": {"type": ["string", "null"]},
        "context": {"type": "object"},
        "result": {"anyOf": [schema_of(JobResult), {"type": "null"}]},
        "dry_run": {"type": "boolean"},
        "attempt": {"type": "integer"},
        "trigger": {"enum": [str(trigger) for trigger in Trigger]},
        "partitions": {
            "type": ["integer", "null"],
            "description": "How many at a time, as was asked for.",
        },
        "belongs_to": {
            "type": ["string", "null"],
            "description": "The job whose refused rows it has, corrected.",
        },
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
    401: "No key, or none that works",
    403: "The key's role or types do not allow it",
    404: "Not there, or not the caller's",
    408: "The body did not come, or not in time",
    409: "Not possible in the job's status, in conflict with another request, or the job's row is not as one can be",
    413: "Too large",
    415: "In a form that is not read",
    422: "The strategy refuses the context",
}
#: Of every route: what may be wrong with any request, and with the server.
ANYWHERE = {
    400: "Wrong input",
    429: "Too many requests",
    500: "Unexpected; the message has an id that is in the log",
    503: "The job database does not answer, or is busy",
    507: "The file store or the job database is full; nothing was stored",
}
#: Of a route that reads a body.
OF_BODIES = (408, 413, 415)


def answers(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def body(form: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """What a route with a ``json_body`` adds to its description."""
    schema = form.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references, which in a document would lead to its root."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors a route answers with, and those that every route does."""
    reasons = {**{status: REASONS[status] for status in statuses}, **ANYWHERE}
    return {status: answers(reason, ERROR) for status, reason in reasons.items()}


def an_object(**properties: Any) -> dict[str, Any]:
    """An object with properties that are all always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def an_array(items: dict[str, Any]) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items}


#: What a page says beside what is on it.
PAGE = {
    "count": {"type": "integer", "description": "How many there are in all; not with a cursor."},
    "offset": {"type": "integer"},
    "limit": {"type": "integer"},
    "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page."},
}
ONE_JOB = answers("The job", an_object(batch_job=JOB))
MANY_JOBS = answers(
    "A page of jobs",
    {
        "type": "object",
        "properties": {
            "batch_jobs": an_array(JOB),
            **PAGE,
        },
        "required": ["batch_jobs", "limit"],
    },
)
EVENTS = answers("The job's history, oldest first", an_object(events=an_array(schema_of(JobEvent))))
PLAN = answers(
    "What the job found and will do: an import's, or what another strategy leaves",
    an_object(plan={"anyOf": [schema_of(ImportPlan), {"type": "object"}]}),
)
EXAMPLE_CHANGE = {
    "table": "products",
    "kind": "updated",
    "key": {"code": "A-001"},
    "line": 2,
    "column": "price",
    "before": "9.50",
    "after": "9.90",
}
NULLABLE = {"type": ["string", "null"]}
CHANGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "table": TEXT,
        "kind": {"enum": list(KINDS)},
        "key": {"type": "object", "additionalProperties": NULLABLE},
        "line": {"type": ["integer", "null"], "description": "Of the input, if the row comes from one."},
        "file": {**NULLABLE, "description": "Of several input files the key of that one."},
        "column": {**NULLABLE, "description": "`null` for a row without a value that came or went."},
        "before": {**NULLABLE, "description": "As text; `(hidden)` where values of the column are not kept."},
        "after": NULLABLE,
    },
    "required": list(EXAMPLE_CHANGE),
    "example": EXAMPLE_CHANGE,
}
OF_A_JOB = {"job": JOB_ID, "type": "table-import", "created_by": "shop", "at": AT}
CHANGE_OF_A_JOB = {
    "type": "object",
    "properties": {"job": TEXT, "type": TEXT, "created_by": NULLABLE, "at": TIME, **CHANGE["properties"]},
    "required": [*OF_A_JOB, *EXAMPLE_CHANGE],
    "example": {**OF_A_JOB, **EXAMPLE_CHANGE},
}
MORE_CHANGES = {
    **NULLABLE,
    "description": "Goes on after this page, which may have few or none; `null`: no more.",
}


def _changes(what: str, change: dict[str, Any]) -> dict[str, Any]:
    return answers(what, an_object(changes=an_array(change), limit={"type": "integer"}, next_cursor=MORE_CHANGES))


CHANGES = _changes("A page of changes, row by row and column by column", CHANGE)
HISTORY = _changes("A page of what jobs changed in a row, the newest job first", CHANGE_OF_A_JOB)
#: The data of each event of a stream, by the event's name.
STREAM_EVENTS: dict[str, dict[str, Any]] = {
    "status": schema_of(JobEvent),
    "progress": {"$ref": "#/components/schemas/BatchJob"},
    "waiting": an_object(status={"const": str(Status.PRE_PROCESSED)}, waits_for={"const": "confirm"}),
    "end": an_object(status={"enum": sorted(map(str, ENDED))}),
}
EVENT_STREAM = {
    "description": f"Server-sent events {', '.join(STREAM_EVENTS)}; the data of each is JSON, see `x-events`.",
    "content": {
        "text/event-stream": {
            "schema": TEXT,
            "example": f"event: status\nid: 42\ndata: {json.dumps(EXAMPLE_EVENT)}\n\n",
            "x-events": STREAM_EVENTS,
        }
    },
}
STREAM_URL = answers("A link that works for a while", an_object(stream_url=TEXT))
STRATEGIES = answers(
    "What jobs there can be",
    an_object(strategies=an_array(an_object(type=TEXT, identifier=TEXT, description=TEXT, context={"type": "object"}))),
)
UPLOADS = answers("The files' keys, and links to them", an_object(uploads=an_array(an_object(url=TEXT, key=TEXT))))
UPLOAD = an_object(key=TEXT, size={"type": "integer"}, owner=TEXT, created_at=TIME)
MANY_UPLOADS = answers(
    "A page of uploads",
    {
        "type": "object",
        "properties": {
            "uploads": an_array(
                {**UPLOAD, "example": {"key": FILE_KEY, "size": 2048, "owner": "shop", "created_at": AT}}
            ),
            **PAGE,
        },
        "required": ["uploads", "limit", "next_cursor"],
    },
)
DELETED = answers("It is gone", an_object(id=TEXT, object={"const": "file"}, deleted={"const": True}))
DOWNLOAD_URL = answers("A link that works for a while", an_object(download_url=TEXT))
FILE = {"schema": {"type": "string", "format": "binary"}}
FILE_CONTENT = {"description": "The file", "content": {"*/*": FILE}}
PART_OF_FILE = {"description": "The part that was asked for", "content": {"*/*": FILE}}
BAD_RANGE = {"description": "The part is not there", "content": {"application/json": {"schema": ERROR}}}


def _parameter(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description, **more}


def _times(name: str) -> dict[str, Any]:
    seconds = {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]+)?$"}
    moment = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, seconds]}
    compared = {
        "type": "object",
        "properties": dict.fromkeys(("lt", "gt", "lte", "gte"), moment),
        "additionalProperties": False,
    }
    also = "" if name in NEVER_NULL else f" `{name}=null`: it has not come to that."
    return _parameter(name, compared, f"`{name}[gt]=2026-01-31`, or seconds since 1970.{also}", style="deepObject")


def _texts(name: str) -> dict[str, Any]:
    several = {**an_array(TEXT), "maxItems": MOST_VALUES}
    return _parameter(f"{name}[]", several, f"Any of these; also as `{name}[0]=`.")


def _whole(largest: int, usual: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": largest, "default": usual}


PAGE_PARAMETERS = [
    _parameter("limit", _whole(LARGEST_LIMIT, 10), "How many at most."),
    _parameter("offset", _whole(LARGEST_OFFSET, 0), "How many to leave out."),
]
CURSOR = _parameter(
    "cursor", TEXT, "The `next_cursor` of the page before; what is added meanwhile shifts nothing. Without `offset`."
)
UPLOAD_PARAMETERS = [*PAGE_PARAMETERS, CURSOR]
#: The list's parameters; ``list_query`` reads them.
LIST_PARAMETERS = [
    *PAGE_PARAMETERS,
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
    _parameter("belongs_to", TEXT, "The id of the job whose refused rows they have, corrected."),
    *(_times(name) for name in TIME_COLUMNS),
    CURSOR,
]


_CHANGES_LIMIT = _parameter("limit", _whole(LARGEST_LIMIT, USUAL_CHANGES), "How many changes at most.")
_CHANGES_CURSOR = _parameter("cursor", TEXT, "The `next_cursor` of the page before.")
_KEY: dict[str, Any] = {"schema": {**an_array(TEXT), "minItems": 1}, "style": "form", "explode": True}
_PERCENT = {"type": "number", "minimum": -LARGEST_PERCENT, "maximum": LARGEST_PERCENT}
_OF_KEY = "The row's key: its cells in order, one parameter each, or one JSON object of columns and cells."
CHANGES_PARAMETERS = [
    _parameter("kind", {"enum": list(KINDS)}, "What was done to the row."),
    _parameter("column", TEXT, "Only this column."),
    _parameter("key", description=_OF_KEY, **_KEY),
    _parameter("change_percent_below", _PERCENT, "Numbers that change by less than so much: `-50`, they fall by more."),
    _parameter("change_percent_above", _PERCENT, "Numbers that change by more than so much."),
    _parameter("emptied", {"type": "boolean"}, "Columns that lose their value, where `true`."),
    _parameter("filled", {"type": "boolean"}, "Columns that had no value and get one, where `true`."),
    _parameter("key_begins", TEXT, "Rows of which a cell of the key begins so, whatever the case of its letters."),
    _CHANGES_LIMIT,
    _CHANGES_CURSOR,
]
CHANGES_FILE_PARAMETERS = [
    _parameter("format", {"enum": list(CHANGES_FORMATS)}, "Of the file; `csv` by default."),
    *(parameter for parameter in CHANGES_PARAMETERS if parameter["name"] not in ("limit", "cursor")),
]
HISTORY_PARAMETERS = [
    {**_parameter("table", {**TEXT, "minLength": 1}, "`table` or `schema.table`."), "required": True},
    {**_parameter("key", description=_OF_KEY, **_KEY), "required": True},
    _CHANGES_LIMIT,
    _CHANGES_CURSOR,
]


WEBHOOK = {
    "summary": "The end of a job, sent to WEBHOOK_URL",
    "requestBody": {
        "content": {
            "application/json": {
                "schema": an_object(
                    type={"enum": [f"batch-job.{status}" for status in sorted(ENDED)]},
                    timestamp=TIME,
                    data=an_object(batch_job={"$ref": "#/components/schemas/BatchJob"}),
                ),
                "example": {"type": "batch-job.completed", "timestamp": AT, "data": {"batch_job": EXAMPLE_JOB}},
            }
        }
    },
    "responses": {"2XX": {"description": "Taken; anything else is tried again"}},
}


def document(app: FastAPI, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """FastAPI's document, with how to show a key where one is asked for."""
    described = app.openapi_schema or make()
    described.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
    described["components"].setdefault("schemas", {}).update(_components(), BatchJob=JOB)
    described["webhooks"] = {"batch-job-ended": {"post": WEBHOOK}}
    for methods in described["paths"].values():
        for operation in methods.values():
            if "401" in operation["responses"]:
                operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return described
