"""How PostgreSQL compares keys, by its catalogue and by their types."""

from typing import Any

from sqlalchemy import Column, Connection, types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.sdk.database import UniqueKey, driver_of

#: One row for each column of each index that keeps whole rows unique at once; with the collation that it compares by
#: where that is not the column's own, or takes different texts for equal.
UNIQUE_KEYS = """
SELECT i.indexrelid, a.attname, quote_ident(n.nspname) || '.' || quote_ident(c.collname)
FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY AS part(number, collid, place)
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.number
LEFT JOIN pg_collation AS c ON c.oid = part.collid AND NOT (c.collisdeterministic AND part.collid = a.attcollation)
LEFT JOIN pg_namespace AS n ON n.oid = c.collnamespace
WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indimmediate AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL AND part.place <= i.indnkeyatts
"""

_PLAIN = (types.Integer, types.Boolean, types.Date, types.Uuid, types.Enum, types.LargeBinary, types.String)


def unique_keys(connection: Connection, table: str) -> list[UniqueKey]:
    """The unique keys of the table of this quoted name."""
    driver = driver_of(connection)
    found: dict[int, dict[str, str | None]] = {}
    for index, column, collation in driver.execute(UNIQUE_KEYS, [table]):
        found.setdefault(index, {})[column] = collation
    return [
        UniqueKey(frozenset(columns), {name: collation for name, collation in columns.items() if collation})
        for columns in found.values()
    ]


def distinguishes_by_text(column: Column[Any]) -> bool:
    """Whether values of a column are equal where their usual texts are, and only there.

    Not so: ``char`` and its blanks, ``citext``, times that are rounded, ``real``, and all that we do not know.
    """
    type = column.type
    if isinstance(type, (types.CHAR, postgresql.CITEXT, types.REAL)):
        return False
    if isinstance(type, types.Numeric):
        return isinstance(type, types.Float) or (type.scale or 0) >= 0
    if isinstance(type, (types.DateTime, types.Time)):
        is_rounded = getattr(type, "precision", None) is not None
        return not is_rounded and not (isinstance(type, types.Time) and type.timezone)
    return isinstance(type, _PLAIN)
