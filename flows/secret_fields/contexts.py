"""The secret fields of a context (``pydantic.SecretStr``): sealed when a job is recorded, opened for its run only.

The row, its events, Prefect's parameters and every answer hold ``**********`` in their place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.secret_fields.masking import OpenedContext

if TYPE_CHECKING:
    from batch_jobs.flows.secret_fields.sealing import Seal

#: Where a secret stands in a context, and the secret.
Place = tuple[list[str | int], str]


class ContextSecrets:
    """The secrets of jobs' contexts.

    Args:
        store: keeps them, sealed.
        seal: gives what they are sealed with; called only where there is a secret.
    """

    def __init__(self, store: JobStore, seal: "Callable[[], Seal]") -> None:
        self._store = store
        self._seal = seal

    def seal(self, context: BaseModel) -> str | None:
        """Seal the secrets of a new context, for the store to keep; ``None`` when it has none."""
        places = secret_places(context)
        return self._seal().close(places) if places else None

    def open(self, job: Job) -> OpenedContext:
        """Return a job's context with its secrets in place, for the run and nobody else.

        Raises:
            SealBroken: they were sealed with another secret than this installation's.
        """
        sealed = self._store.sealed(job.id)
        return opened(job.context, self._seal().open(sealed) if sealed else [])

    def are_same(self, job_id: str, sealed: str | None) -> bool:
        """Whether a job has these secrets; those of an ended one are gone, so that any pass for the same."""
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
    return OpenedContext(whole, [secret for _, secret in places])


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
