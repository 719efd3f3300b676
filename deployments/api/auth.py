"""Who calls, and what they may: keys, rate limits, the rights of each role."""

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from batch_jobs.deployments.api.errors import NotLoggedIn, NotPermitted, TooManyRequests
from batch_jobs.deployments.api.key_use import KeyUse
from batch_jobs.deployments.login import login_name
from batch_jobs.flows.access.keys import ApiKey, ApiKeyStore, Role, token_hash
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter

LONGEST_TOKEN = 512
#: Stands for a key where none is set.
OWNER = "owner"


class Right(StrEnum):
    """What a route asks of its caller."""

    READ = "read jobs"
    CHANGE = "create and change jobs"
    FILES = "read and write files"
    STATISTICS = "read statistics of all jobs"
    EVERYBODYS = "see everybody's jobs"
    QUERIES = "export by a query"


#: role -> what it may. Without EVERYBODYS a caller sees its own jobs and files only.
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ, Right.EVERYBODYS, Right.STATISTICS}),
    Role.OPERATOR: frozenset({Right.READ, Right.CHANGE, Right.FILES}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True)
class Caller:
    """The holder of a key that works."""

    key_id: str
    name: str
    role: Role
    types: tuple[str, ...] | None
    tables: list[str] | None = None

    @classmethod
    def holding(cls, key: ApiKey) -> "Caller":
        """The caller who showed this key."""
        return cls(key.id, key.name, key.role, None if key.types is None else tuple(key.types), key.tables)

    def may(self, right: Right) -> bool:
        """Whether the role has a right."""
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Do nothing when the role has a right.

        Raises:
            NotPermitted: it has not.
        """
        if not self.may(right):
            raise NotPermitted(f"a key with the role {self.role} may not {right}")

    def require_type(self, batch_type: str) -> None:
        """Do nothing when the key is for jobs of this type.

        Raises:
            NotPermitted: it is for others.
        """
        if not self.may_type(batch_type):
            raise NotPermitted(f"this key is for jobs of the type {', '.join(self.types or ())} only")

    def may_type(self, batch_type: str) -> bool:
        """Whether the key is for jobs of this type."""
        return self.types is None or batch_type in self.types

    @property
    def sees_only(self) -> str | None:
        """The owner of the jobs that the caller sees, ``None`` for everybody's."""
        return None if self.may(Right.EVERYBODYS) else self.name

    def visible(self, wanted: JobFilter | None = None) -> JobFilter:
        """What is wanted, narrowed to the jobs that this caller sees."""
        wanted = wanted or JobFilter()
        if self.types is not None:
            asked = self.types if wanted.types is None else wanted.types
            wanted = replace(wanted, types=[name for name in asked if name in self.types])
        return wanted if self.sees_only is None else replace(wanted, creators=[self.sees_only])

    def sees(self, job: Job) -> bool:
        """Whether the job is one that this caller sees."""
        return self.may_type(job.type) and self.sees_only in (None, job.created_by)

    def owns(self, job: Job) -> bool:
        """Whether the job and its files are this caller's to use."""
        return self.may(Right.FILES) and self.may_type(job.type) and (
            job.created_by == self.name or self.may(Right.EVERYBODYS)
        )  # fmt: skip


class RateLimit:
    """Counts the requests of each key and address, in this process."""

    def __init__(self, rate: str) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._text = rate
        self._counts = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, who: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: it is one too many.
        """
        if self._counts.hit(self._rate, who):
            return
        reset = self._counts.get_window_stats(self._rate, who).reset_time
        raise TooManyRequests(self._text, max(1, math.ceil(reset - time.time())))


class Authentication:
    """Finds the caller who holds a key.

    Args:
        store: the table of keys; asked for each request, so that a revoked key is refused at once.
        given: the keys of the settings, by hash.
        rate: how often one key may come, and how often one address may be refused.
    """

    def __init__(self, store: ApiKeyStore, given: dict[str, ApiKey], rate: str) -> None:
        self.use = KeyUse(store.note_use)
        self._store = store
        self._given = given
        self._given_ids = {key.id: key for key in given.values()}
        self._limit = RateLimit(rate)

    def owner(self) -> Caller | None:
        """Whoever works at this machine, as long as no key is set anywhere; the API itself has no use for it.

        A key that was revoked counts: to revoke the last one closes the page, and does not open it to everybody.
        """
        if self._given or self._store.any_ever():
            return None
        return Caller(OWNER, login_name(), Role.ADMIN, None)

    async def caller(self, token: str, address: str) -> Caller:
        """Return who holds a key; only the table of keys is looked at in another thread.

        Raises:
            NotLoggedIn: nobody does.
            TooManyRequests: the key, or the address without one, came too often.
        """
        key = await self._key(token) if len(token) <= LONGEST_TOKEN else None
        if key is None:
            self.refuse(address)
        self._limit.count(key.id)
        if key.id not in self._given_ids:
            self.use.note(key.id)
        return Caller.holding(key)

    def holder(self, key_id: str) -> Caller | None:
        """Who holds the key of this id, with what it may by now; ``None`` where it does not work any more."""
        if key_id == OWNER:
            return self.owner()
        key = self._given_ids.get(key_id) or self._store.get(key_id)
        return Caller.holding(key) if key else None

    def visitor(self, key_id: str) -> Caller | None:
        """The same for one who asks now, which is counted.

        Raises:
            TooManyRequests: the key came too often.
        """
        caller = self.holder(key_id)
        if caller is not None:
            self._limit.count(key_id)
            if key_id != OWNER and key_id not in self._given_ids:
                self.use.note(key_id)
        return caller

    def refuse(self, address: str) -> NoReturn:
        """Count a request without a key; needs no database.

        Raises:
            NotLoggedIn: always, or
            TooManyRequests: the address came too often.
        """
        self._limit.count(f"address {address}")
        raise NotLoggedIn

    def working(self, key_ids: Collection[str]) -> set[str]:
        """Which of the keys of these ids still work."""
        given = self._given_ids.keys() & set(key_ids)
        if OWNER in key_ids and self.owner():
            given = given | {OWNER}
        return given | self._store.valid(set(key_ids) - given)

    async def _key(self, token: str) -> ApiKey | None:
        given = self._given.get(token_hash(token)) if self._given else None
        return given or await run_in_threadpool(self._store.find, token)


def token_of(headers: Headers) -> str:
    """The key that a request shows, empty where it shows none."""
    shown = headers.get("x-medusa-access-token")
    if shown:
        return shown
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
