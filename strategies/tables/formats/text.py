"""The bytes of a text input: unpacked, looked over once, with what is surely not text refused."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import Source

BLOCK = 1 << 20
SAMPLE = 1 << 20
#: How other formats begin.
MAGIC = {
    b"PK\x03\x04": "an Excel or zip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip file; name it .gz",
}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Survey:
    """What one look at the whole of a text tells: its encoding, its first megabyte, how many quotes it has."""

    encoding: str
    sample: bytes
    quotes: int


@contextmanager
def unpacked(source: Source, name: str) -> Iterator[BinaryIO]:
    """Open the input, unpacking what is named ``.gz``; a damaged archive is refused wherever reading meets it."""
    with source() as raw:
        packed = name.lower().endswith(".gz")
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            yield stream
        except (gzip.BadGzipFile, zlib.error):
            raise InputRefused(name, "it is named .gz and is not a gzip file, or is damaged") from None
        except EOFError:
            raise InputRefused(name, "the gzip file ends too early; it was cut off, upload it again") from None


def survey(source: Source, name: str, encoding: str | None) -> Survey:
    """Read the whole text once: find its encoding, or check the given one.

    Raises:
        InputRefused: it is empty, no text, or not in the encoding.
    """
    with unpacked(source, name) as stream:
        sample = stream.read(SAMPLE)
    if not sample:
        raise InputRefused(name, "the file is empty; it needs at least a line with the names of the columns")
    for magic, what in MAGIC.items():
        if sample.startswith(magic):
            raise InputRefused(name, f"this is {what}, not text")
    candidates = [_known(name, encoding)] if encoding else _candidates(name, sample)
    furthest = 0
    for candidate in candidates:
        try:
            return Survey(candidate, sample, _quotes(source, name, candidate))
        except UnicodeDecodeError as error:
            furthest = max(furthest, error.start)
    tried = " nor ".join(candidates)
    raise InputRefused(name, f"line {_line_at(source, name, furthest)} is not {tried}; set the encoding")


def _known(name: str, encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InputRefused(name, f"there is no encoding {encoding!r}; utf-8 and cp1252 are usual ones") from None


def _candidates(name: str, sample: bytes) -> list[str]:
    for bom, encoding in BOMS.items():
        if sample.startswith(bom):
            return [encoding]
    if sample[:1000].count(0) * 3 > len(sample[:1000]):
        if not any(_is_readable(sample[:1000].decode(encoding, "ignore")) for encoding in ("utf-16-le", "utf-16-be")):
            raise InputRefused(name, "this is binary data, not text")
        raise InputRefused(name, "this looks like UTF-16 without a mark; set encoding to utf-16-le or utf-16-be")
    return ["utf-8", "cp1252"]


def _is_readable(text: str) -> bool:
    return all(letter.isprintable() or letter in "\t\r\n" for letter in text)


def _quotes(source: Source, name: str, encoding: str) -> int:
    """Decode the whole text, counting its quotes.

    Raises:
        UnicodeDecodeError: it is in another encoding; ``start`` counts from the begin of the text.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    quotes = done = 0
    with unpacked(source, name) as stream:
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


def _line_at(source: Source, name: str, position: int) -> int:
    line = 1
    with unpacked(source, name) as stream:
        while position and (block := stream.read(min(BLOCK, position))):
            line += block.count(b"\n")
            position -= len(block)
    return line
