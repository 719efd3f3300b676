"""What an import into a table can be asked for, whoever says which table."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from batch_jobs.strategies.sdk.context_fields import KeepChanges
from batch_jobs.strategies.tables.formats.format import FormatName
from batch_jobs.strategies.tables.formats.options import ReadingOptions
from batch_jobs.strategies.tables.importing.inputs import InputOptions
from batch_jobs.strategies.tables.importing.sync_options import SyncOptions
from batch_jobs.strategies.tables.values.options import ValueOptions


class Loading(BaseModel):
    """How rows that are there already are met, and how many may be bad."""

    mode: Literal["append", "insert", "upsert", "update", "sync"] = Field(
        "append",
        title="Mode",
        description="append: add every row; insert: reject a row whose key exists; upsert: update it where it differs; "
        "update: so, and reject a row whose key does not exist; sync: upsert, and remove rows that the file lacks",
    )
    max_rejects: int | None = Field(
        None,
        title="Most rejects",
        description="Fail before anything is written when more rows than this are bad; default: any number",
        ge=0,
    )
    keep_changes: KeepChanges = None


class FormatOption(BaseModel):
    """What kind of file it is."""

    format: FormatName | None = Field(None, title="Format", description="Default: by the file's name")


class RowOptions(SyncOptions, Loading):
    """What an import of rows that are in no file can be asked for."""


class FileOptions(SyncOptions, ValueOptions, ReadingOptions, FormatOption, Loading, InputOptions):
    """Which file is loaded, how it is read, how its cells are understood, and what happens to other rows."""


class ImportContext(FileOptions):
    """The options of an import, and where its rows go, as the strategy or the job says it."""

    table: ClassVar[str]
    key: ClassVar[list[str]]
    columns: ClassVar[dict[str, str | None]]


def fixed(context: type[BaseModel], table: str, key: list[str]) -> type[BaseModel]:
    """A context for one table, as its strategy names it; where it names a key, rows that are there are updated.

    Args:
        context: the strategy's.
        table: where the rows go.
        key: the columns that tell rows apart.
    """
    there = {"table": table, "key": key, "columns": {}}
    annotations: dict[str, Any] = dict.fromkeys(there, ClassVar[Any])
    namespace = {name: getattr(context, name) for name in ("__module__", "__qualname__", "__doc__")} | there
    mode = context.model_fields["mode"]
    if key and mode.default == Loading.model_fields["mode"].default and not _says_mode(context):
        annotations["mode"] = mode.annotation
        namespace["mode"] = Field("upsert", title=mode.title, description=mode.description)
    return type(context.__name__, (context,), {**namespace, "__annotations__": annotations})


def value_options(context: BaseModel) -> ValueOptions:
    """How cells are understood: as the context says it, or by default where it is for rows that have values already."""
    return context if isinstance(context, ValueOptions) else ValueOptions()


def _says_mode(context: type[BaseModel]) -> bool:
    """Whether the strategy's own context has a default of its own."""
    own = (base for base in context.__mro__ if issubclass(base, Loading) and base is not Loading)
    return any("mode" in vars(base).get("__annotations__", {}) for base in own)
