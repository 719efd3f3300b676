"""What a real Medusa v1 was asked and answered, asked of this API again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Action
from support.api_server import Served

PAIRS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "medusa_pairs.json").read_text())
#: The jobs of the recording, by their ids there.
FIRST, SECOND, OLD = (
    "batch_01M85R93D6GESSTSRZH91JX6N8",
    "batch_01M85R99H3RB448YDJVP67WKJS",
    "batch_01M85R5JW5PT9N8HZ6XRM1CMDP",
)
FILE = "1795489566112-products.csv"
#: Without MEDUSA_COMPAT: the status that is right for a client.
OURS = {
    "get: another user's": 404,
    "confirm: another user's": 404,
    "confirm: completed": 409,
    "cancel: completed": 409,
    "confirm: canceled": 409,
}


class Replay:
    """Asks in the order of the recording, and does in between what Medusa's workers did."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.store = served.workspace.store
        self.known: dict[str, str] = {}
        self.known[OLD] = self.make().id

    def make(self) -> Job:
        return self.served.workspace.service.record(
            "product-export", {"list_config": {"skip": 0}}, created_by="alice", dry_run=True
        )

    def move(self, recorded: str, *actions: Action) -> None:
        job = self.store.get(self.known[recorded])
        for action in actions:
            job = self.store.move(job, action, who="worker")

    def ask(self, pair: dict[str, Any]) -> httpx.Response:
        self.before(pair["title"])
        path = pair["path"]
        for recorded, ours in self.known.items():
            path = path.replace(recorded, ours)
        if pair["title"] == "upload":
            return self.client(pair).post(path, files=[("files", ("products.csv", b"a\n1\n"))])
        body = pair["body"] if pair["body"] is not None else {}
        if "file_key" in body:
            body = {"file_key": self.known[FILE]}
        answer = self.client(pair).request(pair["method"], path, json=None if pair["method"] == "GET" else body)
        if pair["title"] == "create, dry run":
            self.known[FIRST] = answer.json()["batch_job"]["id"]
            self.move(FIRST, Action.PRE_PROCESS)
        return answer

    def client(self, pair: dict[str, Any]) -> httpx.Client:
        title = pair["title"]
        who = "bob" if "another user" in title else None if "without login" in title else "alice"
        return self.served.by(who)

    def before(self, title: str) -> None:
        if title == "confirm: completed":
            self.move(FIRST, Action.PROCESS, Action.COMPLETE)
        if title == "cancel":
            self.known[SECOND] = self.make().id
            self.move(SECOND, Action.PRE_PROCESS)
        if title == "download url":
            sent = self.served.by("alice").post("/admin/uploads", files=[("files", ("products.csv", b"a\n"))])
            self.known[FILE] = sent.json()["uploads"][0]["key"]


def shape(value: Any) -> Any:
    """The keys and kinds of a value; what a job found, and how many there are, differ from run to run."""
    if isinstance(value, dict):
        return {key: "any" if key in ("result", "context") else shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.mark.parametrize("compat", [True, False], ids=["MEDUSA_COMPAT", "ours"])
def test_every_recorded_request_is_answered_as_recorded(serve: Callable[..., Served], no_prefect: None, compat: bool):
    replay = Replay(serve(medusa_compat=compat))
    for pair in PAIRS:
        answer = replay.ask(pair)
        told = f"{pair['title']}: {answer.status_code} {answer.text}"
        wanted = pair["status"] if compat else OURS.get(pair["title"], pair["status"])
        assert answer.status_code == wanted, told
        if isinstance(pair["response"], str):
            assert compat is (answer.text == pair["response"]), told
        elif wanted >= 400 and compat:
            assert shape(answer.json()) == shape(pair["response"]) | shape(answer.json()), told
            assert answer.json()["type"] == pair["response"]["type"], told
            expected = pair["response"]["message"].replace(FIRST, replay.known.get(FIRST, ""))
            if "another user" not in pair["title"]:
                assert answer.json()["message"] == expected, told
        elif wanted < 400:
            got, recorded = shape(answer.json()), shape(pair["response"])
            assert _contains(got, recorded), f"{told}\n{recorded}"
            if compat:
                assert _contains(recorded, got), f"{told}\n{recorded}"


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and (not part or not whole or _contains(whole[0], part[0]))
    return whole == part or "NoneType" in (whole, part)
