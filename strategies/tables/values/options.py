"""How cells are to be understood: fields that the contexts of all importing strategies into tables have."""

from typing import Literal

from pydantic import BaseModel, Field


class ValueOptions(BaseModel):
    """What the cells of a file do not say of themselves."""

    null_values: list[str] = Field(
        default_factory=list, title="Words for nothing", description="Cells that mean no value, such as NA or \\N"
    )
    decimal: str | None = Field(
        default=None,
        title="Decimal mark",
        description="In numbers, such as a comma; default a point",
        pattern=r"^[.,]$",
    )
    thousands: str | None = Field(
        default=None,
        title="Thousands mark",
        description="In numbers, such as a comma, a point, a blank or an apostrophe; default none",
        min_length=1,
        max_length=1,
    )
    date_format: str | dict[str, str] | None = Field(
        default=None,
        title="Date format",
        description="How days and times are written, as %d.%m.%Y: one for all columns, or one for each by name; "
        "default as ISO 8601 has them",
    )
    time_zone: str | None = Field(
        default=None, title="Time zone", description="Of times that name none, such as Europe/Vienna; default UTC"
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        title="Types",
        description="Column -> its type in a table to create, such as numeric(10,2); default found by all its values",
    )
    empty: Literal["null", "default", "keep"] = Field(
        default="null",
        title="Empty cells",
        description="null: no value; default: what the column has by itself; keep: leave what is there as it is",
    )
