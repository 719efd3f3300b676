"""A workbook beside its cells: which sheets there are, which formats are dates, what is refused before it is read."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO
from xml.parsers import expat
from zipfile import ZipFile

from batch_jobs.strategies.tables.formats.xlsx.dates import BUILT_IN, Shown, shown_by
from batch_jobs.strategies.tables.formats.xlsx.plain import MOST_LEVELS, TOO_DEEP, Damaged, bounded, parsed, pieces
from batch_jobs.strategies.tables.formats.xlsx.zeros import Padded, padded_by

SHEETS = "xl/worksheets/"  # these are read row by row
LARGEST_TEXTS = 1 << 28  # bytes
#: Bytes of a part that says what the workbook has, such as its sheets and styles.
LARGEST_PART = 1 << 25
#: Characters of a format; Excel has no longer ones, and nothing else shows a day.
LONGEST_FORMAT = 255

TRUE = ("1", "true", "on")


@dataclass(frozen=True)
class Sheet:
    """A worksheet: its name, its part of the package, and whether people see it."""

    name: str
    part: str
    state: str

    @property
    def shown(self) -> str:
        """Its name for people."""
        return self.name if self.state == "visible" else f"{self.name} (hidden)"


class Workbook:
    """What the package says of its sheets.

    Args:
        package: the open file.

    Raises:
        Damaged: it is no workbook, or a bomb.
    """

    def __init__(self, package: ZipFile) -> None:
        self.package = package
        # some programs write backslashes, or other cases than in the references
        self._parts = {_folded(info.filename): info for info in package.infolist()}
        texts = [info.file_size for info in package.infolist() if not _folded(info.filename).startswith(SHEETS)]
        if sum(texts) > LARGEST_TEXTS:
            raise Damaged(f"its texts unpack to more than {LARGEST_TEXTS >> 20} MB")
        self._related = self._relations(self._main)
        self.sheets: list[Sheet] = []
        self.from_1904 = False
        #: Whether the program that wrote it left its formulas to the next one that opens it.
        self.computes_later = False
        self._read_main()

    def open(self, name: str) -> IO[bytes]:
        """Open a part of the package."""
        if _folded(name) not in self._parts:
            raise Damaged
        return self.package.open(self._parts[_folded(name)])

    def texts(self) -> Iterator[bytes]:
        """The part that has the shared texts, piece by piece; nothing where there is none.

        Raises:
            Damaged: they are too many, whatever part they are in.
        """
        part = self._part_of("/sharedStrings")
        if part is not None:
            with self.open(part) as stream:
                yield from bounded(pieces(stream), LARGEST_TEXTS)

    @property
    def has_texts(self) -> bool:
        """Whether there are shared texts."""
        return self._part_of("/sharedStrings") is not None

    @cached_property
    def styles(self) -> list[Shown | Padded]:
        """How a number of each style is shown."""
        part = self._part_of("/styles")
        formats: dict[str, Shown | Padded] = dict(BUILT_IN)
        found: list[Shown | Padded] = [Shown.NUMBER]
        container = ""
        for name, attributes in self._elements(part) if part else ():
            if name in ("cellStyleXfs", "cellXfs", "cellStyles", "dxfs"):
                container = name
                found = [] if name == "cellXfs" else found
            elif name == "numFmt" and container == "":
                code = attributes.get("formatCode", "")
                if len(code) <= LONGEST_FORMAT:
                    formats[attributes.get("numFmtId", "")] = padded_by(code) or shown_by(code)
            elif name == "xf" and container == "cellXfs":
                found.append(formats.get(attributes.get("numFmtId", ""), Shown.NUMBER))
        return found

    def choose(self, wanted: str | int | None) -> Sheet:
        """The sheet of this name or number, or the first that people see.

        Raises:
            Damaged: there is none.
        """
        if wanted is None:
            if not self.sheets:
                raise Damaged("it has no sheet with cells")
            return next((sheet for sheet in self.sheets if sheet.state == "visible"), self.sheets[0])
        by_name = {sheet.name.casefold(): sheet for sheet in self.sheets}  # Excel knows no two of other case
        if str(wanted).casefold() in by_name:
            return by_name[str(wanted).casefold()]
        by_number = {str(number): sheet for number, sheet in enumerate(self.sheets, 1)}
        if str(wanted) in by_number:
            return by_number[str(wanted)]
        there = ", ".join(f"{number} {sheet.shown}" for number, sheet in enumerate(self.sheets, 1))
        raise Damaged(f"it has no sheet {wanted!r}; it has: {there}")

    @cached_property
    def _main(self) -> str:
        for kind, part in self._relations("").values():
            if kind.endswith("/officeDocument"):
                return part
        raise Damaged

    def _read_main(self) -> None:
        for name, attributes in self._elements(self._main):
            if name == "sheet":
                kind, part = self._related.get(attributes.get("id", ""), ("", ""))
                if kind.endswith("/worksheet"):
                    self.sheets.append(Sheet(attributes.get("name", ""), part, attributes.get("state", "visible")))
            elif name == "workbookPr":
                self.from_1904 = attributes.get("date1904", "").lower() in TRUE
            elif name == "calcPr":
                self.computes_later = attributes.get("fullCalcOnLoad", "").lower() in TRUE

    def _part_of(self, kind: str) -> str | None:
        return next((part for other, part in self._related.values() if other.endswith(kind)), None)

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """What a part refers to: id -> kind and part."""
        folder, name = posixpath.split(part)
        found = {}
        for element, attributes in self._elements(posixpath.join(folder, "_rels", f"{name}.rels")):
            if element == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
                found[attributes.get("Id", "")] = (attributes.get("Type", ""), target.lstrip("/"))
        return found

    def _elements(self, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """The elements of a part in their order, without namespaces."""
        found: list[tuple[str, dict[str, str]]] = []
        level = 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal level
            level += 1
            if level > MOST_LEVELS:
                raise Damaged(TOO_DEEP)
            local = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
            found.append((name.rpartition(" ")[2], local))

        def end(_name: str) -> None:
            nonlocal level
            level -= 1

        def refuse(*declared: object) -> None:
            raise Damaged

        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartDoctypeDeclHandler = refuse
        with self.open(part) as stream:
            try:
                for _ in parsed(parser, bounded(pieces(stream), LARGEST_PART)):
                    yield from found
                    found.clear()
            except expat.ExpatError:
                raise Damaged from None


def _folded(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
