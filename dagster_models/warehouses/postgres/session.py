"""PostgreSQL (14 or later): one database of a server, one connection per session.

The warehouse process holds the connections, also those of scripts: so one place knows the password,
cancels, and tells what became of a session, and a script needs no driver. What was measured and is
relied on here: DDL is transactional; a statement's answer alone proves a cancel; a killed client's
query runs on unless ``client_connection_check_interval`` is set; COMMIT after an error answers
"fine" (with the tag ROLLBACK).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.target_types import POSTGRES
from dagster_models.core.tasks import ArrowFile, AttemptId, Content, CsvFile
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.util import arrow_files as bulk
from dagster_models.util import dsn as servers
from dagster_models.warehouses.base import (
    Capabilities,
    Warehouse,
    quote,
    quoted,
)
from dagster_models.warehouses.postgres import (
    arrow_to_copy,
    catalog,
    copy_to_arrow,
    records,
    relations,
)
from dagster_models.warehouses.postgres.catalog import Parameters
from dagster_models.warehouses.postgres.connect import Outage, Server
from dagster_models.warehouses.postgres.errors import LOCK_TIMEOUT, convert, is_lost, lost, sqlstate
from dagster_models.warehouses.postgres.seeds import bad_value, read_seed, seed_columns
from dagster_models.warehouses.postgres.statements import (
    TRANSACTION,
    one_query,
    refuse_long,
    statements,
)
from dagster_models.warehouses.records import of_relations
from dagster_models.warehouses.transactional import TransactionalSession

CAPABILITIES = Capabilities(
    "postgres",
    shared_fate=False,
    lacks={
        "runtime_error_line": "the server gives a place only to errors of a text",
        "local_files": "SQL runs on the server, which sees its own files only",
        "nested_types": "structs, maps and lists of lists are stored as jsonb",
        "unsigned_types": "they are stored in the next larger type",
        "any_name": "a name has 63 bytes at most; a longer one is refused, not cut",
    },
)

#: Written out, as a role may have another isolation level: in it the rows that somebody else
#: commits while a model builds would survive the rebuild.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_CANCEL_SECONDS = 3.0
_TERMINATE_SECONDS = 1.0

Row = tuple[Any, ...]
T = TypeVar("T")


def connect(settings: Mapping[str, Any]) -> Postgres:
    """The database of a target's settings: ``dsn``, or libpq's ``host``, ``port``, ``dbname``,
    ``user``, ``password`` and ``ssl*``; ``connect_seconds``, ``lock_timeout`` (seconds).

    Connects with the first session. Raises WarehouseError for settings that cannot be read.
    """
    return Postgres(servers.parameters(settings, os.environ), settings)


class Postgres(Warehouse):
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
        server = Server(
            self._parameters,
            POSTGRES.number(settings, "connect_seconds"),
            POSTGRES.number(settings, "lock_timeout"),
            self._outage,
        )
        return PostgresSession(server, f"dagster-models {name}".rstrip(), given_up)

    def close(self) -> None:
        """Nothing is open but the sessions."""


class PostgresSession(TransactionalSession):
    """One connection."""

    def __init__(self, server: Server, name: str, given_up: Callable[[], bool]) -> None:
        self._server, self._name = server, name
        self._give_up = threading.Event()
        self._touched = False  # by SQL of the user's: settings and temporary tables are its own
        self._about: tuple[int, ...] = ()  # the relations that are being replaced, by OID
        self._connection = server.open(name, given_up)

    # Statements

    def execute(self, sql: str) -> list[Row]:
        self._touched = True
        rows: list[Row] = []
        for statement in statements(sql):
            move = self._move(statement.word) if statement.word in TRANSACTION else None
            if move and len(statement.text.split()) <= 2:
                move()
                rows = []
            else:
                rows = self.run(statement.text, lines_before=-statement.lines_before)
        return rows

    def _move(self, word: str) -> Callable[[], None] | None:
        """BEGIN, COMMIT and ROLLBACK as the methods that know what they mean."""
        if word in ("commit", "end"):
            return self.commit
        if word in ("rollback", "abort"):
            return self.rollback
        return self.begin if word == "begin" else None

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        self._touched = True
        with self._watched(sql), self._connection.cursor() as cursor:
            cursor.execute(one_query(sql).encode())
            names = [column.name for column in cursor.description or ()]
            return names, cursor.fetchall() if cursor.description else []

    def run(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        lines_before: int = 0,
        single: bool = False,
    ) -> list[Row]:
        """Execute one statement and fetch. ``single``: the server refuses several ones."""
        with self._watched(sql, lines_before), self._connection.cursor() as cursor:
            # With bytes psycopg checks no type of SQL; binary results mean the extended protocol.
            cursor.execute(sql.encode(), parameters, binary=single or None)
            self.affected = cursor.rowcount
            return cursor.fetchall() if cursor.description else []

    affected = 0  #: rows of the last ``run``

    @contextlib.contextmanager
    def _watched(self, sent: str = "", lines_before: int = 0) -> Iterator[None]:
        try:
            yield
        except WarehouseError:
            raise
        except (psycopg.Error, UnicodeEncodeError) as error:
            if is_lost(error, self._connection):
                self._connection.close()
                raise lost(error) from error
            told = convert(error, sent, lines_before)
            if sqlstate(error) == LOCK_TIMEOUT:
                told = self._with_holders(told)
            raise told from error

    def _with_holders(self, error: WarehouseError) -> WarehouseError:
        """Who has what we waited for, asked while he still has it."""
        held: list[str] = []
        with (
            contextlib.suppress(psycopg.Error, WarehouseError),
            self._server.open(self._name, lambda: False) as other,
        ):
            held = catalog.holders(other, self._about, (self._connection.info.backend_pid,))
        message = (
            "waited for a lock until lock_timeout, and gave up; what was there before stays"
            f" ({error.message.splitlines()[0]})"
        )
        if held:
            message += ". The lock is held by:\n" + "\n".join(held)
        return WarehouseError(error.kind, message, name=error.name, line=error.line, transient=True)

    # Transactions

    @property
    def in_transaction(self) -> bool:
        status = self._connection.info.transaction_status
        return status not in (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)

    def begin(self) -> None:
        try:
            self.run(_BEGIN)
        except WarehouseLost:
            # It ended while it was idle, e.g. as the server restarted: nothing is in doubt, and
            # nothing lost but what the user's code may have set. Where that is none, connect anew.
            if self._touched:
                raise
            self._give_up.clear()
            self._connection = self._server.open(self._name, self._give_up.is_set)
            self.run(_BEGIN)

    def commit(self) -> None:
        with self._watched("COMMIT"), self._connection.cursor() as cursor:
            cursor.execute("COMMIT")
            if cursor.statusmessage == "COMMIT":
                return
        raise WarehouseError(
            ErrorKind.TRANSACTION_FAILED,
            "nothing was committed: a statement of this transaction had failed, and it is rolled"
            " back",
        )

    def rollback(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if self.in_transaction:
                self._connection.execute("ROLLBACK")

    def interrupt(self) -> None:
        self._give_up.set()
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def cut_off(self) -> None:
        # A cancel needs a connection of its own, for which the server may have no room or no
        # answer. Of a socket that is shut both ends hear: the thread that waits for it, and the
        # backend, by client_connection_check_interval.
        with (
            contextlib.suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as sock,
        ):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.rollback()
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def fence(self, name: str, timeout_seconds: float) -> bool:
        """By pg_stat_activity: a backend shows its session's name from its first moment on."""
        began = time.monotonic()
        where = "application_name = %s AND datname = current_database() AND pid <> pg_backend_pid()"
        label = (f"dagster-models {name}"[:63],)
        while self.run(f"SELECT pid FROM pg_stat_activity WHERE {where}", label):
            passed = time.monotonic() - began
            if passed > timeout_seconds:
                return False
            if passed > _TERMINATE_SECONDS:  # its client is gone: end it, and see that it ends
                self.run(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}", label
                )
            time.sleep(0.05)
        return True

    # Relations

    def replace_view(self, relation: Relation, sql: str) -> None:
        text = one_query(sql)
        self._build(relation, lambda: relations.put_view(self, quoted(relation), text))

    def replace_table(self, relation: Relation, content: Content) -> int:
        if isinstance(content, CsvFile):
            return self._from_csv(relation, content.file.path, content.column_types)
        if isinstance(content, ArrowFile):
            return self._build(relation, lambda: self._put_arrow(quoted(relation), content.path))
        text = one_query(content.sql)

        def fill(name: str, temporary: bool) -> int:
            head = f"{relations.create_table(name, temporary)} AS\n"
            self.run(f"{head}{text}\n", lines_before=head.count("\n"), single=True)
            return self.affected

        return self._build(relation, lambda: relations.put_table(self, quoted(relation), fill))

    def _from_csv(self, relation: Relation, path: str, column_types: Mapping[str, str]) -> int:
        schema, reader = read_seed(path, column_types)
        definitions = seed_columns(schema, column_types)
        try:
            return self._build(
                relation,
                lambda: relations.put_table(
                    self, quoted(relation), self._copy_of(schema, reader, definitions)
                ),
            )
        except WarehouseError as error:
            raise bad_value(error, path) from error

    def _put_arrow(self, name: str, path: str) -> int:
        with bulk.batches(path) as (schema, batches):
            definitions = arrow_to_copy.column_definitions(schema)
            fill = self._copy_of(schema, batches, definitions)
            return relations.put_table(self, name, fill)

    def _build(self, relation: Relation, build: Callable[[], T]) -> T:
        refuse_long(relation.schema, "a schema")
        refuse_long(relation.name, "a relation")
        try:
            return build()
        finally:
            self._about = ()

    def about(self, *oids: int) -> None:
        """The relations whose locks are wanted next, for the error of a lock timeout."""
        self._about = oids

    def _copy_of(self, schema: Any, batches: Any, definitions: str) -> relations.Fill:
        def fill(name: str, temporary: bool) -> int:
            self.run(f"{relations.create_table(name, temporary, definitions)}")
            return self._copy_in(name, schema.names, batches)

        return fill

    def _copy_in(self, name: str, columns: Sequence[str], batches: Any) -> int:
        listed = ", ".join(map(quote, columns))
        text = f"COPY {name} ({listed}) FROM STDIN (FORMAT csv)"
        sent = 0

        def counted() -> Iterator[Any]:
            nonlocal sent
            for batch in batches:
                sent += batch.num_rows
                yield batch

        with self._watched(), self._connection.cursor() as cursor:
            with cursor.copy(text.encode()) as copy:
                for chunk in arrow_to_copy.csv_chunks(counted()):
                    copy.write(chunk)
            took = cursor.rowcount
        if took == sent:
            return sent
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{name} took {took} of {sent} rows, as a trigger on it left some out."
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

    # Bulk

    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        self._touched = True
        text = one_query(sql)
        if statements(text)[0].word in ("show", "explain", "table"):  # no subqueries
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

    def _export_small(self, text: str, folders: Sequence[str]) -> tuple[str, int]:
        import pyarrow as pa

        names, rows = self.query(text)
        columns = [[row[at] for row in rows] for at in range(len(names))]
        table = pa.table([pa.array(column) for column in columns], names=names)
        return bulk.write(folders, table.schema, table.to_batches())

    def load(self, path: str, relation: str, mode: str) -> int:
        self._touched = True
        statements(relation)  # refuses a name that would be cut
        with self._own_transaction():
            if mode != "append":
                return self._put_arrow(relation, path)
            with bulk.batches(path) as (schema, batches):
                return self._copy_in(relation, schema.names, batches)

    @contextlib.contextmanager
    def _own_transaction(self) -> Iterator[None]:
        """One of our own where the user's code has none open.

        An error leaves the user's own one failed, as an error of the server does: what was done of
        the load must not be committed.
        """
        if self.in_transaction:
            try:
                yield
            except WarehouseError:
                if self._connection.info.transaction_status == pq.TransactionStatus.INTRANS:
                    with contextlib.suppress(WarehouseError):
                        self.run("ROLLBACK TO SAVEPOINT dagster_models_that_is_not_there")
                raise
            return
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    # Commit records

    def prepare(self, schemas: Sequence[str]) -> None:
        for schema in schemas:
            refuse_long(schema, "a schema")
        with self._own_transaction():
            records.prepare(self, schemas)

    def write_record(self, commit: Commit) -> None:
        records.write(self, commit)

    def find_proof(self, relation: Relation | None, attempt: AttemptId) -> Commit | None:
        return records.find(self, attempt)

    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        return of_relations(records.last(self), relations)
