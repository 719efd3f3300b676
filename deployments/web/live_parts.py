"""The parts of a job's view that change, made once for all who see the same, however many tabs are open."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from batch_jobs.deployments.api.auth import Caller
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.web.rendering import shared_block
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.deployments.web.speeds import Speeds
from batch_jobs.deployments.web.strategy_parts import own_part
from batch_jobs.flows.jobs.model import Job

VIEW = "job.html"
#: Blocks of the view, each the content of the element of this id.
PARTS = ("now", "found")
MOST_KEPT = 128

#: part -> its HTML.
Parts = Mapping[str, str]


class LiveParts:
    """Makes and keeps the changing parts of jobs' views.

    Args:
        api: has the jobs.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._speeds = Speeds()
        self._made: OrderedDict[object, asyncio.Task[Parts]] = OrderedDict()

    def shown(self, job: Job, caller: Caller) -> ShownJob:
        """A job as somebody is shown it now."""
        return ShownJob(self._api, job, caller, self._speeds.of(job))

    def values(self, shown: ShownJob, code: str) -> dict[str, Any]:
        """What the view's template is given."""
        own = own_part(self._api.strategies, shown, code) if shown.whole_plan else None
        return {"shown": shown, "job": shown.job, "own_part": own}

    async def of(self, job: Job, caller: Caller, code: str) -> Parts:
        """The parts of a job in a language, as this caller may see them."""
        shown = self.shown(job, caller)
        if job.awaits_confirmation:  # what is shown depends on who looks, and on what they chose
            return await asyncio.to_thread(self._make, shown, code)
        key = (job.id, shown.stamp, shown.rows_per_second, code, caller.role, caller.types, caller.sees_only)
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.create_task(asyncio.to_thread(self._make, shown, code))
            if len(self._made) > MOST_KEPT:
                self._made.popitem(last=False)
        try:
            return await asyncio.shield(task)  # one tab that is closed ends it for no other
        except Exception:
            self._made.pop(key, None)
            raise

    def _make(self, shown: ShownJob, code: str) -> Parts:
        values = self.values(shown, code)
        return {part: shared_block(code, VIEW, part, values) for part in PARTS}


def as_swap(parts: Parts) -> str:
    """Parts as htmx takes them: the first for the target of what asked, the others for the elements of their names."""
    first, *others = PARTS
    partials = (
        f'<hx-partial hx-target="#{part}" hx-swap="innerMorph">{parts[part]}</hx-partial>'
        for part in others
        if part in parts
    )
    return "".join([parts.get(first, ""), *partials])
