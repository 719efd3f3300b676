"""The encoding of a text input: found by its beginning, and held against every byte of the first whole pass."""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.broken_utf8 import MARKING, is_mostly_utf8
from batch_jobs.strategies.tables.formats.encodings import likely_encodings, text_encoding
from batch_jobs.strategies.tables.formats.format import other_format
from batch_jobs.strategies.tables.formats.reading import BLOCK, Input, NotAsItBegan, unpacked

SAMPLE = 1 << 20
#: Beginnings of files that no format reads.
MAGIC = {b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an old Excel file", b"\x1f\x8b": "a gzip file; name it .gz"}
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the one of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UTF8 = ("utf-8", "utf-8-sig", "ascii")
MAY_BE_BROKEN = ("utf-8", "utf-8-sig")
#: Others in which a byte of ASCII is that character, wherever it stands.
BEGIN_LIKE_ASCII = ("cp1252", "cp1250", "cp1251", "iso8859-1", "iso8859-2", "iso8859-15")
LOOKED_AT = 1 << 16  # bytes of a text from where it turns out not to be UTF-8
SHOWN = 80  # characters of a line in a description


@dataclass(frozen=True)
class Survey:
    """What is known of a text.

    ``encodings`` are those it may have, the likeliest first, and ``how`` says where they are from: given, found (by a
    mark, or as all of it is valid UTF-8) or guessed; a guess has a line with letters that are ``shown`` in it.
    ``broken`` says that it is UTF-8 with a few bytes that are not; a line with such is ``shown``.
    ``quotes`` is how many of them there are, ``None`` as long as only the beginning was looked at.
    """

    encodings: tuple[str, ...]
    how: str = "found"
    quotes: int | None = None
    shown: bytes = b""
    broken: bool = False

    @property
    def encoding(self) -> str:
        """The encoding it has, as far as is known."""
        return self.encodings[0]

    @property
    def sample(self) -> str:
        """The line that shows what a guess makes of the text, or what is broken; empty where neither is."""
        text = self.shown.decode(self.encoding, errors="replace").strip()
        return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


class NotThisEncoding(NotAsItBegan):
    """A text is not in the encoding it seemed to have, by a byte at this position; ``other`` is what it may be."""

    def __init__(self, survey: Survey, position: int, other: Survey | None) -> None:
        super().__init__()
        self.survey, self.position, self.other = survey, position, other


def read_sample(source: Input) -> bytes:
    """The first megabyte, unpacked.

    Raises:
        InputRefused: it is empty, or surely no text.
    """
    with unpacked(source) as stream:
        sample = stream.read(SAMPLE)
    if not sample:
        raise InputRefused(source.name, "the file is empty; it needs at least a line with the names of the columns")
    other = next((what for magic, what in MAGIC.items() if sample.startswith(magic)), None) or other_format(sample)
    if other:
        raise InputRefused(source.name, f"this is {other}, not text")
    return sample


def find_encoding(name: str, sample: bytes, encoding: str | None) -> Survey:
    """The encodings that a text may have, judged by its beginning.

    Raises:
        InputRefused: it is no text, or there is no such encoding.
    """
    if encoding:
        return Survey((_known(name, encoding),), "given")
    marked = next((encoding for mark, encoding in BOMS.items() if sample.startswith(mark)), None)
    if marked:
        return Survey((marked,))
    _refuse_binary(name, sample)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # its last character may be cut
    except UnicodeDecodeError as error:
        if is_mostly_utf8(sample):
            return _broken(Survey(("utf-8",)), sample, error.start)
        return _guessed(sample, error.start)
    return Survey(("utf-8",))


def survey(source: Input, begun: Survey, count: Callable[[Iterator[bytes]], int]) -> Survey:
    """Read the whole text to find which of these encodings it has, and how many quotes.

    Raises:
        InputRefused: none of them.
    """
    tried, furthest, left = ["utf-8"] if begun.how == "guessed" else [begun.encoding], 0, [begun]
    while left:
        with unpacked(source) as stream:
            text = CheckedText(stream, left.pop())
            try:
                quotes = count(text.blocks())
            except NotThisEncoding as error:
                furthest = max(furthest, error.position)
                tried.append(error.survey.encoding)
                left = [error.other] if error.other else []
            else:
                return replace(text.survey, quotes=quotes)
    names = " nor ".join(dict.fromkeys(tried))
    raise InputRefused(source.name, f"line {_line_at(source, furthest)} is not {names}; set the encoding")


class CheckedText:
    """A text as UTF-8, checked as it is read; ``survey`` becomes what the whole of it shows."""

    def __init__(self, stream: BinaryIO, survey: Survey) -> None:
        self.survey = survey
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(survey.encoding)(MARKING if survey.broken else "strict")
        self._letters = 0  # bytes of letters in UTF-8, the first one of each aside
        self._only_ascii = survey.encoding in (*UTF8, *BEGIN_LIKE_ASCII)
        self._done = 0

    def blocks(self) -> Iterator[bytes]:
        """The text in blocks.

        As long as only ASCII has been seen, what is not UTF-8 can still be in another encoding: all begin alike.

        Raises:
            NotThisEncoding: it cannot be in the encoding in which its beginning was read.
        """
        while True:
            block = self._stream.read(BLOCK)
            text = self._checked(block)
            self._done += len(block)
            if text:
                yield text
            if not block:
                return

    def _checked(self, block: bytes) -> bytes:
        if self._only_ascii and block.isascii():
            return block
        try:
            text = self._decoder.decode(block, final=not block)
            self._only_ascii = False
            self._letters += len(block) - len(text)
            return block if self.survey.encoding in UTF8 and not self.survey.broken else text.encode()
        except UnicodeDecodeError as error:
            self._guess(block, error)
            return self._checked(block)
        except UnicodeError as error:  # its first mark is missing, or there is half a character, which UTF-7 can write
            raise NotThisEncoding(self.survey, self._done + getattr(error, "start", 0), _next(self.survey)) from None

    def _guess(self, block: bytes, error: UnicodeDecodeError) -> None:
        """Take another encoding for it, where it may still have another one."""
        # what the last block left undecided is at the begin of what was to be decoded
        place = len(block) - len(error.object) + error.start
        if self.survey.encoding in MAY_BE_BROKEN and is_mostly_utf8(block, self._letters):
            raise NotThisEncoding(self.survey, self._done + place, _broken(self.survey, block, place)) from None
        if not self._only_ascii or self.survey.encoding != "utf-8" or self.survey.how != "found":
            raise NotThisEncoding(self.survey, self._done + place, _next(self.survey)) from None
        self.survey = _guessed(block, place)
        self._decoder = codecs.getincrementaldecoder(self.survey.encoding)()


def _guessed(block: bytes, place: int) -> Survey:
    """What a text may be that is not UTF-8 at this place."""
    around = block[_line_start(block, place) :][:LOOKED_AT]
    return Survey(likely_encodings(around), "guessed", shown=around.partition(b"\n")[0])


def _broken(survey: Survey, block: bytes, place: int) -> Survey:
    """The same as UTF-8 with a few bytes that are not, the first one at this place."""
    start = _line_start(block, place)
    return replace(survey, broken=True, shown=block[start : start + LOOKED_AT].partition(b"\n")[0])


def _next(survey: Survey) -> Survey | None:
    """The same with the next one of its encodings, where it may have another."""
    return replace(survey, encodings=survey.encodings[1:]) if survey.encodings[1:] else None


def _line_start(block: bytes, place: int) -> int:
    return block.rfind(b"\n", 0, max(0, place)) + 1


def _known(name: str, encoding: str) -> str:
    try:
        return text_encoding(encoding)
    except ValueError as error:
        raise InputRefused(name, str(error)) from None


def _refuse_binary(name: str, sample: bytes) -> None:
    if sample[:1000].count(0) * 3 > len(sample[:1000]):
        if not any(_is_readable(sample[:1000].decode(encoding, "ignore")) for encoding in ("utf-16-le", "utf-16-be")):
            raise InputRefused(name, "this is binary data, not text")
        raise InputRefused(name, "this looks like UTF-16 without a mark; set encoding to utf-16-le or utf-16-be")


def _is_readable(text: str) -> bool:
    return all(letter.isprintable() or letter in "\t\r\n" for letter in text)


def _line_at(source: Input, position: int) -> int:
    line = 1
    with unpacked(source) as stream:
        while position and (block := stream.read(min(BLOCK, position))):
            line += block.count(b"\n")
            position -= len(block)
    return line
