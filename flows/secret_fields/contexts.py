"""Secret fields of a context (``pydantic.SecretStr``): kept sealed beside the row, opened only for the run.

The row, its events, Prefect's parameters and every answer hold ``**********`` in their place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.secret_fields.sealing import Seal

#: Where a secret stands in a context, and the secret.
Place = tuple[list[str | int], str]
MASK = "**********"
SHORTEST_HIDDEN = 4  # characters; to hide a shorter secret wherever it occurs would make texts unreadable


@dataclass(frozen=True)
class OpenedContext:
    """A context with its secrets in place, for the run; ``hidden`` are those that no text of the job may show."""

    values: dict[str, Any]
    hidden: Sequence[str] = ()

    def without_secrets(self, value: Any) -> Any:
        """A JSON value whose texts show no secret."""
        if not self.hidden:
            return value
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, Mapping):
            return {key: self.without_secrets(part) for key, part in value.items()}
        return [self.without_secrets(part) for part in value] if isinstance(value, list) else value

    def _masked(self, text: str) -> str:
        for secret in self.hidden:
            text = text.replace(secret, MASK)
        return text


class ContextSecrets:
    """The secrets of jobs' contexts.

    Args:
        store: has them, sealed.
        seal: gives what they are sealed with; called when there is one.
    """

    def __init__(self, store: JobStore, seal: Callable[[], Seal]) -> None:
        self._store = store
        self._seal = seal

    def sealed(self, context: BaseModel) -> str | None:
        """The secrets of a new context, to be kept; ``None`` when it has none."""
        places = secret_places(context)
        return self._seal().close(places) if places else None

    def opened(self, job: Job) -> OpenedContext:
        """A job's context with its secret fields, for the run and nobody else.

        Raises:
            SealBroken: they were sealed with another secret than this installation's.
        """
        sealed = self._store.sealed(job.id)
        return opened(job.context, self._seal().open(sealed) if sealed else [])

    def are_same(self, job_id: str, sealed: str | None) -> bool:
        """Whether a job has these secrets; of an ended one they are forgotten, and the rest has to do."""
        known = self._store.sealed(job_id)
        return known is None or sealed is None or bool(self._seal().open(known) == self._seal().open(sealed))


def secret_places(context: BaseModel) -> list[Place]:
    """Every secret of a context, with where it stands."""
    return list(_places(context.model_dump(), []))


def opened(values: dict[str, Any], places: Sequence[Place]) -> OpenedContext:
    """Put secrets back to where they stood."""
    whole = deepcopy(values)
    for path, secret in places:
        part: Any = whole
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = secret
    found = {secret for _, secret in places if len(secret) >= SHORTEST_HIDDEN}
    return OpenedContext(whole, sorted(found, key=len, reverse=True))


def _places(value: Any, path: list[str | int]) -> Iterator[Place]:
    if isinstance(value, Secret | SecretStr | SecretBytes):
        plain = value.get_secret_value()
        yield path, plain.decode() if isinstance(plain, bytes) else str(plain)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _places(part, [*path, key])
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _places(part, [*path, index])
