"""One question to PostgreSQL's catalogue: could these tables be distributed by customer_id?"""

from collections.abc import Sequence

from django.db import connection

# Partitions are looked at one by one: what they get beside their parent counts too.
FAULTS = """
WITH parents AS (
    SELECT to_regclass(name)::oid AS oid FROM unnest(%(tables)s::text[]) AS name
), tables AS (
    SELECT oid FROM parents
    UNION
    SELECT tree.relid FROM parents, pg_partition_tree(parents.oid::regclass) AS tree
), columns AS (
    SELECT attrelid, attnum, attname, atttypid, attnotnull, attidentity
    FROM pg_attribute JOIN tables ON attrelid = oid
    WHERE attnum > 0 AND NOT attisdropped
), customers AS (
    SELECT attrelid, attnum FROM columns
    WHERE attname = 'customer_id' AND atttypid = 'bigint'::regtype AND attnotnull
), indexes AS (
    SELECT indrelid, indexrelid, indisprimary, indisunique,
           coalesce(array_position(indkey::int2[], customers.attnum), -1) AS position
    FROM pg_index JOIN tables ON indrelid = oid LEFT JOIN customers ON attrelid = oid
)
SELECT 'no such table', name FROM unnest(%(tables)s::text[]) AS name
WHERE to_regclass(name) IS NULL
UNION ALL
SELECT 'customer_id is not bigint NOT NULL', oid::regclass::text FROM tables
WHERE oid NOT IN (SELECT attrelid FROM customers)
UNION ALL
SELECT 'no primary key', oid::regclass::text FROM tables
WHERE oid NOT IN (SELECT indrelid FROM indexes WHERE indisprimary)
UNION ALL
SELECT 'customer_id does not lead the primary key', indexrelid::regclass::text FROM indexes
WHERE indisprimary AND position <> 0
UNION ALL
SELECT 'unique without customer_id', indexrelid::regclass::text FROM indexes
WHERE indisunique AND position < 0
UNION ALL
SELECT 'identity column', attrelid::regclass || '.' || attname FROM columns
WHERE attidentity <> ''
UNION ALL
SELECT 'default from a sequence', adrelid::regclass || '.' || attname
FROM pg_attrdef JOIN columns ON adrelid = attrelid AND adnum = attnum
WHERE pg_get_expr(adbin, adrelid) LIKE '%%nextval(%%'
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname FROM pg_trigger JOIN tables ON tgrelid = tables.oid
WHERE NOT tgisinternal
UNION ALL
SELECT 'exclusion constraint without customer_id', conrelid::regclass || '.' || conname
FROM pg_constraint JOIN tables ON conrelid = tables.oid LEFT JOIN customers ON attrelid = conrelid
WHERE contype = 'x' AND (attnum IS NULL OR attnum <> ALL (conkey))
UNION ALL
SELECT 'foreign key to or from an ordinary table', conrelid::regclass || '.' || conname
FROM pg_constraint
WHERE contype = 'f'
  AND (conrelid IN (SELECT oid FROM tables)) <> (confrelid IN (SELECT oid FROM tables))
UNION ALL
SELECT 'foreign key without customer_id', conrelid::regclass || '.' || conname
FROM pg_constraint LEFT JOIN customers ON attrelid = conrelid
WHERE contype = 'f' AND conrelid IN (SELECT oid FROM tables)
  AND confrelid IN (SELECT oid FROM tables) AND (attnum IS NULL OR attnum <> ALL (conkey))
ORDER BY 1, 2
"""


def catalogue_faults(tables: Sequence[str]) -> list[tuple[str, str]]:
    """Return (what is wrong, where) for each breach of the rules; nothing when all hold."""
    with connection.cursor() as cursor:
        cursor.execute(FAULTS, {"tables": list(tables)})
        return [(str(what), str(where)) for what, where in cursor.fetchall()]
