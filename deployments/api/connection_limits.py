"""Connections that say nothing, never finish asking, do not read, speak no HTTP or are one too many are closed."""

import asyncio
import ipaddress
from collections import Counter
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from batch_jobs.deployments.api.errors import error_response
from batch_jobs.deployments.api.middleware import SECURITY_HEADERS

HEAD_SECONDS = 20.0  # for the head of a request, from the connection or the end of the answer before
UNREAD_SECONDS = 300.0  # for what waits to be read of an answer to become less; a slow reader takes it in bursts

LAST_WORD = {**SECURITY_HEADERS, "Connection": "close"}


def _refusal(message: str) -> Any:
    return error_response(503, "unexpected_state", message, "api_error", {**LAST_WORD, "Retry-After": "1"})


CROWDED = _refusal("there are too many connections, ask again in a second")
CROWDED_BY_ONE = _refusal("there are too many connections from this address, close some and ask again in a second")


class LimitedConfig(Config):
    """uvicorn's settings, with how many connections one address may have."""

    def __init__(self, *given: Any, per_address: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self.per_address = per_address
        self.addresses: Counter[str] = Counter()


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol with limits on how long a request's head and the reading of its answer may take.

    Its own limit ends with the first byte, and it has none for answers.

    What it refuses by itself it refuses as the application does: in JSON.
    """

    _waiting: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _address: str | None = None

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self._most, self.limit_concurrency = self.limit_concurrency, None  # uvicorn's own refusal is in text
        assert isinstance(config, LimitedConfig)
        self._per_address, self._addresses = config.per_address, config.addresses

    def connection_made(self, transport: Any) -> None:
        """Begin to wait, for a request that is refused where others were here first, or not at all by far too many."""
        super().connection_made(transport)
        self._address = address = _address(self.client[0]) if self.client else ""
        self._addresses[address] += 1
        from_there = self._addresses[address]
        if (self._most and len(self.connections) > 2 * self._most) or from_there > 3 * self._per_address // 2:
            self._leave()  # now, as those who come with it are counted before its end is noticed
            transport.abort()
            return
        if self._most and len(self.connections) > self._most:
            self.app = CROWDED
        elif from_there > self._per_address:
            self.app = CROWDED_BY_ONE
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._stop_waiting()
        self._stop_unread()
        self._leave()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Wait on only while there is the head of a request to come."""
        super().handle_events()
        if self._is_answering():
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(HEAD_SECONDS, self._close_idle)

    def pause_writing(self) -> None:
        """Begin to wait for the reader of an answer."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with the answer."""
        self._stop_unread()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        refusal = error_response(400, "invalid_data", msg, headers=LAST_WORD)
        for part in (
            h11.Response(status_code=refusal.status_code, headers=refusal.raw_headers),
            h11.Data(data=bytes(refusal.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(part))
        self.transport.close()

    def _leave(self) -> None:
        """Count this connection no more."""
        self.connections.discard(self)
        if self._address is None:
            return
        self._addresses[self._address] -= 1
        if not self._addresses[self._address]:
            del self._addresses[self._address]
        self._address = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _close_idle(self) -> None:
        self._waiting = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _address(client: str) -> str:
    """Who counts as one: an address of IPv4, of IPv6 a network of 64 bits, the least that one host is given."""
    address = ipaddress.ip_address(client.partition("%")[0])
    if address.version == 4:
        return client
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
