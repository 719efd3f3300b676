"""Requests to the page that no form of it makes, and stored words that would be script."""

import html
import re
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from batch_jobs.deployments.api.app import ROUTERS as API_ROUTERS
from batch_jobs.deployments.api.middleware import SECURITY_HEADERS
from batch_jobs.deployments.web.rendering import CONTENT_SECURITY_POLICY
from batch_jobs.deployments.web.site import BEGINNINGS
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.result import StatDescriptor
from support.api_server import Served
from support.page_routes import PUBLIC, Route, filled, job_for, unsafe, views
from support.visitors import Visitor, visiting

#: As an attribute, as an element, out of both, out of a script, as htmx's own attributes, as an event of a stream.
SCRIPT = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)><p hx-get=/x hx-trigger=load hx-on:click=alert(1)>"
    "</title></style></textarea>{{ 7*7 }}{% raw %}\r\nevent: end\r\ndata: x\r\n\r\n\u2028javascript:alert(1)"
)
MARKS = ("<script>alert", "<img src=x", "<p hx-get", "</title></style>", "49{%")
SHOWN = [path for method, path in views() if method == "GET"]
#: What a page of ours has none of: code, styles, and addresses that are not of this site.
IN_PAGE = re.compile(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|<script(?! src=\"/static/)")
ELSEWHERE_IN_PAGE = re.compile(r"(?:src|href|action)=\"(?!/|#|\?)")
OTHER_TYPES = ("text/plain", "application/json", "", "multipart/form-data", "application/x-www-form-urlencode")
#: What views take beside what the first one's form names.
ASKED = ("next", "back", "cursor", "key", "column", "kind", "table", "fell", "rose", "line", "q", "go")
SENT = [(method, path) for method, path in unsafe() if (method, path) not in PUBLIC]


def label(route: Route) -> str:
    return " ".join(route)


def is_harmless(text: str) -> bool:
    """Whether nothing of what was stored is markup, and no attribute was opened by it."""
    tags = re.findall(r"<[a-z][^>]*>", text)
    return not any(mark in text for mark in MARKS) and not any(
        re.search(r"""\s(on\w+|hx-on\S*)\s*=""", re.sub(r""""[^"]*"|'[^']*'""", '""', tag)) for tag in tags
    )


# what a page of another origin may make a browser send


@pytest.mark.parametrize("route", SENT, ids=label)
def test_a_change_is_made_by_our_own_forms_alone(shared: Served, route: Route):
    method, path = route
    alice, bob = visiting(shared, "alice"), visiting(shared, "bob")
    job_id = job_for(shared, path)
    address, here = filled(path, job_id), {"origin": shared.url, "sec-fetch-site": "same-origin"}
    before = shared.workspace.service.get(job_id).status
    mine, none, files = {"csrf": alice.csrf}, {"x": "y"}, {}
    if path == "/uploads/file":
        none, files = {}, {"files": [("files", ("a.csv", b"x"))]}

    for data, headers in (
        (none, {}),
        (none, here),
        ({"csrf": ""}, here),
        ({"csrf": "x"}, here),
        ({"csrf": alice.csrf[:-1]}, here),
        ({"csrf": bob.csrf}, here),
        ({"csrf": "None"}, here),
        (none, {**here, "x-csrf": bob.csrf}),
        (mine, {"origin": "https://evil.example"}),
        (mine, {"origin": "null"}),
        (mine, {"origin": ""}),
        (mine, {"origin": "http://["}),
        (mine, {"origin": shared.url.replace("127.0.0.1", "localhost")}),
        (mine, {"origin": f"{shared.url}.evil.example"}),
        (mine, {"origin": f"{shared.url}@evil.example"}),
        (mine, {"origin": f"http://127.0.0.1:{urlsplit(shared.url).port - 1}"}),
        (mine, {"origin": "null", "host": ""}),
        (mine, {**here, "sec-fetch-site": "cross-site"}),
        (mine, {**here, "sec-fetch-site": "same-site"}),
        (mine, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
    ):
        answer = alice.client.request(method, address, data=data, headers=headers, **files)
        assert answer.status_code == 403, (data, headers, answer.text)
        assert "nothing was changed" in answer.text
    for content_type in (
        "text/plain",
        "application/json",
        "",
        "multipart/form-data",
        "application/x-www-form-urlencode",
    ):
        body = f"csrf={alice.csrf}".encode()
        answer = alice.client.request(method, address, content=body, headers={**here, "content-type": content_type})
        assert answer.status_code in (400, 403, 415), (content_type, answer.text)
    for charset in ("unicode_escape", "utf-7", "undefined", "idna", "zlib", "utf-16"):
        body = b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\\ud800\r\n--b--\r\n'
        sent = {**here, "content-type": f"multipart/form-data; boundary=b; charset={charset}"}
        assert alice.client.request(method, address, content=body, headers=sent).status_code in (400, 403), charset
    assert shared.workspace.service.get(job_id).status is before

    assert alice.client.request(method, address, data=mine, headers=here, **files).status_code not in (401, 403)


@pytest.mark.parametrize("path", ["/sign-in", "/language"])
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_page_elsewhere_signs_nobody_in_and_chooses_no_language(shared: Served, path: str, headers: dict[str, str]):
    answer = httpx.post(f"{shared.url}{path}", data={"key": shared.keys["bob"], "code": "de"}, headers=headers)

    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_behind_a_proxy_that_passes_on_another_host_forms_work_by_the_public_address(serve: Any, no_prefect: None):
    api = serve(api_public_url="http://jobs.example:8080")
    alice = visiting(api, "alice")

    assert alice.post("/sign-out", headers={"origin": "http://jobs.example:8081"}).status_code == 403
    assert alice.post("/sign-out", headers={"origin": "http://jobs.example:8080"}).status_code == 303


@pytest.mark.parametrize("path", SHOWN)
def test_no_other_site_shows_counts_or_frames_a_view(shared: Served, path: str):
    alice, path = visiting(shared, "alice"), filled(path, job_for(shared, path))
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

    for site in ("cross-site", "same-site"):
        for how in ({}, {**link, "sec-fetch-dest": "iframe"}, {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}):
            assert alice.client.get(path, headers={"sec-fetch-site": site, **how}).status_code == 403
        assert alice.client.get(path, headers={"sec-fetch-site": site, **link}).status_code not in (401, 403)


def test_a_session_alone_opens_no_route_of_the_api(shared: Served):
    root = visiting(shared, "root")
    for router in API_ROUTERS:
        for route in router.routes:
            for method in route.methods if route.path.startswith(("/admin", "/metrics")) else ():
                answer = root.client.request(method, filled(route.path), headers={"x-csrf": root.csrf})
                assert answer.status_code == 401, (method, route.path)


def test_no_path_of_the_page_is_one_of_the_api():
    assert not BEGINNINGS & {route.path.split("/")[1] for router in API_ROUTERS for route in router.routes}


# headers


def answers(shared: Served) -> list[tuple[str, httpx.Response]]:
    """Every page and what else is answered: errors of all kinds, fragments, redirects, files."""
    alice = visiting(shared, "alice")
    found = [
        (path, alice.client.get(filled(path, job_for(shared, path)))) for method, path in views() if method == "GET"
    ]
    for path, headers in (
        ("/sign-in", {}),
        ("/jobs/none", {}),
        ("/jobs/none", {"hx-request": "true"}),
        ("/", {"hx-request": "true"}),
        ("/?status=nonsense", {}),
        ("/?cursor=%00", {}),
        ("/static/1/none.css", {}),
        ("/static/1/page.css", {}),
        ("/jobs/x/y/z/none", {}),
        ("//", {}),
        ("/", {"sec-fetch-site": "cross-site"}),
    ):
        found.append((path, alice.client.get(path, headers=headers)))
    found += [
        ("signed out", httpx.get(f"{shared.url}/")),
        ("POST /jobs/none", alice.client.post("/jobs/none")),
        ("PUT /", alice.client.put("/")),
        ("too large", alice.client.post("/sign-in", content=b"x" * (1 << 21))),
        ("no form", alice.client.post("/sign-in", content=b"x", headers={"content-type": "multipart/form-data"})),
    ]
    return found


def test_every_answer_has_a_policy_without_holes(shared: Served):
    for what, answer in answers(shared):
        policy = answer.headers["content-security-policy"]
        assert answer.status_code != 500, what
        assert "unsafe" not in policy, what
        assert "default-src 'none'" in policy, what
        assert "frame-ancestors 'none'" in policy, what
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert policy in (CONTENT_SECURITY_POLICY, SECURITY_HEADERS["content-security-policy"]), what
        if "<html" in answer.text[:100]:
            assert policy == CONTENT_SECURITY_POLICY, what
            assert answer.headers["referrer-policy"] == "same-origin", what
            assert answer.headers["cross-origin-opener-policy"] == "same-origin", what
        if not what.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store", what
        assert answer.headers["x-frame-options"] == "DENY", what
        assert answer.headers["x-content-type-options"] == "nosniff", what
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", what
        assert "access-control-allow-origin" not in answer.headers, what


def test_pages_have_no_script_style_or_address_of_elsewhere_in_them(shared: Served):
    for what, answer in answers(shared):
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert not re.search(
                r"<style|\sstyle=|\son\w+=|hx-on|javascript:|<script(?! src=\"/static/)", answer.text
            ), what
            assert not re.search(r"(?:src|href|action)=\"(?!/|#|\?)", answer.text), what


def test_the_api_s_own_headers_stay_as_strict_as_they_are(alice: httpx.Client):
    answer = alice.get("/admin/batch-jobs")

    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_method_that_a_view_has_not_is_refused_with_those_that_it_has(shared: Served):
    answer = visiting(shared, "alice").client.put("/")

    assert (answer.status_code, "GET" in answer.headers["allow"]) == (405, True)


# where one is led

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\r\nlocation: https://evil.example",
    "/\r\nset-cookie: a=b",
    "/é",
    "/\u2028x",
    "",
]


@pytest.mark.parametrize("tried", ELSEWHERE, ids=ascii)
def test_nobody_is_led_elsewhere(shared: Served, tried: str):
    alice = visiting(shared, "alice")
    anonymous = httpx.Client(base_url=shared.url)

    led = [
        alice.client.get("/sign-in", params={"next": tried}),
        anonymous.post("/sign-in", data={"key": shared.keys["alice"], "next": tried}),
        anonymous.post("/language", data={"code": "en", "back": tried}),
    ]
    assert [answer.headers["location"] for answer in led] == ["/", "/", "/"]
    assert [answer.headers.get("a") for answer in led] == [None] * 3
    form = httpx.get(f"{shared.url}/sign-in", params={"next": tried}).text
    assert 'name="next" value="/"' in form
    going_on = httpx.get(f"{shared.url}/sign-in", params={"next": tried}, headers={"sec-fetch-site": "cross-site"}).text
    assert 'content="0;url=/sign-in?next=/"' in going_on


@pytest.mark.parametrize(
    "shown", ["//evil.example", "https://evil.example//evil.example", "http://[", "\xff", "x" * 9000]
)
def test_what_htmx_says_of_the_page_leads_nobody_elsewhere(shared: Served, shown: str):
    headers = {"hx-request": "true", "hx-current-url": shown.encode("latin-1")}
    answer = httpx.get(f"{shared.url}/", headers=headers)  # type: ignore[arg-type]

    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")
    ours = {"hx-request": "true", "hx-current-url": f"{shared.url}//evil.example"}
    led = httpx.get(f"{shared.url}/", headers=ours).headers["hx-redirect"]
    sent = {"key": shared.keys["bob"], "next": httpx.QueryParams(led.partition("?")[2])["next"]}
    assert httpx.post(f"{shared.url}/sign-in", data=sent).headers["location"] == "/"


def test_one_goes_back_to_the_page_with_its_filters(shared: Served):
    asked = httpx.get(f"{shared.url}/?status=failed&type=noting")
    changed = httpx.post(f"{shared.url}/jobs/x/cancel", headers={"referer": f"{shared.url}/jobs/x"})
    foreign = httpx.post(f"{shared.url}/jobs/x/cancel", headers={"referer": "https://evil.example/jobs/x"})

    assert asked.headers["location"] == f"/sign-in?next={quote('/?status=failed&type=noting', safe='')}"
    assert changed.headers["location"] == f"/sign-in?next={quote('/jobs/x', safe='')}"
    assert foreign.headers["location"] == "/sign-in"


# paths


def spoken(api: Served, *lines: str) -> tuple[int, str]:
    """The status and the text of what is answered to lines as they are."""
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall("\r\n".join([*lines, f"Host: {parts.netloc}", "Connection: close", "", ""]).encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return int(answer.split(b" ", 2)[1]), answer.decode()


@pytest.mark.parametrize(
    "target",
    [
        "*",
        "127.0.0.1:443",
        "//",
        "//jobs/JOB",
        "/%2fjobs/JOB",
        "/./jobs/JOB",
        "/static/../jobs/JOB",
        "/static/%2e%2e/jobs/JOB",
        "/static/1/%2e%2e/%2e%2e/site.py",
        "/static/1/..%2fsite.py",
        "/static/1/htmx/../../site.py",
        "/static/1//etc/passwd",
        "/static/1/%00",
        "/admin/../jobs/JOB",
        "/sign-in/../jobs/JOB",
        "/sign-in%2f..%2fjobs/JOB",
        "/jobs/JOB/",
        "/jobs//JOB",
        "/JOBS/JOB",
        "/jobs/JOB%00",
        "/jobs/JOB;x",
        "http://127.0.0.1/jobs/JOB",
        "http://127.0.0.1//jobs/JOB",
        "/jobs/JOB",
        "/jobs/JOB/live",
        "/jobs/JOB?x=%0d%0aset-cookie:a=b",
    ],
)
def test_no_way_of_writing_a_path_gets_past_the_guard(shared: Served, target: str):
    job = shared.job("alice", note="only alice's")

    for method in ("GET", "HEAD", "OPTIONS", "POST", "CONNECT", "get", "TRACE", "X"):
        status, text = spoken(shared, f"{method} {target.replace('JOB', job.id)} HTTP/1.1")

        assert status in (303, 400, 401, 403, 404, 405), text
        assert "only alice" not in text
        assert "\nset-cookie" not in text.lower()
        assert "create_pages" not in text


# what is stored and what is asked for


def hostile_job(served: Served) -> str:
    """A job with script wherever words of others are kept."""
    store = served.workspace.store
    job = served.workspace.service.record(
        "noting",
        {"note": SCRIPT, "file_key": None},
        created_by=f"alice{SCRIPT}"[:255],
        trigger=Trigger.API,
        dry_run=True,
    )
    job = store.claim(job, ProcessIdentity.current(), None)
    entry = StatDescriptor(key=SCRIPT[:60], name=SCRIPT, message=SCRIPT)
    error = {"message": SCRIPT, "code": SCRIPT, "err": f"Traceback {SCRIPT}", "refused": False}
    result = job.result.model_validate({**job.result.model_dump(), "stat_descriptors": [entry], "errors": [error]})
    plan = {"counts": {SCRIPT: 1}, "columns": {SCRIPT: 2}, "table": SCRIPT}
    store.save_result(job.id, job.claim or 0, result, plan)
    store.move(job, Action.FAIL, who=SCRIPT[:200], why=SCRIPT)
    return job.id


def test_what_is_stored_is_shown_as_it_is_and_is_no_markup(api_on_both: Served):
    job_id, root = hostile_job(api_on_both), visiting(api_on_both, "root")
    seen = ""
    for path in SHOWN:
        address = filled(path, job_id)
        for headers in ({}, {"hx-request": "true"}):
            answer = root.client.get(address, headers=headers)
            assert answer.status_code < 500, (address, answer.text)
            assert is_harmless(answer.text), address
            seen += answer.text
    assert "&lt;script&gt;alert(1)" in seen  # it is shown
    live = root.client.get(f"/jobs/{job_id}/live").text
    assert {line.partition(":")[0] for line in live.split("\n") if line} <= {"data", "event"}
    assert sum(line.startswith("event:") for line in live.split("\n")) <= 1


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_is_asked_for_is_shown_as_it_is_and_is_no_markup(shared: Served, language: str):
    root = visiting(shared, "root")
    root.client.cookies.set("batch_jobs_language", language)
    text = "".join(root.client.get("/").text for _ in range(1))
    names = {
        *re.findall(r'name="(\w+)"', text),
        "next",
        "back",
        "cursor",
        "key",
        "column",
        "kind",
        "table",
        "fell",
        "q",
    }
    for _, path in [route for route in views() if route[0] == "GET"]:
        for job_id in (job_for(shared, path), SCRIPT.replace("/", "")):
            address = filled(path, quote(job_id, safe=""), batch_type=quote(SCRIPT, safe=""))
            for headers in (
                {},
                {"hx-request": "true", "hx-target": SCRIPT.split("\r")[0], "accept-language": SCRIPT[:20]},
            ):
                answer = root.client.get(address, params=dict.fromkeys(names, SCRIPT), headers=headers)
                assert answer.status_code < 500, (address, answer.text)
                assert is_harmless(answer.text), address
                assert not any("<script" in value for value in answer.headers.values()), address


@pytest.mark.parametrize("route", SENT, ids=label)
def test_what_is_sent_is_refused_as_it_is_and_is_no_markup(shared: Served, route: Route):
    root, (method, path) = visiting(shared, "root"), route
    job_id = job_for(shared, path)
    page = root.get(filled(path, job_id)).text + root.get(f"/jobs/{job_id}").text
    names = {*re.findall(r'name="([^"]+)"', html.unescape(page)), "go", "type", "table", "note", "row", "seen"} - {
        "csrf"
    }
    for value in (SCRIPT, "-1", "99999999999999999999", "[" * 5000, "\0", '{"a": 1}', "null"):
        sent = {"csrf": root.csrf, **dict.fromkeys(names, value)}
        for headers in ({}, {"hx-request": "true"}):
            answer = root.client.request(method, filled(path, job_id), data=sent, headers=headers)
            assert answer.status_code < 500, (value, answer.text)
            assert is_harmless(answer.text), value
            assert not any("alert(1)<" in header for header in answer.headers.values())


def test_what_is_wrong_with_a_field_is_said_as_text(shared: Served):
    """It is looked up in the catalogue, and has words of the visitor's in it."""
    root = visiting(shared, "root")
    form = root.get("/new/table-import?file_key=").text
    names = {*re.findall(r'name="(context\.[^"]+)"', form)}
    for value in (
        "<script>alert(1)</script>",
        "100 % of %(x)s <img src=x onerror=alert(1)>",
        '{"<script>alert": "%s"}',
    ):
        for sent in ({name: value} for name in names):
            answer = root.post("/new/table-import", sent)
            assert answer.status_code in (303, 422), (sent, answer.text)
            assert is_harmless(answer.text), sent


def test_a_language_that_is_none_is_not_spoken(shared: Served):
    client = httpx.Client(base_url=shared.url)
    for code in ("", SCRIPT[:100], "../de", "xx", "de\r\nset-cookie: a=b", "DE"):
        answer = client.post("/language", data={"code": code})
        assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)
    for code in ("../de", "xx", "%3Cscript%3E"):
        assert '<html lang="en">' in client.get("/sign-in", headers={"cookie": f"batch_jobs_language={code}"}).text
    for header in ("de;q=x", "*", ",,,", "de;q=-1", "\xff", "x" * 9000, "en;q=0, de", "xx, de-CH;q=0.5"):
        answer = client.get("/sign-in", headers={"accept-language": header.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code == 200


def test_the_name_and_the_colour_of_the_settings_are_no_markup(serve: Any, no_prefect: None):
    api = serve(page_name=SCRIPT, page_color="#abc")

    assert is_harmless(httpx.get(f"{api.url}/sign-in").text)
    with pytest.raises(ValueError, match="no colour"):
        serve(page_color="#abc; } body { background: url(//evil.example)")


def test_a_key_is_in_no_page(shared: Served):
    for key in (shared.keys["alice"], f"{shared.keys['alice']}x"):
        answer = httpx.post(f"{shared.url}/sign-in", data={"key": key, "next": "/"})
        assert key not in answer.text + str(answer.headers)


def test_status_pages_of_a_job_that_runs_are_shown_to_those_who_may(shared: Served):
    job = shared.job("alice", Status.PROCESSING)

    assert Visitor(visiting(shared, "alice").client).get(f"/jobs/{job.id}").status_code == 200
    assert visiting(shared, "bob").get(f"/jobs/{job.id}").status_code == 404
