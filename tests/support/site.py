"""A served installation with people who use its page, and jobs of theirs."""

from dataclasses import dataclass
from typing import Any

import httpx

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job
from support.serving import Served

#: Who visits: an operator, a viewer, an admin.
PEOPLE = {"mara": Role.OPERATOR, "vera": Role.VIEWER, "root": Role.ADMIN}
PRICES = "code,name,price\n" + "".join(f"A-{n:03},Chair {n},{n}.50\n" for n in range(1, 61))
CHANGED = PRICES.replace("A-003,Chair 3,3.50", "A-003,Chair 3,30.50").replace("A-005,Chair 5,5.50", "A-005,,5.50")
WRONG = "A-901,Stool,cheap\nA-902,<script>alert(1)</script>,\u2028\n"


@dataclass
class Site:
    """A served installation with people and what they have made."""

    served: Served
    address: str
    keys: dict[str, str]

    def create(self, batch_type: str, who: str = "mara", dry_run: bool = False, **context: Any) -> Job:
        """A job of somebody's, made over HTTP."""
        answer = httpx.post(
            f"{self.address}/admin/batch-jobs",
            headers={"x-medusa-access-token": self.keys[who]},
            json={"type": batch_type, "context": context, "dry_run": dry_run},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        return self.served.workspace.service.get(answer.json()["batch_job"]["id"])

    def load(self, text: str, dry_run: bool = False, **context: Any) -> Job:
        """An import of a file of mara's."""
        sent = httpx.post(
            f"{self.address}/admin/uploads",
            headers={"x-medusa-access-token": self.keys["mara"]},
            files=[("files", ("prices.csv", text.encode()))],
            timeout=60,
        ).json()["uploads"][0]
        given = {"file_key": sent["key"], "table": "prices", "key": ["code"], "mode": "upsert", **context}
        return self.create("table-import", dry_run=dry_run, **given)

    def until_previewed(self, job: Job) -> Job:
        """Wait until a job waits for its yes."""
        return self.served.until(job, lambda now: now.awaits_confirmation, "the preview")


@dataclass(frozen=True)
class Works:
    """Jobs of mara's that views show: one that is done, one that waits, one that failed."""

    done: Job
    waiting: Job
    failed: Job
