"""Reaching a MariaDB server: patience, and what a session has to hold, whatever the server's own
settings are."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import filled_settings
from dagster_models.warehouses.mariadb import driver
from dagster_models.warehouses.mariadb.errors import convert, is_lost, message_of, number_of
from dagster_models.warehouses.mariadb.target import MARIADB

#: Without a strict mode a value that does not fit is cut, and only a warning says so. Others would
#: change what quotes mean. `||` joins texts, as our own checks use it; see ``text.refuse_pipes``.
_SQL_MODE = (
    "PIPES_AS_CONCAT,STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
#: A statement reads what was committed when it began, and locks none of it. An idle session lives
#: as long as its client. Notes would keep the warnings that matter from the list.
_SETTINGS = (
    f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', autocommit = 1, sql_notes = 0,"
    " tx_isolation = 'READ-COMMITTED', wait_timeout = 31536000, max_statement_time = 0,"
    " sql_select_limit = DEFAULT, foreign_key_checks = 1, unique_checks = 1,"
    " explicit_defaults_for_timestamp = 1, sql_auto_is_null = 0, default_storage_engine = 'InnoDB'"
)
_OLDEST = (10, 6)
_FIRST_DELAY_SECONDS, _LOOK_SECONDS = 0.05, 0.05
#: A server that starts, is full for now, or is not there.
_COMES_BACK = frozenset((1040, 1053, 1203, 2002, 2003, 2006, 2013))


class MariaConnector:
    """A server, as its connections are made. ``lock_timeout``: how long one waits for a lock."""

    def __init__(self, settings: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        given = filled_settings(MARIADB.in_scope(settings, "place"), os.environ)
        self._arguments = _arguments(given)
        host, port = given.get("host") or "localhost", given.get("port") or 3306
        self._place = str(given.get("socket") or f"{host}:{port}")
        self._user = str(given.get("user") or "(default)")
        self._connect_seconds = MARIADB.number(own, "connect_seconds")
        self.lock_timeout = max(1, round(MARIADB.number(own, "lock_timeout")))

    def open(self, given_up: Callable[[], bool] = lambda: False) -> tuple[Any, bool]:
        """A new connection, and whether the server ignores the case of names. Raises
        WarehouseError; of kind INTERRUPTED once ``given_up``."""
        began, delay = time.monotonic(), _FIRST_DELAY_SECONDS
        while True:
            try:
                return self._open()
            except driver.errors() as error:
                passed = time.monotonic() - began
                hopeful = number_of(error) in _COMES_BACK or is_lost(error)
                if not hopeful or passed + delay > self._connect_seconds:
                    raise self._unreachable(error, passed, hopeful) from None
            _sleep(delay, given_up)
            delay = min(delay * 1.6, 1.0)

    def _open(self) -> tuple[Any, bool]:
        timeout = max(2, round(self._connect_seconds))
        sock = self._socket(timeout)
        connection = driver.connection_class()(
            **self._arguments,
            charset="utf8mb4",
            # A name without a schema is none of ours, and the error says so with the name.
            database="information_schema",
            autocommit=None,
            connect_timeout=timeout,
            defer_connect=True,
        )
        try:
            connection.connect(sock)
            with connection.cursor() as cursor:
                cursor.execute("SELECT VERSION(), @@lower_case_table_names")
                version, folding = cursor.fetchall()[0]
                _refuse_old(version)
                waits = f"lock_wait_timeout = {self.lock_timeout}"
                cursor.execute(f"{_SETTINGS}, {waits}, innodb_{waits}")
        except BaseException:
            sock.close()
            connection.close_at_once()
            raise
        return connection, bool(folding)

    def _socket(self, timeout: float) -> socket.socket:
        """One of our own: the driver leaves one open that cannot be connected."""
        given = self._arguments
        if "unix_socket" not in given:
            place = given.get("host", "localhost"), given.get("port", 3306)
            sock = socket.create_connection(place, timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
            return sock
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(given["unix_socket"])
        except OSError:
            sock.close()
            raise
        return sock

    def _unreachable(self, error: Exception, seconds: float, hopeful: bool) -> WarehouseError:
        full = convert(error).kind is ErrorKind.TOO_MANY_SESSIONS
        return WarehouseError(
            ErrorKind.TOO_MANY_SESSIONS if full else ErrorKind.UNREACHABLE,
            f"the MariaDB server at {self._place} cannot be reached as user {self._user}, after"
            f" {seconds:.0f} s: {message_of(error)}",
            name=type(error).__name__,
            transient=hopeful,
        )


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver is called with. Raises WarehouseError for settings that contradict."""
    if given.get("socket") and (given.get("host") or given.get("port")):
        what = "a target has a `socket`, or `host` and `port`, and not both"
        raise WarehouseError(ErrorKind.INVALID_SETTINGS, what)
    found: dict[str, Any] = {
        "host": given.get("host"),
        "port": given.get("port"),
        "unix_socket": given.get("socket"),
        "user": given.get("user"),
        "password": given.get("password"),
    }
    found = {key: value for key, value in found.items() if value not in (None, "")}
    found["password"] = str(found.get("password", ""))
    if "port" in found:
        found["port"] = int(found["port"])
    if given.get("ssl_ca"):
        found |= {"ssl_ca": given["ssl_ca"], "ssl_verify_cert": True, "ssl_verify_identity": True}
    return found


def _refuse_old(version: str) -> None:
    """Only MariaDB since 10.6 renames several tables in one act that a crash does not divide."""
    numbers = tuple(int(it) for it in version.split("-")[0].split(".")[:2] if it.isdecimal())
    if "mariadb" in version.lower() and numbers >= _OLDEST:
        return
    raise WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"the server is {version}, and MariaDB 10.6 or later is needed: others do not rename"
        " several tables in one act that survives a crash, and publications rest on that",
        name="ServerVersion",
    )


def _keep_alive(sock: socket.socket) -> None:
    """A network that swallows packets must not keep a session waiting for hours."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _sleep(seconds: float, given_up: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if given_up():
            what = "stopped while it waited for the server"
            raise WarehouseError(ErrorKind.INTERRUPTED, what)
        time.sleep(min(left, _LOOK_SECONDS))
