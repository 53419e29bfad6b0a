"""Filling a table anew in place, so that nothing happens to what hangs on it.

Where nothing listens to the rows of the table, they are all deleted and the new ones inserted.
Where something does (a foreign key of another table, a trigger, a rule), only the rows that differ
are written, so that it hears of real changes and not of each build. In both cases:

- Rows of other tables are never changed: inheriting tables keep theirs (ONLY), and a row that a
  foreign key with an action refers to stays, or the build is refused.
- The table holds what its query returned, or the build is refused: compared after the write, in its
  transaction; number of rows always, contents where something listens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.postgres.catalog import Runner, StoredRelation, find

#: Where the new rows wait. A temporary table: a parallel query fills it, without a write-ahead log.
STAGING = 'pg_temp."dagster_models_new"'


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """``name`` is quoted; ``writable``: UPDATE may set it."""

    name: str
    writable: bool


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of another table that refers to the one that is filled.

    ``referenced`` are the columns here, ``pairs`` the conditions under which a row of ``other``
    refers to one of ours. ``action``: what it does to rows of ``other`` when ours go or change;
    empty where PostgreSQL refuses that. ``readable``: we see all rows of ``other``.
    """

    name: str
    other: str
    referenced: tuple[str, ...]
    referring: tuple[str, ...]
    pairs: tuple[str, ...]
    action: str
    index: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Listeners:
    """What hears of each row that is written. ``deferred``: some of it only at COMMIT."""

    foreign_keys: tuple[ForeignKey, ...] = ()
    triggers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    deferred: bool = False

    def __bool__(self) -> bool:
        return bool(self.foreign_keys or self.triggers or self.rules)

    def __str__(self) -> str:
        named = {
            "foreign key": [f"{key.name} of {key.other}" for key in self.foreign_keys],
            "trigger": self.triggers,
            "rule": self.rules,
        }
        return ", ".join(f"the {what} {name}" for what, names in named.items() for name in names)


@dataclass(frozen=True, slots=True)
class RefilledTable:
    """The table that is filled from STAGING; ``only`` keeps inheriting tables out."""

    name: str
    only: str
    columns: tuple[StoredColumn, ...]
    listed: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "listed", ", ".join(column.name for column in self.columns))


def refill(
    session: Runner, found: StoredRelation, name: str, columns: Sequence[StoredColumn], rows: int
) -> None:
    """Put the rows of STAGING, ``rows`` of them, in the place of the table's own.

    The caller has locked out other writers. Raises WarehouseError where the table would hold other
    rows, or rows of another table would change.
    """
    # The rows of a partitioned table are those of its partitions.
    table = RefilledTable(name, "" if found.kind == "p" else "ONLY ", tuple(columns))
    listeners = _listeners(session, found.oid) if found.listened_to else Listeners()
    if listeners:
        _write_differences(session, found.oid, table, listeners)
    else:
        session.run(f"DELETE FROM {table.only}{name}")
        session.run(_insert(table))
    _compare(session, table, listeners, rows)


def refuse_effects(session: Runner, name: str, *, deletes: bool, updates: Sequence[str]) -> None:
    """Raise WarehouseError if rows of another table would change along with rows that are deleted
    here and inserted anew, or with these columns."""
    found = find(session, name)
    for key in _listeners(session, found.oid).foreign_keys if found is not None else ():
        referenced = {column.strip('"').replace('""', '"') for column in key.referenced}
        if deletes and "ON DELETE" in key.action:
            advice = "use `strategy: merge`, which updates rows instead of deleting them"
        elif "ON UPDATE" in key.action and not referenced.isdisjoint(updates):
            advice = "let the unique_key be what it refers to"
        else:
            continue
        raise WarehouseError(
            ErrorKind.CONSTRAINT,
            f"rows of {key.other} would change, too: its foreign key {key.name} says {key.action}."
            f" Nothing was changed: {advice}, or drop the foreign key by hand",
            name="ForeignKey",
        )


def has_rules(session: Runner, name: str) -> bool:
    """Whether a rule may write rows along with ours, or in their place."""
    found = find(session, name)
    return found is not None and found.listened_to and bool(_listeners(session, found.oid).rules)


def is_listened_to(session: Runner, name: str) -> bool:
    """Whether a trigger or rule may write rows of the table, or of others, along with ours."""
    found = find(session, name)
    if found is None or not found.listened_to:
        return False
    listeners = _listeners(session, found.oid)
    return bool(listeners.triggers or listeners.rules)


def _insert(table: RefilledTable, where: str = "") -> str:
    # OVERRIDING: a column may have become an identity.
    return (
        f"INSERT INTO {table.name} ({table.listed}) OVERRIDING SYSTEM VALUE"
        f" SELECT {table.listed} FROM {STAGING} AS n{where}"
    )


def _compare(session: Runner, table: RefilledTable, listeners: Listeners, rows: int) -> None:
    if not listeners:
        held = session.run(f"SELECT count(*) FROM {table.only}{table.name}")[0][0]
        differs = held != rows
    else:
        if listeners.deferred:
            session.run("SET CONSTRAINTS ALL IMMEDIATE")  # now, and not after the comparison
        digest = (
            f'SELECT count(*), sum(hashtextextended(ROW({table.listed})::text COLLATE "C", 0))'
            " FROM "
        )
        given, there = (
            session.run(f"{digest}{source}")[0] for source in (STAGING, table.only + table.name)
        )
        held, differs = there[0], given != there
    if differs:
        cause = f"; what changed them may be {listeners}" if listeners else ""
        what = f"{held} rows" if held != rows else "other values"
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"the query of {table.name} returned {rows} rows, and the table would hold {what}"
            f"{cause}. Nothing was changed: change or drop that first, by hand",
            name="RowsDiffer",
        )


# Differences -------------------------------------------------------------------------------------


def _write_differences(
    session: Runner, oid: int, table: RefilledTable, listeners: Listeners
) -> None:
    """Delete, update and insert only what differs."""
    if listeners.foreign_keys:
        # Nobody may begin to refer to a row that is about to go: until then SELECT ... FOR KEY
        # SHARE, with which a foreign key is checked, would still get through.
        session.run(f"LOCK TABLE {table.only}{table.name} IN EXCLUSIVE MODE")
    key = _key(session, oid, listeners.foreign_keys)
    if not key:
        for statement in _by_contents(table):
            session.run(statement)
        return
    names = ", ".join(name for name, _ in key)
    session.run(f"CREATE UNIQUE INDEX ON {STAGING} ({names})")  # also refuses duplicates
    session.run(f"ANALYZE {STAGING}")
    for foreign_key in listeners.foreign_keys:
        if foreign_key.action:
            _refuse_lost_references(session, table, foreign_key, key)
    delete, update, insert = _by_key(table, key)
    if listeners.rules or not listeners.foreign_keys:  # WITH takes no rules
        for statement in (delete, update, insert):
            session.run(statement)
        return
    # One statement: foreign keys are checked at its end, when all rows are there.
    session.run(
        f"WITH gone AS ({delete} RETURNING 1),"
        f" changed AS ({update} AND (SELECT count(*) FROM gone) >= 0 RETURNING 1)"
        f" {insert} AND (SELECT count(*) FROM changed) >= 0"
    )


def _matches(key: Sequence[tuple[str, str]]) -> str:
    return " AND ".join(f"t.{name} {operator} n.{name}" for name, operator in key)


def _by_key(table: RefilledTable, key: Sequence[tuple[str, str]]) -> tuple[str, str, str]:
    same = _matches(key)
    written = ", ".join(
        f"{column.name} = n.{column.name}" for column in table.columns if column.writable
    )
    gone = f"NOT EXISTS (SELECT FROM {STAGING} AS n WHERE {same})"
    new = f"NOT EXISTS (SELECT FROM {table.only}{table.name} AS t WHERE {same})"
    return (
        f"DELETE FROM {table.only}{table.name} AS t WHERE {gone}",
        f"UPDATE {table.only}{table.name} AS t SET {written} FROM {STAGING} AS n"
        f" WHERE {same} AND t.* OPERATOR(pg_catalog.*<>) n.*",
        _insert(table, f" WHERE {new}"),
    )


def _by_contents(table: RefilledTable) -> tuple[str, str]:
    """Without a key a row is known by its contents, and equal rows by their number."""
    image = f'ROW({table.listed})::text COLLATE "C"'

    def numbered(source: str, also: str) -> str:
        return (
            f"(SELECT {also}, {image} AS dagster_models_image,"
            f" row_number() OVER (PARTITION BY {image}) AS dagster_models_nth FROM {source})"
        )

    old = numbered(f"{table.only}{table.name}", "tableoid AS dagster_models_table, ctid AS place")
    new = numbered(STAGING, table.listed)
    same = (
        "(t.dagster_models_image, t.dagster_models_nth)"
        " = (n.dagster_models_image, n.dagster_models_nth)"
    )
    return (
        f"DELETE FROM {table.only}{table.name} WHERE (tableoid, ctid) IN (SELECT"
        f" t.dagster_models_table, t.place FROM {old} AS t"
        f" WHERE NOT EXISTS (SELECT FROM {new} AS n WHERE {same}))",
        f"INSERT INTO {table.name} ({table.listed}) OVERRIDING SYSTEM VALUE"
        f" SELECT {table.listed} FROM {new} AS n"
        f" WHERE NOT EXISTS (SELECT FROM {old} AS t WHERE {same})",
    )


def _refuse_lost_references(
    session: Runner, table: RefilledTable, foreign_key: ForeignKey, key: Sequence[tuple[str, str]]
) -> None:
    """Refuse to let the action of a foreign key change rows of the other table."""
    there = ", ".join(f"{{}}.{name}" for name in foreign_key.referenced)
    here = f"ROW({there.replace('{}', 't')})::text = ROW({there.replace('{}', 'n')})::text"
    lost = (
        f"FROM {table.only}{table.name} AS t WHERE NOT EXISTS"
        f" (SELECT FROM {STAGING} AS n WHERE {_matches(key)} AND {here})"
    )
    advice = (
        f"Nothing was changed: keep those rows in the query, delete what refers to them, or drop"
        f" the foreign key ({foreign_key.name} of {foreign_key.other}), by hand"
    )
    if not foreign_key.readable:
        if session.run(f"SELECT EXISTS (SELECT {lost})")[0][0]:
            raise WarehouseError(
                ErrorKind.PERMISSION,
                f"the query of {table.name} no longer returns some rows, and this role cannot see"
                f" whether {foreign_key.other} refers to them, whose foreign key says"
                f" {foreign_key.action}. {advice}; or GRANT SELECT ON {foreign_key.other}",
                name="ForeignKey",
            )
        return
    of_other = ", ".join(f"o.{name}" for name in foreign_key.referring)
    example = session.run(
        f"SELECT ROW({of_other})::text FROM {foreign_key.other} AS o WHERE EXISTS (SELECT {lost}"
        f" AND {' AND '.join(foreign_key.pairs)}) LIMIT 1"
    )
    if example:
        columns = ", ".join(foreign_key.referring)
        raise WarehouseError(
            ErrorKind.CONSTRAINT,
            f"the query of {table.name} no longer returns, or returns with another key, rows to"
            f" which rows of {foreign_key.other} refer (one has ({columns}) = {example[0][0]}), and"
            f" its foreign key says {foreign_key.action}. {advice}",
            name="ForeignKey",
        )


# Looking up --------------------------------------------------------------------------------------

_TRIGGERS = """
WITH tables AS (
    SELECT %(oid)s::oid AS oid UNION SELECT relid FROM pg_partition_tree(%(oid)s::oid)
)
SELECT DISTINCT CASE WHEN c.contype = 'f' THEN 'foreign key' ELSE 'trigger' END,
       coalesce(c.conname, t.tgname)::text, coalesce(c.oid, 0)::bigint,
       t.tginitdeferred
FROM pg_trigger AS t
LEFT JOIN pg_constraint AS c ON c.oid = t.tgconstraint
WHERE t.tgrelid IN (SELECT oid FROM tables) AND t.tgenabled IN ('O', 'A')
  AND CASE coalesce(c.contype, 't')
      WHEN 't' THEN true
      WHEN 'f' THEN c.confrelid = %(oid)s::oid AND c.conrelid <> c.confrelid
      ELSE false END
UNION ALL
SELECT 'rule', rulename, 0, false FROM pg_rewrite
WHERE ev_class = %(oid)s::oid AND ev_type IN ('2', '3', '4') AND ev_enabled IN ('O', 'A')
ORDER BY 1, 2
"""

_FOREIGN_KEYS = """
SELECT quote_ident(c.conname), format('%%I.%%I', n.nspname, o.relname),
       array_agg(quote_ident(ours.attname) ORDER BY at.n),
       array_agg(quote_ident(theirs.attname) ORDER BY at.n),
       array_agg(format('t.%%I OPERATOR(%%I.%%s) o.%%I', ours.attname, space.nspname,
                        operator.oprname, theirs.attname) ORDER BY at.n),
       concat_ws(' ', (ARRAY['ON DELETE CASCADE', 'ON DELETE SET NULL', 'ON DELETE SET DEFAULT'])
                      [strpos('cnd', c.confdeltype::text)],
                      (ARRAY['ON UPDATE CASCADE', 'ON UPDATE SET NULL', 'ON UPDATE SET DEFAULT'])
                      [strpos('cnd', c.confupdtype::text)]),
       c.conindid::bigint,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(o.oid, 'SELECT')
           AND NOT row_security_active(o.oid)
FROM pg_constraint AS c
JOIN pg_class AS o ON o.oid = c.conrelid
JOIN pg_namespace AS n ON n.oid = o.relnamespace
CROSS JOIN LATERAL unnest(c.confkey, c.conkey, c.conpfeqop)
    WITH ORDINALITY AS at(ours, theirs, operator, n)
JOIN pg_attribute AS ours ON ours.attrelid = c.confrelid AND ours.attnum = at.ours
JOIN pg_attribute AS theirs ON theirs.attrelid = c.conrelid AND theirs.attnum = at.theirs
JOIN pg_operator AS operator ON operator.oid = at.operator
JOIN pg_namespace AS space ON space.oid = operator.oprnamespace
WHERE c.oid = ANY(%s)
GROUP BY c.oid, c.conname, n.oid, n.nspname, o.oid, o.relname
ORDER BY 2, 1
"""

#: The columns of each index that tells all rows apart, with the operator by which it does.
_KEYS = """
SELECT array_agg(quote_ident(a.attname) ORDER BY k.n),
       array_agg(format('OPERATOR(%%I.%%s)', space.nspname, operator.oprname) ORDER BY k.n)
FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[])
    WITH ORDINALITY AS k(attnum, opclass, n)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_opclass AS class ON class.oid = k.opclass
JOIN pg_am AS method ON method.oid = class.opcmethod AND method.amname = 'btree'
JOIN pg_amop AS amop ON amop.amopfamily = class.opcfamily AND amop.amopstrategy = 3
 AND amop.amoplefttype = class.opcintype AND amop.amoprighttype = class.opcintype
JOIN pg_operator AS operator ON operator.oid = amop.amopopr
JOIN pg_namespace AS space ON space.oid = operator.oprnamespace
WHERE i.indrelid = %(oid)s::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts
HAVING bool_and(a.attnotnull) OR i.indexrelid = ANY(%(preferred)s::oid[])
ORDER BY i.indexrelid = ANY(%(preferred)s::oid[]) DESC, i.indisprimary DESC, i.indnkeyatts,
         i.indexrelid
LIMIT 1
"""


def _listeners(session: Runner, oid: int) -> Listeners:
    rows = session.run(_TRIGGERS, {"oid": oid})
    if not rows:
        return Listeners()
    keys = [constraint for what, _, constraint, _ in rows if what == "foreign key"]
    foreign_keys = (
        [
            ForeignKey(name, other, tuple(ours), tuple(theirs), tuple(pairs), *rest)
            for name, other, ours, theirs, pairs, *rest in session.run(_FOREIGN_KEYS, [keys])
        ]
        if keys
        else []
    )
    named = {
        kind: tuple(dict.fromkeys(name for what, name, *_ in rows if what == kind))
        for kind in ("trigger", "rule")
    }
    deferred = any(deferred for *_, deferred in rows)
    return Listeners(tuple(foreign_keys), named["trigger"], named["rule"], deferred)


def _key(
    session: Runner, oid: int, foreign_keys: Sequence[ForeignKey]
) -> list[tuple[str, str]] | None:
    """The columns that tell the rows apart, each with its operator of equality; None for none."""
    preferred = [foreign_key.index for foreign_key in foreign_keys]
    rows = session.run(_KEYS, {"oid": oid, "preferred": preferred})
    return list(zip(*rows[0], strict=True)) if rows else None
