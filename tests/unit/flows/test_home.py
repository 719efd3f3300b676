"""HOME is closed, whatever the umask; one that is shared is not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.home import close_home
from batch_jobs.flows.prefect.address import Announcement
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each usual one, and none."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def rights(home: Path) -> dict[str, int]:
    return {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))}


def used(home: Path) -> Workspace:
    """A workspace that has written a bit of everything."""
    workspace = Workspace(Settings(home=home))
    with workspace.target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a)")
    with workspace.files.writing("jobs/x/y/a.csv") as stream:
        stream.write(b"a")
    assert workspace.api_keys.any() is False
    assert workspace.seal.key("x")
    return workspace


def test_nothing_of_a_new_home_is_open_to_others(home: Path, umask: None):
    workspace = used(home)
    with workspace.jobs.connect(), Announcement.of_this_process("http://x").kept_in(home):
        found = rights(home)

    assert {"jobs.db", "jobs.db-wal", "jobs.db-shm", "data.db", "secret.key", "prefect-server.json"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_a_home_that_was_open_is_closed_when_it_is_next_used(home: Path):
    used(home)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    (home / "prefect").mkdir(0o755)
    (home / "prefect/prefect.db").touch(0o644)

    used(home)

    assert {name: oct(mode) for name, mode in rights(home).items() if mode & 0o077} == {}
    assert rights(home)["files/jobs/x/y/a.csv"] == 0o600


def test_what_else_lies_in_a_home_keeps_its_rights(home: Path, tmp_path: Path):
    home.mkdir(0o755)
    (home / "index.html").touch(0o644)
    (tmp_path / "elsewhere").mkdir(0o755)
    (home / "files").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/a.csv").touch(0o644)

    close_home(home)

    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "index.html").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "elsewhere/a.csv").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", [0o2775, 0o2770, 0o1777], ids=oct)
def test_a_home_that_is_shared_on_purpose_works_and_stays_shared(home: Path, mode: int):
    home.mkdir()
    home.chmod(mode)
    before = os.umask(0o002)
    try:
        used(home)
    finally:
        os.umask(before)

    assert home.stat().st_mode & 0o7777 == mode
    assert (home / "files/jobs/x/y/a.csv").stat().st_mode & 0o060 == 0o060
    assert (home / "jobs.db").stat().st_mode & 0o060 == 0o060
    assert (home / "secret.key").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_somebody_else_is_left_as_it_is(home: Path):
    home.mkdir(0o755)
    os.chown(home, 4242, 4242)

    used(home)

    assert home.stat().st_mode & 0o777 == 0o755


def test_a_file_store_elsewhere_has_the_rights_of_its_folder(home: Path, tmp_path: Path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    store = Workspace(Settings(home=home, files_url=(tmp_path / "shared").as_uri())).files

    before = os.umask(0o022)
    try:
        with store.writing("jobs/x/a.csv") as stream:
            stream.write(b"a")
    finally:
        os.umask(before)

    assert (tmp_path / "shared/jobs/x/a.csv").stat().st_mode & 0o777 == 0o644
    assert not home.exists()
