"""Creating, listing and moving jobs over HTTP."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.database import for_writing, make_engine
from support.api_server import Served


def create(client: httpx.Client, key: str | None = None, **body: Any) -> httpx.Response:
    given = {"type": "noting", "context": {}, **body}
    return client.post("/admin/batch-jobs", json=given, headers={"Idempotency-Key": key} if key else {})


def test_a_created_job_is_recorded_for_its_caller_and_found_again(api_on_both: Served):
    alice = api_on_both.by("alice")

    answer = create(alice, context={"note": "hi"}, dry_run=True)

    made = answer.json()["batch_job"]
    assert answer.status_code == 201
    assert (made["status"], made["result"], made["created_by"], made["dry_run"]) == ("created", None, "alice", True)
    assert made["created_at"][-5] == "."
    assert made["created_at"].endswith("Z")
    assert alice.get(f"/admin/batch-jobs/{made['id']}").json() == answer.json()
    listed = alice.get("/admin/batch-jobs").json()
    assert listed == {"batch_jobs": [made], "count": 1, "offset": 0, "limit": 10, "next_cursor": None}
    (event,) = alice.get(f"/admin/batch-jobs/{made['id']}/events").json()["events"]
    assert (event["to_status"], event["who"]) == ("created", "alice")


def test_s25_the_same_idempotency_key_gives_the_same_job_and_another_body_is_refused(api_on_both: Served):
    alice, bob = api_on_both.by("alice"), api_on_both.by("bob")
    first = create(alice, "k-1", context={"note": "one"})

    again = create(alice, "k-1", context={"note": "one"})
    other = create(alice, "k-1", context={"note": "two"})
    of_bob = create(bob, "k-1", context={"note": "two"})

    assert (again.status_code, again.json()) == (201, first.json())
    assert (other.status_code, other.json()["type"]) == (409, "conflict")
    assert of_bob.status_code == 201
    assert of_bob.json()["batch_job"]["id"] != first.json()["batch_job"]["id"]
    assert api_on_both.workspace.service.count(_everything()) == 2


def test_the_refusal_of_an_idempotency_key_names_the_job_and_not_how_the_key_is_kept(api: Served):
    first = create(api.by("alice"), "k-1", start_at="2099-01-01T00:00:00Z").json()["batch_job"]

    answer = create(api.by("alice"), "k-1", start_at="2099-01-02T00:00:00Z")

    assert answer.status_code == 409
    assert first["id"] in answer.json()["message"]
    assert "alice" not in answer.json()["message"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2099-01-31T22:00:00Z", "2099-01-31T22:00:00.000Z"),
        ("2099-01-31T22:00:00+02:00", "2099-01-31T20:00:00.000Z"),
        ("2099-01-31 22:00", "2099-01-31T22:00:00.000Z"),
        (None, None),
    ],
)
def test_a_job_may_be_for_later(api: Served, given: str | None, shown: str | None):
    made = create(api.by("alice"), start_at=given).json()["batch_job"]

    assert made["start_at"] == shown
    kept = api.workspace.service.get(made["id"]).start_at
    assert kept == (shown and datetime.fromisoformat(shown))


@pytest.mark.parametrize("given", ["tomorrow", "", 4070908800, True, {}, "0001-01-01T00:00:00+23:00"])
def test_a_time_that_is_none_is_refused(alice: httpx.Client, given: Any):
    answer = create(alice, start_at=given)

    assert answer.status_code == 400
    assert answer.json()["message"] == "start_at must be a date such as 2026-01-31T12:00:00Z"


def _everything() -> JobFilter:
    return JobFilter()


def test_s25_a_key_used_again_after_a_500_gives_the_job_that_was_recorded(api: Served, monkeypatch: pytest.MonkeyPatch):
    """The answer was lost, the job was not."""
    from batch_jobs.deployments.api.routes import jobs

    with monkeypatch.context() as broken:
        broken.setattr(jobs, "job_json", lambda *given: 1 / 0)
        assert create(api.by("alice"), "k-2").status_code == 500

    answer = create(api.by("alice"), "k-2")

    assert answer.status_code == 201
    assert api.workspace.service.count(_everything()) == 1


def test_an_idempotency_key_that_is_none_is_refused(alice: httpx.Client):
    for key in ("x" * 129, "a b", ""):
        body = {"type": "noting", "context": {}}
        answer = alice.post("/admin/batch-jobs", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 400
        assert answer.json()["message"] == "Idempotency-Key must be 1 to 128 visible characters of ASCII"


@pytest.mark.parametrize(
    ("context", "status", "told"),
    [
        ({"note": "refused"}, 422, "note must not be 'refused'"),
        ({"notes": "x"}, 422, "noting takes no notes; its context has"),
        ({"note": 5}, 422, "the context of noting is wrong: note: Input should be a valid string"),
    ],
)
def test_a_context_that_the_strategy_refuses_is_told_and_makes_no_job(
    api: Served, context: dict[str, Any], status: int, told: str
):
    answer = create(api.by("alice"), context=context)

    assert (answer.status_code, answer.json()["type"]) == (status, "invalid_data")
    assert told in answer.json()["message"]
    assert api.workspace.service.count(_everything()) == 0


@pytest.mark.parametrize(
    ("action", "start", "end"),
    [
        ("confirm", Status.PRE_PROCESSED, "confirmed"),
        ("cancel", Status.PRE_PROCESSED, "canceled"),
        ("cancel", Status.CANCELED, "canceled"),
        ("pause", Status.PROCESSING, "paused"),
        ("resume", Status.PAUSED, "processing"),
        ("retry", Status.FAILED, "created"),
    ],
)
def test_an_action_moves_the_job_in_the_caller_s_name(shared: Served, action: str, start: Status, end: str):
    job = shared.job("alice", start)

    answer = shared.by("alice").post(f"/admin/batch-jobs/{job.id}/{action}", json={})

    assert (answer.status_code, answer.json()["batch_job"]["status"]) == (200, end)
    if start != end:
        assert shared.workspace.service.events(job.id)[-1].who == "alice"


def test_an_action_that_is_not_possible_says_where_the_job_stands_and_changes_nothing(shared: Served):
    job = shared.job("alice", Status.COMPLETED)

    answer = shared.by("alice").post(f"/admin/batch-jobs/{job.id}/cancel", json={})

    assert answer.status_code == 409
    assert f"{job.id} is completed; cancel is possible from created" in answer.json()["message"]
    assert shared.workspace.service.get(job.id) == job


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1, 0]),
        ("?order=created_at", [0, 1, 2, 3]),
        ("?order=-created_at&limit=1&offset=2", [1]),
        ("?type[]=noting", [3, 2, 1, 0]),
        ("?type[0]=nothing&type[1]=noting", [3, 2, 1, 0]),
        ("?type[]=nothing,noting", [3, 2, 1, 0]),
        ("?type[]=nothing", []),
        ("?limit=0", []),
        ("?status=failed", [2]),
        ("?status[]=failed&status[]=completed", [3, 2]),
        ("?status=failed,completed", [3, 2]),
        ("?completed_at=null", [2, 1, 0]),
        ("?failed_at[gt]=2020-01-01", [2]),
        ("?created_at[gt]=2020-01-01T00:00:00Z&created_at[lt]=2120-01-01", [3, 2, 1, 0]),
        ("?created_at[gte]=1577836800", [3, 2, 1, 0]),
        ("?created_at[lte]=1577836800", []),
        ("?created_at[lt]=2020-01-01T00:00:00%2B02:00", []),
        ("?created_at[lt]=2020-01-01T00:00:00+02:00", []),
        ("?trigger=api&created_by=lister", [3, 2, 1, 0]),
        ("?trigger=schedule", []),
    ],
)
def test_each_parameter_of_the_list_does_what_it_says(
    listed_jobs: tuple[Served, list[str]], query: str, found: list[int]
):
    api, ids = listed_jobs

    listed = api.by("lister").get(f"/admin/batch-jobs{query}")

    assert listed.status_code == 200, listed.text
    assert [ids.index(job["id"]) for job in listed.json()["batch_jobs"]] == found
    if "limit" not in query:
        assert listed.json()["count"] == len(found)


@pytest.fixture(scope="module")
def listed_jobs(shared: Served) -> tuple[Served, list[str]]:
    """The jobs of somebody who only looks at them."""
    statuses = (Status.CREATED, Status.PRE_PROCESSED, Status.FAILED, Status.COMPLETED)
    return shared, [shared.job("lister", status).id for status in statuses]


@pytest.fixture
def four_jobs(api: Served) -> tuple[Served, list[str]]:

    statuses = (Status.CREATED, Status.PRE_PROCESSED, Status.FAILED, Status.COMPLETED)
    return api, [api.job("alice", status).id for status in statuses]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=abc", "limit must be a number conforming to the specified constraints"),
        ("limit=-1", "limit must be a number conforming to the specified constraints"),
        ("limit=99999", "limit must be a number conforming to the specified constraints"),
        ("offset=1.5", "offset must be a number conforming to the specified constraints"),
        ("colour=red", "property colour should not exist"),
        ("colour[deep][er]=red", "property colour should not exist"),
        ("type=a", "type must be an array"),
        ("id=a", "id must be an array"),
        ("created_at=2020-01-01", "created_at must be an object with lt, gt, lte, gte"),
        ("created_at=null", "created_at must be an object with lt, gt, lte, gte"),
        ("completed_at[near]=x", "completed_at must be an object with lt, gt, lte, gte, or null"),
        ("created_at[gt]=soon", "created_at must be a date such as"),
        ("created_at[gt]=999999999999", "created_at must be a date such as"),
        ("status=done", "status must be one of created, pre_processed"),
        ("trigger=me", "trigger must be one of api"),
        ("order=password", "order must be one of id"),
        ("fields=id,password", "fields has no password"),
        ("expand=everything", "expand has no everything"),
        ("cursor=nonsense", "cursor must be the next_cursor of the page before"),
        ("cursor=x&offset=1", "cursor goes with the order created_at"),
        ("limit[a]=1", "limit must be a number"),
        ("order[a]=1", "order must be a string"),
        ("type[a][b]=1", "type has no valid form"),
        ("type[]=%00", "type must not contain a NUL character"),
        ("id[]=" + ",".join(map(str, range(501))), "id must contain no more than 500 elements"),
        ("&".join(f"type[]={number}" for number in range(501)), "type must contain no more than 500 elements"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused_in_medusa_s_words(alice: httpx.Client, query: str, told: str):
    answer = alice.get(f"/admin/batch-jobs?{query}")

    assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")
    assert told in answer.json()["message"]


def test_fields_choose_and_the_status_and_dry_run_stay_true(four_jobs: tuple[Served, list[str]]):
    """Medusa reports created and false then."""
    api, _ = four_jobs
    alice = api.by("alice")

    (newest,) = alice.get("/admin/batch-jobs?limit=1&fields=id,type").json()["batch_jobs"]
    (less,) = alice.get("/admin/batch-jobs?limit=1&fields=-context,-result").json()["batch_jobs"]
    (more,) = alice.get("/admin/batch-jobs?limit=1&expand=created_by_user").json()["batch_jobs"]

    assert set(newest) == {"id", "created_at", "type", "status", "dry_run"}
    assert (newest["status"], newest["dry_run"]) == ("completed", True)
    assert "context" not in less
    assert "type" in less
    assert more["created_by_user"]["id"] == "alice"


def test_cursors_go_through_all_jobs_though_new_ones_come(four_jobs: tuple[Served, list[str]]):
    api, ids = four_jobs
    alice, seen = api.by("alice"), []
    page = alice.get("/admin/batch-jobs?limit=1").json()
    while page["batch_jobs"]:
        seen += [job["id"] for job in page["batch_jobs"]]
        api.job("alice")
        if page["next_cursor"] is None:
            break
        page = alice.get(f"/admin/batch-jobs?limit=1&cursor={page['next_cursor']}").json()

    assert seen == ids[::-1]
    assert "count" not in page


def test_a_job_s_result_file_and_rejects_can_be_had(shared: Served):
    job = shared.job("alice", Status.PROCESSING)

    for what, told in (("output", "has no result file"), ("rejects", "has no rejects")):
        answer = shared.by("alice").get(f"/admin/batch-jobs/{job.id}/{what}")
        assert answer.status_code == 404
        assert told in answer.json()["message"]


def test_strategies_tell_the_schema_of_their_context_and_give_a_template(alice: httpx.Client):
    found = {entry["type"]: entry for entry in alice.get("/admin/batch-jobs/strategies").json()["strategies"]}

    assert {"noting", "table-import", "table-export"} <= set(found)
    kinds = found["table-import"]["context"]["properties"]["file_key"]["anyOf"]
    assert [kind["type"] for kind in kinds] == ["string", "array"]
    assert alice.get("/admin/batch-jobs/strategies/noting/template").text == "note\nhello\n"
    assert alice.get("/admin/batch-jobs/strategies/product-export/template").status_code == 404
    assert alice.get("/admin/batch-jobs/strategies/nothing/template").status_code == 404


def test_secrets_of_a_context_are_in_no_answer(api: Served):
    alice = api.by("alice")

    made = create(alice, context={"password": "hunter2-of-the-vault"})
    wrong = create(alice, context={"password": ["hunter2-of-the-vault"]})

    job_id = made.json()["batch_job"]["id"]
    assert made.json()["batch_job"]["context"]["password"] == "**********"
    assert wrong.status_code == 422
    answers = [
        made,
        wrong,
        *(alice.get(f"/admin/batch-jobs{path}") for path in ("", f"/{job_id}", f"/{job_id}/events")),
    ]
    assert "hunter2" not in "".join(answer.text for answer in answers)


def test_an_error_nobody_foresaw_has_an_id_that_is_in_the_log_and_no_internals(
    api: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*given: Any) -> None:
        raise LookupError("the moon, at /srv/app")

    monkeypatch.setattr(api.workspace.service, "page", broken)

    answer = api.by("alice").get("/admin/batch-jobs", headers={"X-Request-Id": "mine-1"})

    assert answer.status_code == 500
    assert answer.json() == {
        "type": "unknown_error",
        "message": "An unknown error occurred; error id mine-1",
        "code": "unknown_error",
    }
    assert answer.headers["x-request-id"] == "mine-1"
    assert "mine-1: the moon" in caplog.text


def test_a_value_of_a_list_counts_once_however_often_it_is_given(api_on_both: Served):
    job = api_on_both.job("alice")
    often = ",".join([job.id] * 600)

    answers = [
        api_on_both.by("alice").get(f"/admin/batch-jobs?{name}") for name in (f"id[]={often}", f"id[]={',' * 60_000}")
    ]

    assert [answer.json()["count"] for answer in answers] == [1, 0]


def _ask_wrongly(api: Served) -> None:
    api.workspace.store.count(JobFilter(ids=list(map(str, range(66_000)))))


def _lose_the_connection(api: Served) -> None:
    with api.workspace.jobs.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def _reach_nobody(api: Served) -> None:
    make_engine("postgresql://secret@127.0.0.1:1/none").connect()


def _wait_for_a_lock(api: Served) -> None:
    with api.workspace.jobs.connect() as one, api.workspace.jobs.connect() as other, one.begin():
        one.execute(text("LOCK TABLE batch_job"))
        other.execute(text("SET LOCAL lock_timeout = 1"))
        other.execute(text("SELECT * FROM batch_job"))


@pytest.mark.parametrize(
    ("happens", "status", "told"),
    [
        (_ask_wrongly, 500, "An unknown error occurred; error id"),
        (_lose_the_connection, 503, "the job database does not answer; error id"),
        (_reach_nobody, 503, "the job database does not answer; error id"),
        (_wait_for_a_lock, 503, "the job database is busy, ask again in a second; error id"),
    ],
)
def test_a_database_does_not_answer_only_when_it_is_lost_and_its_address_is_not_told(
    serve: Callable[..., Served],
    no_prefect: None,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Served], None],
    status: int,
    told: str,
):
    api = serve(database_url=postgres_url)
    monkeypatch.setattr(api.workspace.service, "page", lambda *given: happens(api))

    answer = api.by("alice").get("/admin/batch-jobs")

    assert (answer.status_code, answer.json()["message"][: len(told)]) == (status, told)
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("statement", "status", "told"),
    [
        ("SELECT * FROM no_such_table", 500, "An unknown error occurred; error id"),
        ("BEGIN IMMEDIATE", 503, "the job database is busy, ask again in a second; error id"),
    ],
)
def test_an_embedded_database_that_is_busy_or_asked_wrongly_does_not_sound_lost(
    api: Served, monkeypatch: pytest.MonkeyPatch, statement: str, status: int, told: str
):
    file = api.workspace.settings.home / "jobs.db"
    impatient = create_engine(f"sqlite:///{file}", connect_args={"timeout": 0, "isolation_level": None})

    def ask(*given: Any) -> None:
        with impatient.connect() as connection:
            connection.execute(text(statement))

    monkeypatch.setattr(api.workspace.service, "page", ask)
    with for_writing(api.workspace.jobs.connect()) as writer, writer.begin():
        answer = api.by("alice").get("/admin/batch-jobs")

    assert (answer.status_code, answer.json()["message"][: len(told)]) == (status, told)


def test_every_answer_has_an_id_and_security_headers_and_cors_is_off(alice: httpx.Client):
    for answer in (alice.get("/admin/batch-jobs"), alice.get("/nothing"), alice.put("/admin/batch-jobs")):
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    asked = alice.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_cors_is_for_the_origins_of_the_settings(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_cors_origins="https://shop.example").by("alice")

    asked = {
        origin: api.get("/healthz", headers={"Origin": origin}) for origin in ("https://shop.example", "https://e")
    }

    assert asked["https://shop.example"].headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in asked["https://e"].headers


def test_a_key_that_comes_too_often_is_told_when_to_come_again(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_rate_limit="5/hour")
    alice, nobody = api.by("alice"), api.by(None)

    statuses = [alice.get("/admin/batch-jobs").status_code for _ in range(6)]
    refused = [nobody.get("/admin/batch-jobs").status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]
    assert refused == [401] * 5 + [429]
    assert int(alice.get("/admin/batch-jobs").headers["retry-after"]) > 0
    assert api.by("bob").get("/admin/batch-jobs").status_code == 200


def test_keys_of_the_settings_come_in_too(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_keys="ops:admin:a-key-of-the-settings")
    mine = {"Authorization": "Bearer a-key-of-the-settings"}

    assert httpx.get(f"{api.url}/admin/batch-jobs", headers=mine).status_code == 200
    sent = httpx.post(f"{api.url}/admin/uploads", headers=mine, files=[("files", ("a.csv", b"a"))])
    assert httpx.get(sent.json()["uploads"][0]["url"]).content == b"a"


def test_metrics_count_requests_by_route_and_jobs_by_status(api: Served):
    job = api.job("alice")
    api.by("alice").get(f"/admin/batch-jobs/{job.id}")

    answer = api.by("vera").get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    assert 'batch_jobs_http_requests_total{method="GET",route="/admin/batch-jobs/{job_id}",status="200"} 1.0' in text
    assert 'batch_jobs_jobs{status="created",type="noting"} 1.0' in text
    assert job.id not in text


def test_metrics_for_a_key_of_one_type_hold_the_jobs_of_no_other(api: Served):
    job = api.job("alice")
    tokens = {name: api.workspace.api_keys.create("eye", Role.VIEWER, [name])[1] for name in (job.type, "table-export")}

    shown = {
        name: httpx.get(f"{api.url}/metrics", headers={"Authorization": f"Bearer {token}"}).text
        for name, token in tokens.items()
    }

    assert 'batch_jobs_jobs{status="created",type="noting"} 1.0' in shown["noting"]
    assert "batch_jobs_jobs{" not in shown["table-export"]
    assert "batch_jobs_http_requests_total{" in shown["table-export"]


def test_the_document_has_examples_and_every_error(alice: httpx.Client):
    document = alice.get("/openapi.json").json()

    create_job = document["paths"]["/admin/batch-jobs"]["post"]
    assert {"201", "400", "401", "403", "404", "409", "422", "429"} <= set(create_job["responses"])
    assert "example" in json.dumps(create_job)
    assert {"medusa", "bearer"} <= set(document["components"]["securitySchemes"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_document_shows_how_the_api_says_that_it_is_well(alice: httpx.Client, path: str):
    described = alice.get("/openapi.json").json()["paths"][path]["get"]["responses"]
    shown = {status: answer["content"]["application/json"]["schema"]["example"] for status, answer in described.items()}

    answer = alice.get(path)

    assert set(shown[str(answer.status_code)]) == set(answer.json())
    assert len({example["status"] for example in shown.values()}) == len(shown)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/admin/batch-jobs"), ("DELETE", "/admin/uploads"), ("POST", "/admin/uploads/download-url")],
)
def test_json_that_is_sent_as_something_else_is_refused_as_such(shared: Served, method: str, path: str, kind: str):
    """A page of another origin may send a plain form or text without asking first, so these are never read as JSON."""
    answer = shared.by("alice").request(method, path, content=b'{"type": "noting"}', headers={"content-type": kind})

    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


def test_a_page_of_an_allowed_origin_may_read_the_headers_it_needs(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_cors_origins="https://shop.example.com")

    answer = api.by("alice").get("/admin/batch-jobs", headers={"origin": "https://shop.example.com"})

    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"retry-after", "x-request-id", "content-disposition"} <= set(exposed.replace(" ", "").split(","))
