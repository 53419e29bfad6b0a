"""DuckDB: one database file (or memory), many cursors.

Only calls that DuckDB 1.5 and 2.0 share are used. What was measured and is relied on here: DDL is
transactional; CREATE OR REPLACE does not turn a view into a table; an ``interrupt`` that finds no
statement is forgotten; COMMIT after a failed statement answers "fine" and rolls back.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import ArrowFile, AttemptId, Content, CsvFile, Query
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.util.duckdb_types import exact
from dagster_models.util.seed_types import SeedType
from dagster_models.warehouses.base import (
    Capabilities,
    OpenWarehouse,
    literal,
    quote,
    quoted,
)
from dagster_models.warehouses.duckdb import functions, records
from dagster_models.warehouses.duckdb.attached import AttachedDatabases
from dagster_models.warehouses.duckdb.columns import DuckDBColumns
from dagster_models.warehouses.duckdb.environment import config_of, path_of_database, set_up
from dagster_models.warehouses.duckdb.errors import (
    NO_LINES,
    by_a_newer_one,
    convert,
    held_by,
    replaced,
    translated,
)
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.seeds import Seed, SeedWords, read_seed

#: The name under which a cursor sees an Arrow file while it reads it.
_INPUT = "dagster_models_input"


#: Errors of a text that are raised when it is bound.
_BEFORE_IT_RAN = frozenset({"BinderException", "CatalogException", "ParserException"})

_OTHER_TYPE = re.compile(r"is of type (Table|View), trying to replace")


_SEED_WORDS = SeedWords(
    {
        SeedType.WHOLE: "BIGINT",
        SeedType.DECIMAL: "DOUBLE",
        SeedType.DATE: "DATE",
        SeedType.TIMESTAMP: "TIMESTAMP",
        SeedType.BOOLEAN: "BOOLEAN",
        SeedType.TEXT: "VARCHAR",
    },
    free_scale=3,
    free_float="real",
)

CAPABILITIES = Capabilities(
    "duckdb",
    shared_fate=True,
    lacks={
        "grants": "DuckDB has no grants, and CREATE OR REPLACE drops comments",
        "indexes": "CREATE OR REPLACE TABLE drops the old table's indexes",
        "size": "its blocks belong to the whole file",
        "two_processes": "one process writes a file; all processes of a machine share it",
        "decimal_nan": "DECIMAL has no NaN",
        "savepoints": "it has none, and an error may end the transaction: all is built once more",
    },
)


def connect(settings: Mapping[str, Any]) -> DuckDB:
    """Open the database file ``path``; ``memory_limit`` (e.g. "4GB"), ``threads`` and ``attach``
    are optional.

    Raises WarehouseError, of kind "DatabaseInUse" when another process holds the file.
    """
    path = str(settings["path"])
    plain = path_of_database(path)
    try:
        connection = duckdb.connect(plain, config=config_of(settings))
    except Exception as error:
        holder = held_by(error)
        if holder is None:
            newer = by_a_newer_one(error, path, duckdb.__version__)
            raise newer or convert(error) from error
        program, pid = holder
        raise WarehouseError(
            ErrorKind.IN_USE,
            f"the process with pid {pid} ({program}) holds the DuckDB file {path}. DuckDB lets one"
            f" process write a file: close the database there (or end it: kill {pid}), or read it"
            " through dagster-models, which shares it among its own processes.",
        ) from error
    try:
        return DuckDB(connection, path, settings.get("attach") or {})
    except BaseException:
        connection.close()
        raise


class DuckDB(OpenWarehouse):
    """One open database."""

    capabilities = CAPABILITIES

    def __init__(
        self, connection: Any, path: str, attached: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._connection, self._path = connection, path
        with translated():
            self._catalog = str(connection.execute("SELECT current_database()").fetchall()[0][0])
        self._file = os.stat(path) if os.path.exists(path) else None
        self._attached = AttachedDatabases(connection, attached)

    def is_replaced(self) -> bool:
        try:
            return self._file is None or not os.path.samestat(self._file, os.stat(self._path))
        except FileNotFoundError:
            return True

    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> DuckDBSession:
        self._attached.refresh()
        with translated():
            cursor = self._connection.cursor()
            set_up(cursor, request)
            return DuckDBSession(cursor, self._catalog, self._refuse_if_replaced, self._attached)

    def _refuse_if_replaced(self) -> None:
        if self.is_replaced():
            raise replaced(self._path)

    def close(self) -> None:
        self._connection.close()


class DuckDBSession(DuckDBColumns):
    """One cursor: in DuckDB a connection of its own to the same database."""

    staging = Relation("main", "dagster_models_new", "temp")
    replace_function = functions.replace_function

    # Relations

    def replace_table(self, relation: Relation, content: Content) -> int:
        if isinstance(content, CsvFile):
            return self._from_csv(relation, content.file.path, content.column_types)
        if isinstance(content, ArrowFile):
            return self._from_arrow(relation, content.path)
        rows = self._from_query("TABLE", relation, content.sql)
        # Nobody counts the rows of a PIVOT.
        return self.count(f"FROM {quoted(relation)}") if rows is None else rows

    def replace_view(self, relation: Relation, sql: str) -> None:
        with functions.explained_in_a_view():
            self._from_query("VIEW", relation, sql)

    def take_turn(self, relation: Relation) -> RelationKind | None:
        # The process that has the file open has let no other writer of the relation in.
        # information_schema.tables takes twice as long, and longer the more tables there are.
        catalog = literal(relation.catalog or self._catalog)
        kinds: tuple[RelationKind, ...] = ("table", "view")
        for kind in kinds:
            found = self._run(
                f"SELECT 1 FROM duckdb_{kind}s() WHERE database_name = {catalog}"
                f" AND lower(schema_name) = lower({literal(relation.schema)})"
                f" AND lower({kind}_name) = lower({literal(relation.name)})"
            )
            if found:
                return kind
        return None

    def stage(self, content: Content) -> int:
        head = f"CREATE OR REPLACE TEMPORARY TABLE {quoted(self.staging)} AS\n"
        if isinstance(content, ArrowFile):
            from dagster_models.warehouses.duckdb import arrow

            with bulk.mapped(content.path) as table, self._registered(arrow.storable(table)):
                return self._create(f"{head}FROM {_INPUT}\n") or 0
        if not isinstance(content, Query):
            raise WarehouseError(ErrorKind.INVALID_REQUEST, "only a query's rows can be staged")
        self.one_statement(content.sql)
        rows = self._create(f"{head}{content.sql}\n")
        return self.count(f"FROM {quoted(self.staging)}") if rows is None else rows

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(sql)
        return found

    def change(self, sql: str, lines_before: int = 0) -> int:
        with self._watched(lines_before):
            rows = self._cursor.execute(sql).fetchall()
        return int(rows[0][0]) if rows else 0

    def _from_query(self, what: str, relation: Relation, sql: str) -> int | None:
        self.one_statement(sql)
        name = quoted(relation)
        return self._replace(name, f"CREATE OR REPLACE {what} {name} AS\n", sql)

    def _from_csv(self, relation: Relation, path: str, column_types: Mapping[str, str]) -> int:
        seed = read_seed(path, column_types, _SEED_WORDS)
        columns = [
            (quote(name), type_)
            for name, type_ in zip(seed.table.column_names, seed.types, strict=True)
        ]
        listed = ", ".join(f"CAST({name} AS {type_}) AS {name}" for name, type_ in columns)
        name = quoted(relation)
        try:
            with self._registered(seed.table):
                head = f"CREATE OR REPLACE TABLE {name} AS\n"
                return self._replace(name, head, f"SELECT {listed} FROM {_INPUT}") or 0
        except WarehouseError as error:
            raise self._with_line(error, seed) from error

    def _with_line(self, error: WarehouseError, seed: Seed) -> WarehouseError:
        """The error with the line of the first cell that is no value of its column's type."""
        if error.kind is ErrorKind.BAD_VALUE:
            with contextlib.suppress(duckdb.Error), self._cursor.cursor() as own:
                own.register(_INPUT, seed.table)
                for column, type_ in zip(seed.table.column_names, seed.types, strict=True):
                    name = quote(column)
                    misfit = f"{name} IS NOT NULL AND TRY_CAST({name} AS {type_}) IS NULL"
                    row = own.execute(
                        f"SELECT row FROM (SELECT row_number() OVER () - 1 AS row, {misfit} AS bad"
                        f" FROM {_INPUT}) WHERE bad ORDER BY row LIMIT 1"
                    ).fetchone()
                    if row is not None:
                        return seed.error(error, row[0], column)
        return WarehouseError(
            error.kind, f"{seed.path}: {error.message}", name=error.name, transient=error.transient
        )

    def _from_arrow(self, relation: Relation, path: str) -> int:
        from dagster_models.warehouses.duckdb import arrow  # pyarrow takes its time to import

        name = quoted(relation)
        with bulk.mapped(path) as table, self._registered(arrow.storable(table)):
            head = f"CREATE OR REPLACE TABLE {name} AS\n"
            return self._replace(name, head, f"FROM {_INPUT}") or 0

    def _replace(self, name: str, head: str, sql: str, *, first: bool = True) -> int | None:
        """CREATE OR REPLACE, also of a view by a table and back; return the number of rows if
        known.

        An old relation of the other type is an error when the statement is bound, before it runs;
        that is cheaper than to look it up each time (10 ms in a catalog of 2,000). In DuckDB 2 the
        error ends the transaction, which starts anew; so this must be its ``first`` statement.
        """
        text = f"{head}{sql}\n"
        try:
            return self._create(text)
        except WarehouseError as error:
            other = _OTHER_TYPE.search(error.message)
            if other is None or (self._in_transaction and not first):
                raise
            kind = other.group(1).upper()
        ours = not self._in_transaction
        self.rollback()
        self.begin()
        if self._input is not None:  # its registration was rolled back, too
            self._cursor.register(_INPUT, self._input)
        try:
            self._run(f"DROP {kind} {name}")
            rows = self._create(text)
            if ours:
                self.commit()
            return rows
        except BaseException:
            if ours:
                self.rollback()
            raise

    def _create(self, text: str) -> int | None:
        with self._watched(lines_before=1):
            rows = self._cursor.execute(text).fetchall()
        return int(rows[0][0]) if rows else None

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        # This is bound and never run. DESCRIBE shows the same, and takes ten times as long.
        with self._watched():
            bound = self._cursor.sql(f"FROM {quoted(relation)}")
            return tuple(zip(bound.columns, map(str, bound.types), strict=True))

    # Bulk

    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        self.one_statement(sql)
        try:
            # Later errors quote DuckDB's own rewriting of the query.
            with self._watched(lines_before=NO_LINES):
                result = self._cursor.sql(sql)
                if result is None:
                    raise WarehouseError(
                        ErrorKind.INVALID_INPUT, "the statement returns no rows to export"
                    )
                reader = _exact(result).to_arrow_reader()
                return bulk.write(folders, reader.schema, reader)
        except WarehouseError as error:
            if error.name in _BEFORE_IT_RAN:
                self._run(sql)  # this fails, too, and names the line
            raise

    def query_columns(self, sql: str) -> list[tuple[str, str]]:
        text = f"DESCRIBE SELECT * FROM (\n{self._subquery(sql)}\n)"
        with self._watched(lines_before=1):
            return [(row[0], row[1]) for row in self._cursor.execute(text).fetchall()]

    def load(self, path: str, relation: str, mode: str) -> int:
        from dagster_models.warehouses import append
        from dagster_models.warehouses.duckdb import arrow

        with bulk.mapped(path) as table:
            table = arrow.storable(table)
            if mode == "append":
                table = append.fitted(table, self._schema(relation))
            with self._registered(table):
                if mode == "append":
                    return int(self._run(f"INSERT INTO {relation} BY NAME FROM {_INPUT}")[0][0])
                head = f"CREATE OR REPLACE TABLE {relation} AS\n"
                return self._replace(relation, head, f"FROM {_INPUT}", first=False) or 0

    def _schema(self, relation: str) -> Any:
        """The types of Arrow in which the columns of a table are read; without those of JSON."""
        with self._watched(lines_before=NO_LINES):
            result = self._cursor.sql(f"FROM {relation} LIMIT 0")
            json = [at for at, type_ in enumerate(result.types) if str(type_) == "JSON"]
            schema = _exact(result).to_arrow_reader().read_all().schema
            for at in reversed(json):
                schema = schema.remove(at)
            return schema

    @contextlib.contextmanager
    def _registered(self, table: Any) -> Iterator[None]:
        """The cursor sees the Arrow table as _INPUT."""
        from dagster_models.warehouses.duckdb import arrow

        try:
            with translated():
                self._cursor.register(_INPUT, table)
            self._input = table
            yield
        except WarehouseError as error:
            raise arrow.with_place(self._cursor, table, error) from error
        finally:
            self._input = None
            with contextlib.suppress(duckdb.Error):
                self._cursor.unregister(_INPUT)

    # Commit records

    def prepare(self, schemas: Sequence[str]) -> None:
        records.prepare(self._run, self._catalog, schemas)

    def write_record(self, commit: Commit) -> None:
        records.write(self._run, self._catalog, commit)

    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        self._refuse_if_replaced()
        return records.find(self._run, self._catalog, attempt or relation)

    def histories(self) -> list[str]:
        return records.histories(self._run, self._catalog)

    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        self._refuse_if_replaced()
        return records.last(self._run, self._catalog, relations)


def _exact(result: Any) -> Any:
    """A result in columns whose values Arrow has. Raises WarehouseError for others."""
    try:
        return exact(result)
    except ValueError as error:
        raise WarehouseError(ErrorKind.UNSUPPORTED, str(error), name="DataError") from error
