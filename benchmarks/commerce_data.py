"""A catalogue and orders of any size: 24 rows of Medusa's tables a product, as a shop of clothes has them."""

import random
from pathlib import Path

COLUMNS = (
    "Product Id;Product Handle;Product Title;Product Subtitle;Product Description;Product Status;Product Thumbnail;"
    "Product Weight;Product Discountable;Product Type;Product Tags;Variant Id;Variant Title;Variant SKU;"
    "Variant Inventory Quantity;Variant Allow Backorder;Variant Manage Inventory;Price EUR;Price USD;"
    "Option 1 Name;Option 1 Value;Image 1 Url;Image 2 Url;Image 3 Url"
)
TAGS = [f"tag {number}" for number in range(60)]
TABLES = (
    "product_type", "product_tag", "image", "product", "product_shipping_profile", "product_tags", "product_images",
    "product_option", "product_variant", "product_option_value", "money_amount", "product_variant_money_amount",
)  # fmt: skip


def write_products(path: Path, products: int, changed: float = 0.0) -> Path:
    """Write a product file of two variants a product; ``changed`` is the share with another title and price."""
    chance, luck = random.Random(products), random.Random(1)
    with path.open("w") as file:
        file.write(COLUMNS + "\n")
        for number in range(products):
            tags = ",".join(chance.sample(TAGS, 3))
            new = " (new)" if luck.random() < changed else ""
            images = ";".join(f"https://images.example/{number}/{image}.png" for image in range(3))
            for size in ("S", "L"):
                price = chance.randrange(500, 50_000) + (1 if new else 0)
                file.write(
                    f";product-{number:07d};Product number {number} of the shop{new};;Comfortable, made to last and "
                    f"washed {number % 90} times before it is sold;published;https://images.example/{number}/0.png;"
                    f"{number % 3000};true;type {number % 20};{tags};;Product {number} {size};SKU-{number:07d}-{size};"
                    f"{chance.randrange(500)};false;true;{price / 100:.2f};{price / 90:.2f};Size;{size};{images}\n"
                )
    return path


#: Fills a shop with orders: two items each, taxed, every fourth with a discount, every fifth with a refund.
ORDERS = """
INSERT INTO country (id, iso_2, iso_3, num_code, name, display_name) VALUES (1, 'de', 'deu', 276, 'DE', 'Germany');
INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg_1', 'EU', 'eur', 19);
INSERT INTO shipping_option (id, name, region_id, profile_id, provider_id, price_type, data)
    SELECT 'so_1', 'Post', 'reg_1', id, 'manual', 'flat_rate', '{{}}' FROM shipping_profile LIMIT 1;
INSERT INTO discount (id, code, is_dynamic, is_disabled) VALUES ('disc_1', 'TEN', false, false);
INSERT INTO customer (id, email, first_name, last_name)
    SELECT 'cus_' || n, 'c' || n || '@example.com', 'First ' || n, 'Last ' || n FROM generate_series(1, 1000) n;
INSERT INTO address (id, address_1, address_2, city, country_code, postal_code)
    SELECT 'addr_' || n, 'Street ' || n || ', left', NULL, 'Berlin', 'de', '10' || n FROM generate_series(1, {count}) n;
INSERT INTO "order"
    (id, customer_id, email, shipping_address_id, region_id, currency_code, sales_channel_id, created_at)
    SELECT 'order_' || n, 'cus_' || 1 + n % 1000, 'c' || n || '@example.com', 'addr_' || n, 'reg_1', 'eur',
           (SELECT id FROM sales_channel LIMIT 1), now() - n * interval '1 second' FROM generate_series(1, {count}) n;
INSERT INTO line_item (id, order_id, title, unit_price, quantity)
    SELECT 'item_' || n || '_' || k, 'order_' || n, 'Item', 100 + n % 9000, 1 + n % 3
    FROM generate_series(1, {count}) n, generate_series(1, 2) k;
INSERT INTO line_item_tax_line (id, rate, name, code, item_id) SELECT 'litl_' || id, 19, 'd', 'd', id FROM line_item;
INSERT INTO order_discounts SELECT 'order_' || n, 'disc_1' FROM generate_series(4, {count}, 4) n;
INSERT INTO line_item_adjustment (id, item_id, description, discount_id, amount)
    SELECT 'lia_' || n, 'item_' || n || '_1', 'd', 'disc_1', 10 FROM generate_series(4, {count}, 4) n;
INSERT INTO shipping_method (id, shipping_option_id, order_id, price, data)
    SELECT 'sm_' || n, 'so_1', 'order_' || n, 500, '{{}}' FROM generate_series(1, {count}) n;
INSERT INTO shipping_method_tax_line (id, rate, name, code, shipping_method_id)
    SELECT 'smtl_' || id, 19, 'd', 'd', id FROM shipping_method;
INSERT INTO refund (id, order_id, amount, reason)
    SELECT 'ref_' || n, 'order_' || n, 50, 'other' FROM generate_series(5, {count}, 5) n
"""
