"""The two-person rule: of which jobs it takes somebody else than who created them to confirm them, and who that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch_jobs.flows.errors import OtherMustConfirm
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.strategies.sdk.errors import count_rows

SETTING = "BATCH_JOBS_CONFIRM_BY_OTHER"
ALL = "*"
EVERY = ("true", "yes", "on", ALL)
NO = ("", "false", "no", "off")
#: What one is called of whom nothing else is known; a run that Prefect resumes says of itself who confirms it.
NOBODY = frozenset({*Trigger, "prefect"})
#: How the counts of a plan are called that say that something is removed, and that it is made or changed.
REMOVES = ("remove", "removed", "delete", "deleted")
CHANGES = ("create", "created", "update", "updated", "change", "changed", "add", "added", "put_back", "restore", "made")


@dataclass(frozen=True)
class ConfirmByOther:
    """What the setting says: by type (``*``: every other) how many rows may change without it, ``None`` for none."""

    limits: Mapping[str, int | None] = field(default_factory=dict)

    @classmethod
    def parsed(cls, text: str) -> "ConfirmByOther":
        """Read the setting.

        Raises:
            ValueError: it cannot be meant.
        """
        if text.strip().lower() in NO:
            return cls()
        if text.strip().lower() in EVERY:
            return cls({ALL: None})
        return cls(dict(_limit(part) for part in text.split(",")))

    def covers(self, batch_type: str) -> bool:
        """Whether jobs of a type may fall under the rule."""
        return batch_type in self.limits or ALL in self.limits

    def why(self, types: Sequence[str], plan: Mapping[str, Any] | None) -> str | None:
        """Why a job falls under the rule, ``None`` where it does not.

        Args:
            types: its own, and of an undo that of the job which is undone.
            plan: what its preview found.
        """
        found = (self._why(name, plan or {}) for name in types if self.covers(name))
        return next((why for why in found if why), None)

    def _why(self, batch_type: str, plan: Mapping[str, Any]) -> str | None:
        limit = self.limits[batch_type] if batch_type in self.limits else self.limits[ALL]
        if limit is None:
            return f"every {batch_type} needs two persons"
        counts = plan.get("counts")
        removed, changed = _sum(counts, REMOVES), _sum(counts, CHANGES)
        if changed is None and removed is None:
            return f"its preview does not count what changes, and {limit:,} rows of {batch_type} may"
        if removed:
            return f"it removes {count_rows(removed)}"
        if (changed or 0) > limit:
            return f"it changes {count_rows(changed or 0)}, and one person alone may change {limit:,}"
        return None

    def refuse(self, job: Job, why: str, who: str | None, belongs_to: Sequence[Job] = ()) -> None:
        """Refuse a confirmation of a job that falls under the rule, but of another person.

        Args:
            job: the job.
            why: it falls under it.
            who: confirms it, ``None`` where nobody knows for sure.
            belongs_to: the jobs whose rows it corrects: who created one of these has a part in it.

        Raises:
            OtherMustConfirm: it is the same person, or one of the two is unknown.
        """
        by_machine = job.trigger is Trigger.SCHEDULE and job.created_by is not None
        if not by_machine and _is_unknown(job.created_by):
            raise OtherMustConfirm(job.id, f"nobody knows who created it (by {job.trigger})", why, None)
        if _is_unknown(who):
            raise OtherMustConfirm(job.id, "nobody knows who confirms it here", why, job.created_by)
        if not by_machine and _same(who, job.created_by):
            raise OtherMustConfirm(job.id, f"{who} created it", why, job.created_by)
        for first in belongs_to:
            if first.trigger is not Trigger.SCHEDULE and _same(who, first.created_by):
                raise OtherMustConfirm(job.id, f"{who} created {first.id}, which it corrects", why, first.created_by)


def removed_rows(plan: Mapping[str, Any] | None) -> int:
    """How many rows a job removes, by what its preview counted."""
    return _sum((plan or {}).get("counts"), REMOVES) or 0


def _limit(part: str) -> tuple[str, int | None]:
    name, colon, number = (text.strip() for text in part.strip().partition(":"))
    if not name or (colon and not (number.isascii() and number.isdigit())):
        raise ValueError(f"{part.strip()!r} is neither true nor a type and its limit, such as table-import:1000 or *:0")
    return name, int(number) if colon else None


def _sum(counts: Any, endings: Sequence[str]) -> int | None:
    if not isinstance(counts, Mapping):
        return None
    found = [
        number
        for name, number in counts.items()
        if isinstance(number, int) and (name in endings or str(name).rpartition("_")[2] in endings)
    ]
    return sum(found) if found else None


def _is_unknown(name: str | None) -> bool:
    return name is None or not name.strip() or name.strip().lower() in NOBODY


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").strip().casefold() == (other or "").strip().casefold()
