"""The rows that every measurement uses: ten columns of the usual kinds, already clean."""

import csv
import random
from pathlib import Path

COLUMNS = ("id", "sku", "name", "price", "cost", "stock", "weight", "active", "added", "note")
TABLE = """CREATE TABLE goods (
    id INTEGER PRIMARY KEY, sku VARCHAR(20) NOT NULL, name TEXT NOT NULL, price NUMERIC(10, 2), cost NUMERIC(10, 2),
    stock INTEGER, weight DOUBLE PRECISION, active BOOLEAN, added DATE, note TEXT)"""


def write_goods(path: Path, rows: int) -> Path:
    """Write a CSV file of this many rows; the same number gives the same file."""
    chance = random.Random(rows)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in range(1, rows + 1):
            price = chance.randrange(100, 100_000)
            date = f"20{chance.randrange(10, 26)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
            writer.writerow(
                (i, f"SKU-{i:09d}", f"Article number {i} of the catalogue", f"{price / 100:.2f}", f"{price / 180:.2f}",
                 chance.randrange(1000), chance.randrange(1, 9999) / 8, "true" if i % 3 else "false", date,
                 "" if i % 5 else f"see page {i % 400}")
            )  # fmt: skip
    return path
