"""Bring the catalogues up to date: ``python deployments/web/locale/update.py``, then fill in what is empty.

What is said of fields and types stands in Python, in the strategies' models; it is translated as it is shown, by the
filter ``said`` of the templates. Strategies of your own are shown as they are written.
"""

import inspect
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from batch_jobs.deployments.web import errors, forms
from batch_jobs.deployments.web.form_field import field_of
from batch_jobs.strategies.sdk.registry import load_strategies

HERE = Path(__file__).parent
WEB = HERE.parent
#: A template's options have to be those of the page, or other texts are found than are looked up.
OPTIONS = {"trimmed": "false", "trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}
FOUND = [("templates/**.html", "jinja2")]
#: What Python says, beside what is said of jobs.
FROM_PYTHON = (errors.NO_SUCH_PAGE, errors.UNREAD, forms.NEEDED)


def said_texts() -> Iterator[tuple[str, str]]:
    """What is shown by the filter ``said``: of our own modules, and of the strategies that come with the program."""
    for text in FROM_PYTHON:
        yield text, "python"
    for name, strategy in sorted(load_strategies([]).by_type.items()):
        yield strategy.description(), name
        for paragraph in inspect.cleandoc(strategy.__doc__ or "").split("\n\n"):
            yield paragraph, name
        for field, info in strategy.Context.model_fields.items():
            drawn = field_of(strategy.Context, field, info)
            yield from ((text, name) for text in (drawn.label, drawn.help) if text)


def template() -> Catalog:
    """Everything that is said, in English."""
    made = Catalog(project="batch-jobs", fuzzy=False)
    found = extract_from_dir(WEB, FOUND, {"templates/**.html": OPTIONS})
    for name, line, text, comments, context in sorted(found, key=lambda entry: (entry[0], entry[1])):
        made.add(text, None, [(name, line)], auto_comments=comments, context=context)
    for text, where in said_texts():
        made.add(text, None, [(where, 0)])
    return made


def updated(path: Path) -> Catalog:
    """A catalogue with all of it and nothing else."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.stem)
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.header_comment = "# What the page says; update.py keeps the list of it."
    catalog.last_translator = catalog.language_team = "The prefect-batch-jobs developers"
    catalog.msgid_bugs_address, catalog.version = "see SECURITY.md and the tracker", "1"
    return catalog


def main() -> None:
    """Write all catalogues anew."""
    for path in sorted(HERE.glob("*.po")):
        catalog = updated(path)
        written = BytesIO()
        write_po(written, catalog, width=120, omit_header=False, sort_output=False, include_lineno=False)
        path.write_bytes(written.getvalue())
        print(f"{path.name}: {sum(not all_of(message.string) for message in catalog if message.id)} to translate")


def all_of(string: str | Sequence[str] | None) -> bool:
    """Whether a text, or each form of it, is there."""
    return bool(string) if isinstance(string, str) else all(string or [""])


if __name__ == "__main__":
    main()
