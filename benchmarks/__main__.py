"""``python -m benchmarks [NAME...]``: measure everything, or what is named."""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    api,
    change_log,
    changes,
    command_line,
    commerce,
    commerce_export,
    commerce_memory,
    frames,
    framework,
    job_list,
    life,
    memory,
    peers,
    scaling,
    table_export,
    table_import,
    undo,
)
from benchmarks.data import write_goods
from benchmarks.report import console

MEASUREMENTS = {
    "import": table_import.measure,
    "peers": peers.measure,
    "change-log": change_log.measure,
    "changes": changes.measure,
    "frames": frames.measure,
    "export": table_export.measure,
    "commerce": commerce.measure,
    "commerce-export": commerce_export.measure,
    "commerce-memory": commerce_memory.measure,
    "framework": framework.measure,
    "list": job_list.measure,
    "life": life.measure,
    "memory": memory.measure,
    "scaling": scaling.measure,
    "api": api.measure,
    "command-line": command_line.measure,
    "undo": undo.measure,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(
            f"error: there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}",
            file=sys.stderr,
        )
        return 2
    rows = int(os.environ.get("BENCH_ROWS", "500000"))
    with tempfile.TemporaryDirectory(prefix="batch-jobs-bench-") as folder:
        work = Path(folder)
        console.print(f"writing {rows:,} rows\n")
        goods = write_goods(work / "goods.csv", rows)
        for name in names or MEASUREMENTS:
            MEASUREMENTS[name](work, goods, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
