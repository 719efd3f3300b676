"""Which process runs a job, and whether it still lives."""

import hashlib
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")
#: What is the same for two processes that see each other's pids: the machine, its run since it was started, and the
#: namespaces of pids and of the times that processes are started at.
SEEN_TOGETHER = ("/etc/machine-id", "/proc/sys/kernel/random/boot_id")
NAMESPACES = ("/proc/self/ns/pid", "/proc/self/ns/time")
SEPARATOR = "#"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, as others know it.

    Args:
        host: the machine's name; after a ``#`` what processes have in common that can see each other, hashed, as a
            machine's id is not to be shown. Without it, as an earlier release wrote it or on a system without
            ``/proc``, nothing can be known of the process but by its signs of life.
        pid: its id, which is used again by others.
        started_at: when it was started, in seconds after its machine was: no clock that is set changes that.
    """

    host: str
    pid: int
    started_at: float

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """This process."""
        return _current(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """A process that can be seen from this one.

        Raises:
            OSError, psutil.NoSuchProcess: it is not there.
        """
        name = socket.gethostname().replace(SEPARATOR, "")
        try:
            host = f"{name}{SEPARATOR}{_seen_together()}"
        except (OSError, LookupError):
            import psutil

            return cls(name, pid, psutil.Process(pid).create_time())
        return cls(host, pid, _stat(pid).started_at)

    def is_known_dead(self) -> bool:
        """Whether the process is surely gone; of one that cannot be seen from here, nobody knows."""
        if not self._can_be_seen:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's, and there
            pass
        try:
            stat = _stat(self.pid)
        except OSError:  # it may be hidden from this user
            return False
        return stat.state in "ZX" or stat.started_at != self.started_at

    def work_done(self) -> int | None:
        """The ticks for which the process has been computing, ``None`` where that cannot be seen from here.

        While one call into a library holds the interpreter, nothing else shows that its process lives.
        """
        with suppress(OSError):
            stat = _stat(self.pid) if self._can_be_seen else None
            if stat is not None and stat.started_at == self.started_at:
                return stat.work_done
        return None

    @property
    def _can_be_seen(self) -> bool:
        return SEPARATOR in self.host and self.host == ProcessIdentity.current().host

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition(SEPARATOR)[0]}"


@lru_cache(maxsize=1)
def _current(pid: int) -> ProcessIdentity:
    return ProcessIdentity.of(pid)


def _seen_together() -> str:
    """A short hash of what this process has in common with all that it can see.

    Raises:
        OSError, LookupError: there is no ``/proc``, or it is that of another pid namespace.
    """
    if len(_own_pids()) != 1:
        raise LookupError("the pids in /proc are those of another namespace")
    machine, boot = (_first_line(name) for name in SEEN_TOGETHER)
    if not boot:
        raise LookupError("which start of the machine this is cannot be known")
    pids, *times = (os.readlink(name) for name in NAMESPACES if os.path.lexists(name))
    return hashlib.sha256("\n".join((machine, boot, pids, *times)).encode()).hexdigest()[:16]


def _own_pids() -> Sequence[str]:
    """The ids of this process, in the namespace that ``/proc`` shows and those below."""
    for line in (PROC / "self" / "status").read_text().splitlines():
        name, _, ids = line.partition(":")
        if name == "NSpid":
            return ids.split()
    raise LookupError("NSpid")


def _first_line(name: str) -> str:
    try:
        return Path(name).read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class _Stat:
    """A process's state letter, when it was started after the machine was, and the ticks it has been computing."""

    state: str
    started_at: float
    work_done: int


def _stat(pid: int) -> _Stat:
    fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    started_at = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return _Stat(fields[0], started_at, int(fields[11]) + int(fields[12]))
