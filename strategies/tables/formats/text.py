"""The encoding of a text input: guessed from its beginning, and held against every byte of the first whole pass."""

import codecs
import io
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.format import other_format
from batch_jobs.strategies.tables.formats.reading import BLOCK, Input, NotAsItBegan, unpacked

SAMPLE = 1 << 20
#: Beginnings of files that no format reads.
MAGIC = {b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an old Excel file", b"\x1f\x8b": "a gzip file; name it .gz"}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UTF8 = ("utf-8", "utf-8-sig", "ascii")
#: Others in which a byte of ASCII is that character, wherever it stands.
BEGIN_LIKE_ASCII = ("cp1252", "iso8859-1", "iso8859-15")


@dataclass(frozen=True)
class Survey:
    """What is known of a text: the encodings it may have, the likeliest first, and how many quotes there are.

    ``quotes`` is ``None`` as long as only the beginning was looked at; ``candidates`` are all encodings that a text
    may have of which nothing is known.
    """

    encodings: tuple[str, ...]
    quotes: int | None = None
    candidates: tuple[str, ...] = ()

    @property
    def encoding(self) -> str:
        """The encoding it has, as far as is known."""
        return self.encodings[0]


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


def guess(source: Input, sample: bytes, encoding: str | None) -> Survey:
    """The encodings that a text may have, judged by its beginning.

    Raises:
        InputRefused: it is no text, or there is no such encoding.
    """
    if encoding:
        known = (_known(source.name, encoding),)
        return Survey(known, candidates=known)
    candidates = _candidates(source.name, sample)
    if len(candidates) > 1 and not _decodes(sample, candidates[0]):
        return Survey(candidates[1:], candidates=candidates)
    return Survey(candidates, candidates=candidates)


def survey(source: Input, candidates: tuple[str, ...]) -> Survey:
    """Read the whole text to find which of these encodings it has.

    Raises:
        InputRefused: none of them.
    """
    furthest = 0
    for candidate in candidates:
        try:
            return Survey((candidate,), _quotes(source, candidate))
        except UnicodeDecodeError as error:
            furthest = max(furthest, error.start)
    tried = " nor ".join(candidates)
    raise InputRefused(source.name, f"line {_line_at(source, furthest)} is not {tried}; set the encoding")


class CheckedText(io.RawIOBase):
    """A text as UTF-8, checked as it is read; ``survey`` becomes what the whole of it shows.

    As long as only ASCII has been seen, the encoding can still be another one: all begin alike.

    Raises:
        NotAsItBegan: by reading: it cannot be in the encoding in which its beginning was read.
    """

    def __init__(self, stream: BinaryIO, survey: Survey) -> None:
        self.survey = replace(survey, quotes=0)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(survey.encoding)()
        self._only_ascii = survey.encoding in (*UTF8, *BEGIN_LIKE_ASCII)
        self._left = b""

    def readable(self) -> bool:
        """It is."""
        return True

    @property
    def quotes(self) -> int:
        """How many quotes were read so far."""
        return self.survey.quotes or 0

    def read(self, size: int | None = -1) -> bytes:
        """At most so many bytes of UTF-8."""
        wanted = BLOCK if size is None or size < 0 else size
        ended = False
        while not self._left and not ended:
            block = self._stream.read(wanted)
            ended = not block
            self._left = self._checked(block)
        taken, self._left = self._left[:wanted], self._left[wanted:]
        self.survey = replace(self.survey, quotes=self.quotes + taken.count(b'"'))
        return taken

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def _checked(self, block: bytes) -> bytes:
        if self._only_ascii and block.isascii():
            return block
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            if not self._only_ascii or len(self.survey.encodings) == 1:
                raise NotAsItBegan from None
            self.survey = replace(self.survey, encodings=self.survey.encodings[1:])
            self._decoder = codecs.getincrementaldecoder(self.survey.encoding)()
            return self._checked(block)
        self._only_ascii = False
        return block if self.survey.encoding in UTF8 else text.encode()


def _known(name: str, encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InputRefused(name, f"there is no encoding {encoding!r}; utf-8 and cp1252 are usual ones") from None


def _candidates(name: str, sample: bytes) -> tuple[str, ...]:
    for bom, encoding in BOMS.items():
        if sample.startswith(bom):
            return (encoding,)
    if sample[:1000].count(0) * 3 > len(sample[:1000]):
        if not any(_is_readable(sample[:1000].decode(encoding, "ignore")) for encoding in ("utf-16-le", "utf-16-be")):
            raise InputRefused(name, "this is binary data, not text")
        raise InputRefused(name, "this looks like UTF-16 without a mark; set encoding to utf-16-le or utf-16-be")
    return ("utf-8", "cp1252")


def _is_readable(text: str) -> bool:
    return all(letter.isprintable() or letter in "\t\r\n" for letter in text)


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _quotes(source: Input, encoding: str) -> int:
    """Decode the whole text, counting its quotes.

    Raises:
        UnicodeDecodeError: it is in another encoding; ``start`` counts from the begin of the text.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    quotes = done = 0
    with unpacked(source) as stream:
        while True:
            block = stream.read(BLOCK)
            done += len(block)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                error.start += done - len(error.object)  # which begins with what the last block left undecided
                raise
            if not block:
                return quotes
            quotes += block.count(b'"')


def _line_at(source: Input, position: int) -> int:
    line = 1
    with unpacked(source) as stream:
        while position and (block := stream.read(min(BLOCK, position))):
            line += block.count(b"\n")
            position -= len(block)
    return line
