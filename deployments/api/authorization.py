"""Who may what: the rights of each role, and which jobs a caller sees."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from batch_jobs.deployments.api.errors import NotPermitted
from batch_jobs.flows.access.keys import ApiKey, Role
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter


class Right(StrEnum):
    """What a route asks of its caller."""

    READ = "read jobs"
    CHANGE = "create and change jobs"
    FILES = "read and write files"
    STATISTICS = "read statistics of all jobs"
    EVERYBODYS = "see everybody's jobs"


#: role -> what it may. Without EVERYBODYS a caller sees its own jobs and files only.
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ, Right.EVERYBODYS, Right.STATISTICS}),
    Role.OPERATOR: frozenset({Right.READ, Right.CHANGE, Right.FILES}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True)
class Caller:
    """The holder of a key that works."""

    key_id: str
    name: str
    role: Role
    types: tuple[str, ...] | None

    @classmethod
    def holding(cls, key: ApiKey) -> "Caller":
        """The caller who showed this key."""
        return cls(key.id, key.name, key.role, None if key.types is None else tuple(key.types))

    def may(self, right: Right) -> bool:
        """Whether the role has a right."""
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Do nothing when the role has a right.

        Raises:
            NotPermitted: it has not.
        """
        if not self.may(right):
            raise NotPermitted(f"a key with the role {self.role} may not {right}")

    def require_type(self, batch_type: str) -> None:
        """Do nothing when the key is for jobs of this type.

        Raises:
            NotPermitted: it is for others.
        """
        if not self.may_type(batch_type):
            raise NotPermitted(f"this key is for jobs of the type {', '.join(self.types or ())} only")

    def may_type(self, batch_type: str) -> bool:
        """Whether the key is for jobs of this type."""
        return self.types is None or batch_type in self.types

    @property
    def sees_only(self) -> str | None:
        """Whose jobs the caller sees, ``None`` for everybody's."""
        return None if self.may(Right.EVERYBODYS) else self.name

    def visible(self, wanted: JobFilter | None = None) -> JobFilter:
        """What is wanted, narrowed to the jobs that this caller sees."""
        wanted = wanted or JobFilter()
        if self.types is not None:
            asked = self.types if wanted.types is None else wanted.types
            wanted = replace(wanted, types=[name for name in asked if name in self.types])
        return wanted if self.sees_only is None else replace(wanted, creators=[self.sees_only])

    def owns(self, job: Job) -> bool:
        """Whether the job and its files are this caller's to use."""
        return self.may(Right.FILES) and self.may_type(job.type) and (
            job.created_by == self.name or self.may(Right.EVERYBODYS)
        )  # fmt: skip
