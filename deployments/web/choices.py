"""What somebody has ticked to be left out of a job that waits, kept with the job until it is confirmed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch_jobs.deployments.web.kept import Kept
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.leaving_out import LeaveOut

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Choice:
    """One choice."""

    leave_out: LeaveOut

    @property
    def rows(self) -> int:
        """How many rows are named."""
        return len(self.leave_out.keys)

    def has(self, key: Row) -> bool:
        """Whether the row of a key is left out."""
        return dict(key) in self.leave_out.keys

    def with_rows(self, seen: Iterable[Row], ticked: Sequence[Row]) -> "Choice":
        """The choice after a look at some rows, of which some are ticked."""
        looked_at = [dict(key) for key in seen]
        others = [key for key in self.leave_out.keys if key not in looked_at]
        return self._with(keys=[*others, *(dict(key) for key in ticked)])

    def with_parts(self, columns: Sequence[str], kinds: Sequence[str]) -> "Choice":
        """The choice with these columns and kinds."""
        return self._with(columns=list(columns), kinds=list(kinds))

    def with_rule(self, rule: Mapping[str, Any]) -> "Choice":
        """The choice with a rule more; ``LeaveOutRefused`` where it says nothing."""
        return self._with(rules=[*self._given.get("rules", []), dict(rule)])

    def without_rule(self, number: int) -> "Choice":
        """The choice without the rule of a number."""
        return self._with(rules=[rule for place, rule in enumerate(self._given.get("rules", [])) if place != number])

    @property
    def _given(self) -> dict[str, Any]:
        return self.leave_out.as_json()

    def _with(self, **parts: Any) -> "Choice":
        return Choice(LeaveOut.of({**self._given, **parts}))


class Choices:
    """The choices that are kept.

    Args:
        files: the file store, where each lies in its job's folder.
    """

    def __init__(self, files: FileStore) -> None:
        self._kept = Kept(files, "choice")

    def of(self, job_id: str) -> Choice:
        """What is chosen for a job, nothing by default."""
        return Choice(LeaveOut.of(self._kept.of(job_id)))

    def keep(self, job_id: str, choice: Choice) -> None:
        """Keep what is chosen for a job."""
        self._kept.keep(job_id, choice.leave_out.as_json())
