"""What is done again and again is done however often it failed."""

import asyncio

import pytest

from batch_jobs.flows.prefect.upkeep import again_and_again


def test_a_part_that_fails_for_long_is_tried_until_it_works_and_is_told_of_once(caplog: pytest.LogCaptureFixture):
    tries, works = 0, asyncio.Event()

    async def part() -> None:
        nonlocal tries
        tries += 1
        if tries <= 20:
            raise ConnectionError("nobody answers")
        works.set()

    async def go() -> None:
        doing = asyncio.create_task(again_and_again(part, 0))
        await asyncio.wait_for(works.wait(), 30)
        doing.cancel()

    asyncio.run(go())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "part failed and is tried again: nobody answers"
    ]
