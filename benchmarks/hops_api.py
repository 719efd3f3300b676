"""How many of the project's modules a request enters until its answer: what a newcomer reads to follow it.

``python -m benchmarks.hops_api`` prints them for ``POST /admin/batch-jobs``.
"""

import asyncio
import json
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from urllib.request import Request, urlopen

from batch_jobs.deployments.api.server import ApiServer, address, config, listen
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace

ROOT = Path(__file__).parents[1]
ROOMS = tuple(f"{ROOT / room}/" for room in ("strategies", "flows", "deployments"))
ROUNDS = 5
BODY = json.dumps({"type": "table-export", "context": {"table": "goods"}, "dry_run": True}).encode()


class Entered:
    """The project's modules that any thread enters while this looks."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.looks = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Note a call; the form of ``sys.setprofile``."""
        if self.looks and event == "call" and frame.f_code.co_filename.startswith(ROOMS):
            self.modules.add(str(Path(frame.f_code.co_filename).relative_to(ROOT)))


def hops_of_create() -> list[str]:
    """The modules that ``POST /admin/batch-jobs`` enters each time, without those of the loops beside it."""
    with tempfile.TemporaryDirectory(prefix="batch-jobs-hops-") as folder:
        workspace = Workspace(Settings(home=Path(folder), api_port=0))
        _, key = workspace.api_keys.create("bench", Role.OPERATOR)
        entered = Entered()
        with listen(workspace) as listening:
            server = ApiServer(config(workspace))
            threading.setprofile(entered)
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
            thread.start()
            try:
                seen = [_entered_by_a_post(address(listening), key, entered) for _ in range(ROUNDS)]
            finally:
                threading.setprofile(None)
                server.should_exit = True
                thread.join()
    return sorted(set.intersection(*seen[1:]))  # the first one imports, and opens connections


def _entered_by_a_post(url: str, key: str, entered: Entered) -> set[str]:
    headers = {"x-medusa-access-token": key, "Content-Type": "application/json"}
    entered.modules, entered.looks = set(), True
    with urlopen(Request(f"{url}/admin/batch-jobs", BODY, headers), timeout=30) as answer:
        assert answer.status == 201
    entered.looks = False
    return entered.modules


def main() -> None:
    """Print them."""
    modules = hops_of_create()
    print("\n".join(modules))
    print(f"POST /admin/batch-jobs: {len(modules)} modules")


if __name__ == "__main__":
    sys.exit(main())
