"""PostgreSQL (14 or later): one database of a server, one connection per session.

The warehouse process holds the connections, also those of scripts: so one place knows the password,
cancels, and tells what became of a session, and a script needs no driver. What was measured and is
relied on here: DDL is transactional; a statement's answer alone proves a cancel; a killed client's
query runs on unless ``client_connection_check_interval`` is set; COMMIT after an error answers
"fine" (with the tag ROLLBACK).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import ArrowFile, AttemptId, Content, CsvFile, Query
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.util import dsn as servers
from dagster_models.util.seed_types import SeedType
from dagster_models.warehouses import append
from dagster_models.warehouses.base import (
    Capabilities,
    OpenWarehouse,
    quote,
    quoted,
)
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.postgres import (
    arrow_to_copy,
    catalog,
    copy_errors,
    copy_to_arrow,
    functions,
    records,
    relations,
)
from dagster_models.warehouses.postgres.columns import PostgresColumns
from dagster_models.warehouses.postgres.connect import Connector, Outage
from dagster_models.warehouses.postgres.statements import (
    one_query,
    refuse_long,
    statements,
)
from dagster_models.warehouses.postgres.target import POSTGRES
from dagster_models.warehouses.seeds import SeedWords, read_seed

CAPABILITIES = Capabilities(
    "postgres",
    shared_fate=False,
    lacks={
        "runtime_error_line": "the server gives a place only for errors in the text",
        "local_files": "SQL runs on the server, which sees only its own files",
        "nested_types": "structs, maps and lists of lists are stored as jsonb",
        "unsigned_types": "they are stored in the next larger type",
        "any_name": "names have at most 63 bytes; a longer one is refused, not truncated",
    },
)

_SEED_WORDS = SeedWords(
    {
        SeedType.WHOLE: "bigint",
        SeedType.DECIMAL: "double precision",
        SeedType.DATE: "date",
        SeedType.TIMESTAMP: "timestamp without time zone",
        SeedType.BOOLEAN: "boolean",
        SeedType.TEXT: "text",
    },
    free_scale=None,
    free_float="double precision",
)

_JSON = ("json", "jsonb")

T = TypeVar("T")


def connect(settings: Mapping[str, Any]) -> Postgres:
    """The database of a target's settings: ``dsn``, or libpq's ``host``, ``port``, ``dbname``,
    ``user``, ``password`` and ``ssl*``; ``connect_seconds``, ``lock_timeout`` (seconds).

    Connects with the first session. Raises WarehouseError for settings that cannot be read.
    """
    return Postgres(servers.parameters(POSTGRES.in_scope(settings, "place"), os.environ), settings)


class Postgres(OpenWarehouse):
    """One database of a server."""

    capabilities = CAPABILITIES

    def __init__(self, parameters: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        self._parameters, self._settings = parameters, settings
        self._outage = Outage()

    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> PostgresSession:
        settings = self._settings if request is None else request.settings
        server = Connector(
            self._parameters,
            POSTGRES.number(settings, "connect_seconds"),
            POSTGRES.number(settings, "lock_timeout"),
            self._outage,
        )
        return PostgresSession(server, f"dagster-models {name}".rstrip(), given_up)

    def close(self) -> None:
        """Nothing is open but the sessions."""


class PostgresSession(PostgresColumns):
    """One connection."""

    staging = Relation("pg_temp", "dagster_models_new")
    replace_function = functions.replace_function

    # Relations

    def replace_view(self, relation: Relation, sql: str) -> None:
        text = one_query(sql)
        self._build(relation, lambda: relations.put_view(self, quoted(relation), text))

    def replace_table(self, relation: Relation, content: Content) -> int:
        if isinstance(content, CsvFile):
            return self._from_csv(relation, content.file.path, content.column_types)
        if isinstance(content, ArrowFile):
            return self._build(relation, lambda: self._put_arrow(quoted(relation), content.path))
        fill = self._result_of(content.sql)
        return self._build(relation, lambda: relations.put_table(self, quoted(relation), fill))

    def _result_of(self, sql: str) -> relations.Fill:
        text = one_query(sql)

        def fill(name: str, temporary: bool) -> int:
            head = f"{relations.create_table(name, temporary)} AS\n"
            self.run(f"{head}{text}\n", lines_before=head.count("\n"), single=True)
            return self.affected

        return fill

    def take_turn(self, relation: Relation) -> RelationKind | None:
        return self._build(relation, lambda: relations.take_turn(self, quoted(relation)))

    def stage(self, content: Content) -> int:
        name = quoted(self.staging)
        self.run(f"DROP TABLE IF EXISTS {name}")
        if isinstance(content, ArrowFile):
            with bulk.mapped(content.path) as given:
                table = arrow_to_copy.storable(given)
                definitions = arrow_to_copy.column_definitions(table.schema)
                rows = self._copy_of(table, definitions)(name, True)
        elif isinstance(content, Query):
            rows = self._result_of(content.sql)(name, True)
        else:
            raise WarehouseError(ErrorKind.INVALID_REQUEST, "only a query's rows can be staged")
        self.run(f"ANALYZE {name}")  # nothing else would, and the joins depend on it
        return rows

    def _from_csv(self, relation: Relation, path: str, column_types: Mapping[str, str]) -> int:
        seed = read_seed(path, column_types, _SEED_WORDS)
        arrow_to_copy.column_definitions(seed.table.schema)  # for what it refuses
        listed = zip(seed.table.column_names, seed.types, strict=True)
        definitions = ", ".join(f"{quote(name)} {type_}" for name, type_ in listed)

        def with_line(error: WarehouseError, table: Any) -> WarehouseError:
            place = copy_errors.place(error, table)
            return seed.error(error, *place) if place else error

        fill = self._copy_of(seed.table, definitions, with_line)
        return self._build(relation, lambda: relations.put_table(self, quoted(relation), fill))

    def _put_arrow(self, name: str, path: str) -> int:
        with bulk.mapped(path) as given:
            table = arrow_to_copy.storable(given)
            definitions = arrow_to_copy.column_definitions(table.schema)
            return relations.put_table(self, name, self._copy_of(table, definitions))

    def _build(self, relation: Relation, build: Callable[[], T]) -> T:
        refuse_long(relation.schema, "a schema")
        refuse_long(relation.name, "a relation")
        try:
            return build()
        finally:
            self._about = ()

    def _copy_of(
        self, table: Any, definitions: str, named: copy_errors.Named = copy_errors.with_row
    ) -> relations.Fill:
        def fill(name: str, temporary: bool) -> int:
            self.run(f"{relations.create_table(name, temporary, definitions)}")
            return self._copy_in(name, table, named)

        return fill

    def _copy_in(
        self, name: str, table: Any, named: copy_errors.Named = copy_errors.with_row
    ) -> int:
        """Append the rows of an Arrow table. ``named`` puts the row into an error about one."""
        listed = ", ".join(map(quote, table.column_names))
        text = f"COPY {name} ({listed}) FROM STDIN (FORMAT csv)"
        try:
            with self._watched(), self._connection.cursor() as cursor:
                with cursor.copy(text.encode()) as copy:
                    for chunk in arrow_to_copy.csv_chunks(table):
                        copy.write(chunk)
                took = cursor.rowcount
        except WarehouseError as error:
            raise named(error, table) from error
        if took == table.num_rows:
            return took
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{name} took {took} of {table.num_rows} rows, as a trigger on it left some out."
            " Nothing was changed: change or drop that first, by hand",
            name="RowsDiffer",
        )

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        return catalog.columns(self, quoted(relation))

    def size(self, relation: Relation) -> int | None:
        # With its indexes and what is stored out of line; after a rebuild in place with the dead
        # rows, which autovacuum frees.
        rows = self.run(
            "SELECT pg_total_relation_size(oid) FROM pg_class"
            " WHERE oid = to_regclass(%s) AND relkind <> 'v'",
            [quoted(relation)],
        )
        return int(rows[0][0]) if rows else None

    def count(self, sql: str) -> int:
        head = "SELECT count(*) FROM (\n"
        rows = self.run(f"{head}{one_query(sql)}\n) AS counted", lines_before=1, single=True)
        return int(rows[0][0])

    def only_read(self, sql: str) -> None:
        self.run("SET TRANSACTION READ ONLY")  # of the subtransaction since the savepoint

    # Bulk

    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        self._touched = True
        text = one_query(sql)
        if statements(text)[0].word in ("show", "explain"):  # no subqueries
            return self._export_small(text, folders)
        described = self._describe(text)
        if not described:
            raise WarehouseError(
                ErrorKind.INVALID_INPUT, "the statement returns no columns to export"
            )
        names = [f"c{at}" for at in range(len(described))]
        listed = ", ".join(c.sql(f"q.{name}") for c, name in zip(described, names, strict=True))
        head = f"COPY (SELECT {listed} FROM (\n"
        sent = f"{head}{text}\n) AS q({', '.join(names)})) TO STDOUT (FORMAT csv)"
        with (
            self._watched(sent, 1),
            self._connection.cursor() as cursor,
            cursor.copy(sent.encode()) as copy,
        ):
            return copy_to_arrow.write(described, copy, folders)

    def _describe(self, text: str) -> list[copy_to_arrow.OutColumn]:
        head = "SELECT * FROM (\n"
        sent = f"{head}{text}\n) AS q LIMIT 0"
        with self._watched(sent, 1), self._connection.cursor() as cursor:
            cursor.execute(sent.encode(), binary=True)
            found = [(c.name, c.type_code, c.precision, c.scale) for c in cursor.description or ()]
        return catalog.out_columns(self, found)

    def query_columns(self, sql: str) -> list[tuple[str, str]]:
        self._touched = True
        return [(column.name, column.full_type) for column in self._describe(one_query(sql))]

    def _export_small(self, text: str, folders: Sequence[str]) -> tuple[str, int]:
        import pyarrow as pa

        names, rows = self.query(text)
        texts = [
            [cell if isinstance(cell, str) else json.dumps(cell) for cell in column]
            for column in zip(*rows, strict=True)
        ]
        table = pa.table([pa.array(column, pa.string()) for column in texts], names=names)
        return bulk.write(folders, table.schema, table.to_batches())

    def load(self, path: str, relation: str, mode: str) -> int:
        self._touched = True
        statements(relation)  # refuses a name that would be cut
        with self._own_transaction():
            if mode != "append":
                return self._put_arrow(relation, path)
            with bulk.mapped(path) as given:
                table = append.fitted(arrow_to_copy.storable(given), self._schema(relation))
                return self._copy_in(relation, arrow_to_copy.storable(table))

    def _schema(self, relation: str) -> Any:
        """The types of Arrow in which the columns of a table are read; without those of JSON."""
        import pyarrow as pa

        columns = self._describe(f"SELECT * FROM {relation}")
        kept = [column for column in columns if column.array or column.type_ not in _JSON]
        return pa.schema([(column.name, column.declared_type) for column in kept])

    # Commit records

    def prepare(self, schemas: Sequence[str]) -> None:
        for schema in schemas:
            refuse_long(schema, "a schema")
        with self._own_transaction():
            records.prepare(self, schemas)

    def write_record(self, commit: Commit) -> None:
        records.write(self, commit)

    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        return records.find(self, attempt or relation)

    def histories(self) -> list[str]:
        return records.histories(self)

    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        return records.last(self, relations)
