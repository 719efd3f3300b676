"""A browser that lets no complaint pass: of the console, of scripts, of the policy, of what was not loaded, of axe."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FOREIGN = "shop.example"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1",
]  # fmt: skip
SECONDS = 60
#: Says aloud what the policy has refused, wherever it happens.
LISTEN = """addEventListener('securitypolicyviolation',
  event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""
#: What everybody needs (WCAG 2.2 AA), and what axe's authors recommend beyond it.
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Browsing:
    """One browser's window, of somebody who may have signed in, and what it has complained of."""

    context: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(SECONDS * 1000)
        self.context.add_init_script(LISTEN)
        self.page = self.context.new_page()
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("requestfailed", self._note_failed)

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _note_failed(self, request: Any) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # a page that is left takes its streams along
            self.complaints.append(f"not loaded: {request.url}: {request.failure}")

    def go(self, path: str) -> Any:
        """Open a page of the site, and wait until it is loaded."""
        return self.page.goto(f"{self.address}{path}", wait_until="load")

    def sign_in(self, key: str, button: str = "Sign in") -> None:
        """Sign in as a person does."""
        self.go("/sign-in")
        self.page.locator("#key").fill(key)
        self.page.get_by_role("button", name=button).click()
        self.page.wait_for_url(f"{self.address}/")

    def keep(self, name: str, whole: bool = False) -> None:
        """Keep a picture of the page when somebody wants one."""
        folder = os.environ.get("BATCH_JOBS_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"page-{name}.png", full_page=whole)

    def found_by_axe(self) -> list[str]:
        """What axe finds wrong with the page."""
        self.page.evaluate(_axe_script())
        found = self.page.evaluate(
            "standards => axe.run(document, {runOnly: standards, resultTypes: ['violations']})", STANDARDS
        )
        return [
            f"{violation['id']}: {node['target']} {node['html'][:150]} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def wider_than_it_shows(self) -> list[str]:
        """The elements for which one has to scroll sideways."""
        found: list[str] = self.page.evaluate(TOO_WIDE)
        return found

    def tab_to(self, text: str, most: int = 80) -> None:
        """Press Tab until what has the focus reads so; each on the way has to show that it has it."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            assert focused["isMarked"], f"nobody sees the focus at {focused}"
            if text in (focused["text"], focused["label"], focused["id"]):
                return
        raise AssertionError(f"{text} is not reached by {most} Tabs")


#: What stands out at the right, but for what scrolls by itself; the page as a whole where nothing else does.
TOO_WIDE = """() => {
  const root = document.documentElement, most = root.clientWidth;
  if (root.scrollWidth <= most) return [];
  const out = [...document.querySelectorAll('body *')].filter(
    one => one.getBoundingClientRect().right > most && !one.parentElement.closest('.scroll'));
  return [`${root.scrollWidth} of ${most}`, ...out.slice(-8).map(one => one.outerHTML.slice(0, 120))];
}"""
#: What has the focus: its text and its label, and whether the focus is seen there.
FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  return {
    text: one.textContent.trim(), id: one.id, html: one.outerHTML.slice(0, 120),
    label: one.labels?.[0]?.textContent.trim().split('\\n')[0] ?? one.getAttribute('aria-label') ?? '',
    isMarked: one === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
      && box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0),
  };
}"""


def _axe_script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


@contextmanager
def browsing(browser: Any, address: str, **options: Any) -> Iterator[Browsing]:
    """A window of somebody who was never here; what it complains of is an error at its end."""
    given = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
    context = browser.new_context(**given)
    try:
        one = Browsing(context, address)
        yield one
        assert one.complaints == []
    finally:
        context.close()
