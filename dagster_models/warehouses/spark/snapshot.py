"""A table that keeps each version of each row, as one commit.

    version -> new rows -> guards -> shape -> find changes -> stage: close versions, add versions

What it answers is said in materializations/snapshot.py. Here the stage begins with the files of the
table (``cloning``); Spark writes those anew whose versions end, and new versions are files more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Reading, Snapshot
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
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
from dagster_models.warehouses.spark.fitting import fit
from dagster_models.warehouses.spark.writing import Stage

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession

_WORDS = MomentWords(
    "TIMESTAMP_NTZ",
    "timestamp_ntz",
    ("timestamp", "date"),
    "INTERVAL '0.000001' SECOND",
)


def build(session: SparkSession, task: BuildTask, how: Snapshot) -> Staged:
    """Put versions of all rows into a new table, or of what has changed into the one that is there.

    Raises WarehouseError as in every warehouse: see materializations/snapshot.py.
    """
    relation = task.relation
    found = session.begin_with(relation)
    if how.reading is not None:
        refuse_another_reading(relation, how.reading, read(session, relation, how))
    if found == "table":
        refuse_another_table(session, relation, how, _WORDS)
    new = session.begin_scratch(relation)
    session.fill(new, task.content)
    query = checked(session, new.name, how, _WORDS)
    marks = (how.is_deleted,) if how.hard_deletes == "new_record" else ()
    if found != "table":
        first = session.begin_scratch(relation)
        begun = {how.scd_id: query.version_id(query.born), how.scd_updated_at: query.born}
        versions = [f"{value} AS {quote(name)}" for name, value in begun.items() if name]
        versions += [f"{query.born} AS {quote(how.valid_from)}", _end(how)]
        versions += [f"false AS {quote(name)}" for name in marks]
        sql = f"SELECT n.*, {', '.join(versions)} FROM {quoted(new.name)} AS n"
        rows = session.fill(first, Query(sql))
        session.copy_of(relation, first.rows_of_table(), marks=marks)
        return Staged(relation, rows, Changes("snapshot", None, rows, 0, 0))
    return _added(session, task, how, query, new)


def _added(
    session: SparkSession, task: BuildTask, how: Snapshot, query: RowsGiven, new: Stage
) -> Staged:
    relation = task.relation
    columns = session.columns(relation)
    has_mark = session.location.log(relation).has_mark
    marked = marked_column(session, relation, how, query.names, has_mark)
    own = own_columns(how, marked)
    theirs = [(name, type_) for name, type_ in columns if name not in own]
    of_python = not isinstance(task.content, Query)
    fitted = fit(session, relation, how, theirs, new.name, of_python=of_python)
    shaped = session.shaped(new, fitted.rows(quoted(new.name)), fitted)
    has_ids = how.scd_id.lower() in {name.lower() for name, _ in columns}
    queries = VersionQueries(session, relation, how, shaped.name, query, marked, _WORDS, _differs)
    write = _SparkVersions(session, queries, has_ids)
    found = write.found([name for name, _ in theirs])
    counts = queries.counts(found)
    kept = [*fitted.kept]
    kept += [f"t.{quote(name)}" for name, _ in columns if name in own]
    there = {name.lower() for name, _ in columns}
    lacking = [
        f"CAST(NULL AS {type_}) AS {quote(name)}"
        for name, type_ in ((how.scd_id, "STRING"), (how.scd_updated_at, "TIMESTAMP_NTZ"))
        if name and name.lower() not in there
    ]
    kept += lacking
    unmarked = how.hard_deletes == "new_record" and not marked
    kept += [f"false AS {quote(how.is_deleted)}"] if unmarked else []
    marks = [how.is_deleted] if marked or unmarked else []
    rewrites = fitted.rewrites or unmarked or bool(lacking)
    fitted = replace(fitted, kept=tuple(kept), rewrites=rewrites)
    session.begin_copy(relation, fitted, shaped, marks)
    write.close(found)
    listed = [name for name, _ in fitted.columns if name in fitted.values]
    write.add(found, listed)
    if how.hard_deletes == "new_record" and counts.gone:
        write.mark(found, [name for name, _ in theirs])
    rows = session.rows_in(session.stage)
    return Staged(relation, rows, counts.changes)


def read(session: SparkSession, relation: Relation, how: Snapshot) -> Reading:
    """How far the history goes before a Python model reads its sources."""
    if session.begin_with(relation) != "table":
        return Reading(whole=True)
    return reading(session, relation, how, _WORDS)


def _end(how: Snapshot) -> str:
    return f"{_WORDS.open_end(how)} AS {quote(how.valid_to)}"


def _differs(name: str) -> str:
    return f"NOT (t.{quote(name)} <=> n.{quote(name)})"


# The versions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SparkVersions:
    """The statements that add to the history. In SQL, t is a version, n a new row, c a change.

    ``has_ids``: the table has the column of dbt's hashes before this build.
    """

    session: SparkSession
    queries: VersionQueries
    has_ids: bool

    def found(self, theirs: list[str]) -> Relation:
        """A table with the key of each row that is new, has changed or is gone, and the moment."""
        change = self.session.begin_scratch(self.queries.relation)
        self.session.fill(change, Query(self.queries.found(theirs)))
        self.queries.refuse_double(change.name)
        return change.name

    def close(self, found: Relation) -> None:
        """End the open versions of what has changed or is gone; the others hold the same end, also
        after ``valid_to_current`` has changed."""
        stage = self.session.stage
        assert stage is not None
        queries = self.queries
        name, end = quoted(stage.name), _WORDS.open_end(queries.how)
        other = f"{queries.is_open} AND NOT ({queries.ends} <=> {end})"
        if self.session.count(f"SELECT 1 FROM {name} AS t WHERE {other}"):
            plain = other.replace("t.`", "`")
            column = quote(queries.how.valid_to)
            self.session.change(f"UPDATE {name} SET {column} = {end} WHERE {plain}")
        self.session.change(
            f"MERGE INTO {name} AS t USING (SELECT * FROM {quoted(found)} WHERE {WHAT} <> 'new')"
            f" AS c ON {queries.same('t', 'c')} AND {queries.is_open}"
            f" WHEN MATCHED THEN UPDATE SET {quote(queries.how.valid_to)} = c.{AT}"
        )

    def add(self, found: Relation, columns: list[str]) -> None:
        begun, new = self.queries.begun(), self.queries.new
        self._put(found, "n", new, columns, begun, "false", f"c.{WHAT} <> 'gone'")

    def mark(self, found: Relation, columns: list[str]) -> None:
        """The last values of what is gone, in a version that says so."""
        queries = self.queries
        where = f"c.{WHAT} = 'gone' AND {queries.is_open} AND NOT {queries.is_mark}"
        begun = queries.begun_mark(has_ids=self.has_ids)
        self._put(found, "t", queries.relation, columns, begun, "true", where)

    def _put(
        self,
        found: Relation,
        row: str,
        of: Relation,
        columns: list[str],
        begun: Mapping[str, str],
        mark: str,
        where: str,
    ) -> None:
        """*begun*: the values of the columns that a snapshot has only if they are named."""
        queries = self.queries
        listed = [f"{row}.{quote(name)}" for name in columns]
        listed += [f"{value} AS {quote(name)}" for name, value in begun.items()]
        listed += [f"c.{AT} AS {quote(queries.how.valid_from)}", _end(queries.how)]
        if queries.marked or queries.how.hard_deletes == "new_record":
            listed.append(f"{mark} AS {quote(queries.how.is_deleted)}")
        versions = self.session.begin_scratch(queries.relation)
        sql = (
            f"SELECT {', '.join(listed)} FROM {quoted(of)} AS {row}"
            f" JOIN {quoted(found)} AS c ON {queries.same(row, 'c')} WHERE {where}"
        )
        self.session.fill(versions, Query(sql))
        self.session.put_in(versions)
