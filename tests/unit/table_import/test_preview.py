import hashlib
import re
from pathlib import Path

import pytest
from sqlalchemy import inspect

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import InputChanged, JobRefused, TooManyRejects
from batch_jobs.strategies.table_import import TableImport


def test_the_preview_counts_and_shows_changes_and_writes_nothing(importing, products):
    before = products()
    job = importing.preview("code,name,stock\nA,Apple,1\nB,Brot,5\nC,Corn,3\n", table="products", mode="upsert")

    assert job.plan["counts"] == {"create": 1, "update": 1, "unchanged": 1, "remove": 0, "reject": 0}
    assert job.plan["sample"] == [
        {"line": 3, "key": {"code": "B"}, "column": "name", "before": "Bread", "after": "Brot"},
        {"line": 3, "key": {"code": "B"}, "column": "stock", "before": "2", "after": "5"},
    ]
    assert job.plan["columns"] == {"name": {"changed": 1, "emptied": 0}, "stock": {"changed": 1, "emptied": 0}}
    assert "name: 1 row; stock: 1 row" in [entry.message for entry in job.result.stat_descriptors]
    assert job.result.count == 3
    assert products() == before


def test_what_the_preview_counts_is_what_happens(importing, products):
    lines = [f"K{number % 40:03},n{number},{number}" for number in range(60)] + [
        "A,Apple,1",
        "B,Brot,x",
        "B,Brot,4",
        "A,,2",
    ]
    job = importing.preview("code,name,stock\n" + "\n".join(lines) + "\n", table="products", mode="upsert")
    counts = dict(job.plan["counts"])
    hooks.process(TableImport(), job)

    told = job.result
    assert counts == {
        "create": told.created,
        "update": told.updated,
        "unchanged": told.unchanged,
        "remove": told.removed,
        "reject": told.rejected,
    }
    assert told.advancement_count == told.count == 64


def test_changes_are_counted_by_column_and_a_repeated_row_takes_its_own_back(importing, products):
    content = "code,name,stock,note\nA,Apple,5,\nB,Brot,2,keep\nA,Other,6,x\n"
    job = importing.preview(content, table="products", mode="upsert")

    assert job.plan["counts"] == {"create": 0, "update": 2, "unchanged": 0, "remove": 0, "reject": 1}
    assert {name: tuple(changes.values()) for name, changes in job.plan["columns"].items()} == {
        "name": (1, 0),
        "stock": (1, 0),
        "note": (1, 1),
    }
    assert job.plan["rejects"] == [{"line": 4, "column": None, "message": "key code=A is already on line 2"}]


def test_the_plan_has_the_first_rejects_by_line(importing, products):
    content = "code,name,stock\n" + "".join(f"K{number},n,x\n" for number in range(50))
    job = importing.preview(content, table="products", mode="upsert")

    assert [reject["line"] for reject in job.plan["rejects"]] == list(range(2, 22))
    assert job.plan["rejects"][0]["column"] == "stock"


def test_a_dry_run_leaves_a_sqlite_file_as_it_is(importing, products, target):
    if target.dialect.name != "sqlite":
        pytest.skip("a PostgreSQL database is not one file")
    products()
    target.dispose()
    path = Path(target.url.database)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    importing.preview("code,name,stock\nA,Changed,1\nN,New,5\n", table="products", mode="upsert")
    target.dispose()

    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_dry_run_does_not_create_the_table(importing, target):
    job = importing.preview("code,n\n007,1\n", table="fresh", mode="upsert", key=["code"])

    assert not inspect(target).has_table("fresh")
    assert [(column["name"], bool(column["why"])) for column in job.plan["creates"]] == [("code", True), ("n", True)]


def test_each_column_of_a_new_table_is_told_with_its_type_and_why(importing):
    job = importing.preview("code,n\nA-001,1\n", table="fresh")

    told = [entry.message for entry in job.result.stat_descriptors if entry.name in ("Table", "Column")]
    assert told == [
        "fresh will be created",
        "code Text, because 'A-001' on line 2 is not a whole number",
        "n BigInteger, because every value is a whole number",
    ]


def test_every_bad_cell_is_told_with_line_and_column(importing, products):
    job = importing.preview("code,name,stock\nC,,x\nD,Dill,1\n,Egg,y\n", table="products", mode="upsert")

    lines = importing.rejects(job.result)
    assert lines[0] == "code,name,stock,reject_line,reject_reason"
    assert len(lines) == 3
    assert re.match("C,,x,2,.*name: .*stock: ", lines[1])
    assert re.match(",Egg,y,4,.*code: .*stock: ", lines[2])
    assert job.plan["counts"]["reject"] == 2


def test_max_rejects_lets_as_many_pass_and_not_one_more(importing, products):
    content = "code,name,stock\nC,Corn,x\nD,Dill,y\nE,Egg,1\n"
    assert importing(content, table="products", mode="upsert", max_rejects=2).created == 1

    with pytest.raises(TooManyRejects, match=r"2 rows are rejected and max_rejects is 1; nothing was written"):
        importing(content.replace("E,", "F,"), table="products", mode="upsert", max_rejects=1)
    assert [row[0] for row in products()] == ["A", "B", "E"]


def test_a_key_repeated_in_the_file_counts_once(importing, products):
    content = "code,name\nX,one\nA,Apple\nX,two\nA,other\nX,three\n"
    job = importing.preview(content, table="products", mode="upsert")
    assert job.plan["counts"] == {"create": 1, "update": 0, "unchanged": 1, "remove": 0, "reject": 3}
    assert job.plan["sample"] == []

    hooks.process(TableImport(), job)
    assert (job.result.created, job.result.unchanged, job.result.rejected) == (1, 1, 3)
    assert importing.rejects(job.result)[1:] == [
        "X,two,4,key code=X is already on line 2",
        "A,other,5,key code=A is already on line 3",
        "X,three,6,key code=X is already on line 2",
    ]


def test_a_changed_file_is_refused(importing, products):
    job = importing.preview("code,name\nC,Corn\n", table="products", mode="upsert")
    with importing.files.writing(job.context.file_key) as stream:
        stream.write(b"code,name\nC,Other\n")

    with pytest.raises(InputChanged, match="has changed since the preview"):
        hooks.process(TableImport(), job)


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (
            "code,name,colour\nA,b,c\n",
            {},
            r'products has no column colour; map .* \{"colour": null\}; it has: code, name, stock, note',
        ),
        ("code,stock\nA,1\n", {}, "products needs a value for name, which the file does not have"),
        ("name\nx\n", {"columns": {"nme": "name"}}, "columns names nme, which the file does not have; it has: name"),
        ("code,name,n2\nA,b,c\n", {"columns": {"n2": "name"}}, "two columns of the file go into name"),
        (
            "code,name\nA,b\n",
            {"key": ["note"], "mode": "upsert"},
            "the key note needs note, which the file does not have",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused_in_one_line(importing, products, content, context, message):
    with pytest.raises(JobRefused, match=message) as refused:
        importing.preview(content, table="products", **context)
    assert "\n" not in str(refused.value)


def test_columns_can_be_mapped_and_left_out(importing, products):
    result = importing(
        "Code,Title,Colour\nC,Corn,red\n",
        table="products",
        mode="upsert",
        columns={"Code": "code", "Title": "name", "Colour": None},
    )

    assert result.created == 1
    assert products()[-1] == ("C", "Corn", None, None)


def test_a_corrected_rejects_file_can_be_loaded_again(importing, products):
    first = importing("code,name,stock\nC,Corn,x\nD,=Dill,1\n", table="products", mode="upsert")
    corrected = "\n".join(importing.rejects(first)).replace(",x,", ",7,")
    second = importing(corrected, table="products", mode="upsert")

    assert (second.created, second.rejected) == (1, 0)
    assert products()[2][:3] == ("C", "Corn", 7)
