"""What a relation would lose if it were rebuilt, and the error that refuses that by name.

What is known not to survive is refused before anything is dropped. All else that PostgreSQL drops
along with a relation is listed before and after: what is missing then, or looks different, refuses
the change as well, also if it is of a kind that we never heard of.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TypeAlias

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.postgres.catalog import Runner

#: (the object, the column it is of, what is so about it)
Attached: TypeAlias = frozenset[tuple[str, str | None, str]]

#: All that PostgreSQL drops along with a relation, and what is so about each part of it: so also
#: what the statements above do not know. OIDs, counts and sizes are those of the new one.
_ATTACHED = """
WITH objects(classid, objid, objsubid) AS (
    SELECT 'pg_class'::regclass::oid, %(oid)s::oid, 0
    UNION SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_attribute
    WHERE attrelid = %(oid)s::oid AND attnum > 0 AND NOT attisdropped
    UNION SELECT 'pg_class'::regclass, indexrelid, 0 FROM pg_index WHERE indrelid = %(oid)s::oid
    UNION SELECT classid, objid, objsubid FROM pg_depend
    WHERE refclassid = 'pg_class'::regclass AND refobjid = %(oid)s::oid
      AND deptype IN ('a', 'i', 'P', 'S', 'x')
      AND NOT (classid = 'pg_class'::regclass
               AND EXISTS (SELECT FROM pg_class WHERE pg_class.oid = objid AND relkind = 't'))
),
named AS (
    SELECT o.*, pg_describe_object(coalesce(c.tableoid, o.classid), coalesce(c.oid, o.objid),
                                   o.objsubid) AS what,
           coalesce(a.attname, nn.attname) AS "column"
    FROM objects AS o
    LEFT JOIN pg_attribute AS a ON o.classid = 'pg_class'::regclass AND o.objsubid > 0
     AND a.attrelid = o.objid AND a.attnum = o.objsubid
    LEFT JOIN pg_constraint AS c ON o.classid = 'pg_class'::regclass AND o.objsubid = 0
     AND c.conindid = o.objid AND c.contype IN ('p', 'u', 'x')
    LEFT JOIN pg_attrdef AS d ON o.classid = 'pg_attrdef'::regclass AND d.oid = o.objid
    LEFT JOIN pg_attribute AS nn ON nn.attrelid = d.adrelid AND nn.attnum = d.adnum
)
SELECT what, "column"::text, 'it' FROM named
UNION SELECT what, "column", 'its comment' FROM named
JOIN pg_description AS d ON (d.classoid, d.objoid, d.objsubid) = (classid, objid, named.objsubid)
UNION SELECT what, "column", 'its security label of ' || l.provider FROM named
JOIN pg_seclabel AS l ON (l.classoid, l.objoid, l.objsubid) = (classid, objid, named.objsubid)
UNION SELECT what, "column", 'its dependence on ' || pg_describe_object(refclassid, refobjid, 0)
FROM named JOIN pg_depend USING (classid, objid) WHERE deptype IN ('x', 'e')
UNION SELECT what, NULL, concat('its ', p.key, ' ', p.value)
FROM named JOIN pg_class AS c ON classid = c.tableoid AND objid = c.oid AND objsubid = 0
CROSS JOIN jsonb_each_text(to_jsonb(c) - ARRAY['oid', 'reltype', 'relfilenode', 'relpages',
    'reltuples', 'relallvisible', 'relallfrozen', 'reltoastrelid', 'relhasindex', 'relnatts',
    'relchecks', 'relhasrules', 'relhastriggers', 'relhassubclass', 'relacl', 'relfrozenxid',
    'relminmxid', 'relrewrite', 'reloptions']) AS p
WHERE p.value IS NOT NULL
UNION SELECT what, NULL, 'its option ' || option
FROM named JOIN pg_class AS c ON classid = c.tableoid AND objid = c.oid AND objsubid = 0
CROSS JOIN unnest(c.reloptions) AS option
UNION SELECT what, NULL, 'its option toast.' || option
FROM named JOIN pg_class AS c ON classid = c.tableoid AND objid = c.oid AND objsubid = 0
JOIN pg_class AS t ON t.oid = c.reltoastrelid CROSS JOIN unnest(t.reloptions) AS option
UNION SELECT what, NULL, 'its mark ' || p.key
FROM named JOIN pg_index AS i ON classid = 'pg_class'::regclass AND objid = i.indexrelid
CROSS JOIN jsonb_each_text(to_jsonb(i)) AS p
WHERE p.key IN ('indisclustered', 'indisreplident') AND p.value = 'true'
UNION SELECT what, "column", concat('its ', p.key, ' ', p.value)
FROM named JOIN pg_attribute AS a
  ON classid = 'pg_class'::regclass AND objid = a.attrelid AND objsubid = a.attnum
CROSS JOIN jsonb_each_text(to_jsonb(a) - ARRAY['attrelid', 'attname', 'attnum', 'atttypid',
    'attlen', 'attbyval', 'attalign', 'attndims', 'attcacheoff', 'atttypmod', 'attcollation',
    'attstorage', 'attcompression', 'atthasmissing', 'attmissingval', 'attacl']) AS p
WHERE p.value IS NOT NULL
UNION SELECT what, "column", concat_ws(' ', 'a grant of', acl.privilege_type, 'to',
    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END,
    CASE WHEN acl.is_grantable THEN 'with grant option' END)
FROM named LEFT JOIN pg_class AS c ON classid = c.tableoid AND objid = c.oid AND objsubid = 0
LEFT JOIN pg_attribute AS a
  ON classid = 'pg_class'::regclass AND objid = a.attrelid AND objsubid = a.attnum
CROSS JOIN aclexplode(coalesce(c.relacl, a.attacl)) AS acl
WHERE acl.grantee <> coalesce(c.relowner, 0) OR acl.grantee = 0
"""

#: What is known not to survive: why, and what to do about it.
_NOT_KEPT = """
WITH relations AS (
    SELECT c.*, format('%%I.%%I', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
),
old AS (SELECT * FROM relations WHERE oid = %(oid)s::oid)
SELECT 1, 'it is a partitioned table', 'change it' FROM old WHERE relkind = 'p'
UNION ALL
SELECT 2, format('it is a partition of %%s', p.name),
       format('ALTER TABLE %%s DETACH PARTITION %%s', p.name, old.name)
FROM pg_inherits JOIN old ON inhrelid = old.oid JOIN relations AS p ON p.oid = inhparent
WHERE old.relispartition
UNION ALL
SELECT 2, format('it inherits from %%s', p.name),
       format('ALTER TABLE %%s NO INHERIT %%s', old.name, p.name)
FROM pg_inherits JOIN old ON inhrelid = old.oid JOIN relations AS p ON p.oid = inhparent
WHERE NOT old.relispartition
UNION ALL
SELECT 2, format('the table %%s inherits from it', c.name),
       format('ALTER TABLE %%s NO INHERIT %%s', c.name, old.name)
FROM pg_inherits JOIN old ON inhparent = old.oid JOIN relations AS c ON c.oid = inhrelid
WHERE old.relkind = 'r'
UNION ALL
SELECT 2, format('it is a table of the type %%s', reloftype::regtype),
       format('ALTER TABLE %%s NOT OF', name)
FROM old WHERE reloftype <> 0
UNION ALL
SELECT 2, format('the foreign key %%I of %%s refers to it', conname, o.name),
       format('ALTER TABLE %%s DROP CONSTRAINT %%I', o.name, conname)
FROM pg_constraint JOIN old ON confrelid = old.oid JOIN relations AS o ON o.oid = conrelid
WHERE contype = 'f' AND conrelid <> confrelid AND conparentid = 0
UNION ALL
SELECT 2, format('its column %%I is generated, and no query gives its values', attname),
       'drop the column'
FROM pg_attribute WHERE attrelid = %(oid)s::oid AND attgenerated <> '' AND NOT attisdropped
UNION ALL
SELECT 2, format('the column %%I of it counts with a sequence of its own (%%s), whose count would'
                 ' be lost', a.attname, s.name), 'drop that default or identity'
FROM pg_depend AS d
JOIN relations AS s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = %(oid)s::oid AND d.deptype IN ('a', 'i')
UNION ALL
SELECT 2, 'a subscription fills it', 'ALTER SUBSCRIPTION ... REFRESH PUBLICATION without it'
FROM pg_subscription_rel WHERE srrelid = %(oid)s::oid
UNION ALL
SELECT 2, format('the security label %%L of %%s is on it', label, provider),
       'SECURITY LABEL ... IS NULL'
FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = %(oid)s::oid
ORDER BY 1, 2 LIMIT 1
"""


def attached(session: Runner, oid: int) -> Attached:
    """Everything that is dropped along with a relation: what we know, and what we do not."""
    return frozenset(session.run(_ATTACHED, {"oid": oid}))


def refuse_what_cannot_be_kept(session: Runner, oid: int, name: str) -> None:
    """Raises WarehouseError, before anything is dropped."""
    for _, why, what_to_do in session.run(_NOT_KEPT, {"oid": oid}):
        raise not_kept(
            f"{name} has to be rebuilt, as its columns or its kind change, and {why}", what_to_do
        )


def refuse_losses(
    name: str, before: Attached, after: Attached, let_go: Set[str], columns: Set[str]
) -> None:
    """Raises WarehouseError for what is missing, or otherwise, now that all is made again."""
    lost = sorted(
        f"{what}: {property_}"
        for what, column, property_ in before - after
        if what not in let_go and (column is None or column in columns)
    )
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise not_kept(
            f"{name} has to be rebuilt, as its columns change, and this would be lost:"
            f" {'; '.join(lost[:3])}{more}",
            "change or drop that",
        )


def not_kept(why: str, what_to_do: str) -> WarehouseError:
    """The error of a change that would lose something."""
    return WarehouseError(
        ErrorKind.NOT_KEPT, f"{why}. Nothing was changed: {what_to_do} first, by hand"
    )
