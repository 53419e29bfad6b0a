"""A table that keeps what rows were: each version, with the time in which it was valid.

    turn -> now -> stage -> guards -> shape -> find changes -> close versions -> add versions

A version is valid from ``valid_from`` up to, and without, ``valid_to``. The versions of one key
never overlap, none is empty, and at most one is open. All that decides is in one statement, which
finds the keys that are new, that have changed, and that are gone, each with its moment: this ends
the open version, and begins the next one. Versions that have ended are never written again.

``now`` is one literal for the whole attempt, in UTC. It is taken after the relation's turn, so it
is later than what the last writer has written, unless a clock was put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Reading, Snapshot
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged, quote, quoted
from dagster_models.warehouses.materializations.columns import columns_named, fit
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.incremental import refuse_another_reading
from dagster_models.warehouses.materializations.keys import key_examples
from dagster_models.warehouses.materializations.snapshot_columns import (
    FAR,
    SCD_ID_TYPE,
    add_mark,
    add_named,
    has_marks,
    hash_of,
    open_end,
    own_columns,
    refuse_another_table,
)
from dagster_models.warehouses.materializations.snapshot_query import Returned, checked

#: The columns of the table of changes, besides the key: they must not meet a user's.
_WHAT, _AT = "dagster_models_what", "dagster_models_at"


def build(session: Hooks, relation: Relation, how: Snapshot, content: Content) -> Staged:
    """Put versions of all rows into a new table, or of what has changed into the one that is there.

    Raises WarehouseError if a key is NULL or twice in what the query returns, if a row has no
    ``updated_at``, if the columns have changed in a way that ``on_schema_change`` does not allow,
    and for a table that is no snapshot.
    """
    found = session.take_turn(relation)
    if how.reading is not None:
        refuse_another_reading(relation, how.reading, _reading(session, relation, how, found))
    now = f"TIMESTAMP '{how.now or format(utc_now(), '%Y-%m-%d %H:%M:%S.%f')}'"
    if found != "table":
        rows = session.replace_table(relation, content)
        _begin(session, relation, how, checked(session, relation, how, now))
        return Staged(relation, rows, Changes("snapshot", None, rows, 0, 0))
    refuse_another_table(session, relation, how)
    session.stage(content)
    query = checked(session, session.staging, how, now)
    marked = has_marks(session, relation, how, query.names)
    own = own_columns(how, marked)
    columns = fit(session, relation, how, of_python=not isinstance(content, Query), own=own)
    write = _Versions.of(session, relation, how, query, columns, marked)
    counts = write.changes()
    session.change(f"DROP TABLE {write.new}")
    return Staged(relation, session.row_count(relation), Changes("snapshot", None, *counts))


def read(session: Hooks, relation: Relation, how: Snapshot) -> Reading:
    """How far the history goes before a Python model reads its sources. In a transaction.

    If another run has added to it by the time the rows are there, these are older than what it has
    added, and would take it back.
    """
    return _reading(session, relation, how, session.take_turn(relation))


def _reading(session: Hooks, relation: Relation, how: Snapshot, found: str | None) -> Reading:
    """Any change adds a version or, if it does not, closes one."""
    if found != "table":
        return Reading(whole=True)
    refuse_another_table(session, relation, how)
    valid_to = quote(how.valid_to)
    counted = f"count(*), count(*) FILTER (WHERE {valid_to} IS NULL OR {valid_to} >= {FAR})"
    count, still_open = session.rows(f"SELECT {counted} FROM {quoted(relation)}")[0]
    return Reading(whole=True, seen=f"{count} versions, {still_open} open")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


# The table ---------------------------------------------------------------------------------------


def _begin(session: Hooks, relation: Relation, how: Snapshot, query: Returned) -> None:
    """Make open versions of the rows of a table that is new."""
    valid_from = quote(how.valid_from)
    table = f"ALTER TABLE {quoted(relation)}"
    add_named(session, relation, how)
    if how.scd_id:
        identity = query.version_id("", query.born())
        session.fill_column(relation, quote(how.scd_id), SCD_ID_TYPE, identity)
    if how.scd_updated_at:
        session.fill_column(relation, quote(how.scd_updated_at), "TIMESTAMP", query.born())
    session.add_column(relation, valid_from, "TIMESTAMP", query.now)
    session.change(f"{table} ALTER COLUMN {valid_from} DROP DEFAULT")
    if query.updated_at:
        session.fill_column(relation, valid_from, "TIMESTAMP", query.born())
    session.add_column(relation, quote(how.valid_to), "TIMESTAMP", open_end(how))
    if how.hard_deletes == "new_record":
        add_mark(session, relation, how)


@dataclass(frozen=True, slots=True)
class _Versions:
    """The statements that add to the table; all names are quoted. In SQL, t is a version, n a new
    row, and c a change."""

    session: Hooks
    relation: Relation
    how: Snapshot
    table: str
    new: str
    change: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]  #: that are written
    compared: tuple[str, ...]  #: for the strategy check
    kept: tuple[str, ...]  #: of a version, besides those of the snapshot
    query: Returned
    has_marks: bool

    @classmethod
    def of(
        cls,
        session: Hooks,
        relation: Relation,
        how: Snapshot,
        query: Returned,
        columns: Sequence[str],
        has_marks: bool,
    ) -> _Versions:
        returned = [(name, "") for name in query.names]
        compared = columns_named(returned, how.check_cols, of="check_cols: the query") or columns
        there = [name for name, _ in session.columns(relation)]
        add_named(session, relation, how)  # first: DuckDB adds no column behind one with a default
        if how.hard_deletes == "new_record" and not has_marks:
            add_mark(session, relation, how)
            has_marks = True
        own = own_columns(how, has_marks)
        change = replace(session.staging, name="dagster_models_change")
        return cls(
            session,
            relation,
            how,
            quoted(relation),
            quoted(session.staging),
            quoted(change),
            tuple(map(quote, query.keys)),
            tuple(map(quote, columns)),
            tuple(quote(it) for it in compared if it in columns and it not in query.keys),
            tuple(quote(name) for name in there if name not in own),
            query,
            has_marks,
        )

    def changes(self) -> tuple[int, int, int]:
        """Write all of it; return how many rows were new, changed and gone."""
        self._one_open_end()
        unknown = " OR ".join(f"t.{key} IS NULL" for key in self.keys)
        self._refuse_unclear(f"FROM {self.table} AS t WHERE {self._is_open} AND ({unknown})")
        self.session.change(f"CREATE TEMPORARY TABLE {self.change} AS\n{self._found()}")
        listed = ", ".join(self.keys)
        self._refuse_unclear(f"FROM {self.change} GROUP BY {listed} HAVING count(*) > 1")
        counted = f"SELECT {_WHAT}, count(*) FROM {self.change} GROUP BY {_WHAT}"
        found = {str(what): int(count) for what, count in self.session.rows(counted)}
        new, back, changed, gone = (found.get(it, 0) for it in ("new", "back", "changed", "gone"))
        self._written(self._close(), back + changed + gone)
        self._written(self._add(), new + back + changed)
        if self.how.hard_deletes == "new_record":
            self._written(self._mark(), gone)
        self.session.change(f"DROP TABLE {self.change}")
        return new + back, changed, gone

    def _refuse_unclear(self, source: str) -> None:
        """Raise WarehouseError for open versions of which nobody can say which row they are of."""
        if examples := key_examples(self.session, self.query.keys, source):
            raise WarehouseError(
                ErrorKind.CONSTRAINT,
                f"unique_key ({', '.join(self.query.keys)}) does not tell apart the open versions"
                f" that {self.table} holds: {examples}. It was another one before, or somebody else"
                " has written them. Nothing was changed: mend these versions by hand, or rename the"
                " table, so that a new history begins",
                name="UnclearVersions",
            )

    def _written(self, statement: str, wanted: int) -> None:
        rows = self.session.change(statement)
        if rows != wanted:
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"{self.table} took {rows} of {wanted} changes, as a trigger or rule on it left"
                " some out. Nothing was changed: change or drop that first, by hand",
                name="RowsDiffer",
            )

    # Parts of statements

    @property
    def _valid_from(self) -> str:
        return quote(self.how.valid_from)

    @property
    def _valid_to(self) -> str:
        return quote(self.how.valid_to)

    @property
    def _is_open(self) -> str:
        return f"(t.{self._valid_to} IS NULL OR t.{self._valid_to} >= {FAR})"

    @property
    def _is_mark(self) -> str:
        return f"coalesce(t.{quote(self.how.is_deleted)}, false)" if self.has_marks else "false"

    def _same(self, one: str, other: str) -> str:
        return " AND ".join(f"{one}.{key} = {other}.{key}" for key in self.keys)

    def _key_of(self, row: str) -> str:
        return ", ".join(f"{row}.{key}" for key in self.keys)

    def _after_start(self, moment: str) -> str:
        """That moment as the end of version t, which is not empty even if a clock was wrong."""
        return f"greatest({moment}, t.{self._valid_from} + INTERVAL '1 microsecond')"

    # Statements

    def _one_open_end(self) -> None:
        """All open versions hold the same, also after `valid_to_current` has changed."""
        end = open_end(self.how)
        self.session.change(
            f"UPDATE {self.table} AS t SET {self._valid_to} = {end}"
            f" WHERE {self._is_open} AND t.{self._valid_to} IS DISTINCT FROM {end}"
        )

    def _found(self) -> str:
        """The key of each row that is new, has changed, or is gone, and the moment of that. A row
        that is back ends the mark of its deletion."""
        now, born = self.query.now, self.query.born("n.")
        moment = now
        if self.query.updated_at:
            column = quote(self.query.updated_at)
            differs = f"(n.{column} > t.{column} OR t.{column} IS NULL)"
            # One that was gone may come back with its old time.
            moment = f"CASE WHEN {born} > t.{self._valid_from} THEN {born} ELSE {now} END"
        else:
            parts = [self.session.differs(self.relation, self.compared)] if self.compared else []
            if not self.how.check_cols:  # of the key, too, how it is spelled
                parts.append(self.session.respelled(self.relation, self.keys))
            differs = f"({' OR '.join(filter(None, parts)) or 'false'})"
        found = [
            f"SELECT {self._key_of('n')},"
            f" CASE WHEN {self._is_mark} THEN 'back' ELSE 'changed' END AS {_WHAT},"
            f" {self._after_start(moment)} AS {_AT}\n"
            f"FROM {self.new} AS n JOIN {self.table} AS t ON {self._same('n', 't')}\n"
            f"WHERE {self._is_open} AND ({differs} OR {self._is_mark})",
            f"SELECT {self._key_of('n')}, 'new', CASE WHEN e.{_AT} IS NULL OR n.{_AT} > e.{_AT}"
            f" THEN n.{_AT} ELSE greatest({now}, e.{_AT}) END\n"
            f"FROM unknown AS n LEFT JOIN earlier AS e ON {self._same('n', 'e')}",
        ]
        if self.how.hard_deletes != "ignore":
            found.append(
                f"SELECT {self._key_of('t')}, 'gone', {self._after_start(now)}\n"
                f"FROM {self.table} AS t WHERE {self._is_open} AND NOT {self._is_mark} AND NOT"
                f" EXISTS (SELECT 1 FROM {self.new} AS n WHERE {self._same('n', 't')})"
            )
        return (
            f"WITH unknown AS (SELECT {self._key_of('n')}, {born} AS {_AT} FROM {self.new} AS n"
            f" WHERE NOT EXISTS (SELECT 1 FROM {self.table} AS t"
            f" WHERE {self._same('n', 't')} AND {self._is_open})),\n"
            f"earlier AS (SELECT {self._key_of('t')}, max(t.{self._valid_to}) AS {_AT}"
            f" FROM {self.table} AS t JOIN unknown AS n ON {self._same('n', 't')}"
            f" GROUP BY {self._key_of('t')})\n" + "\nUNION ALL\n".join(found)
        )

    def _close(self) -> str:
        return (
            f"UPDATE {self.table} AS t SET {self._valid_to} = c.{_AT} FROM {self.change} AS c"
            f" WHERE {self._same('t', 'c')} AND {self._is_open} AND c.{_WHAT} <> 'new'"
        )

    def _add(self) -> str:
        born = self.query.born("n.") if self.query.updated_at else f"c.{_AT}"
        begun = {
            self.how.scd_id: self.query.version_id("n.", f"c.{_AT}"),
            self.how.scd_updated_at: born,
        }
        source, where = f"{self.new} AS n", f"c.{_WHAT} <> 'gone'"
        return self._insert("n", self.columns, begun, "false", source, where)

    def _mark(self) -> str:
        """The last values of what is gone, in a version that says so."""
        ended = f"c.{_WHAT} = 'gone' AND t.{self._valid_to} = c.{_AT}"
        begun = {self.how.scd_updated_at: f"c.{_AT}"}
        if self.how.scd_id:  # dbt hashes the last identity, which older versions may not have
            keys = [f"t.{key}" for key in self.keys]
            last = f"coalesce(t.{quote(self.how.scd_id)}, {hash_of(keys)})"
            begun[self.how.scd_id] = hash_of([last, f"c.{_AT}"])
        return self._insert("t", self.kept, begun, "true", f"{self.table} AS t", ended)

    def _insert(
        self,
        row: str,
        columns: Sequence[str],
        begun: Mapping[str, str],
        mark: str,
        source: str,
        where: str,
    ) -> str:
        """*begun*: the values of the columns that a snapshot has only if they are named."""
        own = {quote(name): value for name, value in begun.items() if name}
        names = [*columns, *own, self._valid_from, self._valid_to]
        values = [f"{row}.{name}" for name in columns]
        values += [*own.values(), f"c.{_AT}", open_end(self.how)]
        if self.has_marks:
            names.append(quote(self.how.is_deleted))
            values.append(mark)
        return (
            f"INSERT INTO {self.table} ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM {source} JOIN {self.change} AS c ON {self._same(row, 'c')} WHERE {where}"
        )
