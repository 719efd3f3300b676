"""Which Prefect is found: the named one, the profile's, the one that is served in this home."""

import os
from pathlib import Path

import pytest

from batch_jobs.flows.prefect.address import Announcement, KnownPrefect, auth_string, find_prefect


@pytest.fixture(autouse=True)
def nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.chdir(tmp_path)


def _profile(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect/profiles.toml").write_text(
        'active = "team"\n[profiles.team]\nPREFECT_API_URL = "http://profile/api"\n'
    )


def test_the_variable_goes_before_the_profile_and_that_before_what_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert find_prefect(tmp_path) is None
    with Announcement.of_this_process("http://served/api").kept_in(tmp_path):
        served = KnownPrefect("http://served/api", "batch-jobs serve", auth_string(tmp_path))
        assert find_prefect(tmp_path) == served
        _profile(tmp_path)
        assert find_prefect(tmp_path) == KnownPrefect("http://profile/api", "Prefect's profile team")
        monkeypatch.setenv("PREFECT_API_URL", "http://named/api")
        assert find_prefect(tmp_path) == KnownPrefect("http://named/api", "PREFECT_API_URL")


def test_the_note_of_a_serve_that_ended_or_died_is_none(tmp_path: Path):
    note = Announcement.of_this_process("http://served/api")
    with note.kept_in(tmp_path):
        assert Announcement.read(tmp_path) == note
    assert Announcement.read(tmp_path) is None
    died = Announcement(note.api_url, note.host, note.pid, note.started_at - 3600)
    with died.kept_in(tmp_path):
        assert Announcement.read(tmp_path) is None
    (tmp_path / "prefect-server.json").write_text("{ half")
    assert Announcement.read(tmp_path) is None
