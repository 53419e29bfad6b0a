"""What hangs on a relation, as the statements that make it again on its successor.

DROP takes much with it without a word: all that PostgreSQL calls an automatic dependency (indexes,
constraints, defaults, triggers, policies, rules, statistics, publications), and owner, grants,
comments, options and marks, which are of the relation itself. All of it is made again by these
statements. What cannot be made again (a sequence's count, a place among partitions) refuses the
change before anything is dropped, and what does not fit the new columns refuses it afterwards; only
indexes, constraints and statistics of columns that are gone may go with them, as with DROP COLUMN.
What we never heard of is found by losses.py.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.postgres.catalog import KINDS, Runner
from dagster_models.warehouses.postgres.errors import sqlstate
from dagster_models.warehouses.postgres.losses import not_kept

#: SQLSTATEs of what does not fit any more: undefined_column, undefined_function, undefined_object,
#: datatype_mismatch, feature_not_supported (an integer has no storage to choose).
_GONE = ("42703", "42883", "42704", "42804", "0A000")


@dataclass(frozen=True, slots=True)
class DependentObject:
    """``column``: the object goes with that one. ``of_kind``: it means nothing to a relation of
    another kind. ``may_go``: it is of columns, and goes with them. ``described``: as ``attached``
    calls it."""

    what: str
    column: str | None
    of_kind: bool
    may_go: bool
    described: str
    sql: str


_DEPENDENT_OBJECTS = """
WITH old AS (SELECT * FROM pg_class WHERE oid = %(oid)s::oid),
attributes AS (
    SELECT * FROM pg_attribute
    WHERE attrelid = %(oid)s::oid AND attnum > 0 AND NOT attisdropped
),
constraints AS (SELECT *, tableoid FROM pg_constraint WHERE conrelid = %(oid)s::oid),
-- The index of a constraint comes and goes with it.
indexes AS (
    SELECT i.*, x.relname, x.reltablespace, format('%%I.%%I', n.nspname, x.relname) AS name,
           c.oid AS of_constraint, coalesce(c.tableoid, x.tableoid) AS classid,
           coalesce(c.oid, x.oid) AS objid
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = x.relnamespace
    LEFT JOIN constraints AS c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x')
    WHERE i.indrelid = %(oid)s::oid
),
statistics AS (
    SELECT s.*, s.tableoid, format('%%I.%%I', n.nspname, s.stxname) AS name
    FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace
    WHERE s.stxrelid = %(oid)s::oid
),
rules AS (
    SELECT *, tableoid FROM pg_rewrite
    WHERE ev_class = %(oid)s::oid AND rulename <> '_RETURN'
),
triggers AS (
    SELECT *, tableoid FROM pg_trigger WHERE tgrelid = %(oid)s::oid AND NOT tgisinternal
),
policies AS (SELECT *, tableoid FROM pg_policy WHERE polrelid = %(oid)s::oid),
found(place, what, "column", of_kind, may_go, classid, objid, sql) AS (
    SELECT 1, 'the owner', NULL::name, false, false, NULL::oid, NULL::oid,
           format('ALTER TABLE %%s OWNER TO %%I', %(name)s::text, pg_get_userbyid(relowner))
    FROM old WHERE pg_get_userbyid(relowner) <> current_user
    UNION ALL
    SELECT 2, 'a grant', NULL, false, false, NULL, NULL,
           format('GRANT %%s ON %%s TO %%s%%s', acl.privilege_type, %(name)s::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                  ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
                  CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM old, aclexplode(relacl) AS acl WHERE acl.grantee <> relowner
    UNION ALL
    SELECT 2, 'a grant', attname, false, false, NULL, NULL,
           format('GRANT %%s (%%I) ON %%s TO %%s%%s', acl.privilege_type, attname, %(name)s::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                  ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
                  CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM attributes, aclexplode(attacl) AS acl
    UNION ALL
    SELECT 3, 'a comment', NULL, false, false, NULL, NULL,
           format('COMMENT ON %%s %%s IS %%L', %(kind)s::text, %(name)s::text, comment)
    FROM obj_description(%(oid)s::oid, 'pg_class') AS comment WHERE comment IS NOT NULL
    UNION ALL
    SELECT 3, 'a comment', attname, false, false, NULL, NULL,
           format('COMMENT ON COLUMN %%s.%%I IS %%L', %(name)s::text, attname, comment)
    FROM attributes, col_description(attrelid, attnum) AS comment WHERE comment IS NOT NULL
    UNION ALL
    SELECT 4, 'an option', NULL, true, false, NULL, NULL,
           format('ALTER TABLE %%s SET (%%s%%I = %%L)', %(name)s::text, prefix,
                  split_part(option, '=', 1), substr(option, strpos(option, '=') + 1))
    FROM old LEFT JOIN pg_class AS toast ON toast.oid = old.reltoastrelid
    CROSS JOIN LATERAL (SELECT '' AS prefix, unnest(old.reloptions) AS option
                        UNION ALL SELECT 'toast.', unnest(toast.reloptions)) AS options
    WHERE old.relkind IN ('r', 'v')
    UNION ALL
    SELECT 4, 'a setting of a column', attname, true, storage, NULL, NULL,
           format('ALTER TABLE %%s ALTER COLUMN %%I SET %%s', %(name)s::text, attname, setting)
    FROM attributes JOIN pg_type AS t ON t.oid = atttypid
    CROSS JOIN LATERAL (VALUES
        (true, 'STORAGE ' || (ARRAY['PLAIN', 'MAIN', 'EXTERNAL', 'EXTENDED'])
                             [strpos('pmex', nullif(attstorage, t.typstorage)::text)]),
        (true, 'COMPRESSION ' || (ARRAY['pglz', 'lz4'])
                                 [strpos('pl', nullif(attcompression::text, ''))]),
        (false, 'STATISTICS ' || nullif(attstattarget, -1)),
        (false, '(' || array_to_string(attoptions, ', ') || ')')
    ) AS settings(storage, setting)
    WHERE setting IS NOT NULL
    UNION ALL
    SELECT 5, 'NOT NULL', attname, true, false, c.tableoid, c.oid,
           CASE WHEN c.oid IS NULL
           THEN format('ALTER TABLE %%s ALTER COLUMN %%I SET NOT NULL', %(name)s::text, attname)
           ELSE format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %(name)s::text, c.conname,
                       pg_get_constraintdef(c.oid)) END  -- since PostgreSQL 18
    FROM attributes LEFT JOIN constraints AS c ON c.contype = 'n' AND c.conkey = ARRAY[attnum]
    WHERE attnotnull OR c.oid IS NOT NULL
    UNION ALL
    SELECT 5, 'a default', attname, true, false, d.tableoid, d.oid,
           format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT %%s', %(name)s::text, attname,
                  pg_get_expr(adbin, adrelid))
    FROM attributes JOIN pg_attrdef AS d ON adrelid = attrelid AND adnum = attnum
    WHERE attgenerated = ''
    UNION ALL
    SELECT 6, 'an index', NULL, true, true, classid, objid, pg_get_indexdef(indexrelid)
    FROM indexes WHERE of_constraint IS NULL
    UNION ALL
    SELECT 6, 'a constraint', NULL, true, true, tableoid, oid,
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %(name)s::text, conname,
                  pg_get_constraintdef(oid))
    FROM constraints WHERE contype IN ('p', 'u', 'c', 'x', 'f')
    UNION ALL
    SELECT 6, 'statistics', NULL, true, true, tableoid, oid, pg_get_statisticsobjdef(oid)
    FROM statistics
    UNION ALL
    SELECT 7, 'a setting of an index', NULL, true, true, i.classid, i.objid, setting
    FROM indexes AS i
    LEFT JOIN pg_tablespace AS space ON space.oid = i.reltablespace
    CROSS JOIN LATERAL (
        SELECT format('ALTER INDEX %%s SET TABLESPACE %%I', i.name, space.spcname)
        WHERE space.oid IS NOT NULL
        UNION ALL
        SELECT format('ALTER TABLE %%s CLUSTER ON %%I', %(name)s::text, i.relname)
        WHERE i.indisclustered
        UNION ALL
        SELECT format('ALTER INDEX %%s ALTER COLUMN %%s SET STATISTICS %%s', i.name, attnum,
                      attstattarget)
        FROM pg_attribute WHERE attrelid = i.indexrelid AND attstattarget <> -1
    ) AS settings(setting)
    UNION ALL
    SELECT 7, 'a setting of statistics', NULL, true, true, s.tableoid, s.oid, setting
    FROM statistics AS s
    CROSS JOIN LATERAL (VALUES
        (CASE WHEN pg_get_userbyid(stxowner) <> current_user
         THEN format('ALTER STATISTICS %%s OWNER TO %%I', name, pg_get_userbyid(stxowner)) END),
        (CASE WHEN stxstattarget <> -1
         THEN format('ALTER STATISTICS %%s SET STATISTICS %%s', name, stxstattarget) END)
    ) AS settings(setting)
    WHERE setting IS NOT NULL
    UNION ALL
    SELECT 7, 'a rule', NULL, false, false, tableoid, oid, pg_get_ruledef(oid) FROM rules
    UNION ALL
    SELECT 8, 'a rule', NULL, false, false, tableoid, oid,
           format('ALTER TABLE %%s %%s RULE %%I', %(name)s::text, state.verb, rulename)
    FROM rules JOIN (VALUES ('D', 'DISABLE'), ('R', 'ENABLE REPLICA'), ('A', 'ENABLE ALWAYS'))
        AS state(letter, verb) ON letter = ev_enabled::text
    UNION ALL
    SELECT 7, format('the trigger %%I', tgname), NULL, false, false, tableoid, oid,
           pg_get_triggerdef(oid)
    FROM triggers
    UNION ALL
    SELECT 8, format('the trigger %%I', tgname), NULL, false, false, tableoid, oid,
           format('ALTER TABLE %%s %%s TRIGGER %%I', %(name)s::text, state.verb, tgname)
    FROM triggers JOIN (VALUES ('D', 'DISABLE'), ('R', 'ENABLE REPLICA'), ('A', 'ENABLE ALWAYS'))
        AS state(letter, verb) ON letter = tgenabled::text
    UNION ALL
    SELECT 7, format('the policy %%I', polname), NULL, false, false, tableoid, oid,
           format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s', polname, %(name)s::text,
                  CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                  WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                  (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
                                     ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                   FROM unnest(polroles) AS role),
                  ' USING (' || pg_get_expr(polqual, polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')
    FROM policies
    UNION ALL
    SELECT 8, 'row-level security', NULL, false, false, NULL, NULL,
           format('ALTER TABLE %%s %%s ROW LEVEL SECURITY', %(name)s::text, verb)
    FROM old, unnest(ARRAY['ENABLE', 'FORCE']) AS verb
    WHERE CASE verb WHEN 'FORCE' THEN relforcerowsecurity ELSE relrowsecurity END
    UNION ALL
    SELECT 9, 'the replica identity', NULL, true, false, NULL, NULL,
           format('ALTER TABLE %%s REPLICA IDENTITY %%s', %(name)s::text,
                  CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE
                  (SELECT 'USING INDEX ' || quote_ident(relname) FROM indexes
                   WHERE indisreplident) END)
    FROM old WHERE relreplident IN ('f', 'n', 'i') AND relkind = 'r'
    UNION ALL
    SELECT 9, format('the publication %%I', p.pubname), NULL, false, false, r.tableoid, r.oid,
           format('ALTER PUBLICATION %%I ADD TABLE %%s%%s%%s', p.pubname, %(name)s::text,
                  CASE WHEN to_jsonb(r) ->> 'prattrs' IS NOT NULL THEN
                  (SELECT ' (' || string_agg(quote_ident(a), ', ') || ')'
                   FROM jsonb_array_elements_text(t.shown -> 'attnames') AS a) END,
                  ' WHERE (' || (t.shown ->> 'rowfilter') || ')')
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
    CROSS JOIN old JOIN pg_namespace AS n ON n.oid = old.relnamespace
    -- As JSON: PostgreSQL 14 has neither column lists nor filters.
    JOIN LATERAL (SELECT to_jsonb(v) AS shown FROM pg_publication_tables AS v
                  WHERE v.pubname = p.pubname AND v.schemaname = n.nspname
                    AND v.tablename = old.relname) AS t ON true
    WHERE r.prrelid = %(oid)s::oid
    UNION ALL
    SELECT 10, 'a comment', NULL, of_kind, true, classid, objid,
           format('COMMENT ON %%s IS %%L', commented, description)
    FROM (
        SELECT 'CONSTRAINT ' || quote_ident(conname) || ' ON ' || %(name)s, contype <> 't',
               tableoid, oid, tableoid, oid FROM constraints
        UNION ALL SELECT 'INDEX ' || name, true, classid, objid, 'pg_class'::regclass, indexrelid
        FROM indexes
        UNION ALL SELECT 'STATISTICS ' || name, true, tableoid, oid, tableoid, oid FROM statistics
        UNION ALL SELECT 'RULE ' || quote_ident(rulename) || ' ON ' || %(name)s, false,
                         tableoid, oid, tableoid, oid FROM rules
        UNION ALL SELECT 'TRIGGER ' || quote_ident(tgname) || ' ON ' || %(name)s, false,
                         tableoid, oid, tableoid, oid FROM triggers
        UNION ALL SELECT 'POLICY ' || quote_ident(polname) || ' ON ' || %(name)s, false,
                         tableoid, oid, tableoid, oid FROM policies
    ) AS parts(commented, of_kind, classid, objid, class_of_comment, object_of_comment)
    JOIN pg_description ON classoid = class_of_comment AND objoid = object_of_comment
                       AND objsubid = 0
)
SELECT what, "column"::text, of_kind, may_go,
       coalesce(pg_describe_object(classid, objid, 0), ''), sql
FROM found ORDER BY place, sql
"""

#: Grants that the schema's defaults gave to the new one, and nobody had given to the old one.
_UNASKED_GRANTS = """
SELECT DISTINCT format('REVOKE ALL ON %%s FROM %%s', %(name)s::text,
                       CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                       ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
FROM pg_class, aclexplode(relacl) AS acl
WHERE oid = to_regclass(%(name)s::text) AND acl.grantee <> relowner
"""


def dependent_objects(session: Runner, oid: int, name: str, kind: str) -> list[DependentObject]:
    """What hangs on a relation (but for views on it), in the order in which it is to be made."""
    rows = session.run(_DEPENDENT_OBJECTS, {"oid": oid, "name": name, "kind": KINDS[kind]})
    return [DependentObject(*row) for row in rows]


def revoke_unasked(session: Runner, name: str) -> None:
    """Take back what the schema's default privileges gave to a relation that was just made."""
    for (statement,) in session.run(_UNASKED_GRANTS, {"name": name}):
        session.run(statement)


def make_again(
    session: Runner,
    objects: Sequence[DependentObject],
    name: str,
    kinds: tuple[str, str],
    columns: Set[str],
) -> set[str]:
    """On the new relation; ``kinds``: of the old one and of the new one. What was let go, as it is
    of columns that are gone.

    Raises WarehouseError for what does not fit.
    """
    revoke_unasked(session, name)
    old, new = (KINDS[kind] for kind in kinds)
    let_go: set[str] = set()
    for dependent in objects:
        of_gone_column = dependent.column is not None and dependent.column not in columns
        if of_gone_column or (dependent.of_kind and old != new) or dependent.described in let_go:
            if dependent.described:
                let_go.add(dependent.described)
            continue
        if dependent.may_go:
            if not _if_it_still_can(session, dependent.sql) and dependent.described:
                let_go.add(dependent.described)
            continue
        try:
            session.run(dependent.sql.replace(f"COMMENT ON {old} ", f"COMMENT ON {new} ", 1))
        except WarehouseError as error:
            if (
                isinstance(error, WarehouseLost)
                or error.transient
                or error.kind is ErrorKind.INTERRUPTED
            ):
                raise
            raise not_kept(
                f"{dependent.what} of {name} does not fit its new form"
                f" ({error.message.splitlines()[0]})",
                "change or drop it",
            ) from error
    return let_go


def _if_it_still_can(session: Runner, statement: str) -> bool:
    """An index or constraint of columns that are gone goes with them, as with DROP COLUMN."""
    session.run("SAVEPOINT dagster_models_index")
    try:
        session.run(statement)
    except WarehouseError as error:
        if sqlstate(error.__cause__) not in _GONE:
            raise
        session.run("ROLLBACK TO SAVEPOINT dagster_models_index")
        return False
    return True
