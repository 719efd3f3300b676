"""Files that an import fetches from elsewhere."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.sources import Sources, masked
from batch_jobs.strategies.table_import import TableImport

CSV = b"code,stock\nA,1\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        moved = {"/moved.csv": "/prices.csv", "/away.csv": "http://elsewhere.example/x.csv", "/round.csv": "/round.csv"}
        if path in moved:
            self.send_response(302)
            self.send_header("location", moved[path])
            self.send_header("content-length", "0")
            self.end_headers()
        elif path == "/prices.csv":
            self.send_response(200)
            self.send_header("content-length", str(len(CSV)))
            self.end_headers()
            self.wfile.write(CSV)
        elif path == "/cut.csv":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(CSV)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.asked = []
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def preview(importing):
    def run(source, allowed=(), job_id="batch_1", attempt=1, **limits):
        strategy = TableImport()
        context = strategy.prepare(strategy.Context(source=source, table="goods"))
        checkpoints = CheckpointStore(importing.target, job_id, attempt)
        parts = JobParts(importing.target, importing.files, checkpoints, sources=Sources(tuple(allowed), **limits))
        job = JobRun(JobIdentity(job_id, "table-import", context, attempt=attempt), parts)
        hooks.pre_process(strategy, job)
        return job

    return run


def test_a_file_is_fetched_once_for_all_attempts_and_loaded(preview, server, address, run_sql):
    source = f"{address}/prices.csv?signature=secret"
    job = preview(source, [f"{address}/*"])
    preview(source, [f"{address}/*"], attempt=2)
    hooks.process(TableImport(), job)

    assert run_sql("SELECT code, stock FROM goods") == [("A", 1)]
    assert server.asked == ["/prices.csv?signature=secret"]
    (file,) = job.plan["files"]
    assert (file["key"], file["rows"]) == ("jobs/batch_1/source/prices.csv", 1)
    (told,) = [line.message for line in job.result.stat_descriptors if line.key == "import-source"]
    assert told == f"{address}/prices.csv?…, fetched as jobs/batch_1/source/prices.csv (15 bytes)"
    assert "secret" not in str(job.plan)
    assert "secret" not in str(job.context)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("https://files.example.com/x.csv", []),
        ("https://files.example.com/x.csv", ["https://files.example.com/public/*"]),
        ("https://files.example.com/public/../x.csv", ["https://files.example.com/public/*"]),
        ("https://files.example.com/public/%2e%2e/x.csv", ["https://files.example.com/public/*"]),
        ("https://files.example.com@evil.example/x.csv", ["https://files.example.com*/*"]),
        ("http://files.example.com/x.csv", ["https://files.example.com/*"]),
        ("https://files.example.com:8443/x.csv", ["https://files.example.com/*"]),
        ("file:///etc/passwd", ["https://*/*"]),
    ],
)
def test_what_the_setting_does_not_allow_is_refused_and_the_setting_named(preview, importing, source, allowed):
    with pytest.raises(JobRefused, match="the setting BATCH_JOBS_SOURCES says which are, such as "):
        preview(source, allowed)
    assert importing.files.list() == []


def test_an_address_inside_this_network_must_be_named_in_full(preview, server, address):
    with pytest.raises(JobRefused, match="its host is inside this network"):
        preview(f"{address}/prices.csv", ["http://*/*"])
    assert server.asked == []


def test_redirects_are_followed_on_the_same_host_only(preview, address):
    assert preview(f"{address}/moved.csv", [f"{address}/*"]).plan["files"][0]["rows"] == 1
    with pytest.raises(JobRefused, match=r"leads on to another host, http://elsewhere\.example/x\.csv"):
        preview(f"{address}/away.csv", [f"{address}/*", "http://elsewhere.example/*"], job_id="batch_2")
    with pytest.raises(JobRefused, match="it leads on more than 5 times"):
        preview(f"{address}/round.csv", [f"{address}/*"], job_id="batch_3")
    with pytest.raises(JobRefused, match="no source like this is allowed"):
        preview(f"{address}/moved.csv", [f"{address}/moved*"], job_id="batch_4")


@pytest.mark.parametrize(
    ("path", "limits", "refused"),
    [
        ("gone.csv", {}, "the server answered 404"),
        ("prices.csv", {"max_bytes": 10}, "it has more than the 10 bytes of SOURCE_MAX_BYTES"),
        ("prices.csv", {"seconds": -1.0}, "it took longer than the -1 s of SOURCE_TIMEOUT"),
        ("cut.csv", {}, "it could not be fetched: "),
    ],
)
def test_what_is_not_whole_leaves_no_file(preview, importing, address, path, limits, refused):
    with pytest.raises(JobRefused, match=refused):
        preview(f"{address}/{path}", [f"{address}/*"], **limits)
    assert importing.files.list() == []


def test_any_place_that_fsspec_reaches_is_a_source(preview, tmp_path):
    with fsspec.open("memory://shop/prices.csv", "wb") as stream:
        stream.write(CSV)
    (tmp_path / "prices.csv").write_bytes(CSV)

    assert preview("memory://shop/prices.csv", ["memory://shop/*"]).plan["files"][0]["rows"] == 1
    place = tmp_path.as_uri()
    assert preview(f"{place}/prices.csv", [f"{place}/*"], job_id="batch_2").plan["files"][0]["rows"] == 1
    with pytest.raises(JobRefused, match="it could not be fetched: "):
        preview(f"{place}/gone.csv", [f"{place}/*"], job_id="batch_3")


def test_a_missing_package_is_named(preview):
    with pytest.raises(JobRefused, match="addresses of s3 need a package; run `pip install s3fs`"):
        preview("s3://bucket/prices.csv", ["s3://bucket/*"])
    with pytest.raises(JobRefused, match="nothing here reads addresses of gopher"):
        preview("gopher://host/prices.csv", ["gopher://host/*"])


@pytest.mark.parametrize(
    "source",
    ["prices.csv", "https://", "simplecache::https://files.example.com/x.csv", "https://h:x/", "https://[::bad/x.csv"],
)
def test_what_is_no_address_is_refused(preview, source):
    with pytest.raises((ContextRefused, JobRefused), match=r"source is no address|no source like this"):
        preview(source, ["https://*/*"])


def test_a_file_key_or_a_source_but_not_both(preview):
    strategy = TableImport()
    with pytest.raises(ContextRefused, match="give either file_key or source"):
        strategy.prepare(strategy.Context(file_key="a.csv", source="https://h/x.csv", table="t"))
    with pytest.raises(ContextRefused, match="file_key is missing"):
        strategy.prepare(strategy.Context(table="t"))


def test_users_and_queries_are_masked():
    assert masked("sftp://me:pw@host:22/a/b.csv?x=1") == "sftp://host:22/a/b.csv?…"


def test_the_settings_say_what_is_allowed(monkeypatch):
    monkeypatch.setenv("BATCH_JOBS_SOURCES", "https://files.example.com/*, s3://bucket/*")
    monkeypatch.setenv("BATCH_JOBS_MAX_UPLOAD_BYTES", "1000")
    allowed = Settings().allowed_sources
    assert (allowed.allowed, allowed.max_bytes) == (("https://files.example.com/*", "s3://bucket/*"), 1000)
    monkeypatch.setenv("BATCH_JOBS_SOURCES", "files.example.com")
    with pytest.raises(ValueError, match="is no address such as https"):
        Settings()
