"""What the spine promises, for the strategies of a shop: exactly once, cancel, pause, retry, rejects, fencing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from batch_jobs.strategies.order_export import OrderExport
from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import StopRequested, Superseded, TooManyRejects
from batch_jobs.strategies.sdk.job import SilentReport
from batch_jobs.strategies.sdk.registry import load_strategies
from support.shop import GOLDEN, Shop, base, lists, orders, products

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"


class Power(Exception):
    """It went out."""


@contextmanager
def power_cut(shop: Shop, at_commit: int) -> Iterator[None]:
    """The job's connection dies at a commit, which is then not one."""
    seen = 0

    def count(connection):
        nonlocal seen
        seen += 1
        if seen == at_commit:
            raise Power

    event.listen(shop.target, "commit", count)
    try:
        with pytest.raises(Power):
            yield
    finally:
        event.remove(shop.target, "commit", count)


def importing(kind, shop):
    """A strategy and its context, with rows that are refused between those that go in."""
    if kind == "product-import":
        content = (GOLDEN / "products_100.csv").read_text().replace(";Summer;summer;", ";Summer;nowhere;", 3)
        return ProductImport(), {"file_key": shop.put(content)}
    lines = (GOLDEN / "price_list_100.csv").read_text().splitlines(keepends=True)
    content = "".join([*lines[:30], ";nowhere;1;\n", *lines[30:]])
    return PriceListImport(), {"file_key": shop.put(content), "price_list_id": LIST}


IMPORTS = ["product-import", "price-list-import"]


@pytest.fixture
def prepared(open_shop):
    """Opens the shop in which a kind of import has its work."""
    return lambda kind: open_shop(base if kind == "product-import" else lists)


@pytest.mark.long
@pytest.mark.parametrize("at_commit", [2, 3, 5])
@pytest.mark.parametrize("kind", IMPORTS)
def test_an_import_that_dies_at_any_chunk_and_is_retried_ends_as_a_clean_one(prepared, kind, at_commit):
    clean, broken = prepared(kind), prepared(kind)
    clean.chunk_size = broken.chunk_size = 20
    strategy, context = importing(kind, clean)
    expected = clean.run(strategy, **context)

    broken.files = clean.files
    job = broken.preview(strategy, **context)
    with power_cut(broken, at_commit):
        hooks.process(strategy, job)
    assert broken.picture() != clean.picture()
    again = broken.again(job)
    hooks.process(strategy, again)

    assert broken.picture() == clean.picture()
    for name in ("count", "advancement_count", "progress", "created", "updated", "unchanged", "rejected"):
        assert getattr(again.result, name) == getattr(expected, name), name
    assert broken.rejects(again.result) == clean.rejects(expected)


def test_with_all_or_nothing_nothing_is_in_until_all_is(prepared):
    shop = prepared("product-import")
    shop.chunk_size = 20
    context = {"file_key": shop.put(GOLDEN / "products_100.csv"), "all_or_nothing": True}
    job = shop.preview(ProductImport(), **context)
    with power_cut(shop, 2):
        hooks.process(ProductImport(), job)
    assert shop.rows("SELECT count(*) FROM product") == [(0,)]
    again = shop.again(job)
    hooks.process(ProductImport(), again)
    assert (again.result.created, again.result.progress) == (404, 1.0)
    assert shop.rows("SELECT count(*) FROM product") == [(100,)]


class Asked(SilentReport):
    def __init__(self, reason: str, after: int) -> None:
        self.reason, self.left = reason, after

    def stop_reason(self) -> str | None:
        self.left -= 1
        return self.reason if self.left < 0 else None


@pytest.mark.parametrize("reason", ["canceled", "paused"])
@pytest.mark.parametrize("kind", IMPORTS)
def test_a_cancel_or_pause_takes_effect_between_two_groups_and_a_paused_job_goes_on(prepared, kind, reason):
    clean, stopped = prepared(kind), prepared(kind)
    clean.chunk_size = stopped.chunk_size = 20
    strategy, context = importing(kind, clean)
    clean.run(strategy, **context)

    stopped.files = clean.files
    previewed = stopped.preview(strategy, **context)
    stopped.reports = [Asked(reason, 2)]
    job = stopped.again(previewed)
    with pytest.raises(StopRequested, match=reason):
        hooks.process(strategy, job)
    assert 0 < job.result.advancement_count < job.result.count
    stopped.reports = []
    if reason == "paused":
        hooks.process(strategy, stopped.again(job))
        assert stopped.picture() == clean.picture()


@pytest.mark.parametrize("kind", IMPORTS)
def test_an_attempt_that_a_later_one_has_overtaken_writes_no_more(prepared, kind):
    shop = prepared(kind)
    strategy, context = importing(kind, shop)
    first = shop.preview(strategy, **context)
    first.begin_processing()
    second = shop.again(first)
    hooks.process(strategy, second)
    after = shop.picture()
    with pytest.raises(Superseded):
        strategy.process(first)
    assert shop.picture() == after


@pytest.mark.parametrize("kind", IMPORTS)
def test_rejects_found_only_while_writing_are_told_and_limited(prepared, kind):
    """Somebody takes a collection, or variants, away between the preview and the confirm."""
    shop = prepared(kind)
    strategy, context = importing(kind, shop)
    job = shop.preview(strategy, **context, max_rejects=10)
    before = job.result.rejected
    if kind == "product-import":
        shop.rows("UPDATE product_collection SET handle = 'elsewhere' WHERE handle = 'winter'")
    else:
        shop.rows("UPDATE product_variant SET deleted_at = CURRENT_TIMESTAMP WHERE sku LIKE 'sku-1-4%'")
        shop.rows("UPDATE product_variant SET deleted_at = CURRENT_TIMESTAMP WHERE sku LIKE 'sku-1-1%'")
    with pytest.raises(TooManyRejects, match="max_rejects is 10"):
        hooks.process(strategy, job)
    assert len(shop.rejects(job.result)) > max(before, 10)


def test_a_product_that_the_database_refuses_is_a_reject_and_all_others_go_in(prepared):
    shop = prepared("product-import")
    shop.rows("CREATE UNIQUE INDEX only_one ON product (external_id)")  # a rule of this shop's own
    content = (GOLDEN / "products_100.csv").read_text().replace(";ext-6;", ";ext-3;")
    result = shop.run(ProductImport(), file_key=shop.put(content))
    told = shop.rejects(result)
    assert {row["Product Handle"] for row in told} == {"p-1-6"}
    assert "external_id" in told[0]["reject_reason"] or "only_one" in told[0]["reject_reason"]
    assert shop.rows("SELECT count(*) FROM product") == [(99,)]


@pytest.mark.parametrize(("strategy", "fill"), [(ProductExport(), products), (OrderExport(), orders)])
def test_a_stopped_export_leaves_no_file_and_done_again_gives_it(open_shop, strategy, fill):
    shop = open_shop(fill)
    previewed = shop.preview(strategy)
    shop.reports = [Asked("canceled", 0)]
    stopped = shop.again(previewed)
    with pytest.raises(StopRequested):
        hooks.process(strategy, stopped)
    assert stopped.result.file_key is None
    shop.reports = []
    again = shop.again(stopped)
    hooks.process(strategy, again)
    assert len(shop.table(again.result)) == {"product": 304, "order": 100}[strategy.noun]


@pytest.mark.parametrize(("strategy", "fill"), [(ProductExport(), products), (OrderExport(), orders)])
def test_rows_deleted_and_inserted_while_an_export_reads_lose_and_double_nothing(open_shop, strategy, fill):
    shop = open_shop(fill)
    if shop.target.dialect.name == "sqlite":
        pytest.skip("SQLite's snapshot is that of its read transaction; one writer cannot come between in one thread")
    expected = shop.table(shop.run(strategy))

    class Meddling(type(strategy)):
        identifier, batch_type = f"meddling-{strategy.noun}-strategy", f"meddling-{strategy.noun}"

        def query(self, context, connection, chosen, shape):
            query = super().query(context, connection, chosen, shape)
            shop.rows("UPDATE sales_channel SET name = 'renamed'")
            if strategy.noun == "product":
                shop.rows("UPDATE product SET deleted_at = now() WHERE weight IS NULL")
                shop.rows("INSERT INTO product (id, title, handle) VALUES ('prod_late', 'Late', 'late')")
            else:
                shop.rows('UPDATE "order" SET created_at = now() WHERE display_id < 50')
            return query

    assert shop.table(shop.run(Meddling())) == expected


def test_the_registry_finds_all_four():
    registry = load_strategies()
    assert registry.broken == []
    assert {"product-import", "product-export", "order-export", "price-list-import"} <= set(registry.by_type)
