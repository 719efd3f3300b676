"""What an import's first phase leaves for the second one, as JSON."""

from typing import Any

from pydantic import BaseModel, Field

from strategies.tabular.creating import ColumnToCreate


class Counts(BaseModel):
    """Rows by what will become of them."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    reject: int = 0


class SampledChange(BaseModel):
    """One field that an import changes, before and after."""

    line: int
    key: dict[str, str]
    column: str
    before: str | None
    after: str | None


class ImportPlan(BaseModel):
    """Everything decided before the first row is written.

    ``file`` is what was found out about the file; ``mapping`` goes from its columns to the table's; ``creates`` has the
    columns of a table to create; ``repeats`` is the key of the file of rows whose key an earlier row has.
    """

    checksum: str
    file: dict[str, str]
    mapping: dict[str, str]
    key: list[str]
    creates: list[ColumnToCreate] | None = None
    total: int = 0
    counts: Counts = Field(default_factory=Counts)
    sample: list[SampledChange] = Field(default_factory=list)
    repeats: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The plan as ``job.plan`` keeps it."""
        return self.model_dump(mode="json")
