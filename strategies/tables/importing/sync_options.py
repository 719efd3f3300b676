"""What ``sync`` does with rows of the table that are not in the file: fields of a context."""

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Scalar = bool | int | float | str | None
Rows = Annotated[int, Field(ge=0)]
Percent = Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$")]
DELETE: Literal["delete"] = "delete"
TEN_PERCENT = "10%"


class Mark(BaseModel):
    """What a row gets that is not in the file, by column of the table."""

    mark: dict[str, Any] = Field(title="Mark", description="Column -> value, such as active -> false", min_length=1)


class SyncOptions(BaseModel):
    """Which rows that is about, what becomes of them, and how many there may be."""

    missing: Literal["delete"] | Mark = Field(
        default=DELETE,
        title="Missing rows",
        description="sync: delete a row that is not in the file, or mark it, as in "
        '{"mark": {"active": false}}, and leave it otherwise as it is',
    )
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        title="Where",
        description="sync: only rows that have these values are missing where the file lacks them, as in "
        '{"region": "EU", "state": ["new", null]}; default all rows of the table',
    )
    max_removed: Rows | Percent = Field(
        default=TEN_PERCENT,
        title="Most removed",
        description="sync: fail before anything is written when more rows than this are missing: a number, or a share "
        "of the rows there are, such as 5%",
    )

    @property
    def asks_for_removal(self) -> bool:
        """Whether anything is set that only ``sync`` heeds."""
        return self.missing != DELETE or bool(self.where) or self.max_removed != TEN_PERCENT

    def most_removed(self, rows: int) -> int:
        """How many of this number of rows may be removed."""
        if isinstance(self.max_removed, int):
            return self.max_removed
        return int(Fraction(self.max_removed.removesuffix("%")) * rows / 100)
