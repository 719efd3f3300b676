"""What `make demo` does: previews, imports, an update with rejects, exports, each as one would type it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from batch_jobs.deployments.prefect.connection import prefect_for_this_run
from batch_jobs.flows.settings import current_settings

EXAMPLES = Path(__file__).parent
console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def main() -> int:
    say("A demonstration with real data: the airports of the United States. Everything is kept in .batch-jobs/.")
    home = current_settings().home
    with prefect_for_this_run(home, lambda _: say("Starting one Prefect server for all of it ...")):
        batch_jobs("db", "upgrade")

        say("\nLook before you leap: what would this file do to the table? Nothing is written yet.")
        load = ["run", "table-import", "-c", "table=airports", "-c", "mode=upsert", "-c", "key=iata"]
        batch_jobs(*load, "-c", f"file_key=@{shown(EXAMPLES / 'airports.csv')}", "--dry-run")
        say("\nThat is right, so:")
        batch_jobs("confirm", last_job(), "--here")

        say("\nA later file: rows that changed, new ones, and wrong ones, which go to a file with the reason.")
        batch_jobs(*load, "-c", f"file_key=@{shown(EXAMPLES / 'airports_update.csv')}")

        say("\nAnd out again:")
        batch_jobs("run", "table-export", "-c", "table=airports")

        say("\nA shop on the tables of Medusa v1, and its products: what would this file do?")
        batch_jobs("db", "upgrade", "--commerce")
        file_key = f"file_key=@{shown(EXAMPLES / 'products.csv')}"
        batch_jobs("run", "product-import", "-c", file_key, "--dry-run")
        batch_jobs("confirm", last_job(), "--here")
        say("\nAnd out again, as Medusa would write it:")
        batch_jobs("run", "product-export")
        say("\nEvery job is remembered:")
        batch_jobs("list", "--limit", "6")
    say("\nNext: `.venv/bin/batch-jobs serve`, then open http://127.0.0.1:9000 for jobs and files;")
    say("http://127.0.0.1:4200 is Prefect's own UI, whose password stands in .batch-jobs/prefect.auth.")
    say("`.venv/bin/batch-jobs new strategy my-first` writes a strategy of your own.")
    return 0


def batch_jobs(*arguments: str) -> None:
    """Print a command and run it; the demonstration ends where one fails."""
    console.print(Text(f"\n$ batch-jobs {' '.join(arguments)}", style="bold cyan"))
    done = subprocess.run([*COMMAND, *arguments], env=environment())
    if done.returncode:
        sys.exit(done.returncode)


def last_job() -> str:
    listed = subprocess.run(
        [*COMMAND, "list", "--limit", "1", "--json"], env=environment(), stdout=subprocess.PIPE, check=True
    )
    return str(json.loads(listed.stdout)[0]["id"])


#: The command by its module, so that the demonstration works however it was installed.
COMMAND = [sys.executable, "-c", "from batch_jobs.deployments.cli.main import main; main()"]


def environment() -> dict[str, str]:
    return {**os.environ, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}


def shown(path: Path) -> str:
    return os.path.relpath(path)


def say(text: str) -> None:
    console.print(Text(text, style="" if text.startswith("\nNext") else "dim"))
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
