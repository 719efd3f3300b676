"""The languages of the page: their words, and how each writes numbers and times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from starlette.requests import Request

LOCALE = Path(__file__).parent / "locale"
#: code -> its own name, in the order in which they are offered; the first is spoken where nothing else is asked for.
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
COOKIE = "batch_jobs_language"


@dataclass(frozen=True)
class Language:
    """One language, as templates use it."""

    code: str
    words: Translations
    locale: Locale

    def said(self, text: str) -> str:
        """What Python says, in this language where its catalogue has it; unlike ``_`` it takes any text as it is."""
        return self.words.gettext(text) if text else ""

    def number(self, value: float) -> str:
        """A number as it is written there."""
        return format_decimal(value, locale=self.locale)

    def percent(self, part: float) -> str:
        """A part of one in per cent."""
        return format_percent(part, locale=self.locale)

    def time(self, at: datetime) -> str:
        """A time in the zone of this machine; with JavaScript the page shows it in the reader's own."""
        return format_datetime(at.astimezone(), "medium", locale=self.locale)

    def duration(self, seconds: float) -> str:
        """How long something takes, in its largest unit."""
        return format_timedelta(round(seconds), locale=self.locale, threshold=1.2)

    def size(self, count: int) -> str:
        """A number of bytes."""
        amount, unit = float(count), "B"
        for larger in ("kB", "MB", "GB", "TB"):
            if amount < 1000:
                break
            amount, unit = amount / 1000, larger
        return f"{format_decimal(round(amount, 1), locale=self.locale)} {unit}"


@cache
def language(code: str) -> Language:
    """The language of a code; its catalogue is read once."""
    return Language(code, _words(code), Locale.parse(code))


def language_of(request: Request) -> Language:
    """The language that a browser was set to here, or else the first that it asks for and we have."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return language(chosen)
    return language(_accepted(request.headers.get("accept-language", "")))


def _accepted(header: str) -> str:
    wanted = []
    for part in header[:500].split(","):
        name, _, weight = part.partition(";q=")
        try:
            wanted.append((float(weight or 1), name.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    ranked = sorted(wanted, key=lambda entry: -entry[0])
    return next((name for weight, name in ranked if weight > 0 and name in LANGUAGES), next(iter(LANGUAGES)))


def _words(code: str) -> Translations:
    path = LOCALE / f"{code}.po"
    if not path.exists():  # the texts of the templates themselves
        return Translations()
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return Translations(compiled)
