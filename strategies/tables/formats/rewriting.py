"""Delimited text that Arrow would not split as it is meant, put in the way Arrow knows; every line keeps its place."""

import codecs
import re
from collections.abc import Iterable, Iterator

LINE_END = re.compile(rb"\r\n|\n|\r")
#: What cells are quoted with for Arrow where the file itself knows no quotes, but has escaped delimiters.
OWN_QUOTE = "\x1f"
NEVER = "(?!)"


class Rewriting:
    """Leaves out comments, blanks around quoted cells, and escapes.

    Args:
        delimiter: between cells.
        quote: around cells; empty for none.
        escape: before a character that is to be taken as it is, where it is a quote, a delimiter, a line end or itself.
        comment: how lines begin that are to be blank.
        blanks: whether blanks between a delimiter and a quote mean nothing.
    """

    def __init__(self, delimiter: str, quote: str, escape: str | None, comment: str | None, blanks: bool) -> None:
        self._quote = (quote or OWN_QUOTE).encode()
        self._token = _token(delimiter, quote, escape, comment, blanks)
        self._escaped = _escaped(delimiter, quote, escape) if escape else None

    def __call__(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The text in blocks that end anywhere."""
        left, wanted, first = b"", 0, True
        for block in blocks:
            left += block.removeprefix(codecs.BOM_UTF8) if first else block
            first = False
            if len(left) >= wanted:  # a cell that goes on is looked at again when twice as much of it is there
                done, left = self._done(left, max(left.rfind(b"\n"), left.rfind(b"\r"), 0), final=False)
                wanted = 2 * len(left) if not done else 0
                if done:
                    yield done
        yield self._done(left, len(left), final=True)[0]

    def _done(self, text: bytes, end: int, final: bool) -> tuple[bytes, bytes]:
        """What is certain of the text up to a line's end, rewritten, and what is left."""
        parts, at = [], 0
        for found in self._token.finditer(text, 0, end):
            if found.end() == end and not final:
                end = found.start()
                break
            parts += [text[at : found.start()], self._rewritten(found)]
            at = found.end()
        return b"".join([*parts, text[at:end]]), text[end:]

    def _rewritten(self, found: re.Match[bytes]) -> bytes:
        lead: bytes = found["lead"]
        if found["body"] is not None:
            return lead + self._quote + self._plain(found["body"]) + (self._quote if found["close"] else b"")
        if found["cell"] is None:
            return lead
        plain = self._plain(found["cell"], in_quotes=False)
        if plain == found["cell"]:
            return found[0]
        return lead + self._quote + plain.replace(self._quote, self._quote * 2) + self._quote

    def _plain(self, text: bytes, in_quotes: bool = True) -> bytes:
        if self._escaped is None:
            return text
        doubled = self._quote * 2 if in_quotes else self._quote
        return self._escaped.sub(lambda found: doubled if found[1] == self._quote else found[1], text)


def _token(delimiter: str, quote: str, escape: str | None, comment: str | None, blanks: bool) -> re.Pattern[bytes]:
    """What may have to be rewritten: whole quoted cells, unquoted ones with an escape, and comments."""
    between = _class(delimiter)
    kinds = [_comment(comment)] if comment else []
    kinds.append(_quoted(between, quote, escape, blanks) if quote else rf"(?P<body>(?P<close>{NEVER}))")
    kinds.append(_bare(between, quote, escape) if escape else rf"(?P<cell>{NEVER})")
    return re.compile(rf"(?P<lead>\A|[{between}\r\n])(?:{'|'.join(kinds)})".encode())


def _comment(comment: str) -> str:
    return rf"(?<![^\r\n]){re.escape(comment)}[^\r\n]*+"


def _quoted(between: str, quote: str, escape: str | None, blanks: bool) -> str:
    mark, slash = re.escape(quote), re.escape(escape or "")
    pair = rf"{mark}{mark}|{slash}[\s\S]" if escape else rf"{mark}{mark}"
    plain = f"[^{_class(quote + (escape or ''))}]*+"
    body = f"{plain}(?:(?:{pair}){plain})*+"
    if not blanks:
        return rf"{mark}(?P<body>{body})(?:(?P<close>{mark})|\Z)"
    after = rf" *+(?=[{between}\r\n]|\Z)"
    before = rf"(?: ++(?={mark}{body}(?:{mark}{after}|\Z)))?+"  # it stays where more follows: that cell is not quoted
    return rf"{before}{mark}(?P<body>{body})(?:(?P<close>{mark})(?:{after})?|\Z)"


def _bare(between: str, quote: str, escape: str) -> str:
    slash = re.escape(escape)
    plain = rf"[^{between}\r\n{_class(escape)}]*+"
    not_quoted = f"(?!{re.escape(quote)})" if quote else ""
    return rf"{not_quoted}(?P<cell>{plain}(?:{slash}(?:\r\n|[\s\S]|\Z){plain})++)"


def _escaped(delimiter: str, quote: str, escape: str) -> re.Pattern[bytes]:
    return re.compile(rf"{re.escape(escape)}(\r\n|[{_class(delimiter + quote + escape)}\r\n])".encode())


def _class(characters: str) -> str:
    return "".join(f"\\{character}" if character in "\\]^-[" else character for character in characters)


def without_lines(blocks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """The text without so many physical lines at its beginning."""
    begun_end = False  # a carriage return was the last byte, and a line feed after it belongs to it
    for block in blocks:
        at = 1 if begun_end and block.startswith(b"\n") else 0
        begun_end = False
        while lines and (found := LINE_END.search(block, at)):
            at, lines = found.end(), lines - 1
            begun_end = found[0] == b"\r" and at == len(block)
        if not lines:
            yield block[at:]
