"""What an import did to a shop is taken back, product by product."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.undo import Undo
from support.shop import GOLDEN, base

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"


def undo(shop, job, **context):
    return shop.done(Undo(), job=job.id, **context)


@pytest.mark.long
def test_new_products_are_gone_again(shop):
    before = shop.everything()
    job = shop.done(ProductImport(), file_key=shop.put(GOLDEN / "products_100.csv"))
    after = shop.everything()
    assert after != before

    back = undo(shop, job)

    assert shop.everything() == before
    assert back.result.rejected == 0
    again = undo(shop, back)
    assert shop.everything() == after
    undo(shop, again)
    assert shop.everything() == before


def test_changed_products_are_as_before(medusas_shop):
    before = medusas_shop.everything()
    job = medusas_shop.done(ProductImport(), file_key=medusas_shop.put(GOLDEN / "products_100_update.csv"))
    after = medusas_shop.everything()
    assert after != before

    back = undo(medusas_shop, job)

    assert medusas_shop.everything() == before
    assert back.result.rejected == 0
    undo(medusas_shop, back)
    assert medusas_shop.everything() == after


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_price_list_is_as_before(lists_shop, mode):
    before = lists_shop.everything()
    file = lists_shop.put(GOLDEN / "price_list_100.csv")
    job = lists_shop.done(PriceListImport(), price_list_id=LIST, file_key=file, mode=mode)
    after = lists_shop.everything()
    assert after != before

    back = undo(lists_shop, job)

    assert lists_shop.everything() == before
    assert back.result.rejected == 0
    undo(lists_shop, back)
    assert lists_shop.everything() == after


FILE = (
    "Product Handle;Product Title;Product Type;Product Tags;Variant Title;Variant SKU;Variant Inventory Quantity;"
    "Price EUR;Option 1 Name;Option 1 Value;Image 1 Url\n"
    "pot;Pot;Kitchen;new,gift;Red;POT-R;1;10;Colour;Red;https://i.example/pot.png\n"
    "pot;Pot;Kitchen;new,gift;Blue;POT-B;2;11;Colour;Blue;https://i.example/pot.png\n"
    "mug;Mug;Kitchen;new;One;MUG;3;5;Size;One;https://i.example/mug.png\n"
    "pan;Pan;Stove;sale;One;PAN;4;20;Size;One;https://i.example/pan.png\n"
)
#: What belongs to products of some handles.
OWNED = {
    "product": "handle IN ({handles})",
    "product_variant": "product_id IN (SELECT id FROM product WHERE handle IN ({handles}))",
    "product_option": "product_id IN (SELECT id FROM product WHERE handle IN ({handles}))",
    "product_tags": "product_id IN (SELECT id FROM product WHERE handle IN ({handles}))",
    "product_images": "product_id IN (SELECT id FROM product WHERE handle IN ({handles}))",
    "product_shipping_profile": "product_id IN (SELECT id FROM product WHERE handle IN ({handles}))",
    "product_option_value": "variant_id IN (SELECT v.id FROM product_variant v JOIN product p ON p.id = v.product_id "
    "WHERE p.handle IN ({handles}))",
    "product_variant_money_amount": "variant_id IN (SELECT v.id FROM product_variant v "
    "JOIN product p ON p.id = v.product_id WHERE p.handle IN ({handles}))",
    "money_amount": "id IN (SELECT k.money_amount_id FROM product_variant_money_amount k "
    "JOIN product_variant v ON v.id = k.variant_id JOIN product p ON p.id = v.product_id "
    "WHERE p.handle IN ({handles}))",
}
EDITS = {
    "the product": "UPDATE product SET title = 'Theirs' WHERE handle = 'pot'",
    "a variant": "UPDATE product_variant SET inventory_quantity = 99 WHERE sku = 'POT-B'",
    "a price": "UPDATE money_amount SET amount = 7 WHERE id IN (SELECT money_amount_id FROM "
    "product_variant_money_amount k JOIN product_variant v ON v.id = k.variant_id WHERE v.sku = 'POT-R')",
    "an option": "UPDATE product_option SET title = 'Hue' WHERE title = 'Colour'",
    "an option value": "UPDATE product_option_value SET value = 'Rot' WHERE value = 'Red'",
}


def owned(shop, *handles):
    names = ", ".join(f"'{handle}'" for handle in handles)
    return {
        name: sorted(shop.rows(f"SELECT * FROM {name} WHERE {condition.format(handles=names)}"), key=repr)
        for name, condition in OWNED.items()
    }


@pytest.mark.parametrize("edit", EDITS)
def test_of_a_new_product_that_somebody_changed_all_stays(shop, edit):
    job = shop.done(ProductImport(), file_key=shop.put(FILE))
    shop.rows(EDITS[edit])
    theirs = owned(shop, "pot")

    back = undo(shop, job)

    assert owned(shop, "pot") == theirs
    assert shop.rows("SELECT handle FROM product") == [("pot",)]
    assert shop.rows("SELECT value FROM product_type") == [("Kitchen",)], "pot has it yet"
    assert {value for (value,) in shop.rows("SELECT value FROM product_tag")} == {"new", "gift"}
    assert shop.rows("SELECT url FROM image") == [("https://i.example/pot.png",)]
    for name in ("product_variant_money_amount", "money_amount", "product_option_value"):
        assert len(shop.rows(f"SELECT * FROM {name}")) == len(theirs[name])
    rejects = shop.read(back.result.rejects_file_key)
    assert "changed since" in rejects
    assert "of which not all can be put back" in rejects


#: What others make that belongs to a product of the import, with the table in which it refers to that.
ADDITIONS = {
    "product_tags": "INSERT INTO product_tags SELECT p.id, t.id FROM product p, product_tag t "
    "WHERE handle = 'pot' AND value = 'sale'",
    "product_variant_money_amount": "INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) "
    "SELECT 'theirs', 'theirs', id FROM product_variant WHERE sku = 'POT-R'",
    "product_sales_channel": "INSERT INTO product_sales_channel SELECT p.id, min(c.id) FROM product p, sales_channel c "
    "WHERE handle = 'pot' GROUP BY p.id",
    "product_shipping_profile": "INSERT INTO product_shipping_profile (product_id, profile_id) "
    "SELECT id, 'theirs' FROM product WHERE handle = 'pot'",
}


@pytest.mark.parametrize("table", ADDITIONS)
def test_a_new_product_that_got_something_from_others_stays_with_all_it_has(shop, table):
    job = shop.done(ProductImport(), file_key=shop.put(FILE))
    shop.rows(ADDITIONS[table])
    theirs, added = owned(shop, "pot"), shop.rows(f"SELECT * FROM {table}")

    back = undo(shop, job)

    assert owned(shop, "pot") == theirs
    assert shop.rows("SELECT handle FROM product") == [("pot",)]
    assert set(shop.rows(f"SELECT * FROM {table}")) <= set(added)
    assert f"rows of {table} refer to it" in shop.read(back.result.rejects_file_key)


@pytest.mark.parametrize("edit", EDITS)
def test_of_a_changed_product_that_somebody_changed_since_all_stays(shop, edit):
    shop.done(ProductImport(), file_key=shop.put(FILE))
    before = owned(shop, "mug", "pan")
    changed = FILE
    for old, new in (("Pot;", "Kettle;"), ("Mug;", "Beaker;"), ("Pan;", "Wok;")):
        changed = changed.replace(old, new)
    for old, new in ((";1;10;", ";11;110;"), (";2;11;", ";12;111;"), (";3;5;", ";13;15;"), (";4;20;", ";14;;")):
        changed = changed.replace(old, new)
    changed = changed.replace(";Colour;Red", ";Colour;Crimson").replace(";Colour;Blue", ";Colour;Navy")
    job = shop.done(ProductImport(), file_key=shop.put(changed))
    shop.rows(EDITS[edit].replace("'Red'", "'Crimson'"))
    theirs = owned(shop, "pot")

    undo(shop, job)

    assert owned(shop, "mug", "pan") == before
    is_about_a_row_of_the_job = edit != "an option"
    assert (owned(shop, "pot") == theirs) == is_about_a_row_of_the_job
    if not is_about_a_row_of_the_job:
        assert shop.rows("SELECT title FROM product WHERE handle = 'pot'") == [("Pot",)]
        assert ("Hue",) in shop.rows("SELECT title FROM product_option")


def test_what_others_use_by_now_stays(shop):
    first = shop.done(ProductImport(), file_key=shop.put(FILE))
    other = FILE.splitlines(keepends=True)[0] + (
        "cup;Cup;Kitchen;gift;One;CUP;1;3;Size;One;https://i.example/mug.png\n"
    )
    shop.done(ProductImport(), file_key=shop.put(other))
    cup = owned(shop, "cup")

    undo(shop, first)

    assert owned(shop, "cup") == cup
    assert shop.rows("SELECT handle FROM product") == [("cup",)]
    assert shop.rows("SELECT value FROM product_type") == [("Kitchen",)]
    assert shop.rows("SELECT value FROM product_tag") == [("gift",)]
    assert shop.rows("SELECT url FROM image") == [("https://i.example/mug.png",)]


def test_a_variant_that_was_ordered_stays_with_its_product(shop):
    job = shop.done(ProductImport(), file_key=shop.put(FILE))
    shop.rows(
        "INSERT INTO line_item (id, title, unit_price, quantity, variant_id) "
        "SELECT 'item_1', 'Pot', 10, 1, id FROM product_variant WHERE sku = 'POT-B'"
    )
    theirs = owned(shop, "pot")
    back = undo(shop, job)
    assert owned(shop, "pot") == theirs
    assert shop.rows("SELECT handle FROM product") == [("pot",)]
    assert "rows of line_item refer to it" in shop.read(back.result.rejects_file_key)


def test_nothing_is_kept_where_that_is_not_wanted(shop):
    shop.done(ProductImport(), file_key=shop.put(FILE), keep_changes=False)
    with pytest.raises(JobRefused, match="nothing is kept"):
        undo(shop, shop.done(ProductImport(), file_key=shop.put(FILE), keep_changes=False))


def test_prices_that_a_list_lost_are_there_again(lists_shop):
    lists_shop.chunk_size = 2
    lists_shop.done(PriceListImport(), price_list_id=LIST, file_key=lists_shop.put(GOLDEN / "price_list_100.csv"))
    before = lists_shop.everything()
    job = lists_shop.done(
        PriceListImport(), price_list_id=LIST, file_key=lists_shop.put("SKU;Price EUR\nsku-1-0-0;3\n")
    )
    in_list = f"SELECT count(*) FROM money_amount WHERE price_list_id = '{LIST}'"
    assert lists_shop.rows(in_list) == [(1,)]

    undo(lists_shop, job)

    assert lists_shop.everything() == before


def a_file(products):
    """Rows of products: the handle's number, and what each has."""
    lines = [FILE.splitlines()[0]]
    for number, (title, kind, tags, variants, image) in products.items():
        for place, (value, stock, price) in enumerate(variants):
            sku, url = f"SKU-{number}-{place}", f"https://i.example/{image}.png"
            lines.append(f"p-{number};{title};{kind};{tags};{place};{sku};{stock};{price};Size;{value};{url}")
    return "\n".join([*lines, ""])


VARIANTS = st.lists(
    st.tuples(st.sampled_from("SML"), st.integers(0, 9), st.sampled_from(["", "1", "2.50"])), min_size=1, max_size=2
)
PRODUCTS = st.tuples(
    st.sampled_from(["Pot", "Pan"]), st.sampled_from(["", "Kitchen"]), st.sampled_from(["", "a", "a,b"]), VARIANTS,
    st.integers(1, 3),
)  # fmt: skip
FILES = st.dictionaries(st.integers(1, 4), PRODUCTS, min_size=1, max_size=4)


def touched(before, after):
    """The numbers of the products whose own row is another."""
    changed = set(after["product"]) - set(before["product"])
    return {number for number in range(1, 5) if any(f"p-{number}" in row for row in changed)}


@pytest.mark.long
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES, FILES, st.sampled_from([None, 1, 2, 3, 4]), st.sampled_from([2, 40]))
def test_any_file_is_taken_back(open_shop, first, second, edited, chunk_size):
    shop = open_shop(base)
    shop.chunk_size = chunk_size
    shop.done(ProductImport(), file_key=shop.put(a_file(first)))
    shop.rows("UPDATE product SET updated_at = '2000-01-01'")  # SQLite's clock has seconds only
    others = [f"p-{number}" for number in range(1, 5) if number != edited]
    before, was = shop.everything(), owned(shop, *others)
    job = shop.done(ProductImport(), file_key=shop.put(a_file(second)))
    after = shop.everything()
    if edited is None:
        if after == before:
            return
        back = undo(shop, job)
        assert shop.everything() == before
        undo(shop, back)
        assert shop.everything() == after
        return
    shop.rows(f"UPDATE product SET title = 'Theirs', updated_at = '2001-01-01' WHERE handle = 'p-{edited}'")
    theirs, is_of_the_job = owned(shop, f"p-{edited}"), edited in touched(before, after)
    if after != before:
        undo(shop, job)
    if is_of_the_job:
        assert owned(shop, f"p-{edited}") == theirs
    assert owned(shop, *others) == was


@pytest.mark.parametrize("edit", [*EDITS, *ADDITIONS])
def test_what_the_preview_says_stays_with_a_product_is_what_stays(shop, edit):
    job = shop.done(ProductImport(), file_key=shop.put(FILE))
    shop.rows((EDITS | ADDITIONS)[edit])

    back = undo(shop, job)

    assert (back.result.removed, back.result.rejected) == (back.plan["counts"]["remove"], back.plan["counts"]["reject"])
    assert back.plan["counts"]["reject"]
