"""In which encoding a text is read, and what is said of it."""

import io
import subprocess
import sys
from typing import Any

import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from batch_jobs.strategies.tables.formats.format import open_reader
from batch_jobs.strategies.tables.formats.reading import Input, Reader, ReadOptions

TEXTS = {
    "cp1250": ["Łódź", "Żółw Gęś,Příliš žluťoučký kůň", "Kovács Győző", "Željko Šarić", "Dvořák,Jiří", "Timişoara"],
    "cp1251": ["Москва,Санкт-Петербург", "Юлия", "Љубица и Петар живе у Београду"],
    "koi8-r": ["Москва,Санкт-Петербург"],
    "cp866": ["Москва,Санкт-Петербург"],
    "cp932": ["東京,大阪", "日本茶,ペン"],
    "gb18030": ["北京,上海市"],
    "big5": ["台北,高雄市"],
    "euc_kr": ["서울,부산"],
    "euc_jp": ["日本茶,ノート"],
    "cp1252": [
        "é", "5 €", "Müller,Straße", "naïve café", "São Paulo,Açaí", "“quoted” – dash", "Þórður,Ísafjörður", "¿Qué?",
        "Smørrebrød,Århus", "Motörhead™,25°C,½ kg", "lunedì,più,È",
    ],
    "cp1253": ["Αθήνα,Θεσσαλονίκη"],
    "cp1256": ["مرحبا بالعالم"],
    "cp850": ["Müller,Strüdel"],
    "mac_roman": ["Müller,Straße"],
}  # fmt: skip


def opened(content: bytes, **given: Any) -> Reader:
    return open_reader(lambda: io.BytesIO(content), "file.csv", options=ReadOptions(**given))


def cells(reader: Reader) -> list[list[str]]:
    return [list(row.values()) for batch in reader.batches() for row in batch.table.to_pylist()]


@pytest.mark.parametrize(
    ("encoding", "text"), [(encoding, text) for encoding, texts in TEXTS.items() for text in texts]
)
def test_A10_encodings_are_found_by_a_few_words_and_the_guess_is_shown(encoding: str, text: str):
    header = ",".join(f"c{place}" for place in range(text.count(",") + 2))
    content = f"{header}\n1,{text}\n"

    reader = opened(content.encode(encoding))

    assert cells(reader)[-1] == ["1", *text.split(",")]
    assert reader.described["encoding_is"] == "guessed"
    assert reader.described["sample"] == f"1,{text}"


@pytest.mark.parametrize(("encoding", "text"), [("cp1250", "Łódź"), ("cp1251", "Москва"), ("cp932", "東京")])
def test_A10_encodings_that_show_late_are_found_in_one_pass(encoding: str, text: str):
    content = "id,name\n" + "1,x\n" * 300_000 + f"2,{text}\n3,x\n"
    reader = CsvReader(Input(lambda: io.BytesIO(content.encode(encoding)), "file.csv"))
    assert cells(reader)[-2:] == [["2", text], ["3", "x"]]
    assert (reader.described["encoding_is"], reader.described["sample"]) == ("guessed", f"2,{text}")


def test_A10_the_option_mends_a_wrong_guess():
    content = "id,name\n1,Müller 5 ¤\n".encode("cp1250")
    assert "guessed" not in opened(content, encoding="cp1250").described.values()
    assert cells(opened("id,name\n1,5 €\n".encode("iso8859-15"), encoding="latin9")) == [["1", "5 €"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_A10_what_is_found_is_no_guess(encoding: str):
    reader = opened("id,name\n1,Łódź\n".encode(encoding))
    assert cells(reader) == [["1", "Łódź"]]
    assert set(reader.described) == {"format", "delimiter", "encoding"}


def test_A10_the_sample_is_kept_for_another_reader_of_the_file():
    content = "id,name\n1,Łódź\n".encode("cp1250")
    reader = opened(content)
    options = ReadOptions(found=reader.found)
    assert CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), options).described == reader.described


def bad_cells(reader: CsvReader) -> list[tuple[int, str, str]]:
    return [
        (batch.lines[cell.index].as_py(), cell.column, cell.message)
        for batch in reader.batches()
        for cell in batch.bad_cells
    ]


@pytest.mark.parametrize("lines", [2, 10, 400_000])
@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-8-sig"])
def test_A10_broken_bytes_in_utf8_are_bad_cells_and_the_rest_is_utf8(lines: int, encoding: str | None):
    mark = "\ufeff" if encoding == "utf-8-sig" else ""
    content = f"{mark}a,b\n".encode() + "1,äöü\n".encode() * lines + b"2,caf\xe9 \xfc\n3,x\n"
    reader = opened(content, encoding="utf-8" if encoding == "utf-8" else None)

    assert cells(reader)[0] == ["1", "äöü"]
    assert cells(reader)[-2:] == [["2", "caf\ufffd \ufffd"], ["3", "x"]]
    assert bad_cells(reader) == [
        (lines + 2, "b", "'caf\ufffd \ufffd' is not UTF-8 (E9 FC); correct it, or set the encoding")
    ]
    assert (reader.described["encoding_is"], reader.described["sample"]) == ("broken", "2,caf\ufffd \ufffd")
    again = CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), ReadOptions(found=reader.found))
    assert bad_cells(again) == bad_cells(reader)
    assert again.described == reader.described


def test_A10_more_broken_bytes_than_letters_in_utf8_are_another_encoding():
    content = "id,name\n1,Ã©\n2,Müller\n3,Größe\n".encode("cp1252")
    assert opened(content).described["encoding"] == "cp1252"


def test_A10_broken_bytes_in_quotes_beyond_the_header_and_in_short_rows_are_found():
    content = 'a,b\n1,"ä\nö'.encode() + b'\xe9\n"\n' + "ü,ö,".encode() + b"\xe9\n\xe9\n4,ok\n"
    reader = opened(content)
    assert bad_cells(reader) == [(2, "b", "'ä\\nö\ufffd\\n' is not UTF-8 (E9); correct it, or set the encoding")]
    (batch,) = reader.batches()
    assert [(row.line, list(row.row.values())) for row in batch.bad_rows] == [
        (5, ["ü", "ö", "\ufffd"]), (6, ["\ufffd", None])
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_A10_a_broken_header_is_refused(encoding: str | None):
    content = b"id,stra\xdfe\n" + "1,äöü\n".encode() * 10
    with pytest.raises(InputRefused, match=r"its header is not utf-8 \(DF\); set the encoding"):
        opened(content, encoding=encoding)


def test_A10_a_given_encoding_that_is_wrong_is_refused():
    with pytest.raises(InputRefused, match="line 2 is not utf-8; set the encoding"):
        opened(b"a,b\n1,caf\xe9\n", encoding="utf-8")


def test_no_encoding_is_what_is_not_for_text():
    with pytest.raises(InputRefused, match="there is no encoding 'hex'"):
        opened(b"a,b\n1,2\n", encoding="hex")


def test_a_file_in_utf8_loads_no_library_for_others():
    code = (
        "import io, sys; from batch_jobs.strategies.tables.formats.format import open_reader; "
        "list(open_reader(lambda: io.BytesIO('a,b\\n1,\\xe9\\n'.encode()), 'f.csv').batches()); "
        "print('charset_normalizer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
