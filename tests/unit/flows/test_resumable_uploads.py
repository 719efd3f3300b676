"""Uploads in parts: cut off anywhere, by two at once, by SIGKILL, they end as the file that was meant."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from ulid import ULID

from batch_jobs.flows.access.resumable import MOST_UNFINISHED, ResumableUploads
from batch_jobs.flows.access.uploads import UploadStore
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.errors import UploadNotTaken, UploadOutOfStep, UploadUnknown
from batch_jobs.flows.jobs.pruning import Pruning
from batch_jobs.flows.jobs.table import batch_job_unfinished_upload
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import StorageFull
from batch_jobs.strategies.sdk.files import PARTS, FileStore
from support.flaky_store import URL
from support.small_disk import fill, small_disk

CONTENT = bytes(range(256)) * 8


@pytest.fixture(params=["local", "remote"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """On a disk, and in a store that knows no folders and appends nothing."""
    return FileStore((tmp_path / "files").as_uri() if request.param == "local" else f"{URL}/{tmp_path.name}")


@pytest.fixture
def uploads(target: Engine, files: FileStore) -> ResumableUploads:
    upgrade(target)
    return ResumableUploads(target, files, largest=1 << 20)


def content_of(files: FileStore, key: str) -> bytes:
    with files.open(key) as stream:
        return stream.read()


def test_an_upload_that_is_cut_off_goes_on_where_it_was(uploads: ResumableUploads, files: FileStore, target: Engine):
    begun = uploads.begin("alice", "prices.csv", len(CONTENT), "abc")
    assert uploads.append(begun.id, "alice", 0, CONTENT[:700]) == 700

    again = uploads.begin("alice", "prices.csv", len(CONTENT), "abc")
    assert (again.id, again.received) == (begun.id, 700)
    uploads.append(again.id, "alice", 700, CONTENT[700:])
    key = uploads.finish(again.id, "alice")

    assert key.endswith("/prices.csv")
    assert content_of(files, key) == CONTENT
    (upload,) = UploadStore(target).page("alice", 10)
    assert (upload.key, upload.size) == (key, len(CONTENT))
    assert [file.key for file in files.list()] == [key]
    assert files.list(PARTS) == []
    assert uploads.finish(again.id, "alice") == key  # whose answer was lost
    assert uploads.begin("alice", "prices.csv", len(CONTENT), "abc").id != begun.id


@pytest.mark.parametrize("other", [("bob", "prices.csv", 9, "abc"), ("alice", "b.csv", 9, "abc"),
                                   ("alice", "prices.csv", 8, "abc"), ("alice", "prices.csv", 9, "abd")])  # fmt: skip
def test_another_owner_name_size_or_beginning_is_another_upload(
    uploads: ResumableUploads, other: tuple[str, str, int, str]
):
    assert uploads.begin("alice", "prices.csv", 9, "abc").id != uploads.begin(*other).id


def test_parts_that_do_not_fit_are_refused_with_where_to_go_on(uploads: ResumableUploads):
    begun = uploads.begin("alice", "prices.csv", 10, "abc")
    uploads.append(begun.id, "alice", 0, b"0123")
    for offset in (0, 3, 5, 10):
        with pytest.raises(UploadOutOfStep, match="4 bytes are there") as refused:
            uploads.append(begun.id, "alice", offset, b"45")
        assert refused.value.offset == 4
    with pytest.raises(UploadNotTaken, match="was to have 10 bytes and more came"):
        uploads.append(begun.id, "alice", 4, b"4567890")
    with pytest.raises(UploadOutOfStep, match="4 bytes are there"):
        uploads.finish(begun.id, "alice")
    assert uploads.begin("alice", "prices.csv", 10, "abc").received == 4


def test_nobody_else_may_go_on_with_it(uploads: ResumableUploads):
    begun = uploads.begin("alice", "prices.csv", 4, "abc")
    steps: list[Callable[[], object]] = [
        lambda: uploads.append(begun.id, "bob", 0, b"0123"),
        lambda: uploads.finish(begun.id, "bob"),
    ]
    for step in steps:
        with pytest.raises(UploadUnknown, match="there is no unfinished upload"):
            step()
    uploads.drop(begun.id, "bob")
    uploads.append(begun.id, "alice", 0, b"0123")
    uploads.finish(begun.id, "alice")
    with pytest.raises(UploadUnknown):
        uploads.finish(begun.id, "bob")


def test_what_is_given_up_is_gone(uploads: ResumableUploads, files: FileStore):
    begun = uploads.begin("alice", "prices.csv", 4, "abc")
    uploads.append(begun.id, "alice", 0, b"01")
    uploads.drop(begun.id, "alice")
    assert files.list(PARTS) == []
    with pytest.raises(UploadUnknown):
        uploads.append(begun.id, "alice", 2, b"23")


@pytest.mark.parametrize(
    ("name", "size", "fingerprint", "why"),
    [
        ("a.csv", (1 << 20) + 1, "abc", r"a.csv has 1,048,577 bytes and an upload may have 1,048,576 "),
        ("a.csv", -1, "abc", "has -1 bytes"),
        (" ", 1, "abc", "a file's name has 1 to 255 characters"),
        ("a" * 256, 1, "abc", "a file's name has 1 to 255 characters"),
        ("a\0.csv", 1, "abc", "characters that are text"),
        ("a\ud800.csv", 1, "abc", "characters that are text"),
        ("a.csv", 1, "", "a fingerprint has 1 to 128 characters"),
    ],
)
def test_what_no_upload_may_be_is_refused_before_a_byte_came(
    uploads: ResumableUploads, name: str, size: int, fingerprint: str, why: str
):
    with pytest.raises(UploadNotTaken, match=why):
        uploads.begin("alice", name, size, fingerprint)


def test_an_empty_file_and_a_strange_name_are_uploads_too(uploads: ResumableUploads, files: FileStore):
    key = uploads.finish(uploads.begin("alice", "../../产品.csv", 0, "abc").id, "alice")
    assert key.startswith("uploads/")
    assert key.endswith("/file.csv")
    assert content_of(files, key) == b""


def test_one_owner_has_a_bounded_number_of_unfinished_ones(uploads: ResumableUploads):
    for number in range(MOST_UNFINISHED):
        uploads.begin("alice", f"{number}.csv", 1, "abc")
    with pytest.raises(UploadNotTaken, match="uploads of alice are unfinished"):
        uploads.begin("alice", "more.csv", 1, "abc")
    assert uploads.begin("alice", "0.csv", 1, "abc").received == 0
    uploads.begin("bob", "more.csv", 1, "abc")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=8), told_wrong=st.lists(st.integers(0, 3000), max_size=3))
def test_wherever_it_is_cut_the_file_is_whole(
    uploads: ResumableUploads, files: FileStore, cuts: list[int], told_wrong: list[int]
):
    begun = uploads.begin("alice", "prices.csv", len(CONTENT), "abc")
    for offset in told_wrong:
        if offset != begun.received:
            with pytest.raises(UploadOutOfStep):
                uploads.append(begun.id, "alice", offset, b"no")
    edges = [*sorted({*cuts, 0, len(CONTENT)})]
    for start, end in pairwise(edges):
        assert uploads.append(begun.id, "alice", start, CONTENT[start:end]) == end
    assert content_of(files, uploads.finish(begun.id, "alice")) == CONTENT


def test_two_tabs_at_once_make_one_file_that_is_not_mixed(uploads: ResumableUploads, files: FileStore):
    begun = uploads.begin("alice", "prices.csv", len(CONTENT), "abc")

    def tab(size: int) -> None:
        """Sends the file in parts of its own size, and goes on where it is told to."""
        offset = 0
        while offset < len(CONTENT):
            try:
                offset = uploads.append(begun.id, "alice", offset, CONTENT[offset : offset + size])
            except UploadOutOfStep as refused:
                offset = refused.offset

    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(tab, 100), both.submit(tab, 64)]:
            done.result()
    assert content_of(files, uploads.finish(begun.id, "alice")) == CONTENT
    assert files.list(PARTS) == []


def test_two_that_finish_at_once_make_one_upload(uploads: ResumableUploads, target: Engine):
    begun = uploads.begin("alice", "prices.csv", 4, "abc")
    uploads.append(begun.id, "alice", 0, b"0123")
    with ThreadPoolExecutor(2) as both:
        keys = {done.result() for done in [both.submit(uploads.finish, begun.id, "alice") for _ in range(2)]}
    assert len(keys) == 1
    assert UploadStore(target).count("alice") == 1


def test_what_is_abandoned_is_pruned_and_what_goes_on_is_not(
    uploads: ResumableUploads, files: FileStore, target: Engine
):
    old, young = (uploads.begin("alice", name, 4, "abc") for name in ("old.csv", "young.csv"))
    for begun in (old, young):
        uploads.append(begun.id, "alice", 0, b"01")
    stray = f"{PARTS}/01BX5ZZKBKACTAV9WEVGEMMVRZ/01BX5ZZKBKACTAV9WEVGEMMVS0"
    with files.writing(stray) as stream:  # of a process that died before it recorded it
        stream.write(b"x")
    long_ago = datetime.now(UTC) - timedelta(days=9)
    with target.begin() as connection:
        connection.execute(
            update(batch_job_unfinished_upload)
            .where(batch_job_unfinished_upload.c.id == old.id)
            .values(updated_at=long_ago)
        )
    # the folder of an upload tells when it was begun; this one's age is in its row alone
    Pruning(target, target, files).run(timedelta(days=1))

    with pytest.raises(UploadUnknown):
        uploads.append(old.id, "alice", 2, b"23")
    assert not files.exists(stray)
    uploads.append(young.id, "alice", 2, b"23")
    assert content_of(files, uploads.finish(young.id, "alice")) == b"0123"


def test_an_upload_that_took_long_is_not_as_old_as_its_first_part(
    uploads: ResumableUploads, files: FileStore, target: Engine
):
    begun = uploads.begin("alice", "prices.csv", 2, "abc")
    long_ago = str(ULID.from_datetime(datetime.now(UTC) - timedelta(days=9)))
    with target.begin() as connection:
        connection.execute(update(batch_job_unfinished_upload).values(id=long_ago))
    uploads.append(long_ago, "alice", 0, b"01")
    key = uploads.finish(long_ago, "alice")
    assert begun.id not in key
    Pruning(target, target, files).run(timedelta(days=1))
    assert content_of(files, key) == b"01"


def test_a_full_disk_is_named_and_the_upload_goes_on_later(target: Engine, tmp_path: Path):
    upgrade(target)
    with small_disk(tmp_path / "disk") as disk:
        uploads = ResumableUploads(target, FileStore(disk.as_uri()), largest=1 << 20)
        begun = uploads.begin("alice", "prices.csv", 200_000, "abc")
        uploads.append(begun.id, "alice", 0, bytes(50_000))
        fill(disk)
        with pytest.raises(StorageFull, match=r"the file store .* is full"):
            uploads.append(begun.id, "alice", 50_000, bytes(150_000))
        (disk / "ballast").unlink()
        uploads.append(begun.id, "alice", 50_000, bytes(150_000))
        assert content_of(FileStore(disk.as_uri()), uploads.finish(begun.id, "alice")) == bytes(200_000)


CHILD = """
import sys
from batch_jobs.flows.access.resumable import ResumableUploads
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore

url, files, upload_id, offset = sys.argv[1:]
uploads, offset = ResumableUploads(make_engine(url), FileStore(files), 1 << 30), int(offset)
while True:
    offset = uploads.append(upload_id, "alice", offset, bytes((offset + i) % 251 for i in range(1000)))
    print(offset, flush=True)
"""


def test_a_process_that_is_killed_between_and_in_parts_loses_and_doubles_nothing(target_url: str, tmp_path: Path):
    target, files = make_engine(target_url), FileStore((tmp_path / "files").as_uri())
    upgrade(target)
    uploads = ResumableUploads(target, files, largest=1 << 30)
    size = 100_000_000
    begun = uploads.begin("alice", "big.csv", size, "abc")
    for round in range(3):
        offset = uploads.begin("alice", "big.csv", size, "abc").received
        command = [sys.executable, "-c", CHILD, target_url, files.url, begun.id, str(offset)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(3 + round):
                child.stdout.readline()
            os.kill(child.pid, signal.SIGKILL)
    reached = uploads.begin("alice", "big.csv", size, "abc").received
    assert reached >= 12_000
    assert reached % 1000 == 0

    # the file turns out to be no longer than this
    with target.begin() as connection:
        connection.execute(update(batch_job_unfinished_upload).values(size=reached))
    with files.open(uploads.finish(begun.id, "alice")) as stream:
        found = hashlib.sha256(stream.read()).hexdigest()
    assert found == hashlib.sha256(bytes(i % 251 for i in range(reached))).hexdigest()
    assert files.list(PARTS) == []
    target.dispose()
