"""Which Prefect there is: the one that is named, else the one that ``serve`` runs in this home."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.strategies.sdk.closed_folders import opener

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


def prefect_address(home: Path) -> str | None:
    """The address of the Prefect that ``find_prefect`` finds."""
    known = find_prefect(home)
    return known.api_url if known else None


@dataclass(frozen=True)
class Announcement:
    """The note of a running ``serve`` in its home: where its Prefect is, and which process serves."""

    api_url: str
    host: str
    pid: int
    started_at: float

    @classmethod
    def of_this_process(cls, api_url: str) -> "Announcement":
        """The note that this process serves."""
        return cls(api_url, **asdict(ProcessIdentity.current()))

    @classmethod
    def read(cls, home: Path) -> "Announcement | None":
        """The note of a process that still serves in this home."""
        try:
            found = cls(**json.loads(_path(home).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return None if ProcessIdentity(found.host, found.pid, found.started_at).is_known_dead() else found

    @contextmanager
    def kept_in(self, home: Path) -> Iterator[None]:
        """Leave the note in a home while the block runs."""
        passing = _path(home).with_suffix(".part")
        with open(passing, "w", opener=opener) as stream:
            json.dump(asdict(self), stream)
        passing.replace(_path(home))
        try:
            yield
        finally:
            _path(home).unlink(missing_ok=True)


def _environment() -> dict[str, str | None]:
    return {**dotenv_values(".env"), **os.environ}


def _active_profile(values: dict[str, str | None]) -> tuple[str, dict[str, Any]]:
    import tomllib

    home = Path(values.get("PREFECT_HOME") or "~/.prefect").expanduser()
    path = Path(values.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    try:
        profiles = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return "", {}
    active = values.get("PREFECT_PROFILE") or profiles.get("active") or ""
    return active, profiles.get("profiles", {}).get(active, {})


def _path(home: Path) -> Path:
    return home / "prefect-server.json"
