"""Excel files for tests: by openpyxl, or written by hand where a program wrote what openpyxl would not."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import openpyxl

from batch_jobs.strategies.tables.formats.reading import Input, ReadOptions
from batch_jobs.strategies.tables.formats.xlsx import XlsxReader

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'


def workbook(*rows: Sequence[Any], formats: dict[int, str] | None = None) -> bytes:
    """A workbook of one sheet; ``formats`` by column, from 1."""
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
        for column, code in (formats or {}).items():
            book.active.cell(book.active.max_row, column).number_format = code
    book.save(stream)
    return stream.getvalue()


def replaced(content: bytes, old: bytes, new: bytes, part: str = "xl/worksheets/sheet1.xml") -> bytes:
    """The workbook with another text in one of its parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(stream, "w") as other:
        for info in book.infolist():
            text = book.read(info)
            if info.filename == part:
                assert old in text
                text = text.replace(old, new)
            other.writestr(info.filename, text)
    return stream.getvalue()


def by_hand(
    rows: str,
    *,
    sheet: str | bytes | None = None,
    texts: str | bytes = "",
    formats: dict[int, str] | None = None,
    main: str = "",
    sheets: str = '<sheet name="Data" sheetId="1" r:id="rId1"/>',
) -> bytes:
    """A workbook whose XML is given.

    Args:
        rows: what ``sheetData`` has.
        sheet: the whole sheet instead.
        texts: what the table of shared texts has.
        formats: style -> the code of its format; style 0 has none.
        main: what the workbook has before its sheets.
        sheets: the workbook's sheets; rId1 is the sheet, rId2 an empty other one.
    """
    codes = formats or {}
    written = "".join(f'<numFmt numFmtId="{200 + style}" formatCode="{code}"/>' for style, code in codes.items())
    used = "".join(
        f'<xf numFmtId="{200 + style if style in codes else 0}"/>' for style in range(max(codes, default=0) + 1)
    )
    parts = {
        "_rels/.rels": f'<Relationships {RELATIONS}><Relationship Id="rId1" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{OFFICE}">{main}<sheets>{sheets}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships {RELATIONS}>"
        + "".join(
            f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{target}"/>'
            for key, kind, target in [
                ("rId1", "worksheet", "worksheets/sheet1.xml"), ("rId2", "worksheet", "/xl/worksheets/sheet2.xml"),
                ("rId3", "chartsheet", "chartsheets/sheet1.xml"), ("rId4", "styles", "styles.xml"),
                ("rId5", "sharedStrings", "sharedStrings.xml"),
            ]
        )
        + "</Relationships>",
        "xl/styles.xml": f"<styleSheet {MAIN}><numFmts>{written}</numFmts><cellXfs>{used}</cellXfs></styleSheet>",
        "xl/sharedStrings.xml": texts if isinstance(texts, bytes) else f"<sst {MAIN}>{texts}</sst>",
        "xl/worksheets/sheet1.xml": sheet or f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>",
        "xl/worksheets/sheet2.xml": f"<worksheet {MAIN}><sheetData/></worksheet>",
    }  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return stream.getvalue()


def xlsx_reader(content: bytes, rows: int = 5_000, **options: Any) -> XlsxReader:
    """A reader of these bytes."""
    return XlsxReader(Input(lambda: io.BytesIO(content), "f.xlsx"), ReadOptions(**options), rows)
