"""Which process runs a job, and whether it still lives."""

import os
import socket
from dataclasses import dataclass

START_TOLERANCE = 1.0  # seconds; a pid given again belongs to a process that started later


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of a machine: host name, pid, and start time in seconds since 1970, as pids are used again."""

    host: str
    pid: int
    started_at: float

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """This process."""
        import psutil  # where it is needed: listing jobs does not

        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def is_known_dead(self) -> bool:
        """Whether the process is surely gone: on this machine it can be seen, elsewhere it cannot."""
        if self.host != socket.gethostname():
            return False
        import psutil

        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.started_at) < START_TOLERANCE
            return not alive or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"
