"""Processes of runs, and how their ends are reported."""

import asyncio
import os
from pathlib import Path

import pytest

from batch_jobs.deployments.worker.processes import start_process
from batch_jobs.deployments.worker.run_end import how_ended


@pytest.mark.parametrize(("command", "code"), [("sh -c 'exit 3'", 3), ("sh -c 'kill -9 $$'", -9), ("true", 0)])
def test_a_run_is_started_by_the_command_of_its_work_pool(tmp_path: Path, command: str, code: int):
    async def ended() -> int:
        process = await start_process(dict(os.environ), tmp_path, command)
        return await process.end()

    assert asyncio.run(ended()) == code


def test_a_command_sees_its_runs_variables_and_folder(tmp_path: Path):
    async def go() -> None:
        process = await start_process({**os.environ, "WORD": "seen"}, tmp_path, "sh -c 'echo $WORD > word'")
        await process.end()

    asyncio.run(go())
    assert (tmp_path / "word").read_text() == "seen\n"


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "was ended by SIGKILL"), (1, "ended with exit code 1"), (-99, "was ended by signal 99")]
)
def test_how_a_process_ended_is_said_in_words(code: int, words: str):
    assert how_ended(code) == words
