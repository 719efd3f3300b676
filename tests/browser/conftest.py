"""The page in Debian's Chromium against a real ``serve`` with its own Prefect, one for all tests."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.browsing import Browsing, browsing
from support.servers import wait_until
from support.serving import serving_with_own_prefect
from support.site import CHANGED, PEOPLE, PRICES, WRONG, Site, Works

#: Where ``serve`` says that its page is.
API = re.compile(r"API +(http://\S+)")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    jobs, target = f"sqlite:///{folder}/jobs.db", f"sqlite:///{folder}/target.db"
    with serving_with_own_prefect(folder, jobs, target) as served:
        wait_until(lambda: API.search(served.said()), what="the API")
        keys = {name: served.workspace.api_keys.create(name, role)[1] for name, role in PEOPLE.items()}
        yield Site(served, API.findall(served.said())[0], keys)


@pytest.fixture(scope="session")
def works(site: Site) -> Works:
    first = site.load(PRICES)
    failed = site.load("nonsense\n1\n", table="batch_nowhere", mode="update")
    done = site.served.until_status(first, Status.COMPLETED)
    waiting = site.until_previewed(site.load(CHANGED + WRONG, dry_run=True))
    return Works(done, waiting, site.served.until_status(failed, Status.FAILED, Status.COMPLETED))


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Browsing]]:
    """Opens a window, signed in where a person is named."""
    with ExitStack() as windows:

        def opened(who: str | None = "mara", button: str = "Sign in", **options: Any) -> Browsing:
            window = windows.enter_context(browsing(browser, site.address, **options))
            if who is not None:
                window.sign_in(site.keys[who], button)
            return window

        yield opened


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that a gated job waits for; what waits there may go on when the test is over."""
    path = tmp_path / "gate"
    yield path
    path.touch()
