"""Which Prefect this process talks to. Prefect reads its settings once, so it is chosen before Prefect is imported."""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from batch_jobs.deployments.errors import PrefectUnreachable
from batch_jobs.deployments.prefect.server import Announcement, free_port, running_server

API_URL = "PREFECT_API_URL"


@dataclass(frozen=True)
class KnownPrefect:
    """A Prefect that somebody named or serves: its API's address, and how we know of it."""

    api_url: str
    origin: str


def find_prefect(home: Path) -> KnownPrefect | None:
    """The Prefect that the environment or the active profile names, else the one that ``serve`` runs in this home."""
    values = _environment()
    if values.get(API_URL):
        return KnownPrefect(str(values[API_URL]), API_URL)
    profile, settings = _active_profile(values)
    if settings.get(API_URL):
        return KnownPrefect(str(settings[API_URL]), f"Prefect's profile {profile}")
    served = Announcement.read(home)
    return KnownPrefect(served.api_url, "batch-jobs serve") if served else None


def name_prefect(home: Path) -> None:
    """Make this process talk to the Prefect there is, whether it answers or not; without one nothing is named."""
    known = find_prefect(home)
    if known is not None:
        os.environ[API_URL] = known.api_url


def use_prefect(known: KnownPrefect) -> None:
    """Make this process and its children talk to this Prefect.

    Raises:
        PrefectUnreachable: it does not answer.
    """
    import httpx

    try:
        httpx.get(f"{known.api_url.rstrip('/')}/health", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrefectUnreachable(known.api_url, known.origin, str(error) or type(error).__name__) from None
    os.environ[API_URL] = known.api_url


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
    home.mkdir(parents=True, exist_ok=True)
    with running_server(home, free_port()) as server:
        os.environ[API_URL] = server.api_url
        yield


def _environment() -> dict[str, str | None]:
    return {**dotenv_values(".env"), **os.environ}


def _active_profile(values: dict[str, str | None]) -> tuple[str, dict[str, Any]]:
    home = Path(values.get("PREFECT_HOME") or "~/.prefect").expanduser()
    path = Path(values.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    try:
        profiles = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return "", {}
    active = values.get("PREFECT_PROFILE") or profiles.get("active") or ""
    return active, profiles.get("profiles", {}).get(active, {})
