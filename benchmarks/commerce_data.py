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
    """Write a product file of two variants a product; ``changed`` is the share of products with another title and price."""
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
