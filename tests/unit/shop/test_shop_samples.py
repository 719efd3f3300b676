"""A sample of a shop's file says at once which of Medusa's columns each of its columns is."""

import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.jobs.samples import Samples
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.price_list_import import TEMPLATE as PRICES
from batch_jobs.strategies.product_import import TEMPLATE
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.registry import load_strategies
from batch_jobs.strategies.sdk.sample import FileSample

SHOPIFY = (
    "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Status\n"
    "mug,Mug,Us,Colour,Blue,MUG-B,12.50,https://x/1.png,active\n"
    "mug,,,,,,,https://x/2.png,\n"
    "pot,Pot,Us,Size,One,POT,39,,draft\n"
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A target without a shop: nothing of it is asked."""
    return make_engine(f"sqlite:///{tmp_path / 'target.db'}")


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "files"))


def sample(
    engine: Engine, files: FileStore, content: str, batch_type: str = "product-import", **given: Any
) -> FileSample:
    access = TargetAccess(Settings(target_url=engine.url.render_as_string(hide_password=False)))
    samples = Samples(load_strategies, lambda: engine, lambda: files, access, lambda: None)  # type: ignore[arg-type,return-value]
    key = files.put(io.BytesIO(content.encode()), "in.csv")
    found = samples.of(batch_type, {"file_key": key, **given})
    assert found is not None
    return found


def shown(found: FileSample, column: str) -> list[tuple[str | None, str | None]]:
    place = [one.name for one in found.columns].index(column)
    return [(row.cells[place].raw, row.cells[place].value) for row in found.rows]


@pytest.mark.parametrize(("batch_type", "content"), [("product-import", TEMPLATE), ("price-list-import", PRICES)])
def test_the_columns_of_the_template_are_known(engine: Engine, files: FileStore, batch_type: str, content: str):
    found = sample(engine, files, content, batch_type)
    assert (found.refusal, list(found.problems)) == (None, [])
    assert [one.target for one in found.columns] == content.splitlines()[0].split(";")
    assert {one.name for one in found.target_columns} >= {one.target for one in found.columns}
    assert len(found.rows) == content.count("\n") - 1
    assert files.list("jobs") == []


def test_another_shops_file_says_what_its_layout_makes_of_it(engine: Engine, files: FileStore):
    found = sample(engine, files, SHOPIFY, currency="eur")
    assert (found.refusal, list(found.problems)) == (None, [])
    assert found.described["layout"] == "shopify"
    targets = {one.name: one.target for one in found.columns}
    assert (targets["Handle"], targets["Variant Price"], targets["Vendor"]) == ("Product Handle", "Price EUR", None)
    assert shown(found, "Status") == [("active", "published"), (None, None), ("draft", "draft")]
    without = sample(engine, files, SHOPIFY)
    assert any("set currency, such as eur" in line for line in without.problems)
    assert shown(without, "Title")[0][0] == "Mug"


def test_rules_of_columns_have_their_effect_and_unknown_columns_are_named(engine: Engine, files: FileStore):
    content = "Handle;Name;Zustand;Preis\nmug;Mug;neu;9\npot;Pot;;8\n"
    columns = {
        "Handle": "Product Handle",
        "Name": ["Product Title", "Product Description"],
        "Zustand": {"to": "Product Status", "values": {"neu": "draft"}, "default": "published"},
    }
    found = sample(engine, files, content, columns=columns)
    assert any("a product file has no column Preis" in line for line in found.problems)
    assert shown(found, "Zustand") == [("neu", "draft"), (None, "published")]
    by_name = {one.name: one for one in found.columns}
    assert (by_name["Name"].target, list(by_name["Name"].further_targets)) == ("Product Title", ["Product Description"])
    left_out = sample(engine, files, content, columns={**columns, "Preis": None})
    assert list(left_out.problems) == []
    assert left_out.columns[3].target is None
