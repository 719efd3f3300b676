"""Correcting by HTTP: rows as JSON or a file, whose right it is, and the same request again."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served
from support.phases import finished, previewed

GOODS = b"code,price\nA,1.50\nB,dear\nC,cheap\n"


def refused(api: Served, owner: str = "alice") -> Job:
    """A waiting import with two bad rows."""
    workspace = api.workspace
    key = workspace.files.put(BytesIO(GOODS), "goods.csv")
    workspace.uploads.add(owner, [(key, len(GOODS))])
    with workspace.target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS goods"))
        connection.execute(text("CREATE TABLE goods (code varchar(20) PRIMARY KEY, price numeric(8,2))"))
    context = {"file_key": key, "table": "goods", "key": ["code"], "mode": "upsert"}
    job = workspace.service.record("table-import", context, dry_run=True, created_by=owner, trigger=Trigger.API)
    return previewed(workspace, job)


def rows(api: Served) -> list[tuple[Any, ...]]:
    with api.workspace.target.connect() as connection:
        found = connection.execute(text("SELECT code, CAST(price AS float) FROM goods ORDER BY code"))
        return [tuple(row) for row in found]


def test_rows_are_corrected_by_json_and_the_new_job_belongs_to_the_first(api_on_both: Served):
    api = api_on_both
    job = refused(api)
    body = {"rows": [{"line": 3, "cells": {"price": "2.50"}}]}
    address, headers = f"/admin/batch-jobs/{job.id}/correct", {"Idempotency-Key": "once"}

    answer = api.by("alice").post(address, json=body, headers=headers)

    made = answer.json()["batch_job"]
    assert (answer.status_code, made["belongs_to"], made["dry_run"]) == (201, job.id, True)
    assert api.by("alice").get(f"/admin/batch-jobs/{job.id}").json()["batch_job"]["status"] == "canceled"
    again = api.by("alice").post(address, json=body, headers=headers)
    assert (again.status_code, again.json()["batch_job"]["id"]) == (201, made["id"])
    listed = api.by("alice").get("/admin/batch-jobs", params={"belongs_to": job.id}).json()
    assert ([one["id"] for one in listed["batch_jobs"]], listed["count"]) == ([made["id"]], 1)
    finished(api.workspace, api.workspace.service.get(made["id"]))
    assert rows(api) == [("A", 1.5), ("B", 2.5)]
    other = api.by("alice").post(address, json={"rows": [{"line": 4, "cells": {"price": "3"}}]})
    assert (other.status_code, made["id"] in other.json()["message"]) == (422, True)


@pytest.mark.parametrize("name", ["rejects.csv", "rejects.xlsx"])
def test_rows_are_corrected_by_the_rejects_file_as_it_was_saved(api: Served, name: str):
    job = finished(api.workspace, refused(api))
    content = api.by("alice").get(f"/admin/batch-jobs/{job.id}/rejects").content.replace(b"cheap", b"3.75")
    if name.endswith("xlsx"):
        book, stream = openpyxl.Workbook(), BytesIO()
        for line in content.decode().splitlines():
            book.active.append(line.split(",", 3))
        book.save(stream)
        content = stream.getvalue()
    uploaded = api.by("alice").post("/admin/uploads", files={"files": (name, content)}).json()["uploads"][0]["key"]
    address = f"/admin/batch-jobs/{job.id}/correct"

    hidden = api.by("root").post("/admin/uploads", files={"files": (name, content)}).json()["uploads"][0]["key"]
    assert api.by("alice").post(address, json={"file_key": hidden}).status_code == 404
    answer = api.by("alice").post(address, json={"file_key": uploaded})

    assert answer.status_code == 201, answer.text
    made = api.workspace.service.get(answer.json()["batch_job"]["id"])
    done = finished(api.workspace, previewed(api.workspace, made))
    assert (done.result.count, rows(api)) == (1, [("A", 1.5), ("C", 3.75)])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"rows": [{"line": 2, "cells": {"price": "1"}}]}, 422, "line 2 is none of the rows"),
        ({"rows": [{"line": 3, "cells": {"prize": "1"}}]}, 422, "has no column 'prize'"),
        ({"rows": [{"line": 3, "cells": {"price": "dear"}}]}, 422, "no cell is other than it was"),
        ({"rows": []}, 422, "no cell is other than it was"),
        ({"rows": [{"line": 0, "cells": {}}]}, 400, "rows.0.line"),
        ({"rows": [{"line": 3, "cells": {"price": 2.5}}]}, 400, "rows.0.cells.price"),
        ({"rows": [{"line": 3, "cells": {"price": "a\u0000"}}]}, 400, "NUL"),
        ({}, 400, "either rows or file_key"),
        ({"rows": [], "file_key": "uploads/x"}, 400, "either rows or file_key"),
        ({"file_key": "uploads/01KB3V5W7Q0000000000000000/none.csv"}, 404, "there is no file"),
        ({"file_key": "../etc/passwd"}, 400, "is not a file key"),
    ],
)
def test_what_cannot_be_meant_leaves_the_job_as_it_was(api: Served, body: Any, status: int, message: str):
    job = refused(api)

    answer = api.by("alice").post(f"/admin/batch-jobs/{job.id}/correct", json=body)

    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert api.workspace.service.get(job.id).status is Status.PRE_PROCESSED


def test_who_may_not_create_such_a_job_may_not_correct_one(api: Served):
    job = refused(api)
    body = {"rows": [{"line": 3, "cells": {"price": "2.50"}}]}

    answers = {
        name: api.by(name).post(f"/admin/batch-jobs/{job.id}/correct", json=body).status_code
        for name in ("bob", "tina", "vera")
    }

    assert answers == {"bob": 404, "tina": 404, "vera": 403}
    assert api.workspace.service.get(job.id).status is Status.PRE_PROCESSED


def test_who_had_a_hand_in_it_does_not_confirm_it(serve: Callable[..., Served], no_prefect: None):
    api = serve(confirm_by_other="true")
    job = refused(api)
    body = {"rows": [{"line": 3, "cells": {"price": "2.50"}}]}
    made = api.by("root").post(f"/admin/batch-jobs/{job.id}/correct", json=body).json()["batch_job"]["id"]
    previewed(api.workspace, api.workspace.service.get(made))

    by_corrector = api.by("root").post(f"/admin/batch-jobs/{made}/confirm")
    assert by_corrector.status_code == 403
    with pytest.raises(Exception, match="alice created"):
        api.workspace.service.confirm(made, "alice")
    assert api.workspace.service.confirm(made, "carol").status is Status.CONFIRMED


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_all_changes_come_as_a_file(api: Served, format: str):
    job = refused(api)
    address = f"/admin/batch-jobs/{job.id}/changes/file"

    answer = api.by("alice").get(address, params={"format": format, "column": "price"})

    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith(f'{job.id}.{format}"')
    if format == "csv":
        assert answer.text.splitlines()[1:] == ["goods,created,code=A,2,price,,1.50,"]
    else:
        sheet = openpyxl.load_workbook(BytesIO(answer.content)).active
        assert [row[:4] for row in sheet.iter_rows(min_row=2, values_only=True)] == [("goods", "created", "code=A", 2)]
    assert api.by("bob").get(address).status_code == 404
    assert api.by("vera").get(address).status_code == 403
    assert api.by("alice").get(address, params={"format": "pdf"}).status_code == 400
    assert api.by("alice").get(address, params={"limit": 1}).status_code == 400
    waiting = api.job("alice", Status.CREATED)
    assert api.by("alice").get(f"/admin/batch-jobs/{waiting.id}/changes/file").status_code == 404
