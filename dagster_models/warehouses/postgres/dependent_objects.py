"""What hangs on a relation, as the statements that make it again on its successor.

DROP takes much with it without a word: all that PostgreSQL calls an automatic dependency (indexes,
constraints, defaults, triggers, policies, rules, statistics, publications), and owner, grants,
comments and options, which are of the relation itself. All of it is made again by these statements.
What cannot be (a sequence's count, partitions) refuses the change before anything is dropped, and
what does not fit the new columns refuses it afterwards; only indexes, constraints and statistics of
columns that are gone may go with them, as with DROP COLUMN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.postgres.errors import sqlstate

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

#: Kinds of relations as PostgreSQL writes them, and what DROP and COMMENT ON call them.
KINDS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}

#: undefined_column, undefined_function, undefined_object, datatype_mismatch
_GONE = ("42703", "42883", "42704", "42804")


class Runner(Protocol):
    """The session, as far as these files need it."""

    affected: int

    def run(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        lines_before: int = 0,
        single: bool = False,
    ) -> list[tuple[Any, ...]]: ...

    def about(self, *oids: int) -> None: ...


@dataclass(frozen=True, slots=True)
class DependentObject:
    """``column``: it goes with that one. ``of_kind``: it means nothing to a relation of another
    kind. ``may_go``: it is of columns, and goes with them."""

    what: str
    column: str | None
    of_kind: bool
    may_go: bool
    sql: str


_DEPENDENT_OBJECTS = """
WITH old AS (SELECT * FROM pg_class WHERE oid = %(oid)s::oid),
attributes AS (
    SELECT * FROM pg_attribute
    WHERE attrelid = %(oid)s::oid AND attnum > 0 AND NOT attisdropped
),
found(place, what, "column", of_kind, may_go, sql) AS (
    SELECT 1, 'the owner', NULL::name, false, false,
           format('ALTER TABLE %%s OWNER TO %%I', %(name)s::text, pg_get_userbyid(relowner))
    FROM old WHERE pg_get_userbyid(relowner) <> current_user
    UNION ALL
    SELECT 2, 'a grant', NULL, false, false,
           format('GRANT %%s ON %%s TO %%s%%s', acl.privilege_type, %(name)s::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                  ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
                  CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM old, aclexplode(relacl) AS acl WHERE acl.grantee <> relowner
    UNION ALL
    SELECT 2, 'a grant', attname, false, false,
           format('GRANT %%s (%%I) ON %%s TO %%s', acl.privilege_type, attname, %(name)s::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                  ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
    FROM attributes, aclexplode(attacl) AS acl
    UNION ALL
    SELECT 3, 'a comment', NULL, false, false,
           format('COMMENT ON %%s %%s IS %%L', %(kind)s::text, %(name)s::text, told)
    FROM obj_description(%(oid)s::oid, 'pg_class') AS told WHERE told IS NOT NULL
    UNION ALL
    SELECT 3, 'a comment', attname, false, false,
           format('COMMENT ON COLUMN %%s.%%I IS %%L', %(name)s::text, attname, told)
    FROM attributes, col_description(attrelid, attnum) AS told WHERE told IS NOT NULL
    UNION ALL
    SELECT 4, 'an option', NULL, true, false,
           format('ALTER TABLE %%s SET (%%s)', %(name)s::text, array_to_string(reloptions, ', '))
    FROM old WHERE reloptions IS NOT NULL AND relkind IN ('r', 'v')
    UNION ALL
    SELECT 5, 'NOT NULL', attname, true, false,
           format('ALTER TABLE %%s ALTER COLUMN %%I SET NOT NULL', %(name)s::text, attname)
    FROM attributes WHERE attnotnull
    UNION ALL
    SELECT 5, 'a default', attname, true, false,
           format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT %%s', %(name)s::text, attname,
                  pg_get_expr(adbin, adrelid))
    FROM attributes JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attgenerated = ''
    UNION ALL
    SELECT 6, 'an index', NULL, true, true, pg_get_indexdef(i.indexrelid)
    FROM pg_index AS i
    WHERE i.indrelid = %(oid)s::oid
      AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid
                      AND c.conrelid = i.indrelid)
    UNION ALL
    SELECT 6, 'a constraint', NULL, true, true,
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %(name)s::text, conname,
                  pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = %(oid)s::oid AND contype IN ('p', 'u', 'c', 'x', 'f')
    UNION ALL
    SELECT 6, 'statistics', NULL, true, true, pg_get_statisticsobjdef(oid)
    FROM pg_statistic_ext WHERE stxrelid = %(oid)s::oid
    UNION ALL
    SELECT 7, 'a rule', NULL, false, false, pg_get_ruledef(oid)
    FROM pg_rewrite WHERE ev_class = %(oid)s::oid AND rulename <> '_RETURN'
    UNION ALL
    SELECT 7, format('the trigger %%I', tgname), NULL, false, false, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE tgrelid = %(oid)s::oid AND NOT tgisinternal
    UNION ALL
    SELECT 8, format('the trigger %%I', tgname), NULL, false, false,
           format('ALTER TABLE %%s %%s TRIGGER %%I', %(name)s::text,
                  CASE tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                  ELSE 'ENABLE ALWAYS' END, tgname)
    FROM pg_trigger WHERE tgrelid = %(oid)s::oid AND NOT tgisinternal AND tgenabled <> 'O'
    UNION ALL
    SELECT 7, format('the policy %%I', polname), NULL, false, false,
           format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s', polname, %(name)s::text,
                  CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                  WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                  (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
                                     ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                   FROM unnest(polroles) AS role),
                  ' USING (' || pg_get_expr(polqual, polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')
    FROM pg_policy WHERE polrelid = %(oid)s::oid
    UNION ALL
    SELECT 8, 'row-level security', NULL, false, false,
           format('ALTER TABLE %%s %%s ROW LEVEL SECURITY', %(name)s::text, verb)
    FROM old, unnest(ARRAY['ENABLE', 'FORCE']) AS verb
    WHERE CASE verb WHEN 'FORCE' THEN relforcerowsecurity ELSE relrowsecurity END
    UNION ALL
    SELECT 9, 'the replica identity', NULL, true, false,
           format('ALTER TABLE %%s REPLICA IDENTITY %%s', %(name)s::text,
                  CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE
                  (SELECT 'USING INDEX ' || quote_ident(relname) FROM pg_index
                   JOIN pg_class ON pg_class.oid = indexrelid
                   WHERE indrelid = %(oid)s::oid AND indisreplident) END)
    FROM old WHERE relreplident IN ('f', 'n', 'i') AND relkind = 'r'
    UNION ALL
    SELECT 9, format('the publication %%I', p.pubname), NULL, false, false,
           format('ALTER PUBLICATION %%I ADD TABLE %%s%%s%%s', p.pubname, %(name)s::text,
                  CASE WHEN to_jsonb(r) ->> 'prattrs' IS NOT NULL THEN
                  (SELECT ' (' || string_agg(quote_ident(a), ', ') || ')'
                   FROM jsonb_array_elements_text(t.told -> 'attnames') AS a) END,
                  ' WHERE (' || (t.told ->> 'rowfilter') || ')')
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
    CROSS JOIN old JOIN pg_namespace AS n ON n.oid = old.relnamespace
    -- As JSON: PostgreSQL 14 has neither column lists nor filters.
    JOIN LATERAL (SELECT to_jsonb(v) AS told FROM pg_publication_tables AS v
                  WHERE v.pubname = p.pubname AND v.schemaname = n.nspname
                    AND v.tablename = old.relname) AS t ON true
    WHERE r.prrelid = %(oid)s::oid
)
SELECT what, "column"::text, of_kind, may_go, sql FROM found ORDER BY place, sql
"""

#: Sequences that belong to a column: of serial and of identity.
_SEQUENCES = """
SELECT a.attname::text, format('%%I.%%I', n.nspname, s.relname)
FROM pg_depend AS d
JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace AS n ON n.oid = s.relnamespace
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = %s AND d.deptype IN ('a', 'i')
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


def refuse_what_cannot_be_kept(session: Runner, oid: int, name: str, kind: str) -> None:
    """Raises WarehouseError, before anything is dropped."""
    if kind == "p":
        raise _refused(f"{name} is a partitioned table, and its columns change", "change it")
    for column, sequence in session.run(_SEQUENCES, [oid]):
        raise _refused(
            f"the column {column} of {name} counts with a sequence of its own ({sequence}), whose"
            " count is lost when the table is made anew, as its columns change",
            "drop that default or identity",
        )


def make_again(
    session: Runner,
    kept: Sequence[DependentObject],
    name: str,
    kinds: tuple[str, str],
    columns: set[str],
) -> None:
    """On the new relation; ``kinds``: of the old one and of the new one.

    Raises WarehouseError for what does not fit.
    """
    for statement in session.run(_UNASKED_GRANTS, {"name": name}):
        session.run(statement[0])
    old, new = (KINDS[kind] for kind in kinds)
    for dependent in kept:
        if dependent.column is not None and dependent.column not in columns:
            continue
        if dependent.of_kind and old != new:
            continue
        if dependent.may_go:
            _if_it_still_can(session, dependent.sql)
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
            raise _refused(
                f"{dependent.what} of {name} does not fit its new form"
                f" ({error.message.splitlines()[0]})",
                "change or drop it",
            ) from error


def _if_it_still_can(session: Runner, statement: str) -> None:
    """An index or constraint of columns that are gone goes with them, as with DROP COLUMN."""
    session.run("SAVEPOINT dagster_models_index")
    try:
        session.run(statement)
    except WarehouseError as error:
        if sqlstate(error.__cause__) not in _GONE:
            raise
        session.run("ROLLBACK TO SAVEPOINT dagster_models_index")


def _refused(why: str, what_to_do: str) -> WarehouseError:
    return WarehouseError(
        ErrorKind.NOT_KEPT, f"{why}. Nothing was changed: {what_to_do} first, by hand"
    )
