"""How a file is to be read: fields that the contexts of all importing strategies have."""

from typing import Any, Self

from pydantic import BaseModel, Field


class ReadingOptions(BaseModel):
    """What a file's own bytes may not say; which of it a format heeds is its ``read_options``."""

    delimiter: str | None = Field(
        default=None, title="Delimiter", description="Between the cells of a CSV file; default: found out"
    )
    encoding: str | None = Field(
        default=None, title="Encoding", description="Of a text file, such as utf-8 or cp1252; default: found out"
    )
    sheet: str | int | None = Field(
        default=None,
        title="Sheet",
        description="Of a workbook: its name or its number, from 1; default the first visible one",
    )
    skip_rows: int = Field(default=0, title="Skip rows", description="Lines above the header that are left out", ge=0)
    skip_footer: int = Field(default=0, title="Skip footer", description="Rows at the end that are left out", ge=0)
    header: bool = Field(
        default=True,
        title="Header",
        description="Whether the first row names the columns; otherwise column_1, column_2 …",
    )
    comment: str | None = Field(
        default=None, title="Comment", description="Lines of a text file that begin with this are left out, such as #"
    )
    quote: str | None = Field(
        default=None, title="Quote", description='What a cell of a CSV file is quoted with; default ", and "" for none'
    )
    escape: str | None = Field(
        default=None,
        title="Escape",
        description="What stands before a quote inside a quoted cell; default the quote itself",
    )


class ReadOptions(ReadingOptions):
    """Reading options, and what an earlier reader of the same file ``found``."""

    found: dict[str, Any] | None = None

    @classmethod
    def of(cls, context: BaseModel, found: dict[str, Any] | None = None) -> Self:
        """The reading options that a context has; the others keep their defaults."""
        given = {name: getattr(context, name) for name in ReadingOptions.model_fields if hasattr(context, name)}
        return cls(**given, found=found)


def given_options(context: BaseModel, *models: type[BaseModel]) -> dict[str, Any]:
    """The options of these models that a context has otherwise than by default, as JSON."""
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    given = {name: value for name, value in context.model_dump(mode="json").items() if name in fields}
    return {
        name: value for name, value in given.items() if value != fields[name].get_default(call_default_factory=True)
    }
