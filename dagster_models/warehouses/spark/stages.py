"""What a build is made of: the stage, which is published, and scratch tables, which are not."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress

from dagster_models.core.model import Relation
from dagster_models.core.tasks import ArrowFile, Content, CsvFile, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.spark import writing
from dagster_models.warehouses.spark.cloning import add_files, clone, types_of
from dagster_models.warehouses.spark.errors import NO_LINES
from dagster_models.warehouses.spark.files import TableRows
from dagster_models.warehouses.spark.fitting import Fitted, same_key
from dagster_models.warehouses.spark.reading import SparkReading
from dagster_models.warehouses.spark.text import lone_names, one_query
from dagster_models.warehouses.spark.writing import Stage

#: In the name of a type: of NULL alone, and of a length of time. The field of a struct may be named
#: like one, with a colon behind it; delta-rs has the first type in quotes.
_UNTYPED, _LENGTH = re.compile(r"\bvoid\b(?!:)"), re.compile(r"\binterval\b(?!:)")
_DELTA_UNTYPED = 'PrimitiveType("void")'


class SparkStages(SparkReading):
    """``SparkSession`` adds what publishes the stage."""

    def kind_of(self, relation: Relation) -> RelationKind | None:
        log = self.location.log(relation)
        state = log.state()
        if log.version() < 0 or (state is not None and state.kind == "dropped"):
            return None
        if state is not None and state.kind == "function":
            return None
        return "view" if state is not None and state.kind == "view" else "table"

    def begin_with(self, relation: Relation) -> RelationKind | None:
        """Let the build begin with the relation as it is now; return what it is. The build is only
        published if nobody has written to the relation by then."""
        self.base = self.location.log(relation).version()
        return self.kind_of(relation)

    def begin_stage(self, relation: Relation) -> Stage:
        self.stage = Stage.of(self.location.log(relation), relation)
        self._put_schema(self.stage)
        return self.stage

    def begin_scratch(self, relation: Relation) -> Stage:
        stage = Stage.of(self.location.log(relation), relation)
        self.scratch.append(stage)
        self._put_schema(stage)
        return stage

    def _put_schema(self, stage: Stage) -> None:
        self.change(f"CREATE SCHEMA IF NOT EXISTS {quote(stage.name.schema)}")
        stage.is_made = True

    def fill(self, stage: Stage, content: Content) -> int:
        """Write rows into a stage, which has none yet; return their number. ``line`` of an error
        counts in the query or in the CSV file."""
        if isinstance(content, ArrowFile):
            writing.write_arrow(stage, content.path, self.location.integer_bits)
            self.change(stage.creation)
        elif isinstance(content, CsvFile):
            writing.write_seed(self, stage, content)
        else:
            query, lines_before = self._storable(one_query(content.sql))
            try:
                self.change(stage.creation_as(query), lines_before + 1)
            except WarehouseError as error:
                raise self._explained(error, query) from error
        rows = self.rows_in(stage)
        if isinstance(content, Query):
            _refuse_untyped(stage)
        return rows

    def _explained(self, error: WarehouseError, query: str) -> WarehouseError:
        """The error with the column that no table can have, where the server names none."""
        try:
            columns = self.server.columns(query, self.tag, NO_LINES)
        except WarehouseError:
            return error
        seen: set[str] = set()
        for name, type_ in columns:
            what = ""
            if name.lower() in seen:
                what = f"two columns are named `{name}`, as case does not matter: rename one"
            elif _UNTYPED.search(type_):
                what = _untyped(name)
            elif _LENGTH.search(type_):
                what = f"the column `{name}` has the type {type_}, which a table cannot have: cast"
                what += " it, for example to a number of seconds"
            if what:
                return WarehouseError(error.kind, f"{what}\n{error.message}", name=error.name)
            seen.add(name.lower())
        return error

    def refuse_lost_names(self, stage: Stage, query: str) -> None:
        """Raise WarehouseError if the server keeps a view's query without the backquotes of a name
        that is something else without them. Sail 0.7 does, and then shows another value."""
        names = list({name.lower(): name for name in lone_names(query)}.values())
        if names and (found := self._lost_names(stage, names)):
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"this Spark server keeps views without backquotes, and one of {', '.join(names)}"
                " is something else without them: write it with the alias of its table before it,"
                " as in t.`name`, rename the column, or build a table (`materialized: table`). Of a"
                f" view with these names it says: {found}",
                name="BackquotesLost",
            )

    def _lost_names(self, stage: Stage, names: Sequence[str]) -> str:
        """What the server answers to a view that reads columns of these names, "" if it shows their
        values. Raises WarehouseError where it refuses a view of a plain name, too."""
        try:
            found = self._shown(stage, names)
        except WarehouseError as error:
            if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.INTERRUPTED):
                raise
            self._shown(stage, ["kept_name"])  # else it is no fault of the names
            return error.message
        return "" if found == ["kept"] * (1 + len(names)) else str(found)

    def _shown(self, stage: Stage, names: Sequence[str]) -> list[object]:
        probe = quoted(Relation(stage.name.schema, "dagster_models_names"))
        given = ", ".join(f"'kept' AS {name}" for name in names)
        asked = f"SELECT 'kept' AS at_first, {', '.join(names)} FROM (SELECT {given}) AS given"
        self.change(f"CREATE OR REPLACE VIEW {probe} AS {asked}")
        ((*found,),) = self.rows(f"SELECT * FROM {probe}")
        return found

    def _storable(self, query: str) -> tuple[str, int]:
        """The query in types that the table has, and how many lines of it are before the user's."""
        stored = self.location.stored_type
        if self.location.integer_bits == 8:
            return query, 0
        columns = self.server.columns(query, self.tag, 0)
        if all(stored(type_) == type_ for _, type_ in columns):
            return query, 0
        listed = []
        for name, type_ in columns:
            is_kept = stored(type_) == type_
            cast = f"CAST({quote(name)} AS {stored(type_)}) AS {quote(name)}"
            listed.append(quote(name) if is_kept else cast)
        return f"SELECT {', '.join(listed)} FROM (\n{query}\n) AS given", 1

    def rows_in(self, stage: Stage | None) -> int:
        assert stage is not None
        stage.rows = stage.count_rows()
        if stage.rows is None:
            stage.rows = self.count(f"SELECT 1 FROM {quoted(stage.name)}")
        return stage.rows

    def shaped(self, new: Stage, rows: str, fitted: Fitted, *, changed: bool = False) -> Stage:
        """A stage with the new rows as the table will have them. *rows*: the query of these;
        *changed*: it leaves some out."""
        same = [(name, f"n.{quote(name)}") for name, _ in self.columns(new.name)]
        if not changed and [*fitted.values.items()] == same:
            return new
        stage = self.begin_scratch(new.relation)
        self.fill(stage, Query(rows))
        return stage

    def begin_copy(
        self, relation: Relation, fitted: Fitted, new: Stage, marks: Collection[str] = ()
    ) -> Stage:
        """Let the stage have the rows of the relation. *new* has the columns that are added."""
        rows = None
        added: Sequence[tuple[str, object]] = ()
        if fitted.rewrites:
            rewritten = self.begin_scratch(relation)
            sql = f"SELECT {', '.join(fitted.kept)} FROM {quoted(relation)} AS t"
            self.fill(rewritten, Query(sql))
            rows = rewritten.rows_of_table()
        elif fitted.added:
            types = types_of(new)
            added = [(name, types[name]) for name in fitted.added]
        rows = rows or self.location.log(relation).rows(self.base)
        return self.copy_of(relation, rows, added, marks)

    def copy_of(
        self,
        relation: Relation,
        rows: TableRows,
        added: Sequence[tuple[str, object]] = (),
        marks: Collection[str] = (),
    ) -> Stage:
        """Let the stage be a table with the rows of another one: see ``clone``."""
        stage = self.begin_stage(relation)
        clone(rows, stage, added, marks)
        self.change(stage.creation)
        return stage

    def take_out(self, new: Stage, keys: Sequence[str]) -> None:
        """Delete the staged rows whose key is one of the new rows."""
        assert self.stage is not None
        listed = ", ".join(map(quote, keys))
        self.change(
            f"MERGE INTO {quoted(self.stage.name)} AS t"
            f" USING (SELECT DISTINCT {listed} FROM {quoted(new.name)}) AS n"
            f" ON {same_key(keys)} WHEN MATCHED THEN DELETE"
        )

    def delete_staged(self, where: str) -> None:
        assert self.stage is not None
        self.change(f"DELETE FROM {quoted(self.stage.name)} WHERE {where}")

    def put_in(self, new: Stage) -> None:
        """Add new rows to the stage, as further names of their files."""
        assert self.stage is not None
        add_files(self.stage, new)

    def discard(self) -> None:
        stages = [*self.scratch, *([self.stage] if self.stage is not None else [])]
        self.stage, self.scratch, self.base = None, [], None
        self.only_reads = False
        for stage in stages:
            if stage.kind == "function":
                with suppress(WarehouseError):
                    self.change(f"DROP FUNCTION IF EXISTS {quoted(stage.name)}")
            if stage.is_made:
                with suppress(WarehouseError):
                    self.change(f"DROP SCHEMA IF EXISTS {quote(stage.name.schema)} CASCADE")
            stage.remove()


def _refuse_untyped(stage: Stage) -> None:
    """Raise WarehouseError for a column without a type. Delta on Spark's own server stores one, to
    which no later build could add a value; Sail refuses it by itself."""
    for name, type_ in types_of(stage).items():
        if _DELTA_UNTYPED in str(type_):
            raise WarehouseError(ErrorKind.UNSUPPORTED, _untyped(name), name="UntypedColumn")


def _untyped(name: str) -> str:
    said = f"the column `{name}` holds NULL only, and so has no type: cast it, as in"
    return f"{said} CAST(NULL AS STRING)"
