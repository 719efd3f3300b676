"""The tables are those that the catalog of a running Medusa lists, and an existing shop is left alone."""

import re

import pytest
from sqlalchemy import inspect, text

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.medusa.ids import new_ids
from batch_jobs.strategies.shop.medusa.schema import create_shop
from support.shop import GOLDEN, Shop

#: Tables that the batch jobs of Medusa itself need, and that have no place in a shop here.
NOT_HERE = {"batch_job", "user"}
TYPES = {
    "VARCHAR": "varchar", "TEXT": "text", "INTEGER": "integer", "BOOLEAN": "boolean", "TIMESTAMP": "timestamptz",
    "JSONB": "jsonb", "REAL": "real", "NUMERIC": "numeric",
}  # fmt: skip


def listed():
    """Table -> its lines in the golden list."""
    found: dict[str, list[str]] = {}
    body = (GOLDEN / "tables.txt").read_text().split("\n\nenums")[0]
    for block in body.split("\n\n")[1:]:
        name, *lines = block.splitlines()
        found[name] = [line.strip() for line in lines]
    return {name: lines for name, lines in found.items() if name not in NOT_HERE}


def test_there_are_exactly_medusas_tables():
    assert set(tables.metadata.tables) == set(listed())


def test_columns_types_and_nulls_are_medusas(postgres_url):
    found, expected = {}, {}
    inspector = made_on(postgres_url)
    for name, lines in listed().items():
        expected[name] = {}
        for line in lines:
            if not line.startswith("- "):
                column, kind, *rest = line.split("  ")
                expected[name][column] = (kind, "not null" in rest)
        found[name] = {column["name"]: described(column) for column in inspector.get_columns(name)}
    assert found == expected


def made_on(url):
    engine = make_engine(url)
    create_shop(engine)
    return inspect(engine)


def described(column):
    kind = column["type"]
    name = getattr(kind, "name", None) or TYPES[type(kind).__name__]
    return name, not column["nullable"]


def test_the_enums_are_medusas(postgres_url):
    inspector = made_on(postgres_url)
    text_of_list = (GOLDEN / "tables.txt").read_text().split("\nenums\n")[1]
    expected = dict(re.findall(r"^\s+(\w+_enum): (.*)$", text_of_list, re.MULTILINE))
    del expected["user_role_enum"]
    assert {enum["name"]: ", ".join(enum["labels"]) for enum in inspector.get_enums()} == expected


def test_keys_and_unique_indexes_are_medusas(postgres_url):
    inspector = made_on(postgres_url)
    for name, lines in listed().items():
        keys = [re.fullmatch(r"- PRIMARY KEY \((.*)\)", line) for line in lines]
        key = next((found[1].split(", ") for found in keys if found), [])
        assert inspector.get_pk_constraint(name)["constrained_columns"] == key, name
        foreign = {
            (found[1], found[2].strip('"'), "CASCADE" if "ON DELETE CASCADE" in line else None)
            for line in lines
            if (found := re.match(r"- FOREIGN KEY \((\w+)\) REFERENCES (\"?\w+\"?)\(", line))
            and found[2].strip('"') in tables.metadata.tables
        }
        assert {
            (found["constrained_columns"][0], found["referred_table"], found["options"].get("ondelete"))
            for found in inspector.get_foreign_keys(name)
        } == foreign, name
        unique = {
            tuple(sorted(re.split(r", ", found[1])))
            for line in lines
            if (found := re.search(r"(?:unique index .*?USING btree|UNIQUE) \((.*?)\)", line))
        }
        assert {
            tuple(sorted(index["column_names"])) for index in inspector.get_indexes(name) if index["unique"]
        } == unique


def test_a_new_shop_takes_products_at_once(target, tmp_path):
    assert create_shop(target)
    shop = Shop(target, FileStore(str(tmp_path / "files")))
    assert shop.run(ProductImport(), file_key=shop.put(ProductImport().build_template())).created == 5
    assert shop.rows("SELECT count(*) FROM product_shipping_profile") == [(2,)]


def test_a_shop_that_is_there_gets_our_own_tables_and_nothing_is_altered(target):
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE product (id VARCHAR PRIMARY KEY)"))
    assert not create_shop(target)
    assert set(inspect(target).get_table_names()) == {
        "product",
        "batch_job_change",
        "batch_job_checkpoint",
        "batch_job_partition",
        "batch_job_partition_signal",
    }


def test_making_a_shop_twice_is_fine(target):
    assert create_shop(target)
    assert not create_shop(target)


def test_new_ids_are_medusas_ascending_and_never_the_same():
    ids = [*new_ids("prod", 2000).to_pylist(), *new_ids("prod", 2000).to_pylist()]
    assert all(re.fullmatch(r"prod_[0-9A-HJKMNP-TV-Z]{26}", found) for found in ids)
    assert len(set(ids)) == 4000
    assert ids[:2000] == sorted(ids[:2000])
    assert new_ids("pvma_", 1)[0].as_py().startswith("pvma__")


@pytest.mark.parametrize("count", [0, 1])
def test_few_ids_are_as_good_as_many(count):
    assert len(new_ids("img", count)) == count
