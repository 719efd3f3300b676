"""The OpenAPI document says what is in a result, a plan and an event: held against what real jobs answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from batch_jobs.flows.catalog import FLOWS
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Action, Status
from support.api_server import Served
from support.jobs import partition, with_partitions

pytestmark = pytest.mark.usefixtures("prefect_here")
JOBS = "/admin/batch-jobs"


@pytest.fixture
def document(shared: Served) -> dict[str, Any]:
    return httpx.get(f"{shared.url}/openapi.json", verify=False).json()


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Checks against a schema that lets no field through that it does not name."""
    components = {name: _closed(one) for name, one in document["components"]["schemas"].items()}
    return jsonschema.Draft202012Validator({**schema, "components": {"schemas": components}})


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **closed} if "properties" in schema else closed


def named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.fixture
def finished(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[Served, Job, Job]:
    """An API with an import that has rejects and waits for a yes, and with one that is completed."""
    served = serve()
    monkeypatch.setattr("batch_jobs.flows.runs.flow.current_workspace", lambda: served.workspace)
    first = b"code,price\nA-001,9.50\nA-002,3\nA-001,4\n"
    sent = served.by("alice").post("/admin/uploads", files=[("files", ("goods.csv", first))]).json()["uploads"][0]
    context = {"file_key": sent["key"], "table": "goods", "mode": "insert", "key": ["code"]}
    made = [
        served.workspace.service.record("table-import", context, created_by="alice", dry_run=dry_run)
        for dry_run in (True, False)
    ]
    done = [
        FLOWS["table-import"](context=job.context, dry_run=job.dry_run, job_id=job.id, return_state=True)
        and served.workspace.service.get(job.id)
        for job in made
    ]
    return served, done[0], done[1]


def test_what_a_job_answers_is_in_the_document_field_by_field(
    finished: tuple[Served, Job, Job], document: dict[str, Any]
):
    served, waiting, completed = finished
    assert (waiting.status, completed.status) == (Status.PRE_PROCESSED, Status.COMPLETED)
    alice = served.by("alice")

    for job in (waiting, completed):
        shown = alice.get(f"{JOBS}/{job.id}").json()["batch_job"]
        validator(document, named("BatchJob")).validate(shown)
        assert shown["result"]["rejected"] == 1
        plan = alice.get(f"{JOBS}/{job.id}/plan").json()["plan"]
        validator(document, named("ImportPlan")).validate(plan)
        assert plan["rejects"]
        for event in alice.get(f"{JOBS}/{job.id}/events").json()["events"]:
            validator(document, named("JobEvent")).validate(event)


def test_so_is_a_job_with_partitions(shared: Served, document: dict[str, Any]):
    job = shared.workspace.store.move(shared.job("alice", Status.CONFIRMED), Action.PROCESS, who="test")
    entry = partition(1, "failed", rows=2, advanced=1, rows_per_second=0.5, attempt=3, where="host:7", error="broken")
    with_partitions(shared.workspace.store, job, [entry])

    shown = shared.by("alice").get(f"{JOBS}/{job.id}").json()["batch_job"]

    assert shown["result"]["partitions"] == [entry.model_dump()]
    validator(document, named("BatchJob")).validate(shown)
    shown["result"]["partitions"][0]["mood"] = "good"
    with pytest.raises(jsonschema.ValidationError, match="mood"):
        validator(document, named("BatchJob")).validate(shown)


def test_the_events_of_a_stream_are_in_the_document(finished: tuple[Served, Job, Job], document: dict[str, Any]):
    served, waiting, completed = finished
    answer = document["paths"][f"{JOBS}/{{job_id}}/stream"]["get"]["responses"]["200"]
    schemas = answer["content"]["text/event-stream"]["x-events"]
    seen: set[str] = set()

    for job in (waiting, completed):
        text = served.by("alice").get(f"{JOBS}/{job.id}/stream").text
        for part in filter(None, text.split("\n\n")):
            fields = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
            if "event" in fields:
                seen.add(fields["event"])
                validator(document, schemas[fields["event"]]).validate(json.loads(fields["data"]))

    assert seen == set(schemas)


def test_each_example_is_one(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    shown = [(name, example) for name, schema in schemas.items() for example in schema.get("examples", [])]
    shown.append(("BatchJob", schemas["BatchJob"]["example"]))

    assert {name for name, _ in shown} == {"JobResult", "JobEvent", "ImportPlan", "BatchJob"}
    for name, example in shown:
        validator(document, named(name)).validate(example)
    sent = document["webhooks"]["batch-job-ended"]["post"]["requestBody"]["content"]["application/json"]
    validator(document, sent["schema"]).validate(sent["example"])


def test_a_field_that_the_document_lacks_would_be_seen(document: dict[str, Any]):
    event = {**document["components"]["schemas"]["JobEvent"]["examples"][0], "mood": "good"}

    with pytest.raises(jsonschema.ValidationError, match="mood"):
        validator(document, named("JobEvent")).validate(event)
