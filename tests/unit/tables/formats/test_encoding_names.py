"""Which names an encoding may have, found out before a job is there."""

import encodings
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.formats.encodings import text_encoding

#: Python's codecs that are none of a text in bytes.
NO_TEXT = ("base64", "bz2_codec", "hex", "idna", "punycode", "quopri", "rot13", "undefined", "uu", "zlib")
NAMES = sorted(module.name for module in pkgutil.iter_modules(encodings.__path__))


@pytest.mark.parametrize("name", [*NO_TEXT, "klingon", "aliases", "a\0b", "x" * 1_000_000, "\ud800"])
def test_what_no_text_is_in_is_refused_when_a_job_is_created(name: str):
    told = "^there is no encoding .{1,60}; utf-8 and cp1252 are usual ones$"
    with pytest.raises(ContextRefused, match=told):
        TableImport().prepare(TableImport.Context(file_key="uploads/*", table="t", encoding=name))
    with pytest.raises(ContextRefused, match=told):
        ProductImport().prepare(ProductImport.Context(file_key="a.csv", encoding=name))


@pytest.mark.parametrize(
    "name", ["utf-8", "UTF8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "cp932", "cp037"]
)
def test_what_texts_are_in_is_not(name: str):
    TableImport().prepare(TableImport.Context(file_key="a.csv", table="t", encoding=name))


@given(st.sampled_from(NAMES) | st.text(max_size=60))
def test_any_name_is_an_encoding_or_refused_in_one_line(name: str):
    try:
        known = text_encoding(name)
    except ValueError as error:
        told = str(error)
    else:
        told = f"{known} is one of texts"
        assert "Müller".encode(known, errors="replace")
    assert "\n" not in told
