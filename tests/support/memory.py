"""The peak of a process's memory."""

import re
from pathlib import Path


def peak_mb() -> float:
    """The most resident memory that this process had since it was started, in MB.

    ``ru_maxrss`` is not that: a process begins with the figure of the one that started it.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
