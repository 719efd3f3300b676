"""Whether what becomes of a row depends on the rows written before it, by PostgreSQL's catalogue."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import driver_of

#: The table and what inherits from it, or is a partition of it.
TREE = """
WITH RECURSIVE tree AS (
    SELECT %(table)s::regclass::oid AS oid
    UNION SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.oid
)
"""
#: What may look at other rows whenever one is written.
LOOKING = f"""{TREE}
SELECT 'that it is not a table' FROM tree JOIN pg_class USING (oid) WHERE relkind NOT IN ('r', 'p')
UNION ALL SELECT 'its trigger ' || tgname FROM tree JOIN pg_trigger ON tgrelid = tree.oid
WHERE NOT tgisinternal AND tgenabled <> 'D'
UNION ALL SELECT 'its rule ' || rulename FROM tree JOIN pg_rewrite ON ev_class = tree.oid WHERE rulename <> '_RETURN'
UNION ALL SELECT 'its row security' FROM tree JOIN pg_class USING (oid) WHERE relrowsecurity
"""
#: The indexes that keep rows apart: of which relation, the name, whether it is about nothing but values of columns that
#: are not made of others, the columns, and whether one of them is empty or given out by the database where rows do not
#: bring it along, so that new ones differ.
APART = f"""{TREE}
SELECT tree.oid, named.relname,
    i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL AND bool_and(a.attgenerated = ''),
    array_agg(a.attname::text),
    NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AND bool_or(a.attidentity <> ''
        OR NOT a.atthasdef OR pg_get_expr(filled.adbin, filled.adrelid) ~ '^(nextval|gen_random_uuid|uuidv[47])[(]')
FROM tree JOIN pg_index AS i ON i.indrelid = tree.oid JOIN pg_class AS named ON named.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part(number, place)
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.number
LEFT JOIN pg_attrdef AS filled ON filled.adrelid = a.attrelid AND filled.adnum = a.attnum
WHERE (i.indisunique OR i.indisexclusion) AND part.place <= i.indnkeyatts
GROUP BY tree.oid, named.relname, i.indexrelid, i.*
ORDER BY i.indexrelid
"""


def why_in_order(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    apart: Collection[frozenset[str]] = (),
) -> str | None:
    """Why rows are to be written in their order to the table of this quoted name; ``None`` where that is the same.

    Args:
        connection: to the database.
        table: its name.
        columns: that rows bring along.
        key: by which no two of the rows are the same.
        apart: further sets of columns by which no two of them are.
    """
    driver = driver_of(connection)
    for (what,) in driver.execute(LOOKING, {"table": table}).fetchall():
        return f"what becomes of a row of {table} may depend on those before it, for {what}"
    with_key_index: set[int] = set()
    for relation, name, is_plain, of_index, is_filled in driver.execute(APART, {"table": table}).fetchall():
        is_of_key = is_plain and set(of_index) == set(key) and relation not in with_key_index
        if is_of_key:
            with_key_index.add(relation)
        elif set(of_index) not in apart and (not is_plain or not is_filled or set(of_index) & set(columns)):
            return f"what becomes of a row of {table} may depend on those before it, for its index {name}"
    return None
