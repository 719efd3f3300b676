"""A real HTTP API on a free port, and the people who call it."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from batch_jobs.deployments.api.server import ApiServer, address, config, listen
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.jobs import way_to
from support.servers import wait_until

STRATEGIES = Path(__file__).parent / "api_strategies"
#: Who calls: alice and bob do work, vera looks, root may do everything, tina works with one type only.
PEOPLE: dict[str, tuple[Role, list[str] | None]] = {
    "alice": (Role.OPERATOR, None),
    "bob": (Role.OPERATOR, None),
    "vera": (Role.VIEWER, None),
    "root": (Role.ADMIN, None),
    "tina": (Role.OPERATOR, ["noting"]),
    "lister": (Role.OPERATOR, None),
}


@dataclass
class Served:
    """A running API."""

    workspace: Workspace
    url: str
    keys: dict[str, str]
    clients: ExitStack
    known: dict[str | None, httpx.Client] = field(default_factory=dict)

    def by(self, name: str | None) -> httpx.Client:
        """A client with a person's key, or without one."""
        if name not in self.known:
            headers = {"x-medusa-access-token": self.keys[name]} if name else {}
            client = httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=False)
            self.known[name] = self.clients.enter_context(client)
        return self.known[name]

    def job(self, owner: str = "alice", status: Status = Status.CREATED, **context: Any) -> Job:
        """A job of somebody, put into a status."""
        job = self.workspace.service.record("noting", context, created_by=owner, trigger=Trigger.API, dry_run=True)
        for action in way_to(status):
            job = self.workspace.store.move(job, action, who="test")
        return job


@contextmanager
def serving(workspace: Workspace) -> Iterator[str]:
    """Run the API of a workspace in a thread; yields its address."""
    with listen(workspace) as listening:
        server = ApiServer(config(workspace))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), what="the API's start")
            yield address(listening)
        finally:
            server.should_exit = True
            thread.join(30)


@contextmanager
def served_with(settings: Settings) -> Iterator[Served]:
    """Run an API with these settings and a key for everybody."""
    workspace = Workspace(settings)
    keys = {name: workspace.api_keys.create(name, role, types)[1] for name, (role, types) in PEOPLE.items()}
    with serving(workspace) as url, ExitStack() as clients:
        yield Served(workspace, url, keys, clients)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables of a command that has this home."""
    return {**os.environ, "BATCH_JOBS_HOME": str(home), "BATCH_JOBS_STRATEGIES": str(STRATEGIES), **more}
