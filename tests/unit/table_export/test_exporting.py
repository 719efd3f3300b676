import json

import pytest
from sqlalchemy import text

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused, StopRequested
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.table_export import TableExport


def test_a_table_is_written_by_primary_key_with_formulas_neutralised(files, products):
    result = files.export(table="products")

    lines = files.read(result).decode().splitlines()
    assert lines[0] == "code,name,stock,price"
    assert [line.split(",")[0] for line in lines[1:]] == ["A", "B", "C"]
    assert lines[1].startswith("A,'=1+1,-1,3.5")
    assert lines[2].startswith('B,"Bread, ""white""",2,1.25')
    assert lines[3] == 'C,"",,'
    assert (result.count, result.advancement_count, result.file_key.split("/")[-1]) == (3, 3, "products.csv")


def test_columns_order_delimiter_and_formulas_are_chosen(files, products):
    written = files.text(
        table="products", columns=["stock", "name"], order_by=["stock", "code"], delimiter=";", neutralise=False
    )

    assert written.splitlines()[0] == "stock;name"
    assert "-1;=1+1" in written.splitlines()
    assert '2;"Bread, ""white"""' in written.splitlines() or '2;Bread, "white"' not in written


def test_tsv_and_jsonl(files, products):
    assert files.text(table="products", format="tsv").splitlines()[0] == "code\tname\tstock\tprice"
    rows = [json.loads(line) for line in files.text(table="products", format="jsonl").splitlines()]
    assert rows[0] == {"code": "A", "name": "=1+1", "stock": -1, "price": 3.5}
    assert rows[2] == {"code": "C", "name": "", "stock": None, "price": None}


def test_a_query_is_written_with_its_own_types(files, products):
    query = (
        "WITH few AS (SELECT * FROM products) SELECT code, stock * 2 AS twice, '-x' AS mark FROM few -- all of them\n;"
    )

    assert files.text(query=query, order_by=["code"]).splitlines() == [
        "code,twice,mark",
        "A,-2,'-x",
        "B,4,'-x",
        "C,,'-x",
    ]
    first = json.loads(files.text(query=query, columns=["twice"], order_by=["code"], format="jsonl").splitlines()[0])
    assert first == {"twice": -2}


@pytest.mark.parametrize(
    "query", ["DELETE FROM products", "", "  -- nothing", "selected", "/* SELECT */ DROP TABLE products"]
)
def test_what_is_no_query_is_refused_when_the_job_is_created(files, products, query):
    with pytest.raises((ContextRefused, ValueError)):
        files.export(query=query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a; DROP TABLE products",
        "SELECT 1 AS a) AS q; COMMIT; DROP TABLE products; SELECT * FROM (SELECT 1 AS a",
        "WITH gone AS (DELETE FROM products RETURNING *) SELECT * FROM gone",
        "SELECT nonsense FROM products",
        "SELECT code, code FROM products",
    ],
)
def test_a_query_that_is_not_one_plain_select_is_refused_in_one_line(files, products, query):
    with pytest.raises(JobRefused) as refused:
        files.export(query=query)

    assert "\n" not in str(refused.value)
    assert files.export(table="products").count == 3


def test_unknown_names_are_refused_naming_what_there_is(files, products):
    with pytest.raises(JobRefused, match=r"there is no table product in the target; there are: .*products"):
        files.export(table="product")
    with pytest.raises(JobRefused, match="products has no column cod; it has: code, name, stock, price"):
        files.export(table="products", columns=["cod"])


def test_neither_or_both_of_table_and_query_is_refused(files):
    for context in ({}, {"table": "a", "query": "SELECT 1"}):
        with pytest.raises(ValueError, match="give either table or query"):
            files.export(**context)


def test_names_are_quoted(files, run_sql):
    run_sql('CREATE TABLE "or""der %s" ("gr""oup" TEXT PRIMARY KEY, "a b,c" INTEGER)')
    run_sql("""INSERT INTO "or""der %s" VALUES ('x', 1)""")

    assert files.text(table='or"der %s').splitlines() == ['"gr""oup","a b,c"', "x,1"]


def test_an_empty_table_gives_its_header(files, run_sql):
    run_sql("CREATE TABLE vacant (a INTEGER, b TEXT)")

    for file_format in ("csv", "tsv", "jsonl", "parquet", "xlsx"):
        result = files.export(table="vacant", format=file_format)
        assert result.count == 0
        assert result.file_key
    assert files.text(table="vacant") == "a,b\n"


def test_a_stopped_export_offers_no_file(files, products, monkeypatch):
    def stop(self):
        raise StopRequested("canceled")

    monkeypatch.setattr(JobRun, "stop_if_asked", stop)
    with pytest.raises(StopRequested):
        files.export(table="products")

    assert files.store.list() == []


def test_an_export_leaves_the_connection_able_to_write(files, products, run_sql):
    files.export(table="products")

    run_sql("INSERT INTO products VALUES ('D', 'Dill', 1, 1)")
    assert files.export(table="products").count == 4


def test_more_rows_than_a_sheet_holds_are_refused_before_anything_is_written(files, run_sql):
    run_sql("CREATE TABLE many (n INTEGER)")
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1048576) SELECT n FROM n"
    with pytest.raises(JobRefused, match="an Excel sheet holds 1,048,575 rows"):
        files.export(query=numbers, format="xlsx")
    assert files.store.list() == []


def test_a_cell_that_excel_cannot_hold_is_refused(files, run_sql):
    run_sql("CREATE TABLE wide (text TEXT)")
    run_sql(f"INSERT INTO wide VALUES ('{'x' * 32_768}')")
    with pytest.raises(JobRefused, match="column text has a cell of 32,768 characters"):
        files.export(table="wide", format="xlsx")


def test_there_is_no_template():
    assert TableExport().build_template() == ""


def test_connections_beside_a_reading_one_see_what_it_sees(target, products, run_sql):
    source = database_of(target).source(target)
    with source.reading() as connection:
        count = text("SELECT count(*) FROM products")
        assert connection.execute(count).scalar_one() == 3
        run_sql("INSERT INTO products (code) VALUES ('D')")
        with source.beside(connection) as others:
            assert [other.execute(count).scalar_one() for other in others] == [3] * len(others)
            assert len(others) == (target.dialect.name == "postgresql")
