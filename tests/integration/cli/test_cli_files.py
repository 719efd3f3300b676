"""``files put``, ``get`` and ``list``."""

from pathlib import Path


def test_a_file_comes_out_as_it_went_in(cli, tmp_path: Path):
    (tmp_path / "in.csv").write_bytes(b"a,b\r\n1,\xff\n")

    key = cli("files", "put", str(tmp_path / "in.csv")).out.strip()
    cli("files", "get", key, "-o", str(tmp_path / "out.csv"))

    assert key.startswith("uploads/")
    assert (tmp_path / "out.csv").read_bytes() == b"a,b\r\n1,\xff\n"
    assert cli("files", "list", "--json").json == [{"key": key, "size": 9}]


def test_getting_a_file_overwrites_another_only_by_force(cli, tmp_path: Path):
    key = cli("files", "put", "-", stdin="new\n").out.strip()
    file = tmp_path / "mine.csv"
    file.write_text("mine")

    refused = cli("files", "get", key, "-o", str(file))
    kept = file.read_text()
    forced = cli("files", "get", key, "-o", str(file), "--force")

    assert (refused.code, kept) == (2, "mine")
    assert refused.error == f"{file} exists; --force overwrites it"
    assert (forced.code, file.read_text()) == (0, "new\n")


def test_a_file_can_come_from_stdin_and_go_to_stdout(cli):
    key = cli("files", "put", "-", stdin="hello\n").out.strip()

    assert cli("files", "get", key).out == "hello\n"


def test_an_empty_store_says_so(cli):
    assert cli("files", "list").out == "no files\n"


def test_a_link_in_the_store_is_not_followed_out_of_it(cli, home: Path, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("secret")
    (home / "files").mkdir(parents=True)
    (home / "files/link").symlink_to(tmp_path)

    got = cli("files", "get", "link/secret.csv")

    assert got.code == 2
    assert got.out == ""
    assert got.error.startswith("link/secret.csv leads out of the file store, by a symbolic link in it")
    assert cli("files", "list", "link").error.startswith("link leads out of the file store")
    assert cli("files", "list", "--json").json == []


def test_a_home_and_what_is_in_it_may_be_links(cli, home: Path, tmp_path: Path):
    for name in ("home", "files", "prefect"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    home.symlink_to(tmp_path / "disk/home")
    for name in ("files", "prefect"):
        (home / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "a.csv").write_text("a\n1\n")

    key = cli("files", "put", str(tmp_path / "a.csv")).out.strip()

    assert cli("files", "get", key).out == "a\n1\n"
    assert (tmp_path / "disk/files" / key).exists()
    assert (tmp_path / "disk/home").stat().st_mode & 0o777 == 0o700
