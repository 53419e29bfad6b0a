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
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations import snapshot as everywhere
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.incremental import refuse_another_reading
from dagster_models.warehouses.materializations.keys import (
    key_examples,
)
from dagster_models.warehouses.materializations.snapshot_columns import hash_of, own_columns
from dagster_models.warehouses.spark.fitting import fit, same_key
from dagster_models.warehouses.spark.snapshot_query import FAR, RowsGiven, checked
from dagster_models.warehouses.spark.writing import Stage

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession

_WHAT, _AT = "dagster_models_what", "dagster_models_at"


def build(session: SparkSession, task: BuildTask, how: Snapshot) -> Staged:
    """Put versions of all rows into a new table, or of what has changed into the one that is there.

    Raises WarehouseError as in every warehouse: see materializations/snapshot.py.
    """
    relation = task.relation
    found = session.begin_with(relation)
    if how.reading is not None:
        refuse_another_reading(relation, how.reading, read(session, relation, how))
    clock = how.now or format(everywhere.utc_now(), "%Y-%m-%d %H:%M:%S.%f")
    now = f"TIMESTAMP_NTZ '{clock}'"
    if found == "table":
        _refuse_another_table(session, relation, how)
    new = session.begin_scratch(relation)
    session.fill(new, task.content)
    query = checked(session, new.name, how, now)
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
    marked = _has_mark(session, relation, how, query.names)
    own = own_columns(how, marked)
    theirs = [(name, type_) for name, type_ in columns if name not in own]
    of_python = not isinstance(task.content, Query)
    fitted = fit(session, relation, how, theirs, new.name, of_python=of_python)
    shaped = session.shaped(new, fitted.rows(quoted(new.name)), fitted)
    keys = tuple(columns_named(theirs, query.keys))
    has_ids = how.scd_id.lower() in {name.lower() for name, _ in columns}
    write = _SparkVersions(session, relation, how, shaped.name, keys, query, marked, has_ids)
    found = write.found([name for name, _ in theirs])
    counts = write.counts(found)
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
    if how.hard_deletes == "new_record" and counts[2]:
        write.mark(found, [name for name, _ in theirs])
    rows = session.rows_in(session.stage)
    return Staged(relation, rows, Changes("snapshot", None, *counts))


def read(session: SparkSession, relation: Relation, how: Snapshot) -> Reading:
    """How far the history goes before a Python model reads its sources."""
    if session.begin_with(relation) != "table":
        return Reading(whole=True)
    _refuse_another_table(session, relation, how)
    valid_to = quote(how.valid_to)
    counted = f"count(*), count(*) FILTER (WHERE {valid_to} IS NULL OR {valid_to} >= {FAR})"
    count, still_open = session.rows(f"SELECT {counted} FROM {quoted(relation)}")[0]
    return Reading(whole=True, seen=f"{count} versions, {still_open} open")


def _open_end(how: Snapshot) -> str:
    return f"TIMESTAMP_NTZ '{how.open_end}'" if how.open_end else "CAST(NULL AS TIMESTAMP_NTZ)"


def _end(how: Snapshot) -> str:
    return f"{_open_end(how)} AS {quote(how.valid_to)}"


def _refuse_another_table(session: SparkSession, relation: Relation, how: Snapshot) -> None:
    types = dict(session.columns(relation))
    for name in (how.valid_from, how.valid_to):
        if types.get(name) != "timestamp_ntz":
            has = f"a column `{name}` of the type {types[name]}" if name in types else ""
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"{relation} is a table, but no snapshot with these columns: it has"
                f" {has or f'no column `{name}`'}. It may hold a history, so it is never replaced:"
                " rename or drop it by hand, or name its columns in `snapshot_meta_column_names`",
                name="NoSnapshot",
            )


def _has_mark(
    session: SparkSession, relation: Relation, how: Snapshot, returned: tuple[str, ...]
) -> bool:
    """Whether the table has our mark of deletions."""
    known = {name.lower(): name for name, _ in session.columns(relation)}
    name = known.get(how.is_deleted.lower())
    if name is None or name in returned:
        return False
    if session.location.log(relation).has_mark(name):
        return True
    if how.hard_deletes != "new_record":
        return False
    raise WarehouseError(
        ErrorKind.BAD_COLUMN,
        f"{relation} has a column `{name}`, which is not the mark that this snapshot adds. Its"
        " values would be taken for deletions. Nothing was changed: give the mark another name with"
        " `snapshot_meta_column_names: {is_deleted: ...}`",
        name="OwnColumn",
    )


# The versions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SparkVersions:
    """The statements that add to the history. In SQL, t is a version, n a new row, c a change."""

    session: SparkSession
    relation: Relation
    how: Snapshot
    new: Relation
    keys: tuple[str, ...]
    query: RowsGiven
    marked: bool
    has_ids: bool  #: whether the table has the column of dbt's hashes before this build

    @property
    def _from(self) -> str:
        return f"t.{quote(self.how.valid_from)}"

    @property
    def _to(self) -> str:
        return f"t.{quote(self.how.valid_to)}"

    @property
    def _is_open(self) -> str:
        return f"({self._to} IS NULL OR {self._to} >= {FAR})"

    @property
    def _is_mark(self) -> str:
        return f"coalesce(t.{quote(self.how.is_deleted)}, false)" if self.marked else "false"

    def _same(self, one: str, other: str) -> str:
        return same_key(self.keys, one, other)

    def _key_of(self, row: str) -> str:
        return ", ".join(f"{row}.{quote(key)}" for key in self.keys)

    def _after_start(self, moment: str) -> str:
        """That moment as the end of version t, which is not empty even if a clock was wrong."""
        return f"greatest({moment}, {self._from} + INTERVAL '0.000001' SECOND)"

    def found(self, theirs: list[str]) -> Relation:
        """A table with the key of each row that is new, has changed or is gone, and the moment."""
        unknown = " OR ".join(f"t.{quote(key)} IS NULL" for key in self.keys)
        table = quoted(self.relation)
        self._refuse_unclear(f"FROM {table} AS t WHERE {self._is_open} AND ({unknown})")
        change = self.session.begin_scratch(self.relation)
        self.session.fill(change, Query(self._found(theirs)))
        listed = ", ".join(map(quote, self.keys))
        self._refuse_unclear(f"FROM {quoted(change.name)} GROUP BY {listed} HAVING count(*) > 1")
        return change.name

    def _found(self, theirs: list[str]) -> str:
        now, born, how = self.query.now, self.query.born, self.how
        table, new = f"{quoted(self.relation)} AS t", f"{quoted(self.new)} AS n"
        moment = now
        if self.query.updated_at:
            column = quote(self.query.updated_at)
            differs = f"(n.{column} > t.{column} OR t.{column} IS NULL)"
            # One that was gone may come back with its old time.
            moment = f"CASE WHEN {born} > {self._from} THEN {born} ELSE {now} END"
        else:
            compared = columns_named([(it, "") for it in self.query.names], how.check_cols)
            wanted = {it.lower() for it in compared or self.query.names}
            parts = [
                f"NOT (t.{quote(name)} <=> n.{quote(name)})"
                for name in theirs
                if name.lower() in wanted and name.lower() in map(str.lower, self.query.names)
            ]
            known = {name.lower() for name in theirs}
            parts += [
                f"n.{quote(name)} IS NOT NULL"
                for name in self.query.names
                if name.lower() in wanted - known and how.on_schema_change != "ignore"
            ]
            differs = f"({' OR '.join(parts) or 'false'})"
        found = [
            f"SELECT {self._key_of('n')},"
            f" CASE WHEN {self._is_mark} THEN 'back' ELSE 'changed' END AS {_WHAT},"
            f" {self._after_start(moment)} AS {_AT}"
            f" FROM {new} JOIN {table} ON {self._same('n', 't')}"
            f" WHERE {self._is_open} AND ({differs} OR {self._is_mark})",
            f"SELECT {self._key_of('n')}, 'new', CASE WHEN e.{_AT} IS NULL OR n.{_AT} > e.{_AT}"
            f" THEN n.{_AT} ELSE greatest({now}, e.{_AT}) END"
            f" FROM unknown AS n LEFT JOIN earlier AS e ON {self._same('n', 'e')}",
        ]
        if how.hard_deletes != "ignore":
            found.append(
                f"SELECT {self._key_of('t')}, 'gone', {self._after_start(now)}"
                f" FROM {table} LEFT ANTI JOIN {new} ON {self._same('n', 't')}"
                f" WHERE {self._is_open} AND NOT {self._is_mark}"
            )
        open_keys = f"(SELECT {self._key_of('t')} FROM {table} WHERE {self._is_open})"
        return (
            f"WITH unknown AS (SELECT {self._key_of('n')}, {born} AS {_AT} FROM {new}"
            f" LEFT ANTI JOIN {open_keys} AS t ON {self._same('n', 't')}),"
            f" earlier AS (SELECT {self._key_of('t')}, max({self._to}) AS {_AT}"
            f" FROM {table} JOIN unknown AS n ON {self._same('n', 't')}"
            f" GROUP BY {self._key_of('t')}) " + " UNION ALL ".join(found)
        )

    def counts(self, found: Relation) -> tuple[int, int, int]:
        """How many rows are new, changed and gone."""
        rows = self.session.rows(f"SELECT {_WHAT}, count(*) FROM {quoted(found)} GROUP BY {_WHAT}")
        of = {str(what): int(count) for what, count in rows}
        return of.get("new", 0) + of.get("back", 0), of.get("changed", 0), of.get("gone", 0)

    def close(self, found: Relation) -> None:
        """End the open versions of what has changed or is gone; the others hold the same end, also
        after ``valid_to_current`` has changed."""
        stage = self.session.stage
        assert stage is not None
        name, end = quoted(stage.name), _open_end(self.how)
        other = f"{self._is_open} AND NOT ({self._to} <=> {end})"
        if self.session.count(f"SELECT 1 FROM {name} AS t WHERE {other}"):
            plain = other.replace("t.`", "`")
            column = quote(self.how.valid_to)
            self.session.change(f"UPDATE {name} SET {column} = {end} WHERE {plain}")
        self.session.change(
            f"MERGE INTO {name} AS t USING (SELECT * FROM {quoted(found)} WHERE {_WHAT} <> 'new')"
            f" AS c ON {self._same('t', 'c')} AND {self._is_open}"
            f" WHEN MATCHED THEN UPDATE SET {quote(self.how.valid_to)} = c.{_AT}"
        )

    def add(self, found: Relation, columns: list[str]) -> None:
        begun = {
            self.how.scd_id: self.query.version_id(f"c.{_AT}"),
            self.how.scd_updated_at: self.query.born if self.query.updated_at else f"c.{_AT}",
        }
        self._put(found, "n", self.new, columns, begun, "false", f"c.{_WHAT} <> 'gone'")

    def mark(self, found: Relation, columns: list[str]) -> None:
        """The last values of what is gone, in a version that says so."""
        where = f"c.{_WHAT} = 'gone' AND {self._is_open} AND NOT {self._is_mark}"
        begun = {self.how.scd_updated_at: f"c.{_AT}"}
        if self.how.scd_id:  # dbt hashes the last identity, which older versions may not have
            last = hash_of([f"t.{quote(key)}" for key in self.keys], "STRING")
            if self.has_ids:
                last = f"coalesce(t.{quote(self.how.scd_id)}, {last})"
            begun[self.how.scd_id] = hash_of([last, f"c.{_AT}"], "STRING")
        self._put(found, "t", self.relation, columns, begun, "true", where)

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
        listed = [f"{row}.{quote(name)}" for name in columns]
        listed += [f"{value} AS {quote(name)}" for name, value in begun.items() if name]
        listed += [f"c.{_AT} AS {quote(self.how.valid_from)}", _end(self.how)]
        if self.marked or self.how.hard_deletes == "new_record":
            listed.append(f"{mark} AS {quote(self.how.is_deleted)}")
        versions = self.session.begin_scratch(self.relation)
        sql = (
            f"SELECT {', '.join(listed)} FROM {quoted(of)} AS {row}"
            f" JOIN {quoted(found)} AS c ON {self._same(row, 'c')} WHERE {where}"
        )
        self.session.fill(versions, Query(sql))
        self.session.put_in(versions)

    def _refuse_unclear(self, source: str) -> None:
        """Raise WarehouseError for open versions of which nobody can say which row they are of."""
        if examples := key_examples(self.session, self.keys, source):
            raise WarehouseError(
                ErrorKind.CONSTRAINT,
                f"unique_key ({', '.join(self.keys)}) does not tell apart the open versions that"
                f" {self.relation} holds: {examples}. It was another one before, or somebody else"
                " has written them. Nothing was changed: mend these versions by hand, or rename the"
                " table, so that a new history begins",
                name="UnclearVersions",
            )
