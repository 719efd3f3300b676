"""The file store."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.errors import FileKeyUnsafe, FileMissing, StorageAway
from batch_jobs.strategies.sdk.files import FileStore, harmless_name, plain_key
from support.flaky_store import URL, failing


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path.joinpath("store").as_uri())


def test_a_file_comes_back_as_it_was_put(files: FileStore):
    key = files.put(io.BytesIO(b"a,b\n1,2\n"), "products.csv")
    assert key.startswith("uploads/")
    assert key.endswith("/products.csv")
    with files.open(key) as stream:
        assert stream.read() == b"a,b\n1,2\n"
    assert [(file.key, file.size) for file in files.list()] == [(key, 8)]


def test_a_file_whose_writing_fails_is_never_there(files: FileStore):
    with pytest.raises(RuntimeError), files.writing("jobs/1/export.csv") as stream:
        stream.write(b"half")
        raise RuntimeError
    assert not files.exists("jobs/1/export.csv")
    assert files.list() == []


def test_a_file_that_is_being_written_is_not_offered_yet(files: FileStore):
    with files.writing("jobs/1/export.csv") as stream:
        stream.write(b"half")
        stream.flush()
        assert not files.exists("jobs/1/export.csv")
        assert files.list() == []
    assert files.exists("jobs/1/export.csv")


@pytest.mark.parametrize(
    "key", ["../outside", "/etc/passwd", "a/../../b", "", "a\\..\\b", "a\0b", "file:///etc/passwd"]
)
def test_a_key_that_points_out_of_the_store_is_refused(files: FileStore, key: str):
    with pytest.raises(FileKeyUnsafe, match="is not a file key"):
        files.open(key)


@pytest.mark.parametrize(
    "key", ["uploads/1/secret.part", "uploads/1/secret.part/", "uploads//1/./secret.part", ".part"]
)
def test_a_file_that_is_not_listed_is_not_opened_either(files: FileStore, tmp_path: Path, key: str):
    hidden = tmp_path / "store" / key
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(b"secret")

    assert files.list() == []
    for use in (files.open, files.exists, files.size, files.remove):
        with pytest.raises(FileKeyUnsafe, match="is not a file key"):
            use(key)
    assert hidden.exists()


def test_an_upload_is_listed_whatever_its_name(files: FileStore):
    keys = [files.put(io.BytesIO(b"x"), name) for name in ("secret.part", "a.csv.part", ".part", "x.part.", "part")]

    assert [file.key for file in files.list()] == sorted(keys)


def test_a_missing_file_is_one_line_that_says_where_to_look(files: FileStore):
    with pytest.raises(FileMissing, match=r"there is no file uploads/x.csv .* `batch-jobs files list`"):
        files.open("uploads/x.csv")


def test_a_store_that_does_not_answer_is_not_one_without_files():
    files = FileStore(URL)
    key = files.put(io.BytesIO(b"a"), "a.csv")
    assert not files.exists("uploads/other.csv")
    asked: list[Callable[[], object]] = [lambda: files.open(key), lambda: files.exists(key), files.list]
    for ask in asked:
        with failing("store"), pytest.raises(StorageAway, match=r"BATCH_JOBS_FILES_URL.* does not answer: connection"):
            ask()
    assert files.open(key).read() == b"a"


def test_a_folder_is_removed_with_its_files(files: FileStore):
    files.put(io.BytesIO(b"x"), "x.csv")
    files.remove("uploads")
    files.remove("uploads")
    assert files.list() == []


@given(st.text(max_size=300) | st.text(alphabet="part./", max_size=20))
def test_any_name_becomes_harmless(name: str):
    harmless = harmless_name(name)
    assert 0 < len(harmless) <= 100
    assert not set(harmless) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert harmless not in (".", "..")
    assert plain_key(harmless) == harmless


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("../../etc/passwd", "passwd"),
        ("a b;rm -rf ~.csv", "a-b-rm--rf-.csv"),
        ("C:\\files\\x.csv", "x.csv"),
        ("...", "file"),
        ("secret.part", "secret-part"),
        ("产品.csv", "file.csv"),
        ("产 品.csv.gz", "file.csv.gz"),
        ("产品 2.csv", "2.csv"),
        ("产品", "file"),
        ("产品.part", "file-part"),
        (".csv", "file.csv"),
    ],
)
def test_S51_shell_and_path_characters_are_gone(name: str, harmless: str):
    assert harmless_name(name) == harmless


@pytest.fixture
def linked(tmp_path: Path) -> tuple[FileStore, Path, Path]:
    """A local store with links that lead out of it and one that does not, its folder, and where the former lead."""
    outside, folder = tmp_path / "outside", tmp_path / "files"
    (outside / "deep").mkdir(parents=True)
    for name in ("secret.csv", "deep/a.csv"):
        (outside / name).write_text("secret")
    (folder / "uploads").mkdir(parents=True)
    (folder / "uploads/a.csv").write_text("a")
    (folder / "uploads/own.csv").symlink_to(folder / "uploads/a.csv")
    (folder / "uploads/link.csv").symlink_to(outside / "secret.csv")
    (folder / "uploads/none.csv").symlink_to(outside / "none.csv")
    (folder / "jobs").symlink_to(outside)
    (folder / "round").symlink_to("round")
    return FileStore(folder.as_uri()), folder, outside


@pytest.mark.parametrize(
    "key", ["jobs", "jobs/secret.csv", "jobs/deep/a.csv", "jobs/new.csv", "uploads/link.csv", "uploads/none.csv"]
)
def test_no_link_is_followed_out_of_the_store(linked: tuple[FileStore, Path, Path], key: str):
    store, _, outside = linked
    before = sorted(outside.rglob("*"))

    def write() -> None:
        with store.writing(key) as stream:
            stream.write(b"x")

    for use in (store.open, store.size, store.version, store.exists, store.list):
        with pytest.raises(FileKeyUnsafe, match=f"^{key} leads out of the file store, by a symbolic link"):
            use(key)
    with pytest.raises(FileKeyUnsafe, match="leads out of the file store"):
        write()
    assert sorted(outside.rglob("*")) == before
    assert (outside / "secret.csv").read_text() == "secret"


def test_what_a_link_leads_to_is_neither_listed_nor_matched(linked: tuple[FileStore, Path, Path]):
    store, _, _ = linked
    assert [file.key for file in store.list()] == ["uploads/a.csv", "uploads/own.csv"]
    assert store.matching("*.csv") == ["uploads/a.csv", "uploads/own.csv"]
    with pytest.raises(FileKeyUnsafe):
        store.matching("jobs/*.csv")
    assert store.open("uploads/own.csv").read() == b"a"


def test_a_link_itself_is_removed_and_nothing_behind_it(linked: tuple[FileStore, Path, Path]):
    store, folder, outside = linked
    before = sorted(outside.rglob("*"))
    with pytest.raises(FileKeyUnsafe):
        store.remove("jobs/deep")
    for key in ("uploads", "jobs"):
        store.remove(key)
    assert [path.name for path in folder.iterdir()] == ["round"]
    assert sorted(outside.rglob("*")) == before


def test_a_store_may_be_a_link_itself(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "files").symlink_to(tmp_path / "disk")
    store = FileStore((tmp_path / "files").as_uri())

    key = store.put(io.BytesIO(b"a"), "a.csv")

    assert store.open(key).read() == b"a"
    assert [file.key for file in store.list()] == [key]
    store.remove("uploads")
    assert list((tmp_path / "disk").iterdir()) == []
