"""The two-person rule: what the setting means, and who may confirm."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from batch_jobs.flows.errors import OtherMustConfirm
from batch_jobs.flows.jobs.confirm_by_other import ConfirmByOther
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.result import JobResult

RULE = ConfirmByOther.parsed("table-import:1000, product-import:0")


def plan(**counts: int) -> dict[str, Any]:
    return {"counts": counts}


def job(created_by: str | None, trigger: Trigger = Trigger.API) -> Job:
    known: dict[str, Any] = dict.fromkeys(Job.model_fields)
    now = datetime.now(UTC)
    known |= {"id": "batch_1", "type": "table-import", "strategy": "s", "status": "pre_processed", "context": {}}
    known |= {"result": JobResult(), "dry_run": True, "trigger": trigger, "attempt": 1, "version": 1}
    return Job(**{**known, "created_by": created_by, "created_at": now, "updated_at": now})


@pytest.mark.parametrize("text", ["true", "TRUE", "*", " yes "])
def test_true_means_every_job_of_every_type(text: str):
    assert ConfirmByOther.parsed(text).why(["order-export"], {}) == "every order-export needs two persons"


@pytest.mark.parametrize("text", ["", "false", "no", " "])
def test_nothing_said_lets_everybody_confirm(text: str):
    assert ConfirmByOther.parsed(text).why(["table-import"], plan(remove=9)) is None


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"create": 400, "update": 600, "remove": 0}, None),
        ({"create": 401, "update": 600}, "it changes 1,001 rows, and one person alone may change 1,000"),
        ({"create": 1, "update": 0, "remove": 1}, "it removes 1 row"),
        ({"create": 0, "unchanged": 5_000, "reject": 5_000}, None),
        ({}, "its preview does not count what changes, and 1,000 rows of table-import may"),
    ],
)
def test_a_limit_is_of_rows_that_change_and_none_may_be_removed(counts: dict[str, int], why: str | None):
    assert RULE.why(["table-import"], plan(**counts)) == why


def test_a_shops_counts_are_understood_too():
    assert RULE.why(["product-import"], plan(products_created=0, variants_unchanged=3, cells_not_taken=2)) is None
    assert RULE.why(["product-import"], plan(products_updated=1)) is not None
    assert RULE.why(["product-import"], plan(products_updated=0, images_removed=2)) == "it removes 2 rows"


def test_types_that_are_not_named_are_free_unless_all_others_are_meant():
    assert RULE.why(["order-export"], None) is None
    others = ConfirmByOther.parsed("*:10,table-import:1000")
    assert others.why(["notes"], plan(update=11)) is not None
    assert others.why(["table-import"], plan(update=11)) is None


def test_of_an_undo_both_types_count():
    assert RULE.why(["undo", "table-import"], plan(remove=1)) == "it removes 1 row"


@pytest.mark.parametrize("text", ["table-import:many", ":5", "table-import:-1", "a,,b", "table-import:1_0"])
def test_a_setting_that_cannot_be_meant_is_refused_in_one_line(text: str):
    with pytest.raises(ValidationError, match="neither true nor a type and its limit, such as table-import:1000"):
        Settings(confirm_by_other=text)


@pytest.mark.parametrize(
    ("creator", "trigger", "who"),
    [
        ("alice", Trigger.API, "alice"),
        ("alice", Trigger.CLI, " Alice"),
        ("alice", Trigger.API, None),
        ("alice", Trigger.API, ""),
        ("alice", Trigger.API, "cli"),
        ("alice", Trigger.API, "prefect-ui"),
        (None, Trigger.PREFECT_UI, "bob"),
        (None, Trigger.PYTHON, "python"),
        ("cli", Trigger.CLI, "cli"),
        ("", Trigger.PYTHON, "bob"),
        (None, Trigger.SCHEDULE, "bob"),
        ("nightly", Trigger.SCHEDULE, None),
    ],
)
def test_nobody_confirms_a_job_of_ones_own_or_of_somebody_unknown(creator: str | None, trigger: Trigger, who: str):
    with pytest.raises(OtherMustConfirm, match=r"batch_1 needs the confirmation .* Nothing was changed\.$") as refused:
        RULE.refuse(job(creator, trigger), "it removes 1 row", who)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("creator", "trigger", "who"),
    [("alice", Trigger.API, "bob"), ("alice", Trigger.CLI, "root"), ("nightly", Trigger.SCHEDULE, "bob")],
)
def test_another_person_may(creator: str, trigger: Trigger, who: str):
    RULE.refuse(job(creator, trigger), "it removes 1 row", who)
