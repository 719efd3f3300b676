"""Which Prefect this process talks to. Prefect reads its settings once, so it is chosen before Prefect is imported."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_jobs.deployments.errors import PrefectRefuses, PrefectUnreachable
from batch_jobs.deployments.prefect.server import free_port, running_server
from batch_jobs.flows.home import close_home
from batch_jobs.flows.prefect.address import KnownPrefect, find_prefect

#: How a Prefect server that asks for an auth string refuses; Prefect Cloud, with keys of its own, does so otherwise.
REFUSAL = '"exception_message":"Unauthorized"'


def check_answers(known: KnownPrefect) -> None:
    """Ask a Prefect whether it is there, and for this process.

    Raises:
        PrefectUnreachable: it does not answer.
        PrefectRefuses: it asks for an auth string, and not for the known one.
    """
    import httpx

    url = f"{known.api_url.rstrip('/')}/admin/version"  # of a Prefect server; any other answer is one, too
    try:
        answer = httpx.get(url, headers=known.headers(), timeout=10, verify=known.api_url.startswith("https:"))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrefectUnreachable(known.api_url, known.origin, str(error) or type(error).__name__) from None
    if answer.status_code == httpx.codes.UNAUTHORIZED and REFUSAL in answer.text:
        raise PrefectRefuses(known.api_url, known.origin)


def use_prefect(known: KnownPrefect) -> None:
    """Make this process and its children talk to this Prefect; called before anything imports Prefect.

    Raises:
        PrefectUnreachable: it does not answer, or refuses this process.
    """
    check_answers(known)
    os.environ.update(known.environment())


@contextmanager
def prefect_for_this_run(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Use the Prefect there is, else run one while the block does.

    Prefect's own ephemeral server would be in our process group and die of the Ctrl-C that is to end a job in order.

    Raises:
        PrefectUnreachable: the named one does not answer.
        PrefectDidNotStart: ours did not start.
    """
    known = find_prefect(home)
    if known is not None:
        use_prefect(known)
        yield
        return
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    say("starting Prefect for this run, it takes some seconds (`batch-jobs serve` keeps one running)")
    close_home(home)
    with running_server(home, free_port()) as server:
        os.environ.update(server.known.environment())
        yield
