"""A real Medusa v1, and our command with its database as the target."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import CommandLine
from support.medusa import Imported, Medusa, Upgrade, install, open_shop, postgres_on_a_port, running_medusa
from support.product_file import write_products
from support.servers import wait_until
from support.snapshot import snapshot

PRODUCTS = 1_000


@pytest.fixture(scope="session")
def medusa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Medusa]:
    """Medusa, with a shop that has no product."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Medusa runs on Node: node 20 or newer and npm are needed")
    install()
    with tempfile.TemporaryDirectory(prefix="batch-jobs-medusa-") as folder:
        with postgres_on_a_port(Path(folder)) as database:
            with running_medusa(database, tmp_path_factory.mktemp("medusa")) as medusa:
                open_shop(medusa.admin)
                yield medusa


@pytest.fixture(scope="session")
def batch_jobs(medusa: Medusa, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Our command, whose target is Medusa's database."""
    home = tmp_path_factory.mktemp("home")
    return CommandLine(
        BATCH_JOBS_HOME=str(home / "batch-jobs"),
        BATCH_JOBS_TARGET_URL=medusa.database.replace("postgresql://", "postgresql+psycopg://"),
        PREFECT_HOME=str(home / "prefect"),
        PREFECT_PROFILES_PATH=str(home / "no-profiles.toml"),
        PREFECT_API_URL="",
        DO_NOT_TRACK="1",
    )


@pytest.fixture(scope="session")
def upgrade(medusa: Medusa, batch_jobs: CommandLine) -> Upgrade:
    """Medusa's database becomes our target."""
    wait_until(lambda: medusa.staged_events() == 0, what="the end of what Medusa does behind its answers")
    before = snapshot(medusa.database)
    done = batch_jobs("db", "upgrade", "--commerce")
    assert done.code == 0, done.err
    return Upgrade(before, snapshot(medusa.database))


@pytest.fixture(scope="session")
def imported(
    medusa: Medusa, upgrade: Upgrade, batch_jobs: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> Imported:
    """A thousand products, imported into Medusa's database by our job."""
    path = write_products(tmp_path_factory.mktemp("products") / "products.csv", PRODUCTS)
    done = batch_jobs("run", "product-import", "-c", f"file_key=@{path}", "--json")
    assert done.code == 0, done.err
    return Imported(path, done.json["result"], snapshot(medusa.database))
