"""How many files of the project one CSV row passes through: ``python -m benchmarks.hops``."""

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_import import TableImport

ROOT = Path(__file__).parents[1]
ROOMS = tuple(f"{ROOT / room}/" for room in ("strategies", "flows", "deployments"))


@contextmanager
def files_entered() -> Iterator[set[str]]:
    """The project's files whose functions are called inside the block, in any thread."""
    entered: set[str] = set()

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(ROOMS):
            entered.add(str(Path(file).relative_to(ROOT)))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def show(name: str, work: Callable[[], object]) -> None:
    """Print which files a piece of work goes through, and how many they are; imports do not count."""
    work()
    with files_entered() as entered:
        work()
    print("\n".join(f"  {file}" for file in sorted(entered)))
    print(f"{name}: {len(entered)} files")


def import_csv_rows() -> None:
    """Import ten rows into a new table of SQLite."""
    with tempfile.TemporaryDirectory(prefix="batch-jobs-hops-") as folder:
        files = FileStore(f"{folder}/files")
        with files.writing("in.csv") as stream:
            stream.write(b"code,stock\n" + b"".join(b"A%d,%d\n" % (number, number) for number in range(10)))
        target = make_engine(f"sqlite:///{folder}/data.db")
        run_strategy(TableImport(), {"file_key": "in.csv", "table": "goods"}, target=target, files=files)
        target.dispose()


if __name__ == "__main__":
    show("a CSV row, by run_strategy", import_csv_rows)
