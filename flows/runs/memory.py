"""The memory that a run may take, and what is said of one that needed more.

The limit is ``RLIMIT_DATA``: what a process may write to. ``RLIMIT_AS`` counts address space too that threads and Arrow
reserve and never use, several times as much as they take, and a cgroup of its own needs rights that few workers have.
"""

import errno
import os
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ByteSize

#: What a process of a run takes before its strategy has begun, with its threads.
LEAST = 256 << 20
#: A machine of less has no memory to protect from its only job.
LEAST_DEFAULT = 1 << 30
#: A failed run may go so much beyond its limit, to say so.
ROOM_TO_REPORT = 256 << 20
#: How readily the kernel ends a run, from 0 (as others) to 1000 (before all others), where the machine has none left.
ENDED_FIRST = 500
#: What the limit of a container is, in its two versions.
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
NO_THREAD = "can't start new thread"


def default_limit() -> int:
    """Three quarters of what this machine or its container has."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is none
            there = min(there, int(Path(path).read_text()))
    return max(LEAST_DEFAULT, there // 4 * 3)


def limit_memory(pid: int, most: int) -> None:
    """Let a process, and those that it starts, have no more than so much memory each.

    Past it, what asks for more gets an error; should the machine itself have none left, the kernel ends this process
    rather than others. Where the operating system cannot do this (other than Linux), nothing is limited.
    """
    with suppress(ProcessLookupError, AttributeError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, hard))
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(ENDED_FIRST))


@contextmanager
def reporting_lack_of_memory() -> Iterator[None]:
    """Let an error for lack of memory out of the block only when there is some left to report it."""
    try:
        yield
    except Exception as error:
        if is_lack_of_memory(error):
            traceback.clear_frames(error.__traceback__)
            _give_room()
        raise


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left; those of Arrow and numpy are ``MemoryError`` too."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_THREAD in str(error))


def lack_of_memory() -> str:
    """What to say of a run that had no memory left."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return "there was no memory left for it on this machine"
    most = ByteSize(limit - (ROOM_TO_REPORT if _room_given else 0)).human_readable(decimal=True)
    return f"it needed more memory than the {most} that a run may have; BATCH_JOBS_RUN_MEMORY sets another limit"


_room_given = False


def _give_room() -> None:
    global _room_given
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY and not _room_given:
        with suppress(ValueError):  # beyond the limit that the process was started with
            resource.setrlimit(resource.RLIMIT_DATA, (soft + ROOM_TO_REPORT, hard))
            _room_given = True
