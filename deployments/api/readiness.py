"""Whether what stands behind the API answers."""

import threading
import time
from dataclasses import dataclass

from sqlalchemy import text

from batch_jobs.deployments.prefect.server import answers
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.workspace import Workspace

FRESH_SECONDS = 1.0  # a look is shared by those who ask within this time, as anybody may ask


@dataclass(frozen=True)
class Ready:
    """Which parts answer. Without Prefect jobs are still read and recorded, and started later."""

    database: bool
    files: bool
    prefect: bool

    @property
    def can_serve(self) -> bool:
        """Whether requests can be served."""
        return self.database and self.files

    @property
    def status(self) -> str:
        """In a word."""
        if not self.can_serve:
            return "unavailable"
        return "ready" if self.prefect else "degraded"


class Readiness:
    """Looks at the parts of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._seen: tuple[float, Ready] | None = None

    def look(self) -> Ready:
        """Look at them, or say what was seen a moment ago."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > FRESH_SECONDS:
                self._seen = (time.monotonic(), Ready(self._database(), self._files(), self._prefect()))
            return self._seen[1]

    def _database(self) -> bool:
        try:
            with self._workspace.jobs.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception:  # whatever it is, it does not answer
            return False
        return True

    def _files(self) -> bool:
        try:
            self._workspace.files.exists("none")
        except Exception:  # each file system has errors of its own
            return False
        return True

    def _prefect(self) -> bool:
        known = find_prefect(self._workspace.settings.home)
        return known is not None and answers(known.api_url.rstrip("/"))
