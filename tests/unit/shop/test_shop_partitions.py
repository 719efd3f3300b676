"""An import that is cut leaves what an uncut one leaves, whatever partition comes first, and however often one dies."""

import random
import re
import tempfile
from threading import Barrier

import pytest
from sqlalchemy import event

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.partitioning import PartitionsFailed
from batch_jobs.strategies.undo import Undo
from support.partitions import InAnyOrder
from support.shop import GOLDEN, Shop, base, lists, products

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"
COUNTED = ("count", "advancement_count", "progress", "created", "updated", "unchanged", "rejected")
RANDOM = "prod_[0-9A-Z]{26}|Failing row contains.*"
WAYS = [InAnyOrder(3), InAnyOrder(4, at_once=4)]
WAY_NAMES = ["in any order", "at once"]

#: A shop's own rule, of which no preview knows.
RULE = "ALTER TABLE product ADD CONSTRAINT not_in_this_shop CHECK (subtitle <> 'refused') NOT VALID"
COLUMNS = (
    "Product Handle;Product Title;Product Subtitle;Product Status;Product Type;Product Tags;Product Collection Handle;"
    "Variant Title;Variant SKU;Variant Barcode;Variant Inventory Quantity;Price EUR;Option 1 Name;Option 1 Value;"
    "Image 1 Url;Image 2 Url\n"
)


@pytest.fixture
def open_shop(templates, tmp_path):
    """Opens shops on PostgreSQL, which have the files in common."""
    engines = []

    def open_one(fill):
        engines.append(make_engine(templates.copy("postgres", fill.__name__, fill)))
        return Shop(engines[-1], FileStore(str(tmp_path / "files")), chunk_size=10)

    yield open_one
    for engine in engines:
        engine.dispose()
    templates.drop_copies()


def run(shop, strategy, partitioning=None, **context):
    job = shop.preview(strategy, **context)
    hooks.process(strategy, job, partitioning)
    hooks.post_process(strategy, job)
    return job.result


def assert_same(shop, result, clean, expected):
    assert {name: getattr(result, name) for name in COUNTED} == {name: getattr(expected, name) for name in COUNTED}
    assert rejects(shop, result) == rejects(clean, expected)
    found, wanted = shop.picture(), clean.picture()
    assert {
        name: (found[name] - rows, rows - found[name]) for name, rows in wanted.items() if found[name] != rows
    } == {}


def rejects(shop, result):
    """The rejects file, without ids that are random and times."""
    found = shop.rejects(result)
    return [{name: re.sub(RANDOM, "", cell) for name, cell in row.items()} for row in found]


def said_of_partitions(result):
    return [entry.message for entry in result.stat_descriptors if entry.key == "partitions"]


def stocked(engine):
    """A catalogue, some of whose collections, types and tags were deleted since; and a rule."""
    base(engine)
    shop = Shop(engine, FileStore(tempfile.mkdtemp()), chunk_size=1000)
    run(shop, ProductImport(), file_key=shop.put(catalogue(1)))
    shop.rows("UPDATE product_collection SET deleted_at = now() WHERE handle = 'winter'")
    shop.rows("UPDATE product_type SET deleted_at = now() WHERE value = 'type 2'")
    shop.rows("UPDATE product_tag SET deleted_at = now() WHERE value = 'tag 3'")
    shop.rows(RULE)


def listed(engine):
    """A price list with the prices of a file."""
    lists(engine)
    shop = Shop(engine, FileStore(tempfile.mkdtemp()))
    run(shop, PriceListImport(), file_key=shop.put(GOLDEN / "price_list_100.csv"), price_list_id=LIST)


def fewer_prices():
    """Of the same list, with a variant that is not there."""
    lines = (GOLDEN / "price_list_100.csv").read_text().splitlines(keepends=True)
    return "".join([*lines[:30], ";nowhere;1;\n", *(line.replace(";1", ";2") for line in lines[30:70]), *lines[90:]])


def catalogue(seed, count=60):
    """Products that have much in common, with handles, SKUs and barcodes that are repeated, and rows that are bad."""
    chance = random.Random(seed)
    rows = [row for number in range(count) for row in product(chance, number, count)]
    for _ in range(5):  # rows of a product that lie apart
        rows.insert(chance.randrange(len(rows)), rows.pop(chance.randrange(len(rows))))
    return COLUMNS + "".join(rows)


def product(chance, number, count):
    kind, tags = chance.randrange(6), chance.sample(range(12), 3)
    collection = chance.choice(["winter", "winter", "summer", "", "nowhere" if chance.random() < 0.1 else ""])
    images = [chance.choice(["all", f"of {number // 15}", f"{number}"]) for _ in range(2)]
    subtitle = "refused" if chance.random() < 0.1 else ""
    rare = f",rare {number // 20}{subtitle}" if chance.random() < 0.2 else ""
    for size in range(1 + chance.randrange(3)):
        again = chance.random() < 0.03
        sku = f"SKU-{chance.randrange(count) if again else number}-{size}"
        barcode = f"{chance.randrange(5)}" if chance.random() < 0.02 else ""
        price = "much" if chance.random() < 0.02 else f"{chance.randrange(1, 50)}"
        yield (
            f"mug-{number};Mug {number};{subtitle};draft;{f'type {kind}{subtitle}'};"
            f"{','.join(f'tag {tag}' for tag in tags)}{rare};{collection};Size {size};{sku};{barcode};1;{price};"
            f"Size;{size};http://i/{images[0]}.png;http://i/{images[1]}.png\n"
        )


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_what_an_import_in_partitions_changed_is_undone(open_shop, way):
    for fill, strategy, content, context in (
        (stocked, ProductImport(), catalogue(2), {}),
        (listed, PriceListImport(), fewer_prices(), {"price_list_id": LIST}),
    ):
        shop = open_shop(fill)
        before = everything(shop)
        job = shop.preview(strategy, file_key=shop.put(content), **context)
        hooks.process(strategy, job, way)
        hooks.post_process(strategy, job)
        assert len(job.result.partitions) == way.size
        assert everything(shop) != before

        # by which some products could not be again what they were
        shop.rows("ALTER TABLE product DROP CONSTRAINT IF EXISTS not_in_this_shop")
        undone = shop.run(Undo(), job=job.id)

        assert shop.rejects(undone) == []
        assert everything(shop) == before


def everything(shop):
    """All rows of the catalogue, ids and times included."""
    return {table.name: sorted(shop.rows(f"SELECT * FROM {table.name}"), key=repr) for table in ProductImport.writes}


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_the_golden_files_in_partitions_give_what_they_give_uncut(open_shop, way):
    for fill, strategy, name, chunk_size, context in (
        (base, ProductImport(), "products_100.csv", 30, {}),
        (products, ProductImport(), "products_100_update.csv", 12, {}),
        (lists, PriceListImport(), "price_list_100.csv", 10, {"price_list_id": LIST}),
    ):
        clean, shop = open_shop(fill), open_shop(fill)
        clean.chunk_size = shop.chunk_size = chunk_size
        context["file_key"] = shop.put(GOLDEN / name)
        expected = run(clean, strategy, **context)
        result = run(shop, strategy, way, **context)
        assert len(result.partitions) == way.size, name
        assert_same(shop, result, clean, expected)


def test_partitions_are_named_by_their_products_and_have_their_rows(open_shop):
    shop = open_shop(base)
    result = run(shop, ProductImport(), InAnyOrder(2), file_key=shop.put(GOLDEN / "products_100.csv"))
    first, second = result.partitions
    assert first.name.startswith("products 1–")
    assert second.name.endswith("–100")
    assert first.rows + second.rows == result.count == 404


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fill", [base, stocked])
def test_catalogues_with_much_in_common_are_the_same_however_they_are_cut(open_shop, fill, seed):
    clean = open_shop(fill)
    if fill is base:
        clean.rows(RULE)
    key = clean.put(catalogue(seed + 10))
    expected = run(clean, ProductImport(), file_key=key)
    assert expected.rejected > 5
    assert any("not_in_this_shop" in row["reject_reason"] for row in clean.rejects(expected))
    for way in (InAnyOrder(2 + seed, at_once=2 + seed), InAnyOrder(4)):
        shop = open_shop(fill)
        if fill is base:
            shop.rows(RULE)
        result = run(shop, ProductImport(), way, file_key=key)
        assert len(result.partitions) == way.size
        assert_same(shop, result, clean, expected)


def test_values_that_two_partitions_find_missing_at_the_same_moment_are_made_once(open_shop):
    shop = open_shop(base)
    rows = "".join(f"p{n};P {n};;draft;Cups;new,gift;;V;S{n};;1;1;Size;One;http://i/all.png;\n" for n in range(120))
    both_have_planned = Barrier(2, timeout=60)

    @event.listens_for(shop.target, "before_cursor_execute")
    def wait(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO image") and waits:
            waits.pop()
            both_have_planned.wait()

    waits = [1, 2]
    result = run(shop, ProductImport(), InAnyOrder(2, at_once=2), file_key=shop.put(COLUMNS + rows))
    assert waits == []
    assert (result.created, result.rejected) == (240, 0)
    assert shop.rows("SELECT value FROM product_type") == [("Cups",)]
    assert sorted(shop.rows("SELECT value FROM product_tag")) == [("gift",), ("new",)]
    assert shop.rows("SELECT url FROM image") == [("http://i/all.png",)]
    assert shop.rows("SELECT count(*) FROM product_images") == [(120,)]
    assert shop.rows("SELECT count(DISTINCT type_id), count(type_id) FROM product") == [(1, 120)]


class Power(Exception):
    """It went out."""


@pytest.mark.long
@pytest.mark.parametrize("at_chunk", [1, 6])
@pytest.mark.parametrize("kind", ["product-import", "price-list-import"])
def test_partitions_that_die_and_are_begun_again_end_as_an_uncut_import(open_shop, kind, at_chunk):
    fill = stocked if kind == "product-import" else listed
    clean, shop = open_shop(fill), open_shop(fill)
    if kind == "product-import":
        strategy, context = ProductImport(), {"file_key": shop.put(catalogue(20))}
    else:
        strategy, context = PriceListImport(), {"file_key": shop.put(fewer_prices()), "price_list_id": LIST}
    expected = run(clean, strategy, **context)

    job = shop.preview(strategy, **context)
    left = list(range(at_chunk))

    @event.listens_for(shop.target, "before_cursor_execute")
    def cut_power(_connection, _cursor, statement, *_):
        if left and is_end_of_chunk(statement) and left.pop() == 0:
            raise Power

    with pytest.raises(PartitionsFailed):
        hooks.process(strategy, job, InAnyOrder(3))
    assert shop.picture() != clean.picture()
    again = shop.again(job)
    hooks.process(strategy, again, InAnyOrder(3, at_once=3, claim=2))
    hooks.post_process(strategy, again)
    assert_same(shop, again.result, clean, expected)


def is_end_of_chunk(statement):
    return statement.startswith("UPDATE batch_job_partition SET") and "chunk_number=" in statement


@pytest.mark.long
@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_a_price_list_loses_what_is_not_in_the_file_once_all_partitions_are_in(open_shop, way, mode):
    clean, shop = open_shop(listed), open_shop(listed)
    context = {"file_key": shop.put(fewer_prices()), "price_list_id": LIST, "mode": mode}
    expected = run(clean, PriceListImport(), **context)
    job = shop.preview(PriceListImport(), **context)
    hooks.process(PriceListImport(), job, way)
    assert len(job.result.partitions) == way.size
    if mode == "replace":
        assert shop.picture()["price"] != clean.picture()["price"]
    hooks.post_process(PriceListImport(), job)
    hooks.post_process(PriceListImport(), job)  # as after a process that died there
    assert_same(shop, job.result, clean, expected)


def test_rejects_of_all_partitions_count_against_the_limit(open_shop):
    shop = open_shop(base)
    shop.rows(RULE)
    key = shop.put(COLUMNS + "".join(one(n, "refused" if n in (5, 115) else "") for n in range(120)))
    job = shop.preview(ProductImport(), file_key=key, max_rejects=1)
    with pytest.raises(PartitionsFailed, match="2 rows are rejected and max_rejects is 1"):
        hooks.process(ProductImport(), job, InAnyOrder(2))


def test_rejects_of_partitions_that_did_not_see_each_other_s_are_limited_at_the_end(open_shop):
    shop = open_shop(base)
    shop.rows(RULE)
    key = shop.put(COLUMNS + "".join(one(n, "refused" if n in (55, 115) else "") for n in range(120)))
    job = shop.preview(ProductImport(), file_key=key, max_rejects=1)
    both_have_counted = Barrier(2, timeout=60)
    waits = [1, 2]

    @event.listens_for(shop.target, "before_cursor_execute")
    def wait(_connection, _cursor, statement, parameters, *_):
        if waits and is_end_of_chunk(statement) and parameters["counters"].obj["rejected"]:
            waits.pop()
            both_have_counted.wait()

    hooks.process(ProductImport(), job, InAnyOrder(2, at_once=2))
    assert waits == []
    with pytest.raises(TooManyRejects, match="2 rows are rejected and max_rejects is 1"):
        hooks.post_process(ProductImport(), job)


def one(number, subtitle="", sku=None):
    sku = f"S{number}" if sku is None else sku
    return f"p{number};P {number};{subtitle};draft;;;;V;{sku};;1;1;Size;One;;\n"


def rows_with(**skus):
    return COLUMNS + "".join(one(n, sku=skus.get(f"p{n}")) for n in range(120))


@pytest.mark.parametrize(
    ("context", "content", "why"),
    [
        ({"all_or_nothing": True}, rows_with(), "all_or_nothing is one transaction"),
        ({}, COLUMNS + "".join(map(one, range(30))), "the file has fewer than 4 chunks of 10 rows"),
        ({}, rows_with(p3=" S110"), "the file has the same Variant SKU twice, written differently"),
        ({}, rows_with(p3="-5", p110="'-5"), "the file has the same Variant SKU twice, written differently"),
    ],
    ids=["all or nothing", "few rows", "blanks", "formulas"],
)
def test_what_cannot_be_cut_is_not_and_one_line_says_why(open_shop, context, content, why):
    clean, shop = open_shop(base), open_shop(base)
    context["file_key"] = shop.put(content)
    expected = run(clean, ProductImport(), **context)
    result = run(shop, ProductImport(), InAnyOrder(2, at_once=2), **context)
    assert said_of_partitions(result) == [f"one: {why}"]
    assert result.partitions == []
    assert_same(shop, result, clean, expected)


def test_products_that_get_other_handles_are_not_cut(open_shop):
    clean = open_shop(base)
    run(clean, ProductImport(), file_key=clean.put(rows_with()))
    (found,) = clean.rows("SELECT id FROM product WHERE handle = 'p3'")
    # the first row gives up a handle by which the last one means another product
    head = f"Product Id;{COLUMNS}"
    content = head + f"{found[0]};{one(3, sku='S3').replace('p3;', 'q3;')}"
    content += "".join(f";{one(n)}" for n in range(120) if n != 3) + f";{one(3, sku='NEW')}"
    result = run(clean, ProductImport(), InAnyOrder(2, at_once=2), file_key=clean.put(content))
    assert said_of_partitions(result) == ["one: products get other handles, by which later rows may mean them"]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("CREATE UNIQUE INDEX one_each ON product (external_id)", "its index one_each"),
        (
            "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
            "CREATE TRIGGER looking BEFORE INSERT ON image FOR EACH ROW EXECUTE FUNCTION look()",
            "its trigger looking",
        ),
    ],
    ids=["unique index", "trigger"],
)
def test_a_shop_s_own_rules_about_several_rows_keep_a_job_whole(open_shop, rule, why):
    shop = open_shop(base)
    shop.rows(rule)
    result = run(shop, ProductImport(), InAnyOrder(2), file_key=shop.put(rows_with()))
    assert result.partitions == []
    assert said_of_partitions(result)[0].endswith(why)


def test_repeated_codes_that_are_refused_keep_no_job_from_being_cut(open_shop):
    clean, shop = open_shop(base), open_shop(base)
    key = shop.put(rows_with(p3="S110"))
    expected = run(clean, ProductImport(), file_key=key)
    result = run(shop, ProductImport(), InAnyOrder(2), file_key=key)
    assert (len(result.partitions), result.rejected) == (2, 1)
    assert_same(shop, result, clean, expected)


def test_one_partition_at_a_time_is_an_uncut_job_and_says_nothing(open_shop):
    shop = open_shop(base)
    result = run(shop, ProductImport(), InAnyOrder(1), file_key=shop.put(rows_with()))
    assert (result.partitions, said_of_partitions(result)) == ([], [])


def test_sqlite_has_one_writer(templates, tmp_path):
    engine = make_engine(templates.copy("sqlite", "base", base))
    shop = Shop(engine, FileStore(str(tmp_path / "files")), chunk_size=20)
    result = run(shop, ProductImport(), InAnyOrder(2), file_key=shop.put(rows_with()))
    assert (result.created, result.partitions) == (240, [])
    assert said_of_partitions(result) == ["one: this database has one writer at a time"]
    engine.dispose()


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_what_the_end_of_a_price_list_in_partitions_removed_is_there_again(open_shop, way):
    shop = open_shop(listed)
    before = everything(shop)
    file = shop.put(fewer_prices())
    job = shop.preview(PriceListImport(), price_list_id=LIST, file_key=file)
    hooks.process(PriceListImport(), job, way)
    hooks.post_process(PriceListImport(), job)
    after = everything(shop)
    end = "SELECT count(*) FROM batch_job_change WHERE partition = 0 AND kind = 'removed'"
    assert shop.rows(end)[0][0] > 0, "what the end removes is in the log"

    back = shop.done(Undo(), job=job.id)

    assert everything(shop) == before
    assert (back.plan["counts"]["reject"], back.result.rejected) == (0, 0)
    shop.done(Undo(), job=back.id)
    assert everything(shop) == after
