"""When a key was used is written seldom, and never at a request's cost."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from batch_jobs.deployments.api import key_use
from batch_jobs.deployments.api.key_use import KeyUse


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_use, "LOOK_SECONDS", 0.001)


async def until_written(use: KeyUse, written: list[Mapping[str, datetime]], times: int) -> None:
    running = asyncio.create_task(use.run())
    async with asyncio.timeout(30):
        while len(written) < times:
            await asyncio.sleep(0.001)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def test_many_uses_of_a_key_within_a_minute_are_written_once():
    written: list[Mapping[str, datetime]] = []
    use, begun = KeyUse(written.append), datetime.now(UTC)
    for _ in range(1_000):
        use.note("key_1")
    asyncio.run(until_written(use, written, 1))

    for key_id in ("key_1", "key_2"):
        use.note(key_id)
    asyncio.run(until_written(use, written, 2))

    assert [set(uses) for uses in written] == [{"key_1"}, {"key_2"}]
    assert begun <= written[0]["key_1"] <= datetime.now(UTC)


def test_a_write_that_fails_is_a_line_and_the_next_use_is_written(caplog: pytest.LogCaptureFixture):
    written: list[Mapping[str, datetime]] = []

    def record(uses: Mapping[str, datetime]) -> None:
        written.append(uses)
        if len(written) == 1:
            raise ConnectionError("the job database is away")

    use = KeyUse(record)
    use.note("key_1")
    asyncio.run(until_written(use, written, 1))
    use.note("key_2")
    asyncio.run(until_written(use, written, 2))

    assert set(written[1]) == {"key_2"}
