"""The XML of cells and texts in one plain form, in blocks: as most programs write it, or written anew by expat.

In the plain form every ``<`` begins a tag and every ``>`` ends one, names have no prefix, attributes have double quotes
and ``r`` is the first of them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import IO, Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

BLOCK = 1 << 20
#: Bytes; one row or text that is longer is a bomb, or no row at all.
LONGEST = 1 << 26
LONGEST_HEAD = 1 << 24  # bytes before the first one
TOO_LONG = f"one of its rows or texts is longer than {LONGEST >> 20} MB"
#: Tags of what is longer than a piece: a row has at most 16,384 cells of at most 10 tags each.
MOST_TAGS = 1 << 19
MOST_LEVELS = 256  # a parser holds every element that is open; no workbook has more than some twenty
TOO_DEEP = f"its XML has more than {MOST_LEVELS} levels"
_LINE = re.compile(r"[0-9]{1,10}")
_DIGITS = 10  # of a row, at most
_COLUMN = re.compile(r"[A-Za-z]{1,3}")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding=["']([^"']*)""")


class NotPlain(Exception):
    """The XML is not in the plain form; ``rewritten`` brings it there."""


class Damaged(ValueError):
    """What a workbook may not have, as the end of a sentence; empty where it is no workbook at all."""


def pieces(part: IO[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """A part of the package, piece by piece."""
    while piece := part.read(size):
        yield piece


def bounded(xml: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The same pieces.

    Raises:
        Damaged: they are more than so many bytes.
    """
    done = 0
    for piece in xml:
        done += len(piece)
        if done > most:
            raise Damaged(f"its texts unpack to more than {most >> 20} MB")
        yield piece


def blocks(xml: Iterable[bytes], container: bytes, item: bytes) -> Iterator[bytes]:
    """What the container element has, in blocks of whole items.

    Args:
        xml: the part's text.
        container: such as ``sheetData``.
        item: how an item's tag begins, such as ``<row``; no other tag in the container begins like this.

    Raises:
        NotPlain: there is no such container, as far as can be seen.
        Damaged: it ends too early, or an item is too long.
    """
    remaining = iter(xml)
    held = _after_opening(remaining, b"<" + container)
    closing = b"</" + container
    tags = 0
    for piece in remaining if held is not None else ():
        assert held is not None
        held = held + piece
        if closing in held[-len(piece) - len(closing) :]:
            break
        cut = held.rfind(item, max(0, len(held) - len(piece) - len(item)))  # nothing was found in what is older
        if cut > 0:
            yield _with_plain_line_ends(held[:cut])
            held, tags = held[cut:], 0
        tags += piece.count(b"<")
        if len(held) > LONGEST or (tags > MOST_TAGS and len(held) > len(piece)):
            raise Damaged(TOO_LONG)
    if held:
        content, found, _ = held.partition(closing)
        if not found:
            raise NotPlain
        yield _with_plain_line_ends(content)
    for _ in remaining:
        pass  # to its end, where the checksum is compared


def _after_opening(xml: Iterator[bytes], opening: bytes) -> bytes | None:
    """What is read of the content with the opening tag found; ``None`` where the element is empty."""
    head = b""
    for piece in xml:
        head += piece
        place = head.find(opening)
        end = head.find(b">", place)
        if place >= 0 and end >= 0:
            _check_encoding(head)
            # a space keeps apart what has been read from nothing
            return None if head[end - 1 : end] == b"/" else b" " + head[end + 1 :]
        if len(head) > LONGEST_HEAD:
            break
    raise NotPlain


def _check_encoding(head: bytes) -> None:
    declared = _ENCODING.match(head.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        raise NotPlain


def _with_plain_line_ends(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def rewritten(xml: Iterable[bytes]) -> Iterator[bytes]:
    """The same cells or texts in the plain form, by a parser that reads any XML.

    Raises:
        Damaged: it is no XML.
    """
    plain = _Rewriting()
    try:
        for _ in parsed(plain.parser, xml):
            yield plain.take()
    except expat.ExpatError:
        raise Damaged from None
    yield plain.take()


def parsed(parser: Any, xml: Iterable[bytes]) -> Iterator[None]:
    """Give a parser a text piece by piece; whoever iterates takes what it found in each.

    Raises:
        Damaged: a tag, an attribute or a comment is so long that nothing ends for megabytes.
        ExpatError: it is no XML.
    """
    given = 0
    for piece in xml:
        parser.Parse(piece, False)
        given += len(piece)
        if given - parser.CurrentByteIndex > LONGEST_HEAD:
            raise Damaged(TOO_LONG)
        yield
    parser.Parse(b"", True)
    yield


class _Rewriting:
    """Writes what the parser reports: elements that matter, the runs of a rich text as one, no readings of words."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self._written: list[str] = []
        self._text: list[str] | None = None
        self._texts: list[str] = []
        self._readings = self._size = self._level = 0
        self._valued = False
        self._row = self._column = 0

    def take(self) -> bytes:
        """What was written since the last call."""
        written, self._written = "".join(self._written), []
        return written.encode()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        self._level += 1
        if self._level > MOST_LEVELS:
            raise Damaged(TOO_DEEP)
        if tag in ("v", "t"):
            self._text = []
        elif tag in ("is", "si"):
            self._texts = []
        elif tag == "rPh":
            self._readings += 1
        elif tag == "row":
            given = attributes.get("r", "")
            if len(given) > _DIGITS:
                raise Damaged("the number of one of its rows is larger than any sheet has")
            self._row = int(given) if _LINE.fullmatch(given) else self._row + 1
            self._column = 0
            self._written.append(f'<row r="{self._row}">')
        elif tag == "c":
            self._cell(attributes)
        elif tag in ("sheetData", "sst", "f"):
            self._written.append(f"<{tag}>")

    def _cell(self, attributes: dict[str, str]) -> None:
        letters = attributes.get("r", "").rstrip("0123456789")
        if letters and not _COLUMN.fullmatch(letters):
            raise Damaged
        self._column = column_number(letters) if letters else self._column + 1
        self._valued = False
        others = "".join(f" {name}={quoteattr(attributes[name])}" for name in ("s", "t") if name in attributes)
        self._written.append(f'<c r="{column_letters(self._column)}{self._row}"{others}>')

    def _end(self, name: str) -> None:
        tag = name.rpartition(" ")[2]
        self._level -= 1
        if tag == "v":
            self._value("<v>", self._text or [], "</v>")
        elif tag == "t" and not self._readings:
            self._texts += self._text or []
        elif tag == "rPh":
            self._readings -= 1
        elif tag == "is":
            self._value("<is><t>", self._texts, "</t></is>")
        elif tag == "si":
            self._valued, self._size = False, 0
            self._value("<si><t>", self._texts, "</t></si>")
        elif tag in ("c", "f", "row", "sheetData", "sst"):
            self._size = 0
            self._written.append(f"</{tag}>")
        self._text = None if tag in ("v", "t") else self._text

    def _value(self, opening: str, texts: list[str], closing: str) -> None:
        if not self._valued:
            self._written.append(f"{opening}{escape(''.join(texts), {chr(13): '&#13;'})}{closing}")
        self._valued = True

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._size += len(text)
            if self._size > LONGEST:
                raise Damaged(TOO_LONG)
            self._text.append(text)

    def _refuse(self, *declared: object) -> None:
        raise Damaged


def column_number(letters: str) -> int:
    """A column's number, from 1."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def column_letters(number: int) -> str:
    """A column's letters, ``A`` for 1."""
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(65 + place) + letters
    return letters
