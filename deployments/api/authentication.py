"""From a request's headers to its caller, and how often a caller may come."""

import math
import time
from collections.abc import Collection

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from deployments.api.access import Caller
from deployments.api.errors import NotLoggedIn, TooManyRequests
from flows.api_keys import ApiKey, ApiKeyStore, token_hash

LONGEST_TOKEN = 512


class RateLimit:
    """Counts what each one does, in this process."""

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
        self._store = store
        self._given = given
        self._limit = RateLimit(rate)

    def caller(self, token: str | None, address: str) -> Caller:
        """Return who holds a key.

        Raises:
            NotLoggedIn: nobody does.
            TooManyRequests: the key, or the address without one, came too often.
        """
        key = self._key(token)
        if key is None:
            self._limit.count(f"address {address}")
            raise NotLoggedIn
        self._limit.count(key.id)
        return Caller.holding(key)

    def is_valid(self, key_id: str) -> bool:
        """Whether the key of this id still works."""
        return bool(self.working([key_id]))

    def working(self, key_ids: Collection[str]) -> set[str]:
        """Which of the keys of these ids still work."""
        given = {key.id for key in self._given.values()}.intersection(key_ids)
        return given | self._store.valid(set(key_ids) - given)

    def _key(self, token: str | None) -> ApiKey | None:
        if not token or len(token) > LONGEST_TOKEN:
            return None
        return self._given.get(token_hash(token)) or self._store.find(token)
