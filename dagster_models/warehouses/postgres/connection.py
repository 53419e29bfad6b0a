"""One connection to PostgreSQL: its statements and transactions, and how they are stopped."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import pq

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.postgres import (
    catalog,
)
from dagster_models.warehouses.postgres.catalog import Parameters
from dagster_models.warehouses.postgres.connect import Connector
from dagster_models.warehouses.postgres.errors import LOCK_TIMEOUT, convert, is_lost, lost, sqlstate
from dagster_models.warehouses.postgres.statements import (
    TRANSACTION,
    one_query,
    statements,
)
from dagster_models.warehouses.transactional import TransactionalSession

#: Written out, as a role may have another isolation level: in it the rows that somebody else
#: commits while a model builds would survive the rebuild.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SAVEPOINT = "dagster_models_before_checks"
_CANCEL_SECONDS = 3.0
_TERMINATE_SECONDS = 1.0

Row = tuple[Any, ...]


class PostgresConnection(TransactionalSession):
    """Statements and transactions; ``PostgresSession`` adds relations, bulk data and proofs."""

    def __init__(self, server: Connector, name: str, given_up: Callable[[], bool]) -> None:
        self._server, self._name = server, name
        self._give_up = threading.Event()
        self._touched = False  # by SQL of the user's: settings and temporary tables are its own
        self._about: tuple[int, ...] = ()  # the relations that are being replaced, by OID
        self._connection = server.open(name, given_up)

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

    def subquery(self, sql: str) -> str | None:
        return one_query(sql)  # all that returns rows, but for what no table can be made of

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        self._touched = True
        return self.read(sql)

    def read(self, sql: str) -> tuple[list[str], list[Row]]:
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

    def rows(self, sql: str) -> list[Row]:
        return self.run(sql)

    def change(self, sql: str, lines_before: int = 0) -> int:
        self.run(sql, lines_before=lines_before, single=True)
        return self.affected

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

    @property
    def in_transaction(self) -> bool:
        status = self._connection.info.transaction_status
        return status not in (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)

    def begin(self) -> None:
        self._begin(_BEGIN)

    def begin_reading(self) -> None:
        self._begin(f"{_BEGIN} READ ONLY")

    def _begin(self, sql: str) -> None:
        try:
            self.run(sql)
        except WarehouseLost:
            # It ended while it was idle, e.g. as the server restarted: nothing is in doubt, and
            # nothing lost but what the user's code may have set. Where that is none, connect anew.
            if self._touched:
                raise
            self._give_up.clear()
            self._connection = self._server.open(self._name, self._give_up.is_set)
            self.run(sql)

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

    def savepoint(self) -> bool:
        self.run(f"SAVEPOINT {_SAVEPOINT}")
        return True

    def back_to_savepoint(self) -> None:
        self.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")

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

    def fence(self, name: str, timeout_seconds: float, relation: Relation | None = None) -> bool:
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

    def about(self, *oids: int) -> None:
        """The relations whose locks are wanted next, for the error of a lock timeout."""
        self._about = oids

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
