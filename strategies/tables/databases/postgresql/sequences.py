"""The sequences that give numbers to columns, which know nothing of numbers that rows bring along."""

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Integer

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.databases.loading import Destination

#: The sequences by which columns have their default or identity, where this user may set them.
FIND = """
SELECT attribute.attname, sequence.seqrelid::bigint
FROM pg_attribute AS attribute
LEFT JOIN pg_attrdef AS filled ON filled.adrelid = attribute.attrelid AND filled.adnum = attribute.attnum
JOIN pg_depend AS depends ON
    (depends.classid = 'pg_attrdef'::regclass AND depends.objid = filled.oid
        AND depends.refclassid = 'pg_class'::regclass AND depends.refobjid <> attribute.attrelid)
    OR (depends.classid = 'pg_class'::regclass AND depends.refobjid = attribute.attrelid
        AND depends.refobjsubid = attribute.attnum AND depends.deptype = 'i')
JOIN pg_sequence AS sequence ON sequence.seqrelid =
    CASE WHEN depends.classid = 'pg_attrdef'::regclass THEN depends.refobjid ELSE depends.objid END
WHERE attribute.attrelid = %s::regclass AND attribute.attname = ANY (%s) AND sequence.seqincrement > 0
    AND has_sequence_privilege(sequence.seqrelid, 'UPDATE') AND has_sequence_privilege(sequence.seqrelid, 'SELECT')
"""
#: Only ever up, and not beyond its end. Of two that look at the same time, one would take the other's number back: so
#: one after the other, and no longer than that, as what is undone here is the lock; a sequence is never.
RAISE = """
SAVEPOINT batch_job_sequence; SELECT pg_advisory_xact_lock(hashtext('setval {sequence}'));
SELECT setval(seqrelid::regclass, {number}) FROM pg_sequence
WHERE seqrelid = {sequence} AND {number} <= seqmax
    AND {number} > coalesce(pg_sequence_last_value(seqrelid), seqstart - 1);
ROLLBACK TO SAVEPOINT batch_job_sequence; RELEASE SAVEPOINT batch_job_sequence
"""


class Sequences:
    """The sequences of a destination's columns."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._table = database.quoted_table(destination.table)
        self._columns = [name for name in destination.columns if _is_numbered(destination, name)]
        self._found: dict[str, int] | None = None

    def raise_to(self, connection: Connection, rows: pa.Table) -> None:
        """Have each go on after the greatest number in these rows; nobody else's number is taken back."""
        if not self._columns:
            return
        driver = driver_of(connection)
        if self._found is None:
            self._found = dict(driver.execute(FIND, [self._table, self._columns]).fetchall())
        for name, sequence in self._found.items():
            greatest = pc.max(rows.column(name)).as_py() if name in rows.column_names else None
            if greatest is not None:
                driver.execute(RAISE.format(number=int(greatest), sequence=int(sequence)))


def _is_numbered(destination: Destination, name: str) -> bool:
    column = destination.column(name)
    default = getattr(column.server_default, "arg", "")
    return isinstance(column.type, Integer) and (column.identity is not None or "nextval(" in str(default))
