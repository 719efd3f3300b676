"""What goes where: a file's columns beside those of the table, with what becomes of its cells by each choice."""

import html
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.strategies.price_list_import import TEMPLATE as PRICES
from batch_jobs.strategies.product_import import TEMPLATE as PRODUCTS
from batch_jobs.strategies.sdk.sample import HEADER, header_of
from support.api_server import Served
from support.visitors import Visitor, visiting

HOSTILE = [
    '"><script>alert(1)</script>',
    "{{7*7}}",
    "'it\"s",
    "a = b",
    "to:x",
    "type:",
    " led ",
    "two\nlines",
    "ü" * 300,
]
GOODS = "code varchar(20) PRIMARY KEY, price numeric(8,2) NOT NULL, stock integer DEFAULT 0, seen date, note text"
SHOPIFY = (
    "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Status,Cost\n"
    "mug,Mug,Us,Colour,Blue,MUG-B,12.50,https://x/1.png,active,3\n"
)
CELL = re.compile("<t[hd].*?</t[hd]>", re.S)
OWN = '''
import pandas as pd
from pydantic import BaseModel, SecretStr
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.tables.frames.frame_import import FileOptions, FrameImport


class Gross(FrameImport):
    """Prices with tax."""

    identifier, batch_type = "gross-strategy", "gross"
    table, key = "gross", ("code",)

    class Context(FileOptions):
        rate: float
        password: SecretStr | None = None

    def transform(self, frame: pd.DataFrame, job) -> pd.DataFrame:
        job.reject_rows(frame["net"] < 0, "net", "is below zero")
        frame = frame[frame["net"] >= 0]
        return pd.DataFrame({"code": frame["code"], "gross": frame["net"] * 2}, index=frame.index)
'''


class Form(HTMLParser):
    """The controls of the view's form as a browser sends them, and the choices of its selects."""

    def __init__(self, page: httpx.Response | str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.options: dict[str, list[tuple[str, str]]] = {}
        self._select, self._option, self._area = "", False, ""
        self.feed(page if isinstance(page, str) else page.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "input" and name and (kind not in ("checkbox", "radio") or "checked" in given):
            self.sent.append((name, given.get("value", "")))
        elif tag == "select":
            self._select, self.options[name] = name, []
        elif tag == "option" and self._select:
            self._option = True
            self.options[self._select].append((given.get("value", "?"), ""))
            value = given.get("value", "?")
            if len(self.options[self._select]) == 1:
                self.sent.append((self._select, value))
            elif "selected" in given:
                self.sent[-1] = (self._select, value)
        elif tag == "textarea":
            self._area = name
            self.sent.append((name, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        self._option = self._option and tag != "option"
        self._area = "" if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area:
            self.sent[-1] = (self._area, self.sent[-1][1] + data)
        elif self._option:
            value, shown = self.options[self._select][-1]
            value = shown + data if value == "?" else value
            if self.sent[-1] == (self._select, "?"):
                self.sent[-1] = (self._select, value)
            self.options[self._select][-1] = (value, shown + data)

    def with_(self, **changes: Any) -> dict[str, list[str]]:
        """What is sent after these changes; ``None`` unticks."""
        found: dict[str, list[str]] = {}
        for name, value in self.sent:
            found.setdefault(name, []).append(value)
        for name, change in changes.items():
            if change is None:
                del found[name]
            else:
                found[name] = change if isinstance(change, list) else [change]
        return found


class Mapping_:
    """Somebody in front of the view."""

    def __init__(self, visitor: Visitor, batch_type: str) -> None:
        self.visitor, self.path = visitor, f"/new/{batch_type}/map"
        self.page = httpx.Response(200)

    def open(self, *keys: str, **query: str) -> httpx.Response:
        asked = [*(("file_key", key) for key in keys), *query.items()]
        self.page = self.visitor.get(f"{self.path}?{urlencode(asked)}")
        assert self.page.status_code == 200, self.page.text
        return self.page

    def change(self, changes: dict[str, Any] | None = None, **fields: str) -> httpx.Response:
        """Change fields (``context.`` before the names of keyword arguments) and let the effect be shown."""
        given = {**(changes or {}), **{f"context.{name}": value for name, value in fields.items()}}
        sent = Form(self.page).with_(**given)
        self.page = self.visitor.client.post(self.path, data=sent)
        assert self.page.status_code == 200, self.page.text
        return self.page

    def go(self, to: str = "job", **changes: Any) -> httpx.Response:
        return self.visitor.client.post(self.path, data={**Form(self.page).with_(**changes), "go": to})

    @property
    def context(self) -> dict[str, str]:
        """What the hidden fields and the others of the context hold."""
        sent = Form(self.page).with_()
        return {name.removeprefix("context."): text[-1] for name, text in sent.items() if name.startswith("context.")}

    def goes(self, column: str) -> str:
        return Form(self.page).with_()[f"to:{column}"][-1]

    def rows(self) -> list[list[str]]:
        """The cells of the first rows, as text."""
        return rows(self.page.text, "The first rows")


def rows(page: str, heading: str) -> list[list[str]]:
    table = re.search(rf"<h2>{heading}.*?</table>", page, re.S)
    assert table, heading
    found = re.findall(r"<tr>(.*?)</tr>", table[0], re.S)
    return [
        [
            " ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split())
            for cell in re.findall("<t[hd].*?</t[hd]>", row, re.S)
        ]
        for row in found
    ]


def errors(page: httpx.Response) -> list[str]:
    return [html.unescape(line) for line in re.findall(r'<p class="error" role="alert">(.*?)</p>', page.text, re.S)]


def put(visitor: Visitor, content: str | bytes, name: str = "in.csv", kind: str = "table-import") -> str:
    """Upload a file; returns its key."""
    data = content.encode() if isinstance(content, str) else content
    answer = visitor.client.post(
        "/uploads/file", data={"csrf": visitor.csrf, "type": kind}, files={"files": (name, data)}
    )
    assert answer.status_code == 303, answer.text
    return httpx.URL(answer.headers["location"]).params["file_key"]


def job_of(served: Served, answer: httpx.Response) -> Job:
    assert answer.status_code == 303, (answer.status_code, re.findall(r'class="error".*?</p>', answer.text, re.S))
    return served.workspace.service.get(answer.headers["location"].rpartition("/")[2])


def by_api(served: Served, batch_type: str, **context: Any) -> Job:
    body = {"type": batch_type, "context": context, "dry_run": True}
    answer = served.by("alice").post("/admin/batch-jobs", json=body)
    assert answer.status_code == 201, answer.text
    return served.workspace.service.get(answer.json()["batch_job"]["id"])


def looked_at(served: Served, who: str, batch_type: str, header: Iterable[str], /, **context: Any) -> Job:
    """A job of somebody that has looked at a file with these columns."""
    store = served.workspace.store
    context = {"file_key": "earlier.csv", **context}
    job = served.workspace.service.record(batch_type, context, created_by=who, trigger=Trigger.API, dry_run=True)
    claimed = store.claim(job, ProcessIdentity.current(), None)
    assert store.save_result(job.id, claimed.claim or 0, claimed.result, {HEADER: header_of(header)})
    return job


@pytest.fixture(scope="session")
def mapped(shared: Served) -> Served:
    with shared.workspace.target.begin() as connection:
        for name in ("map_goods", "map_wages"):
            connection.execute(text(f"CREATE TABLE {name} ({GOODS})"))
    return shared


@pytest.fixture
def alice(mapped: Served) -> Visitor:
    return visiting(mapped, "alice")


@pytest.fixture
def goods(alice: Visitor) -> Mapping_:
    return Mapping_(alice, "table-import")


# who may


def test_foreign_files_and_tables_are_refused_in_the_words_of_the_api(mapped: Served, alice: Visitor):
    key = put(alice, "code,price\nA,1\n")
    bob, vera, tina = (visiting(mapped, name) for name in ("bob", "vera", "tina"))
    mapped.keys["bound"] = mapped.workspace.api_keys.create("bound", Role.OPERATOR, tables=["map_goods"])[1]
    bound = visiting(mapped, "bound")
    path = "/new/table-import/map"

    body = {"type": "table-import", "context": {"file_key": key, "table": "map_goods"}}
    said = mapped.by("bob").post("/admin/batch-jobs", json=body).json()["message"]
    for answer in (
        bob.get(f"{path}?file_key={key}"),
        bob.post(path, {"context.file_key": key}),
        bob.post(path, {"context.file_key": key}, headers={"hx-request": "true"}),
    ):
        assert answer.status_code == 404
        assert said in html.unescape(answer.text)
        assert "<td" not in answer.text
    assert [vera.get(path).status_code, vera.post(path).status_code] == [403, 403]
    assert [tina.get(path).status_code, tina.post(path).status_code] == [404, 404]
    own = Mapping_(bound, "table-import")
    own.open(put(bound, "code,price\nA,1\n"), table="map_wages")
    body["context"] |= {"file_key": own.context["file_key"], "table": "map_wages"}  # type: ignore[index]
    assert mapped.by("bound").post("/admin/batch-jobs", json=body).json()["message"] in errors(own.page)
    assert "varchar" not in own.page.text.casefold()
    answer = own.go()
    assert answer.status_code == 422
    assert "is for the tables map_goods" in html.unescape(answer.text)
    own.change(table="map_goods")
    assert "varchar" in own.page.text.casefold()


# proposals


def test_names_that_match_are_proposed_at_first_and_for_a_table_that_is_named_later(goods: Mapping_):
    key = put(goods.visitor, "Code;PRICES;code 2;Last\nA;1;x;y\n")

    goods.open(key, table="map_goods")
    assert [goods.goes(name) for name in ("Code", "PRICES", "code 2", "Last")] == ["=code", "=price", "", ""]
    goods.open(key)
    assert "to:Code" not in Form(goods.page).with_()
    goods.change(table="map_goods")
    assert [goods.goes(name) for name in ("Code", "PRICES", "code 2", "Last")] == ["=code", "=price", "", ""]
    assert "Columns whose names match were filled in" in goods.page.text


def test_what_was_chosen_by_hand_is_never_overwritten(goods: Mapping_):
    goods.open(put(goods.visitor, "Code,Price,Note\nA,1,x\n"))
    goods.change({"called:Price": "stock", "leave:Note": "yes"})
    goods.change(table="map_goods")
    assert [goods.goes(name) for name in ("Code", "Price", "Note")] == ["=code", "=stock", "-"]
    goods.change({"to:Code": ""})
    goods.change(mode="upsert")
    assert goods.goes("Code") == ""
    goods.change(table="map_wages")
    assert [goods.goes(name) for name in ("Price", "Note")] == ["=stock", "-"]


def test_what_the_same_person_gave_for_these_columns_is_filled_in(mapped: Served, goods: Mapping_):
    columns = ("Artikel", "Preis", "Rest")
    given = {"table": "map_goods", "columns": {"Artikel": "code", "Preis": "price", "Rest": None}, "decimal": ","}
    before = looked_at(mapped, "alice", "table-import", columns, **given)
    looked_at(mapped, "bob", "table-import", columns, table="map_wages", columns={"Artikel": "note"})
    content = "Preis;Rest;Artikel\n1,50;r;A\n"

    goods.open(put(goods.visitor, content))

    assert before.id in goods.page.text
    assert [goods.goes(name) for name in columns] == ["=code", "=price", "-"]
    assert (goods.context["table"], goods.context["decimal"]) == ("map_goods", ",")
    goods.open(put(goods.visitor, content), table="map_wages")
    assert goods.context["table"] == "map_wages"
    root = Mapping_(visiting(mapped, "root"), "table-import")
    root.open(put(root.visitor, content))
    assert "map_" not in root.context["table"]


# choices and their effect


def test_each_choice_is_seen_in_the_sample_at_once(goods: Mapping_):
    goods.open(
        put(goods.visitor, 'code;price;seen;x\nA;"1,50";31.01.2026;1\nB;"2,00";;2\n'), table="map_goods", mode="upsert"
    )
    assert any("has no column x" in line for line in errors(goods.page))

    goods.change({"to:x": "-"})
    assert errors(goods.page) == []
    assert goods.rows()[0] == ["Line", "code", "price", "seen"]
    assert goods.rows()[1][2].startswith("1,50 ")
    goods.change(decimal=",")
    assert [row[2] for row in goods.rows()[1:]] == ["1.50 1,50", "2.00 2,00"]
    goods.change(date_format="%d.%m.%Y")
    assert goods.rows()[1][3] == "2026-01-31 31.01.2026"
    goods.change({"default:seen": "01.02.2026", "default:note": "new"})
    assert goods.rows()[2][3].startswith("2026-02-01")
    assert goods.context["defaults"] == "seen = 01.02.2026\nnote = new"
    goods.change({"to:x": "=stock"})
    assert goods.rows()[1][4] == "1"
    assert re.search(r"stock \(taken by x\)", dict(Form(goods.page).options["to:code"])["=stock"])
    goods.change({"to:seen": "=stock"})
    assert any("two columns of the file go into" in line for line in errors(goods.page))
    goods.change({"to:seen": ""})
    answer = goods.go()
    assert answer.status_code == 303


def test_columns_of_a_new_table_are_renamed_and_given_a_type_and_the_key_follows(mapped: Served, goods: Mapping_):
    goods.open(put(goods.visitor, "No,b,c\n01,1,x\n"), table="map_new", mode="upsert")
    goods.change({"context.key": ["", "No"], "type:No": "text", "type:b": "numeric"})
    assert errors(goods.page) == []
    goods.change({"called:No": " number ", "leave:c": "yes"})

    assert errors(goods.page) == []
    assert goods.rows() == [["Line", "number", "b"], ["2", "01", "1"]]
    job = job_of(mapped, goods.go())
    wanted = {"columns": {"No": "number", "c": None}, "types": {"number": "text", "b": "numeric"}, "key": ["number"]}
    assert {name: job.context[name] for name in wanted} == wanted
    goods.change({"leave:c": None, "called:No": "", "type:b": ""})
    assert Form(goods.page).with_()["context.key"] == ["", "No"]
    assert (goods.context.get("columns"), goods.context["types"]) == ("", "No = text")


def test_a_guess_is_taken_by_its_button_with_what_belongs_to_it(goods: Mapping_):
    content = 'code;price;seen\nA;"1.234,50";31.01.2026\nB;"2.000,00";13.02.2026\n'
    goods.open(put(goods.visitor, content), table="map_taken")
    assert goods.context.get("decimal") == ""

    goods.change({"take": "decimal"})
    assert (goods.context["decimal"], goods.context["thousands"]) == (",", ".")
    goods.change({"take": "date_format"})
    assert json.loads(goods.context["date_format"]) == {"seen": "%d.%m.%Y"}
    assert goods.rows()[1] == ["2", "A", "1234.5 1.234,50", "2026-01-31 31.01.2026"]
    assert 'name="take"' not in goods.page.text


def test_the_key_is_ticked_among_the_columns_of_the_table(mapped: Served, goods: Mapping_):
    goods.open(put(goods.visitor, "code,price\nA,1\n"), table="map_goods", mode="upsert")
    ticks = re.findall(r'type="checkbox" name="context.key" value="(\w+)"', goods.page.text)

    assert ticks == ["code", "price", "stock", "seen", "note"]
    goods.change({"context.key": ["", "code", "price"]})
    assert any("no unique index on exactly code, price" in line for line in errors(goods.page))
    goods.change({"context.key": [""]})
    assert errors(goods.page) == []
    assert job_of(mapped, goods.go()).context["key"] == []


def test_what_cannot_be_read_stays_as_it_was_entered_and_makes_no_job(mapped: Served, goods: Mapping_):
    goods.open(put(goods.visitor, "code,price\nA,1\n"), table="map_goods")
    before = len(mapped.workspace.files.list("uploads"))

    goods.change(skip_rows="many", defaults="no sign")
    assert 'value="many"' in goods.page.text
    answer = goods.go()
    assert answer.status_code == 422
    assert 'value="many"' in answer.text
    assert 'id="field-skip_rows-error"' in answer.text
    assert 'id="map"' in answer.text
    goods.change(skip_rows="-1")
    assert goods.go().status_code == 422
    goods.change(skip_rows="")
    assert goods.go().status_code == 422  # of the hidden field, on the form that has it
    assert len(mapped.workspace.files.list("uploads")) == before


def test_what_is_chosen_outlives_a_file_that_cannot_be_read_for_a_while(goods: Mapping_):
    goods.open(put(goods.visitor, "code,price\nA,1\n"), table="map_goods")
    goods.change({"to:code": "=note", "default:code": "K"})

    goods.change(skip_rows="9")
    assert "<td" not in goods.page.text
    assert len(errors(goods.page)) >= 1
    goods.change(skip_rows="")

    assert goods.goes("code") == "=note"
    assert "code = K" in goods.context["defaults"]


# going on


def test_the_job_is_a_dry_run_of_what_was_shown_and_made_once(mapped: Served, goods: Mapping_):
    key = put(goods.visitor, 'Code;preis;x\nA;"1,50";1\n')
    goods.open(key, table="map_goods", mode="upsert")
    goods.change({"to:preis": "=price", "to:x": "-", "default:note": "n"}, decimal=",", null_values="NA\n-")

    first, second = (job_of(mapped, goods.go()) for _ in range(2))
    api = by_api(
        mapped, "table-import", file_key=key, table="map_goods", mode="upsert", decimal=",", null_values=["NA", "-"],
        columns={"Code": "code", "preis": "price", "x": None}, defaults={"note": "n"},
    )  # fmt: skip

    assert first.id == second.id
    assert (first.context, first.dry_run, first.created_by) == (api.context, True, "alice")


def test_a_table_that_is_named_with_the_last_button_is_shown_first(mapped: Served, goods: Mapping_):
    goods.open(put(goods.visitor, "Code,Price\nA,1\n"))

    answer = goods.go(**{"context.table": "map_goods"})

    assert answer.status_code == 200
    assert "Columns whose names match were filled in" in answer.text
    goods.page = answer
    assert job_of(mapped, goods.go()).context["columns"] == {"Code": "code", "Price": "price"}


def test_the_settings_have_everything_that_was_chosen_and_lead_back(mapped: Served, goods: Mapping_):
    goods.open(put(goods.visitor, "Code,Price,x\nA,1,1\n"), table="map_goods", mode="upsert")
    goods.change({"to:x": "-", "default:note": "n"})
    shown = goods.context

    settings = goods.go("settings")
    sent = Form(settings).with_()
    assert settings.status_code == 200
    for name in ("table", "mode", "columns", "defaults", "file_key"):
        assert sent[f"context.{name}"][-1].strip() == shown[name], name
    sent |= {"start_at": ["2099-01-31T12:00"], "time_zone": ["Asia/Tokyo"], "partitions": ["3"], "dry_run": ["no"]}
    goods.page = goods.visitor.client.post(goods.path, data=sent)
    assert {name: goods.context[name] for name in ("columns", "defaults")} == {
        name: shown[name] for name in ("columns", "defaults")
    }
    again = Form(goods.change(mode="append")).with_()
    assert {name: again[name] for name in ("start_at", "partitions", "dry_run")} == {
        name: sent[name] for name in ("start_at", "partitions", "dry_run")
    }
    job = job_of(mapped, goods.go())
    assert job.context["columns"] == {"Code": "code", "Price": "price", "x": None}
    assert (job.dry_run, job.partitions, str(job.start_at)) == (True, 3, "2099-01-31 03:00:00+00:00")


def test_a_part_of_the_page_is_the_same_as_in_the_whole_page(goods: Mapping_):
    goods.open(put(goods.visitor, "Code,Price,x\nA,1,1\n"), table="map_goods")
    sent = Form(goods.page).with_(**{"to:x": "-"})

    whole = goods.visitor.client.post(goods.path, data=sent)
    part = goods.visitor.client.post(goods.path, data={**sent, "go": "job"}, headers={"hx-request": "true"})

    assert part.status_code == 200
    assert "<html" not in part.text
    assert part.text.strip() in whole.text


def test_secrets_of_an_earlier_job_are_asked_for_and_not_lost_in_silence(own: Served):
    alice = visiting(own, "alice")
    before = looked_at(own, "alice", "gross", ("code", "net"), rate=2.0, password="s3cret-word")
    view = Mapping_(alice, "gross")
    key = put(alice, "code,net\nA,1\n", kind="gross")

    for query in ({}, {"from": before.id}):
        view.open(key, **query)
        assert "not taken over: password." in view.page.text
        view.change(decimal=".")
        assert "not taken over: password." in view.page.text
        answer = view.go()
        assert answer.status_code == 200
        assert re.search(r'id="field-password-error">This is needed', answer.text)
        assert "s3cret" not in answer.text
    sent = Form(answer).with_(**{"context.password": "another"})
    assert "not taken over: password." in alice.client.post("/new/gross/map", data=sent).text
    assert job_of(own, alice.client.post("/new/gross", data=sent)).context["rate"] == 2.0
    bob = visiting(own, "bob")
    assert bob.get(f"/new/gross/map?from={before.id}").status_code == 404


# names and files of all kinds


def test_names_and_cells_of_any_kind_are_shown_and_come_back_as_they_are(mapped: Served, goods: Mapping_):
    book = io.StringIO()
    for row in (HOSTILE, [f"<b>{place}</b>" for place in range(len(HOSTILE))], ["x" * 5_000, *HOSTILE[1:]]):
        book.write(",".join('"{}"'.format(cell.replace('"', '""')) for cell in row) + "\n")
    page = goods.open(put(goods.visitor, book.getvalue()), table="map_hostile")

    assert "<script>alert" not in page.text
    assert "<b>" not in page.text
    names = [name for name in Form(page).with_() if name.startswith("called:")]
    assert len(names) == len(HOSTILE)
    goods.change({name: f"c{place}" for place, name in enumerate(names)})
    job = job_of(mapped, goods.go())
    kept = [name.strip() for name in job.context["columns"]]
    assert kept == [name.strip() for name in HOSTILE]
    assert list(job.context["columns"].values()) == [f"c{place}" for place in range(len(HOSTILE))]


def test_a_table_with_hostile_names_is_chosen_from(mapped: Served, goods: Mapping_):
    with mapped.workspace.target.begin() as connection:
        connection.exec_driver_sql(
            'CREATE TABLE IF NOT EXISTS map_odd ("<b>x" text, "-" text, "*" text, "=y" text, "two\nlines" text)'
        )
    goods.open(put(goods.visitor, "a,b,c,d,e\n1,2,3,4,5\n"), table="map_odd")

    values = [value for value, _ in Form(goods.page).options["to:a"] if value.startswith("=")]
    assert "<b>x" not in goods.page.text
    goods.change({f"to:{name}": value for name, value in zip("abcde", values, strict=True)})
    context = job_of(mapped, goods.go()).context
    assert context["columns"] == {"a": "<b>x", "b": "-", "c": "*", "d": "=y", "e": "two\nlines"}


@pytest.mark.parametrize("table", ["map_wide", "map_wide_new"])
def test_a_file_of_500_columns_is_mapped(mapped: Served, goods: Mapping_, table: str):
    names = [f"Col {place}" for place in range(500)]
    with mapped.workspace.target.begin() as connection:
        columns = ", ".join(f"col_{place} text" for place in range(500))
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS map_wide ({columns})"))

    page = goods.open(put(goods.visitor, ",".join(names) + "\n" + ",".join("v" * 500) + "\n"), table=table)
    assert len(page.content) < 2_000_000
    goods.change({"leave:Col 7": "yes", "called:Col 8": "col_9", "called:Col 9": "col_8"})

    columns = job_of(mapped, goods.go()).context["columns"]
    assert (columns["Col 7"], columns["Col 8"], columns["Col 9"]) == (None, "col_9", "col_8")
    assert columns.get("Col 10") == ("col_10" if table == "map_wide" else None)


def test_a_file_of_one_column_without_rows_or_names_is_shown(goods: Mapping_):
    goods.open(put(goods.visitor, "code\n"))
    assert "called:code" in Form(goods.page).with_()
    goods.open(put(goods.visitor, "code\nA\n"), header="false")
    assert "called:column_1" in Form(goods.page).with_()
    goods.open(put(goods.visitor, ",b\n1,2\n"))
    assert len([name for name in Form(goods.page).with_() if name.startswith("called:")]) == 2


@pytest.mark.parametrize(
    ("name", "content"), [("in.csv", b""), ("in.xlsx", b"not a workbook"), ("in.parquet", b"PAR1"), ("in.jsonl", b"{]")]
)
def test_a_file_that_cannot_be_read_is_refused_in_a_line(goods: Mapping_, name: str, content: bytes):
    page = goods.open(put(goods.visitor, content, name))

    shown = errors(page)
    assert page.status_code == 200
    assert shown or "bad" in page.text
    assert all("\n" not in line and "Traceback" not in line for line in shown)


def test_the_sheet_is_chosen_among_those_of_the_workbook(mapped: Served, goods: Mapping_):
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["about"])
    for title in ("2024", "Prices & <more>"):
        sheet = book.create_sheet(title)
        for row in (["code", title], ["A", 1]):
            sheet.append(row)
    book.save(stream)

    goods.open(put(goods.visitor, stream.getvalue(), "in.xlsx"), table="map_sheets")
    options = Form(goods.page).options["context.sheet"]
    assert [shown for _, shown in options][1:] == ["Sheet", "2024", "Prices & <more>"]
    for value, shown in options[2:]:
        goods.change(sheet=value)
        assert goods.rows()[1] == ["2", "A", "1"]
        assert job_of(mapped, goods.go(key=f"sheet-{len(shown)}")).context["sheet"] == shown
    assert "context.delimiter" not in Form(goods.page.text.partition("How the file is read")[2]).with_()


def test_other_formats_and_several_files_are_shown(mapped: Served, goods: Mapping_):
    stream = io.BytesIO()
    pq.write_table(pa.table({"code": ["A"], "price": [1.5]}), stream)
    goods.open(put(goods.visitor, stream.getvalue(), "in.parquet"), table="map_goods")
    assert goods.rows() == [["Line", "code", "price"], ["1", "A", "1.50 1.5"]]
    goods.open(put(goods.visitor, '{"code": "A", "price": 1.5, "more": {"a": [1]}}\n', "in.jsonl"), table="map_lines")
    assert goods.rows()[1][:3] == ["1", "A", "1.5"]
    keys = [put(goods.visitor, f"code,price\n{name},1\n") for name in "AB"]

    goods.open(*keys, table="map_goods", mode="upsert")

    assert "first of 2" in goods.page.text or "2 files" in goods.page.text
    assert job_of(mapped, goods.go()).context["file_key"] == keys


# other strategies


@pytest.mark.parametrize(("kind", "content"), [("product-import", PRODUCTS), ("price-list-import", PRICES)])
def test_files_of_a_shop_are_shown_by_what_its_columns_are(mapped: Served, alice: Visitor, kind: str, content: str):
    view = Mapping_(alice, kind)
    view.open(put(alice, content, kind=kind))

    assert errors(view.page) in ([], [line for line in errors(view.page) if "price_list" in line])
    assert len(view.rows()) > 2
    assert 'value="=' not in view.page.text


def test_the_layout_of_another_shop_is_left_to_itself_and_completed(mapped: Served, alice: Visitor):
    view = Mapping_(alice, "product-import")
    key = put(alice, SHOPIFY, kind="product-import")
    view.open(key, currency="eur")

    assert "layout shopify" in view.page.text
    assert view.context["columns"] == ""
    view.change({"called:Cost": "Price USD"})
    assert errors(view.page) == []
    job = job_of(mapped, view.go())
    assert (
        job.context
        == by_api(mapped, "product-import", file_key=key, currency="eur", columns={"Cost": "Price USD"}).context
    )


def test_rules_of_another_job_survive_untouched(mapped: Served, alice: Visitor):
    rules: dict[str, Any] = {
        "Art": {"to": "Product Handle", "values": {"a\nb": None}, "fill_down": True},
        "Zustand": [{"to": "Product Status", "default": "draft"}, "Product Subtitle"],
        "Name": "Product Title",
        "Rest": None,
    }
    names = [*rules, "New"]
    given = by_api(mapped, "product-import", file_key=put(alice, "x\n", kind="product-import"), columns=rules).context
    looked_at(mapped, "alice", "product-import", names, **given)
    view = Mapping_(alice, "product-import")
    view.open(put(alice, ",".join(names) + "\nmug,,Mug,r,n\n", kind="product-import"))

    assert "with its rules" in view.page.text
    view.change({"called:New": "Product Description"}, skip_rows="9")
    view.change(skip_rows="")
    view.change({"leave:Name": "yes"})
    context = job_of(mapped, view.go()).context
    wanted = {**given["columns"], "Name": None, "New": "Product Description"}
    assert context["columns"] == wanted
    view.change({"to:Art": "-"})
    assert job_of(mapped, view.go(key="other")).context["columns"] == wanted | {"Art": None}


@pytest.fixture
def own(serve: Callable[..., Served], no_prefect: None, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "gross.py").write_text(OWN)
    yield serve(strategies=str(tmp_path / "own"))


def test_a_strategy_in_pandas_shows_what_it_makes_of_the_rows(own: Served):
    alice = visiting(own, "alice")
    view = Mapping_(alice, "gross")
    view.open(put(alice, "code,net,note\nA,2,x\nB,-1,y\n", kind="gross"))

    assert rows(view.page.text, "The first rows of the file")[1] == ["2", "A", "2", "x"]
    assert "is below zero" in view.page.text
    assert rows(view.page.text, "What is made of them") == [["Line", "code", "gross"], ["2", "A", "4"]]
    assert not [name for name in Form(view.page).with_() if name.startswith(("to:", "called:", "leave:"))]
    answer = view.go()  # what it needs is asked for where all its fields are
    assert answer.status_code == 422
    assert re.search(r'id="field-rate-error">This is needed', answer.text)


def test_a_type_without_a_sample_goes_to_the_form(alice: Visitor):
    answer = alice.client.get("/new/noting/map?file_key=&note=x")

    assert (answer.status_code, answer.headers["location"]) == (303, "/new/noting?file_key=&note=x")
    page = alice.get("/new/table-import/map")
    assert 'href="/new/table-import/file"' in page.text


def test_of_a_large_file_the_beginning_alone_is_read(mapped: Served):
    root = visiting(mapped, "root")
    place = Path(mapped.workspace.settings.home) / "files" / "large.csv"
    with place.open("wb") as stream:
        stream.write(b"code,price\n" + b"".join(b"A%d,1.5\n" % line for line in range(1_000_000)))
        stream.truncate(2 << 30)
    view = Mapping_(root, "table-import")

    before = read_bytes()
    view.open("large.csv", table="map_goods")
    view.change(mode="upsert")

    assert len(view.rows()) == 21
    assert read_bytes() - before < 200 << 20
    place.unlink()


def read_bytes() -> int:
    """How much this process has read, whatever the medium."""
    return int(re.findall(r"rchar: (\d+)", Path(f"/proc/{os.getpid()}/io").read_text())[0])


def test_a_job_with_the_same_columns_is_json_all_the_way(mapped: Served, goods: Mapping_):
    """Names that a line could not hold go through the hidden field as JSON."""
    given = {"a = b": "x", "": "y", "ü\u202e": None}
    looked_at(mapped, "alice", "table-import", [*given, "z"], table="map_json", columns=given)
    goods.open(put(goods.visitor, 'a = b,"",ü\u202e,z\n1,2,3,4\n'))
    assert json.loads(goods.context["columns"] or "{}") == given or goods.context["columns"] == ""
