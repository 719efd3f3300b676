"""What a shop has that products refer to by name: currencies, regions, sales channels, the default profile."""

from dataclasses import dataclass

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.shop.importing.headers import PriceHeader
from batch_jobs.strategies.shop.reading_state import StateReader
from batch_jobs.strategies.tables.databases.naming import shown


@dataclass(frozen=True)
class PriceColumn:
    """A column of prices: where its amounts go, or why there is no such place."""

    column: str
    currency: str
    region_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Shop:
    """The shop as it is when a job begins a phase."""

    currencies: list[str]
    regions: dict[str, tuple[str, str]]  # name -> id, currency
    channels: pa.Table  # id, name
    default_profile: str | None

    def price_columns(self, headers: list[PriceHeader]) -> list[PriceColumn]:
        """Where each column of prices goes.

        Medusa: a region's price is in the region's own currency, whatever is in the brackets.

        Raises:
            JobRefused: two columns hold the same price.
        """
        columns = [self._price_column(header) for header in headers]
        first: dict[tuple[str, str | None], str] = {}
        for column in columns:
            if column.problem is not None:
                continue
            other = first.setdefault((column.currency, column.region_id), column.column)
            if other != column.column:
                raise JobRefused(f"{other} and {column.column} are the same price; leave one out")
        return columns

    def _price_column(self, header: PriceHeader) -> PriceColumn:
        if header.region is None:
            known = header.currency in self.currencies
            problem = None if known else f"the shop has no currency {header.currency}"
            return PriceColumn(header.column, header.currency, None, problem)
        if header.region not in self.regions:
            problem = f"there is no region {header.region}; there are: {shown(sorted(self.regions))}"
            return PriceColumn(header.column, header.currency, None, problem)
        region_id, currency = self.regions[header.region]
        return PriceColumn(header.column, currency, region_id)


def read_shop(state: StateReader) -> Shop:
    """Read it."""
    regions = state.texts(
        "SELECT id, name, currency_code FROM region WHERE deleted_at IS NULL", "id", "name", "currency_code"
    )
    profiles = state.texts(
        "SELECT id FROM shipping_profile WHERE type = 'default' AND deleted_at IS NULL ORDER BY created_at, id", "id"
    )
    return Shop(
        currencies=state.texts("SELECT code FROM currency", "code").column("code").to_pylist(),
        regions={row["name"]: (row["id"], row["currency_code"]) for row in regions.to_pylist()},
        channels=state.texts("SELECT id, name FROM sales_channel WHERE deleted_at IS NULL", "id", "name"),
        default_profile=next(iter(profiles.column("id").to_pylist()), None),
    )
