"""Who calls, and what they may."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import Headers

from batch_jobs.deployments.api.auth import RIGHTS, Authentication, Caller, Right, token_of
from batch_jobs.deployments.api.errors import NotLoggedIn, NotPermitted, TooManyRequests
from batch_jobs.flows.access.keys import ApiKey, Role, keys_of_setting, token_hash
from batch_jobs.flows.jobs.queries import JobFilter

GIVEN, KEPT = "a-key-of-the-settings", "a-key-of-the-table-00"


class Table:
    """A table of one key that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, token: str) -> ApiKey | None:
        self.asked.append(token)
        made = datetime(2026, 1, 1, tzinfo=UTC)
        kept = ApiKey(id="key_1", name="mara", role=Role.OPERATOR, types=["import"], hint="a-ke", created_at=made)
        return kept if token == KEPT else None

    def note_use(self, uses: Mapping[str, datetime]) -> None:
        """Nobody asks."""


def authentication(rate: str = "100/minute") -> tuple[Authentication, Table]:
    table: Any = Table()
    return Authentication(table, keys_of_setting(f"shop:viewer:{GIVEN}"), rate), table


def test_a_key_of_the_settings_is_known_without_the_table():
    auth, table = authentication()
    assert asyncio.run(auth.caller(GIVEN, "1.2.3.4")).name == "shop"
    assert table.asked == []


def test_a_key_of_the_table_is_asked_for_each_time():
    auth, table = authentication()
    for _ in range(2):
        assert asyncio.run(auth.caller(KEPT, "1.2.3.4")).name == "mara"
    assert table.asked == [KEPT, KEPT]


@pytest.mark.parametrize("token", ["nobody-holds-this-key", "x" * 10_000])
def test_nobody_holds_another_key_and_one_that_is_too_long_is_not_looked_for(token: str):
    auth, table = authentication()
    with pytest.raises(NotLoggedIn):
        asyncio.run(auth.caller(token, "1.2.3.4"))
    assert table.asked == [token][: len(token) < 1000]


def test_an_address_is_refused_as_often_as_the_rate_allows():
    auth, _ = authentication("2/hour")
    for _ in range(2):
        with pytest.raises(NotLoggedIn):
            auth.refuse("1.2.3.4")
    with pytest.raises(TooManyRequests):
        auth.refuse("1.2.3.4")
    with pytest.raises(NotLoggedIn):
        auth.refuse("5.6.7.8")


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"x-medusa-access-token": "a", "authorization": "Bearer b"}, "a"),
        ({"authorization": "bearer  b "}, "b"),
        ({"authorization": "Basic b"}, ""),
        ({}, ""),
    ],
)
def test_the_key_that_a_request_shows(headers: dict[str, str], token: str):
    assert token_of(Headers(headers)) == token


def caller(role: Role, types: tuple[str, ...] | None = None) -> Caller:
    return Caller("key_1", "mara", role, types)


def test_every_role_may_what_the_table_says_and_nothing_else():
    for role in Role:
        for right in Right:
            if right in RIGHTS[role]:
                caller(role).require(right)
            else:
                with pytest.raises(NotPermitted):
                    caller(role).require(right)


def test_an_operator_sees_its_own_jobs_of_its_types_whatever_it_asks_for():
    mara = caller(Role.OPERATOR, ("import",))
    seen = mara.visible(JobFilter(types=["import", "export"], creators=["somebody"]))
    assert (seen.types, seen.creators) == (["import"], ["mara"])
    assert mara.visible(JobFilter(types=["export"])).types == []
    assert caller(Role.ADMIN).visible() == JobFilter()


def test_files_of_a_job_are_its_owners_and_an_admins():
    job: Any = SimpleNamespace(type="import", created_by="mara")
    other: Any = SimpleNamespace(type="import", created_by="ben")
    owns = [caller(role).owns(one) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN) for one in (job, other)]
    assert owns == [False, False, True, False, True, True]
    assert not caller(Role.ADMIN, ("export",)).owns(job)


def test_a_key_is_kept_by_its_hash():
    assert token_hash(GIVEN) in keys_of_setting(f"shop:viewer:{GIVEN}")
