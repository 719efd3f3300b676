"""Which Prefect there is: the one that is named, else the one that ``serve`` runs in this home."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.secret_fields.sealing import kept_secret
from batch_jobs.strategies.sdk.closed_folders import opener

API_URL = "PREFECT_API_URL"
AUTH_STRING = "PREFECT_API_AUTH_STRING"
#: An auth string is sent as HTTP's basic authentication, which has a user.
USER = "batch-jobs"


@dataclass(frozen=True)
class KnownPrefect:
    """A Prefect that somebody named or serves: its API's address, how we know of it, and what it asks for, if known."""

    api_url: str
    origin: str
    auth_string: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """The variables with which a process talks to it."""
        return {API_URL: self.api_url, **({AUTH_STRING: self.auth_string} if self.auth_string else {})}

    def headers(self) -> dict[str, str]:
        """The headers of a request to it."""
        if not self.auth_string:
            return {}
        return {"Authorization": f"Basic {b64encode(self.auth_string.encode()).decode()}"}


def auth_file(home: Path) -> Path:
    """Where a home keeps what the Prefect that is started in it asks for."""
    return home / "prefect.auth"


def auth_string(home: Path) -> str:
    """What the Prefect that is started in this home asks everybody for; made once."""
    return kept_secret(auth_file(home), f"{USER}:").decode()


def find_prefect(home: Path) -> KnownPrefect | None:
    """The Prefect that the environment or the active profile names, else the one that ``serve`` runs in this home."""
    values = _environment()
    if values.get(API_URL):
        return KnownPrefect(str(values[API_URL]), API_URL, values.get(AUTH_STRING))
    profile, settings = _active_profile(values)
    if settings.get(API_URL):
        auth = values.get(AUTH_STRING) or settings.get(AUTH_STRING)
        return KnownPrefect(str(settings[API_URL]), f"Prefect's profile {profile}", auth)
    served = Announcement.read(home)
    return KnownPrefect(served.api_url, "batch-jobs serve", auth_string(home)) if served else None


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
