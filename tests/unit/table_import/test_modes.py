import pytest

from batch_jobs.strategies.sdk.errors import JobRefused


def test_upsert_creates_updates_and_leaves_unchanged(importing, products):
    result = importing("code,name,stock\nA,Apple,1\nB,Brot,2\nC,Corn,3\n", table="products", mode="upsert")

    assert (result.created, result.updated, result.unchanged, result.rejected) == (1, 1, 1, 0)
    assert products() == [("A", "Apple", 1, "keep"), ("B", "Brot", 2, "keep"), ("C", "Corn", 3, None)]


def test_upsert_tells_an_empty_text_from_no_value(importing, products):
    result = importing('code,name,note\nA,Apple,""\nB,Bread,\n', table="products", mode="upsert")

    assert result.updated == 2
    assert products() == [("A", "Apple", 1, ""), ("B", "Bread", 2, None)]


def test_a_second_upsert_of_the_same_file_writes_nothing(importing, products):
    content = "code,name,stock\n" + "".join(f"K{number:03},name {number},{number}\n" for number in range(50))
    first = importing(content, table="products", mode="upsert")
    second = importing(content, table="products", mode="upsert")

    assert (first.created, first.updated, first.unchanged) == (50, 0, 0)
    assert (second.created, second.updated, second.unchanged) == (0, 0, 50)


def test_insert_rejects_rows_whose_key_is_there(importing, products):
    result = importing("code,name\nA,Other\nC,Corn\nB,Other\nD,Dill\n", table="products", mode="insert")

    assert (result.created, result.rejected) == (2, 2)
    assert [row[:2] for row in products()] == [("A", "Apple"), ("B", "Bread"), ("C", "Corn"), ("D", "Dill")]
    assert importing.rejects(result)[1:] == [
        "A,Other,2,key code=A is already in products",
        "B,Other,4,key code=B is already in products",
    ]


def test_insert_is_decided_when_the_rows_are_written(importing, products, run_sql):
    job = importing.preview("code,name\nC,Corn\nD,Dill\n", table="products", mode="insert")
    assert job.plan["counts"] == {"create": 2, "update": 0, "unchanged": 0, "remove": 0, "reject": 0}
    run_sql("INSERT INTO products VALUES ('C', 'Came between', 0, NULL)")

    from batch_jobs.strategies.sdk import hooks
    from batch_jobs.strategies.table_import import TableImport

    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.rejected) == (1, 1)
    assert ("C", "Came between", 0, None) in products()


def test_append_adds_every_row(importing, run_sql):
    run_sql("CREATE TABLE log (at TEXT, what TEXT)")
    for _ in range(2):
        result = importing("at,what\n1,x\n1,x\n", table="log")

    assert result.created == 2
    assert len(run_sql("SELECT * FROM log")) == 4


def test_upsert_needs_a_unique_index_and_says_how_to_make_it(importing, run_sql):
    run_sql("CREATE TABLE stock (code TEXT, n INTEGER)")

    with pytest.raises(JobRefused, match='run: CREATE UNIQUE INDEX "stock_code_key" ON "stock" \\("code"\\)'):
        importing("code,n\nA,1\n", table="stock", mode="upsert", key=["code"])

    run_sql('CREATE UNIQUE INDEX "stock_code_key" ON "stock" ("code")')
    assert importing("code,n\nA,1\n", table="stock", mode="upsert", key=["code"]).created == 1


def test_a_partial_unique_index_is_not_enough(importing, run_sql):
    run_sql("CREATE TABLE stock (code TEXT, n INTEGER)")
    run_sql("CREATE UNIQUE INDEX stock_code ON stock (code) WHERE n > 0")

    with pytest.raises(JobRefused, match="no unique index"):
        importing("code,n\nA,1\n", table="stock", mode="upsert", key=["code"])


@pytest.mark.parametrize("mode", ["insert", "upsert"])
def test_without_any_key_it_is_refused(importing, run_sql, mode):
    run_sql("CREATE TABLE stock (code TEXT, n INTEGER)")

    with pytest.raises(JobRefused, match=r"needs a key.*stock has no primary key"):
        importing("code,n\nA,1\n", table="stock", mode=mode)


def test_names_are_quoted(importing, run_sql):
    run_sql('CREATE TABLE "or""der %s" ("gr""oup" TEXT PRIMARY KEY, "a b:c" INTEGER)')

    result = importing('"gr""oup",a b:c\nx,1\n', table='or"der %s', mode="upsert")

    assert result.created == 1
    assert run_sql('SELECT * FROM "or""der %s"') == [("x", 1)]


def test_a_key_of_several_columns(importing, run_sql):
    run_sql("CREATE TABLE price (code TEXT, region TEXT, amount NUMERIC(8, 2), PRIMARY KEY (region, code))")
    content = "code,region,amount\nA,eu,1.50\nA,us,2\nA,eu,3\n"

    result = importing(content, table="price", mode="upsert", key=["code", "region"])

    assert (result.created, result.rejected) == (2, 1)
    assert importing.rejects(result)[1] == 'A,eu,3,4,"key code=A, region=eu is already on line 2"'
    assert importing(content, table="price", mode="upsert").unchanged == 2
