"""The words of the page: all of them in each language, and how each writes numbers and times."""

import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from jinja2 import nodes

from batch_jobs.deployments.web import languages
from batch_jobs.deployments.web.languages import LANGUAGES, LOCALE, language
from batch_jobs.deployments.web.rendering import TEMPLATES, environment

ADVICE = "run `python deployments/web/locale/update.py`, and write what is empty in deployments/web/locale/*.po"
CATALOGUES = sorted(LOCALE.glob("*.po"))


def texts_of(message: Message) -> tuple[str, ...]:
    return message.id if isinstance(message.id, tuple) else (str(message.id),)


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem)


@pytest.fixture(scope="module")
def update() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", LOCALE / "update.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_catalogue_for_every_language_but_that_of_the_templates():
    assert {path.stem for path in CATALOGUES} == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_a_catalogue_has_everything_that_is_said_and_nothing_else(update: ModuleType, path: Path):
    said = {texts_of(message) for message in update.template() if message.id}
    known = {texts_of(message) for message in read(path) if message.id}

    assert sorted(said - known) == [], f"these are not in {path.name}: {ADVICE}"
    assert sorted(known - said) == [], f"nobody says these any more: {ADVICE}"
    assert len(said) > 100


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_everything_is_translated_with_its_values_and_its_elements(update: ModuleType, path: Path):
    catalog = read(path)
    for message in catalog:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        assert update.all_of(message.string), f"{message.id!r} is empty: {ADVICE}"
        assert list(message.check(catalog)) == [], message.id
        translated = message.string if isinstance(message.string, tuple) else (message.string,)
        for original, text in zip(texts_of(message), translated, strict=True):
            for wanted in (r"%\(\w+\)s", r"</?\w[^>]*>", r"\{\w+\}", r"%%"):
                assert sorted(re.findall(wanted, original)) == sorted(re.findall(wanted, text)), message.id


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_only_our_own_words_are_looked_up_as_markup(path: Path):
    """What ``_`` is given becomes markup, and a format: a message with something of a user's in it is for ``said``."""
    tree = environment("en").parse(path.read_text())
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext", "ngettext", "pgettext"):
            assert isinstance(call.args[0], nodes.Const), f"line {call.lineno}: use the filter `said`"
    for used in tree.find_all(nodes.Filter):
        assert used.name != "safe", f"line {used.lineno}"


def test_what_is_said_by_python_is_translated_and_is_no_markup():
    template = environment("de").from_string("{{ text | said }}")

    assert template.render(text="This is needed.") == "Das wird gebraucht."
    assert template.render(text="<b>100 % of %(x)s</b>") == "&lt;b&gt;100 % of %(x)s&lt;/b&gt;"
    assert template.render(text="") == ""


def test_numbers_and_times_are_written_as_the_language_has_them():
    german, english = language("de"), language("en")
    at = datetime(2026, 11, 28, 9, 30, 5, tzinfo=UTC).astimezone()

    assert (german.number(1234.5), english.number(1234.5)) == ("1.234,5", "1,234.5")
    assert german.time(at).startswith("28.11.2026")
    assert english.time(at).startswith("Nov 28, 2026")
    assert german.percent(0.42).replace("\xa0", " ") == "42 %"
    assert (german.size(1_234_567), english.size(1_234_567)) == ("1,2 MB", "1.2 MB")
    assert german.duration(120) == "2 Minuten"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("en-US,en;q=0.9", "en"),
        ("fr, de;q=0.5, en;q=0.7", "en"),
        ("fr", "en"),
        ("de;q=0, en;q=0.1", "en"),
        ("", "en"),
        ("de;q=nan, en", "en"),
    ],
)
def test_a_browser_is_spoken_to_in_the_first_language_that_it_asks_for(header: str, code: str):
    assert languages._accepted(header) == code


def test_a_template_that_names_nothing_there_is_fails():
    with pytest.raises(jinja2.UndefinedError):
        environment("en").from_string("{{ nothing }}").render()
