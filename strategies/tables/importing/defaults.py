"""Columns of the table that a file lacks, and that every row gets the same value in, as ``defaults`` says."""

from collections.abc import Sequence

import pyarrow as pa

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.values.options import ValueOptions


def with_defaults(mapping: dict[str, str], options: ValueOptions, file_columns: Sequence[str]) -> dict[str, str]:
    """The mapping with a name that no column of the file has for each column of the table that only gets a default."""
    added: dict[str, str] = {}
    for column in options.defaults:
        if column not in mapping.values():
            name = f"{column} (default)"
            while name in file_columns:
                name += " (default)"
            added[name] = column
    return {**mapping, **added}


def decided_by_defaults(
    database: Database, options: ValueOptions, mapping: dict[str, str], file_columns: Sequence[str]
) -> dict[str, Decision]:
    """The types of such columns in a new table: as ``types`` has them, else the narrowest that holds the value."""
    names = [name for name in mapping if name not in file_columns]
    inference = Inference(database, options, columns=mapping)
    texts = pa.table({name: pa.array([options.defaults[mapping[name]]], pa.string()) for name in names})
    inference.feed(Batch(texts, pa.array([1], pa.int64()), [], {}))
    why = "defaults gives it to every row"
    return {name: Decision(decided.type, why) for name, decided in inference.columns().items()}
