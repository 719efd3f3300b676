"""What a strategy brings for the page of its jobs: a template beside its file, shown under the plan."""

import logging
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from batch_jobs.deployments.api.schemas import job_json
from batch_jobs.deployments.web.languages import language
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.strategies.sdk.registry import Registry, origin_of

ENDING = ".page.html"
LARGEST = 1 << 18  # characters
#: Elements of HTML that have no end.
VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})

logger = logging.getLogger("batch_jobs.api")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Reads ``plan.counts.update`` as the count of that name: a dict's methods come after what is in it."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return obj[attribute] if isinstance(obj, dict) and attribute in obj else super().getattr(obj, attribute)


class PartWrong(ValueError):
    """A part that would break the page around it."""


def own_part(strategies: Registry, shown: ShownJob, code: str) -> Markup | str | None:
    """The HTML that the job's strategy brings, or as plain text what is wrong with it; ``None`` where it brings none.

    Args:
        strategies: the strategies there are.
        shown: the job, and who looks at it.
        code: the language.
    """
    strategy = strategies.by_type.get(shown.job.type)
    file = _file_beside(origin_of(strategy)) if strategy else None
    if file is None:
        return None
    job = job_json(shown.job, shown.caller)
    try:
        template = _template(file, file.stat().st_mtime_ns, code)
        return Markup(_whole(template, {"job": job, "plan": shown.whole_plan}))
    except Exception as error:  # whatever is wrong with it, the page has to be there
        logger.warning("%s cannot be shown: %s: %s", file, type(error).__name__, error)
        return f"{file.name}: {type(error).__name__}: {error}"


def _file_beside(module: Path) -> Path | None:
    file = module.with_name(module.stem + ENDING)
    return file if file.is_file() else None


@lru_cache(maxsize=64)
def _template(file: Path, changed_at: int, code: str) -> Template:
    made = _Sandbox(autoescape=True, undefined=StrictUndefined)
    spoken = language(code)
    made.filters |= {"number": spoken.number, "percent": spoken.percent, "size": spoken.size}
    return made.from_string(file.read_text())


def _whole(template: Template, values: dict[str, object]) -> str:
    made, length = [], 0
    for piece in template.generate(values):
        length += len(piece)
        if length > LARGEST:
            raise PartWrong(f"it is longer than {LARGEST:,} characters")
        made.append(piece)
    text = "".join(made)
    _Balance().check(text)
    return text


class _Balance(HTMLParser):
    """Finds elements that do not end where they should: what follows would become a part of them."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    def check(self, text: str) -> None:
        self.feed(text)
        if self.rawdata or self._open:
            raise PartWrong(f"<{self._open[-1] if self._open else self.rawdata[:20]}> is not ended")

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.handle_starttag(tag, attrs)  # HTML knows no other end of <div/>

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            raise PartWrong(f"</{tag}> has no beginning")
