"""``keys``, and ``api``'s refusal to be open to all."""

import signal
import subprocess

import httpx
import pytest

from support.servers import free_port, wait_until

SHOP = ["create", "--name", "shop", "--role", "viewer"]


def test_a_key_is_shown_once_listed_without_itself_and_revoked(cli):
    made = cli("keys", "create", "--name", "shop", "--role", "operator", "--type", "steps", "--json").json
    listed = cli("keys", "list", "--json")
    revoked = cli("keys", "revoke", made["id"]).out

    assert made["key"].startswith("bj_")
    assert [(key["id"], key["name"], key["role"], key["types"]) for key in listed.json] == [
        (made["id"], "shop", "operator", ["steps"])
    ]
    assert made["key"] not in listed.out + cli("keys", "list").out
    assert revoked == f"revoked {made['id']} (shop)\n"
    assert "revoked 20" in cli("keys", "list").out


def test_a_key_is_for_the_tables_that_are_named(cli):
    made = cli("keys", "create", "--name", "shop", "--role", "operator", "--table", "goods", "--table", "s.*", "--json")

    assert made.json["tables"] == ["goods", "s.*"]
    assert "goods, s.*" in cli("keys", "list").out
    refused = cli("keys", "create", "--name", "shop", "--role", "operator", "--table", " ")
    assert (refused.code, refused.error) == (2, "a table is named such as orders or shop.*")


def test_a_key_alone_is_on_stdout(cli):
    done = cli("keys", "create", "--name", "shop", "--role", "viewer")

    assert done.out.startswith("bj_")
    assert len(done.out.splitlines()) == 1
    assert "the viewer key of shop; keep it" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "--name", "a b", "--role", "viewer"], "'a b' is no name for a key"),
        (["create", "--name", "shop", "--role", "boss"], "'viewer', 'operator', 'admin'"),
        (["create", "--role", "viewer"], "Missing option '--name'"),
        ([*SHOP, "--type", ""], "no strategy has the type ''; there are order-export, "),
        (
            [*SHOP, "--type", "steps", "--type", "no-such"],
            "no strategy has the type 'no-such'; there are order-export, ",
        ),
        (["revoke", "nobody"], "there is no API key nobody"),
    ],
)
def test_what_cannot_be_done_with_keys_is_one_line_and_exit_2(cli, arguments, message):
    done = cli("keys", *arguments)

    assert done.code == 2
    assert message in done.error
    assert cli("keys", "list").out == "no keys\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.invalid"])
def test_the_api_listens_beyond_this_machine_with_a_key_only(cli, host):
    done = cli("api", BATCH_JOBS_API_HOST=host, BATCH_JOBS_API_PORT="0")

    assert done.code != 0
    message = "cannot listen on localhost.invalid" if "invalid" in host else f"does not listen on {host} without a key"
    assert message in done.error


def test_a_taken_port_is_one_line(cli):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli("api", BATCH_JOBS_API_PORT=str(port))

    assert done.code == 1
    assert f"the API cannot listen on 127.0.0.1:{port}: Address already in use" in done.error


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("BATCH_JOBS_API_KEYS", "shop:boss:a-key-that-is-long", "BATCH_JOBS_API_KEYS: entry 1 is not NAME:ROLE:KEY"),
        ("BATCH_JOBS_API_RATE_LIMIT", "many", "BATCH_JOBS_API_RATE_LIMIT: it is no rate"),
        ("BATCH_JOBS_WEBHOOK_URL", "https://x.example", "BATCH_JOBS_WEBHOOK_SECRET: it is needed"),
        ("BATCH_JOBS_WEBHOOK_URL", "ftp://x.example", "BATCH_JOBS_WEBHOOK_URL: it is no address"),
    ],
)
def test_a_setting_of_the_api_that_cannot_be_used_is_one_line(cli, setting, value, message):
    done = cli("api", BATCH_JOBS_API_PORT="0", **{setting: value})

    assert done.code in (1, 2)
    assert message in done.error
    assert done.out == ""  # it does not say that it serves
    assert "a-key-that" not in done.err


@pytest.fixture
def served_api(cli) -> tuple[subprocess.Popen[str], httpx.Client]:
    """A running ``api``, and a client of an operator."""
    port = free_port()
    cli.environment |= {"BATCH_JOBS_API_HOST": "0.0.0.0", "BATCH_JOBS_API_PORT": str(port)}
    key = cli("keys", "create", "--name", "shop", "--role", "operator", "--json").json["key"]
    process = cli.start("api")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as client:
        wait_until(lambda: _answers(client), what="the API")
        yield process, client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/admin/batch-jobs").json()["batch_jobs"] == []
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_api_runs_by_itself_and_stops_in_order(served_api, number):
    process, client = served_api
    job = client.post("/admin/batch-jobs", json={"type": "steps", "context": {}}).json()["batch_job"]

    with client.stream("GET", f"/admin/batch-jobs/{job['id']}/stream") as stream:
        lines = stream.iter_lines()
        assert "event: status" in [next(lines) for _ in range(4)]
        process.send_signal(number)
        rest = list(lines)  # to its end: a stream that breaks off raises
    out, err = process.communicate(timeout=30)

    assert "event: end" not in rest
    assert out == f"serving the API at http://0.0.0.0:{client.base_url.port}, Ctrl-C stops\nstopped\n"
    assert process.returncode == 0
    assert {line.split()[1:3] == ["INFO", "event=request"] for line in err.splitlines()} == {True}, err
