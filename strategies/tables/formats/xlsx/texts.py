"""What cells say, as text: numbers, days, texts, and what is no value."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.xlsx.cells import Cells, Flags
from batch_jobs.strategies.tables.formats.xlsx.dates import NO_DAY, Shown, dated
from batch_jobs.strategies.tables.formats.xlsx.plain import Damaged, NotPlain, blocks, rewritten
from batch_jobs.strategies.tables.formats.xlsx.zeros import WHOLE, Padded, with_zeros

NEVER_COMPUTED = "has a formula that was never computed; open the file in Excel and save it"

#: Numbers that are given as they are: whole ones, and those of at most 15 digits in the shortest form.
_AS_THEY_ARE = r"^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d*[1-9])$"
_DIGITS = 15  # that Excel knows and shows
_WHOLE = r"^\s*[+-]?\d+\s*$"

_ENTITY = re.compile(r"&(?:#(\d+)|#x([0-9A-Fa-f]+)|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ESCAPED = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_SI = re.compile(rb"<si>\s*<t(?:\s[^<>]*)?(?:/>|>([^<>]*)</t>)\s*</si>|<si\s*/>")

#: Bytes of a block's shared texts up to which they are not counted.
FEW_BYTES = 1 << 26

#: A part of a block's cells -> their texts, and which of them have none, with what is wrong.
Reading = Callable[[pa.StringArray], tuple[pa.StringArray, list[tuple[int, str]]]]


@dataclass(frozen=True)
class Read:
    """What cells say: ``texts``, null where there is none, and ``wrong``: cells by index, and what is wrong with them.

    ``is_text`` says which are text for people: those that are, and whole numbers shown with leading zeros.
    """

    texts: pa.StringArray
    wrong: list[tuple[int, str]]
    is_text: Flags


class Texts:
    """Turns cells into text.

    Args:
        shared: the texts that cells refer to by number.
        styles: how a number of each style is shown.
        from_1904: whether days are counted from 1904.
        computes_later: whether a formula's 0 may be what a program wrote that computes nothing.
    """

    def __init__(
        self, shared: pa.ChunkedArray, styles: list[Shown | Padded], from_1904: bool, computes_later: bool
    ) -> None:
        self._shared = shared
        self._sizes = pc.binary_length(shared)
        self._longest = pc.max(self._sizes).as_py() or 0
        self._styles = styles
        self._from_1904 = from_1904
        self._computes_later = computes_later

    def read(self, cells: Cells) -> Read:
        """What the cells say.

        Raises:
            Damaged: the texts are not UTF-8, or a shared text is missing.
        """
        values = _decoded(cells.value)
        ways, way_of = self._ways(cells)
        of_values = way_of[cells.attributes[cells.valued]]
        found: list[pa.Array] = []
        places: list[npt.NDArray[np.int64]] = []
        wrong = self._uncomputed(cells, values)
        for way, reading in enumerate(ways):
            mine = np.flatnonzero(of_values == way)
            if len(mine):
                texts, bad = reading(values if len(mine) == len(values) else values.take(pa.array(mine)))
                found.append(texts)
                places.append(cells.valued[mine])
                wrong += [(int(places[-1][index]), message) for index, message in bad]
        placed = _placed(found, places, len(cells.row))
        return Read(placed, wrong, self._are_texts(cells, placed))

    def sizes(self, cells: Cells) -> npt.NDArray[np.int64]:
        """The bytes of the shared texts that the cells of each row refer to.

        Raises:
            Damaged: a shared text is missing.
        """
        is_shared = np.array([attributes.get(b"t") == b"s" for attributes in cells.distinct], np.bool_)
        mine = np.flatnonzero(is_shared[cells.attributes[cells.valued]]) if len(cells.distinct) else np.zeros(0, int)
        if not len(mine) or self._longest * len(mine) <= FEW_BYTES:
            return np.zeros(len(cells.lines), np.int64)
        values = _filled(_decoded(cells.value.take(pa.array(mine))))
        sizes = pc.fill_null(self._taken(self._sizes, values).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        rows = cells.row[cells.valued[mine]]
        return np.bincount(rows, sizes, len(cells.lines)).astype(np.int64)

    def _are_texts(self, cells: Cells, texts: pa.StringArray) -> Flags:
        padded = np.array([isinstance(self._key(attributes)[1], Padded) for attributes in cells.distinct], np.bool_)
        if not padded.any():
            return cells.is_text
        mine = np.flatnonzero(padded[cells.attributes])
        whole = pc.match_substring_regex(texts.take(pa.array(mine)), WHOLE)
        found = cells.is_text.copy()
        found[mine] = pc.fill_null(whole, False).to_numpy(zero_copy_only=False)
        return found

    def _taken(self, shared: pa.ChunkedArray, values: pa.StringArray) -> pa.ChunkedArray:
        try:
            return shared.take(values.cast(pa.int32()))
        except (pa.ArrowInvalid, pa.ArrowIndexError):
            raise Damaged from None

    def _ways(self, cells: Cells) -> tuple[list[Reading], npt.NDArray[np.int64]]:
        """How the cells of the block are to be read, and which way each of the distinct attributes says."""
        keys = [self._key(attributes) for attributes in cells.distinct]
        distinct = list(dict.fromkeys(keys))
        return [self._reading(*key) for key in distinct], np.array([distinct.index(key) for key in keys], np.int64)

    def _key(self, attributes: dict[bytes, bytes]) -> tuple[str, Shown | Padded]:
        kind = attributes.get(b"t", b"n").decode()
        style = attributes.get(b"s", b"0")
        place = int(style) if style.isdigit() else 0
        shown = self._styles[place] if kind == "n" and place < len(self._styles) else Shown.NUMBER
        return kind, shown

    def _reading(self, kind: str, shown: Shown | Padded) -> Reading:
        if isinstance(shown, Padded):
            return lambda values: (with_zeros(self._numbers(values)[0], shown), [])
        if kind == "n":
            return self._numbers if shown is Shown.NUMBER else lambda values: self._dates(values, shown)
        known: dict[str, Reading] = {
            "s": self._shared_texts, "inlineStr": _texts, "str": lambda values: _texts(_filled(values)),
            "b": _booleans, "e": _errors, "d": _iso,
        }  # fmt: skip
        return known.get(kind, _texts)

    def _uncomputed(self, cells: Cells, values: pa.StringArray) -> list[tuple[int, str]]:
        if not cells.formula.any():
            return []
        computed = np.zeros(len(cells.row), np.bool_)
        doubtful = pa.array(["", "0"] if self._computes_later else [""])
        has_value = pc.invert(pc.is_in(values, doubtful)).to_numpy(zero_copy_only=False)
        computed[cells.valued[has_value]] = True
        # a text that was computed may be empty, but it is there
        computed[cells.valued[cells.is_text[cells.valued]]] = True
        never = cells.formula & ~computed
        return [(index, NEVER_COMPUTED) for index in np.flatnonzero(never).tolist()]

    def _numbers(self, values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
        values = _filled(values)
        as_they_are = pc.match_substring_regex(values, _AS_THEY_ARE)
        short = pc.less_equal(pc.binary_length(values), _DIGITS + 1)
        good = pc.fill_null(pc.and_(as_they_are, pc.or_(short, pc.invert(pc.match_substring(values, ".")))), True)
        others = np.flatnonzero(pc.invert(good).to_numpy(zero_copy_only=False))
        if len(others):
            plain = _shortest(values.take(pa.array(others)))
            values = pc.replace_with_mask(values, pc.invert(good), plain)
        return values, []

    def _dates(self, values: pa.StringArray, shown: Shown) -> tuple[pa.StringArray, list[tuple[int, str]]]:
        values = _filled(values)
        read = dated(values, shown, self._from_1904)
        bad = np.flatnonzero(pc.and_(read.wrong, pc.is_valid(values)).to_numpy(zero_copy_only=False)).tolist()
        return pc.if_else(read.wrong, values, read.texts), [(index, NO_DAY) for index in bad]

    def _shared_texts(self, values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
        taken = self._taken(self._shared, _filled(values))
        return pa.concat_arrays(taken.chunks or [pa.array([], pa.string())]), []


def _shortest(texts: pa.StringArray) -> pa.StringArray:
    """Numbers by the 15 digits that Excel knows and shows; a whole one as it is."""
    if pc.any(pc.match_substring_regex(texts, _WHOLE)).as_py():
        return pa.array([_number(text) for text in texts.to_pylist()], pa.string())
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return pa.array([_number(text) for text in texts.to_pylist()], pa.string())
    return pa.array([f"{value + 0.0:.{_DIGITS}g}" for value in numbers.to_pylist()], pa.string())


def _number(text: str) -> str:
    try:
        return str(int(text)) if re.fullmatch(_WHOLE, text) else f"{float(text) + 0.0:.{_DIGITS}g}"
    except ValueError:
        return text  # it is for the column to say that it is no number


def _filled(values: pa.StringArray) -> pa.StringArray:
    """Empty values as none."""
    empty = pc.equal(values, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), values) if pc.any(empty).as_py() else values


def _booleans(values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
    values = _filled(values)
    return pc.if_else(pc.equal(values, "1"), "true", pc.if_else(pc.equal(values, "0"), "false", values)), []


def _errors(values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
    return values, [(index, f"is the error {text}") for index, text in enumerate(values.to_pylist()) if text]


def _iso(values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
    return pc.replace_substring(_filled(values), "T", " "), []


def _texts(values: pa.StringArray) -> tuple[pa.StringArray, list[tuple[int, str]]]:
    return unescaped(values), []


def _placed(found: list[pa.Array], places: list[npt.NDArray[np.int64]], count: int) -> pa.StringArray:
    """The texts in the order of the cells."""
    if len(found) == 1 and len(found[0]) == count:
        return found[0]
    order = np.full(count, -1)
    if found:
        order[np.concatenate(places)] = np.arange(sum(map(len, found)))
    return pa.concat_arrays([*found, pa.array([], pa.string())]).take(pa.array(order, mask=order < 0))


def _decoded(values: pa.BinaryArray) -> pa.StringArray:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        raise Damaged from None


def unescaped(texts: pa.StringArray) -> pa.StringArray:
    """Texts with XML's and Excel's escapes resolved."""
    marked = pc.or_(pc.match_substring(texts, "&"), pc.match_substring(texts, "_x"))
    if not pc.any(marked).as_py():
        return texts
    plain = [_unescape(text) for text in texts.filter(marked).to_pylist()]
    return pc.replace_with_mask(texts, marked, pa.array(plain, pa.string()))


def _unescape(text: str) -> str:
    resolved = _ENTITY.sub(_entity, text) if "&" in text else text
    return _ESCAPED.sub(_characters, resolved) if "_x" in resolved else resolved


def _entity(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise Damaged
    return chr(code)


def _characters(match: re.Match[str]) -> str:
    """Each ``_x000D_`` is one unit of UTF-16."""
    units = bytes.fromhex("".join(match[0][place + 2 : place + 6] for place in range(0, len(match[0]), 7)))
    return units.decode("utf-16-be", errors="replace")


def shared_texts(opened: Callable[[], Iterable[bytes]], enough: int | None = None) -> pa.ChunkedArray:
    """The table of texts that cells refer to.

    Args:
        opened: starts to read its part anew.
        enough: how many of them are needed, from the first; all by default.

    Raises:
        Damaged: it is none.
    """
    try:
        chunks = _up_to(map(_plain_texts, blocks(opened(), b"sst", b"<si")), enough)
    except NotPlain:
        try:
            chunks = _up_to(map(_plain_texts, blocks(rewritten(opened()), b"sst", b"<si")), enough)
        except NotPlain:
            raise Damaged from None
    return pa.chunked_array(chunks, pa.string()) if chunks else pa.chunked_array([[]], pa.string())


def _up_to(found: Iterable[pa.StringArray], enough: int | None) -> list[pa.StringArray]:
    chunks, count = [], 0
    for chunk in found:
        chunks.append(chunk)
        count += len(chunk)
        if enough is not None and count >= enough:
            break
    return chunks


def _plain_texts(block: bytes) -> pa.StringArray:
    found: list[Any] = _SI.findall(block)
    if len(found) != block.count(b"<si"):  # rich texts, and readings of Japanese words
        raise NotPlain
    return unescaped(_decoded(pa.array(found, pa.binary())))
