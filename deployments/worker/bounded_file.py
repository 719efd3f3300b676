"""Keeps what comes from stdin in a file that does not outgrow a size; what was before it is beside it, once.

A program of its own (``python bounded_file.py FILE``) and no thread of ``serve``: it goes on to the end of the last
run, also where ``serve`` is killed, so that no run's ``print`` fails or waits for a reader.
"""

import os
import signal
import sys

#: Bytes of the file, and of the one beside it.
LARGEST = 10_000_000
BLOCK = 1 << 16


def main(path: str) -> None:
    """Copy stdin to a file until its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C is for those who print
    while block := os.read(0, BLOCK):
        try:
            _append(path, block)
        except OSError:  # a full disk is no reason to hold up a run
            continue


def _append(path: str, block: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        has_room = os.fstat(file).st_size + len(block) <= LARGEST
        if has_room:
            os.write(file, block)
    finally:
        os.close(file)
    if not has_room:
        os.replace(path, f"{path}.1")
        _append(path, block)


if __name__ == "__main__":
    main(sys.argv[1])
