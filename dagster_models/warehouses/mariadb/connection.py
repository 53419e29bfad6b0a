"""One connection to MariaDB: its statements and transactions, and how they are stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.mariadb import driver
from dagster_models.warehouses.mariadb.connect import MariaConnector
from dagster_models.warehouses.mariadb.errors import (
    CHANGED,
    NO_LINES,
    convert,
    is_lost,
    lost,
    warehouse_error,
)
from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.materializations.hooks import Asking

Row = tuple[Any, ...]
_TAKE_NAME_SECONDS = 10.0
_GRACE_SECONDS, _LOOK_SECONDS = 0.5, 0.02


def hashed(name: str) -> str:
    """A name in few characters."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _lock_of(mark: str) -> str:
    """The lock, as SQL, that a session of this mark holds as long as its connection lives."""
    return literal(f"dagster_models:{mark}")


class MariaConnection(Asking):
    """The connection; ``MariaStatements`` adds statements of the user's.

    ``mark``: its name in few characters. As long as its connection lives, the server holds a lock
    of this name for it, by which others find it, end it, and see that it has ended.
    """

    def __init__(self, server: MariaConnector, name: str, given_up: Callable[[], bool]) -> None:
        self.server = server
        self.mark = hashed(name or os.urandom(8).hex())
        self._gives_up = threading.Event()
        self._turn = threading.Lock()  # of what runs, and of who stops it
        self._runs = False
        #: Whether the user's code may have left something in the session.
        self._touched = False
        self._affected = 0  # rows, by the last statement
        #: The columns of FLOAT that the last statement has returned, with six digits of each value.
        self.floats: set[str] = set()
        self._connection = self._opened(given_up)

    def _opened(self, given_up: Callable[[], bool]) -> Any:
        """A connection that has this session's lock: an earlier one of it has ended then, with all
        that it was doing."""
        connection, self.folds_names = self.server.open(given_up)
        try:
            end = time.monotonic() + _TAKE_NAME_SECONDS
            lock = _lock_of(self.mark)
            with connection.cursor() as cursor:
                while True:
                    cursor.execute(f"SELECT GET_LOCK({lock}, 0), IS_USED_LOCK({lock})")
                    taken, holder = cursor.fetchall()[0]
                    if taken:
                        return connection
                    if time.monotonic() > end:
                        what = "an earlier connection of this session does not end on the server"
                        raise WarehouseError(ErrorKind.LOST, what, transient=True)
                    if holder is not None:
                        with contextlib.suppress(*driver.errors()):  # it has just ended
                            cursor.execute(f"KILL CONNECTION {int(holder)}")
                    time.sleep(_LOOK_SECONDS)
        except driver.errors() as error:
            connection.close()
            raise (lost(error) if is_lost(error) else convert(error)) from error
        except BaseException:
            connection.close()
            raise

    def reopen(self) -> None:
        """Connect anew if the connection is gone; what it was doing is over then."""
        if not self._connection.open:
            self._gives_up.clear()
            self._connection = self._opened(self._gives_up.is_set)

    def wake(self) -> None:
        """The same before work begins: a session that ended while it was idle has lost nothing but
        what the user's code may have set."""
        if self._connection.open and not self.in_transaction:
            with contextlib.suppress(WarehouseError):
                self.rows("SELECT 1")
        if self._connection.open:
            return
        if self._touched:
            raise self.gone()
        self.reopen()

    @property
    def in_transaction(self) -> bool:
        status = getattr(self._connection, "server_status", 0)
        return self._connection.open and bool(status & driver.IN_TRANSACTION)

    def gone(self) -> WarehouseError:
        return lost(ConnectionError("the connection was closed"))

    # Statements

    def rows(self, sql: str) -> list[Row]:
        """The rows of a query of our own."""
        return self.run(sql)[1]

    def change(self, sql: str, lines_before: int = NO_LINES) -> int:
        """Run a statement of our own; return how many rows it has changed. ``lines_before``: its
        lines before those of the user's."""
        self.run(sql, lines_before)
        return self._affected

    def run(self, sql: str, lines_before: int = NO_LINES) -> tuple[list[str], list[Row]]:
        """Run one statement; return the names of its columns, and its rows."""
        with self.watched(sql, lines_before), self._connection.cursor() as cursor:
            self._affected = cursor.execute(sql)
            rows = list(cursor.fetchall())
            described = cursor.description or ()
            names = [column[0] for column in described]
            self.floats = {column[0] for column in described if column[1] == driver.FLOAT}
            warned = cursor.warning_count
        if warned:
            self._refuse_changes(sql, lines_before)
        return names, rows

    def _refuse_changes(self, sql: str, lines_before: int) -> None:
        """Raise WarehouseError for a warning that says that a value was changed. A statement that
        writes would have failed with it, in most cases; a query returns NULL or 0 instead."""
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            warnings = cursor.fetchall()
        for _, number, message in warnings:
            if number in CHANGED:
                raise warehouse_error(number, message, sql, lines_before, "DataError")

    @contextlib.contextmanager
    def streamed(self, sql: str, lines_before: int) -> Iterator[Any]:
        """A cursor of a query's rows, which come one by one, as the server wrote them."""
        decoders, self._connection.decoders = self._connection.decoders, {}
        try:
            rows = self._connection.cursor(driver.stream_class())
            with self.watched(sql, lines_before), rows as cursor:
                cursor.execute(sql)
                yield cursor
                cursor.fetchall()
                warned = cursor.warning_count
        finally:
            self._connection.decoders = decoders
        if warned:
            self._refuse_changes(sql, lines_before)

    @contextlib.contextmanager
    def watched(self, sql: str, lines_before: int) -> Iterator[None]:
        with self._turn:
            self._runs = True
        try:
            yield
        except driver.errors() as error:
            if is_lost(error) or not self._connection.open:
                self._drop_connection()
                raise lost(error) from error
            raise convert(error, sql, lines_before) from error
        finally:
            with self._turn:  # whoever stops it has its answer by now: it stops nothing later
                self._runs = False

    def _drop_connection(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close_at_once()

    # How it is stopped

    def interrupt(self) -> None:
        self._gives_up.set()
        with self._turn, contextlib.suppress(WarehouseError, *driver.errors()):
            if self._runs:
                with self.server.open()[0] as other, other.cursor() as cursor:
                    cursor.execute(f"KILL QUERY {self._connection.thread_id()}")

    def cut_off(self) -> None:
        number = self._connection.thread_id()
        with (
            contextlib.suppress(WarehouseError, *driver.errors()),
            self.server.open()[0] as other,
            other.cursor() as cursor,
        ):
            cursor.execute(f"KILL CONNECTION {number}")
        self._connection.shut_down()

    def close(self) -> None:
        self.discard()
        with contextlib.suppress(*driver.errors()):
            self._connection.close()

    def fence(self, name: str, timeout_seconds: float, relation: Relation | None = None) -> bool:
        """By the lock that a session holds from its first statement on until its connection has
        ended, with whatever it was doing."""
        self.reopen()
        began = time.monotonic()
        while (holder := self.holder_of(hashed(name))) is not None:
            passed = time.monotonic() - began
            if passed > timeout_seconds:
                return False
            if passed > min(_GRACE_SECONDS, timeout_seconds / 2):  # its client is gone: end it
                with contextlib.suppress(WarehouseError):
                    self.change(f"KILL CONNECTION {holder}")
            time.sleep(_LOOK_SECONDS)
        return True

    def holder_of(self, mark: str) -> int | None:
        """The connection that the session of this mark has; None for one that has ended."""
        found = self.rows(f"SELECT IS_USED_LOCK({_lock_of(mark)})")[0][0]
        return None if found is None else int(found)
