"""A table that keeps each version of each row: its changes are found in tables beside it, and then
written where it is, in one transaction with the commit record.

    turn -> new rows -> guards -> shape -> find changes
         -> START TRANSACTION: close versions, add versions -> record -> COMMIT

What it answers is said in materializations/snapshot.py. A first build, and one that changes the
columns, makes a table beside the old one, and a RENAME puts it in its place. Moments are
DATETIME(6), in UTC: another precision would round them in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Reading, Snapshot
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.mariadb.fitting import fit
from dagster_models.warehouses.mariadb.staging import kind_of
from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.mariadb.writing import differs, index_keys
from dagster_models.warehouses.materializations.incremental import refuse_another_reading
from dagster_models.warehouses.materializations.snapshot_columns import own_columns
from dagster_models.warehouses.materializations.version_queries import (
    AT,
    WHAT,
    MomentWords,
    RowsGiven,
    VersionQueries,
    checked,
    marked_column,
    reading,
    refuse_another_table,
)

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.session import MariaSession

_WORDS = MomentWords(
    "DATETIME(6)",
    "datetime(6)",
    ("datetime", "timestamp", "date"),
    "INTERVAL 1 MICROSECOND",
)
#: The comment of the column that marks deletions: one of the query's has another, or none.
_MARK = "dagster-models: the row was gone"


def build(session: MariaSession, task: BuildTask, how: Snapshot) -> Staged:
    """Put versions of all rows into a new table, or of what has changed into the one that is there.
    The session has the relation's turn.

    Raises WarehouseError as in every warehouse: see materializations/snapshot.py.
    """
    relation = task.relation
    if how.reading is not None:
        refuse_another_reading(relation, how.reading, read(session, relation, how))
    if kind_of(session, relation) == "table":
        refuse_another_table(session, relation, how, _WORDS)
        return _added(session, task, how)
    stage = session.begin_stage(relation)
    rows = session.fill(stage.name, task.content)
    _begin(session, stage.name, how, checked(session, stage.name, how, _WORDS))
    session.complete_stage(task.extras, is_added_to=True)
    return Staged(relation, rows, Changes("snapshot", None, rows, 0, 0))


def read(session: MariaSession, relation: Relation, how: Snapshot) -> Reading:
    """How far the history goes before a Python model reads its sources."""
    if kind_of(session, relation) != "table":
        return Reading(whole=True)
    return reading(session, relation, how, _WORDS)


def _begin(session: MariaSession, new: Relation, how: Snapshot, query: RowsGiven) -> None:
    """Make open versions of the rows of a table that is new."""
    clauses = [
        *_named_columns(how, ()),
        f"ADD COLUMN {quote(how.valid_from)} {_WORDS.cast} NULL",
        f"ADD COLUMN {quote(how.valid_to)} {_WORDS.cast} NULL",
        *_mark_column(how),
    ]
    session.change(f"ALTER TABLE {quoted(new)} {', '.join(clauses)}")
    values = {
        how.scd_id: query.version_id(query.born),
        how.scd_updated_at: query.born,
        how.valid_from: query.born,
        how.valid_to: _WORDS.open_end(how),
    }
    listed = ", ".join(f"n.{quote(name)} = {value}" for name, value in values.items() if name)
    session.change(f"UPDATE {quoted(new)} AS n SET {listed}")


def _named_columns(how: Snapshot, there: Sequence[str]) -> Iterator[str]:
    """The clauses that add the columns that a snapshot has only if they are named."""
    known = {name.lower() for name in there}
    for name, type_ in ((how.scd_id, "VARCHAR(32)"), (how.scd_updated_at, _WORDS.cast)):
        if name and name.lower() not in known:
            yield f"ADD COLUMN {quote(name)} {type_} NULL"


def _mark_column(how: Snapshot) -> Iterator[str]:
    if how.hard_deletes == "new_record":
        yield f"ADD COLUMN {_mark(how)}"


def _mark(how: Snapshot) -> str:
    return f"{quote(how.is_deleted)} BOOLEAN NULL DEFAULT FALSE COMMENT {literal(_MARK)}"


def _added(session: MariaSession, task: BuildTask, how: Snapshot) -> Staged:
    relation = task.relation
    there = session.columns(relation)
    names = [name for name, _ in there]
    new = session.begin_given(relation)
    session.fill(new, task.content)
    query = checked(session, new, how, _WORDS)

    def has_mark(name: str) -> bool:
        return session.column_comment(relation, name) == _MARK

    def are_other(name: str) -> str:
        return differs(dict(there), name, name)

    to_mark = (
        f", or, if it is the mark after all, ALTER TABLE {quoted(relation)} MODIFY COLUMN"
        f" {_mark(how)}"
    )
    marked = marked_column(session, relation, how, query.names, has_mark, to_mark)
    own = {name.lower() for name in own_columns(how, marked)}
    theirs = [(name, type_) for name, type_ in there if name.lower() not in own]
    of_python = not isinstance(task.content, Query)
    fitted = fit(session, relation, how, theirs, new, of_python=of_python)
    index_keys(session, new, fitted.columns, query.keys)
    queries = VersionQueries(session, relation, how, new, query, marked, _WORDS, are_other)
    change = replace(new, name="dagster_models_change")
    session.change(f"CREATE TABLE {quoted(change)} AS\n{queries.found([it for it, _ in theirs])}")
    queries.refuse_double(change)
    added = [*_named_columns(how, names), *(() if marked else _mark_column(how))]
    fitted = replace(
        fitted,
        kept=(*fitted.kept, *(name for name in names if name.lower() in own)),
        alterations=(*fitted.alterations, *added),
    )
    target = session.begin_writing(task, fitted, deletes=False, updates=[how.valid_to])
    marks = marked or how.hard_deletes == "new_record"
    write = _MariaVersions(session, queries, target, change, marks)
    changes = write.write([its for its, _ in fitted.columns])
    rows = session.count(f"SELECT 1 FROM {quoted(target)}")
    return Staged(relation, rows, changes)


@dataclass(frozen=True, slots=True)
class _MariaVersions:
    """The statements that add to the history. In SQL, t is a version, n a new row, c a change.

    ``target`` has the versions: the relation, or a copy of it. ``marks``: it has, by now, the
    column that marks deletions.
    """

    session: MariaSession
    queries: VersionQueries
    target: Relation
    change: Relation
    marks: bool

    def write(self, columns: Sequence[str]) -> Changes:
        """Write all of it; *columns*: those of the new rows."""
        found = self.queries.counts(self.change)
        self._one_open_end()
        self._written(self._close(), found.back + found.changed + found.gone)
        queries = self.queries
        given, begun = f"{quoted(queries.new)} AS n", queries.begun()
        add = self._insert("n", columns, begun, "FALSE", given, f"c.{WHAT} <> 'gone'")
        self._written(add, found.new + found.back + found.changed)
        if queries.how.hard_deletes == "new_record":
            # The version that has ended with this change has the last values.
            ended = f"c.{WHAT} = 'gone' AND {queries.ends} = c.{AT}"
            marked, table = queries.begun_mark(has_ids=True), f"{quoted(self.target)} AS t"
            mark = self._insert("t", self._kept(), marked, "TRUE", table, ended)
            self._written(mark, found.gone)
        return found.changes

    def _kept(self) -> list[str]:
        own = {name.lower() for name in own_columns(self.queries.how, self.marks)}
        columns = self.session.columns_of(quoted(self.target))
        return [name for name, _ in columns if name.lower() not in own]

    def _one_open_end(self) -> None:
        """All open versions hold the same, also after ``valid_to_current`` has changed."""
        queries, end = self.queries, _WORDS.open_end(self.queries.how)
        self.session.change(
            f"UPDATE {quoted(self.target)} AS t SET {queries.ends} = {end}"
            f" WHERE {queries.is_open} AND NOT ({queries.ends} <=> {end})"
        )

    def _close(self) -> str:
        queries = self.queries
        return (
            f"UPDATE {quoted(self.target)} AS t JOIN {quoted(self.change)} AS c"
            f" ON {queries.same('t', 'c')} SET {queries.ends} = c.{AT}"
            f" WHERE {queries.is_open} AND c.{WHAT} <> 'new'"
        )

    def _insert(
        self,
        row: str,
        columns: Sequence[str],
        begun: dict[str, str],
        mark: str,
        source: str,
        where: str,
    ) -> str:
        """*begun*: the values of the columns that a snapshot has only if they are named."""
        queries, how = self.queries, self.queries.how
        names = [*columns, *begun, how.valid_from, how.valid_to]
        values = [f"{row}.{quote(name)}" for name in columns]
        values += [*begun.values(), f"c.{AT}", _WORDS.open_end(how)]
        if self.marks:
            names.append(how.is_deleted)
            values.append(mark)
        return (
            f"INSERT INTO {quoted(self.target)} ({', '.join(map(quote, names))})"
            f" SELECT {', '.join(values)} FROM {source} JOIN {quoted(self.change)} AS c"
            f" ON {queries.same(row, 'c')} WHERE {where}"
        )

    def _written(self, statement: str, wanted: int) -> None:
        rows = self.session.change(statement)
        if rows != wanted:
            what = f"{self.queries.relation} was written by somebody else at the same moment"
            raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
