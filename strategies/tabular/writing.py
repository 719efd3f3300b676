"""Writing one chunk, with what became of each of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from sqlalchemy import Connection

from strategies.tabular.chunks import Chunk
from strategies.tabular.converting import Refusal
from strategies.tabular.isolating import isolating
from strategies.tabular.loading import Loader, Written


@dataclass
class Outcome:
    """Counts of a chunk's rows, and the rows that the database refused or has already."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def write_chunk(connection: Connection, loader: Loader, chunk: Chunk, table: str) -> Outcome:
    """Write the good rows of a chunk in the connection's transaction."""
    outcome = Outcome()
    if not chunk.indices:
        return outcome

    def write(rows: pa.Table) -> Written:
        # the whole chunk was encoded beforehand, by another thread; its parts only where a row is refused
        return loader.write(connection, chunk.payload if rows is chunk.rows else loader.encode(rows))

    loader.begin(connection, chunk.last)
    parts, refused = isolating(connection, loader, chunk.rows, write)
    for part in parts:
        written = part.outcome
        outcome.created += written.created
        outcome.updated += written.updated
        outcome.unchanged += part.rows - written.created - written.updated - len(written.known)
        known = (chunk.indices[part.start + index] for index in written.known)
        outcome.refusals += _already_there(chunk, known, table)
    outcome.refusals += [chunk.checked.refuse(chunk.indices[row.index], row.message) for row in refused]
    return outcome


def _already_there(chunk: Chunk, indices: Iterator[int], table: str) -> list[Refusal]:
    return [
        chunk.checked.refuse(index, f"key {chunk.checked.key_text(index)} is already in {table}") for index in indices
    ]
