"""Reaching a PostgreSQL server: patience, protective settings, and errors without a secret."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from functools import partial

import psycopg

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.dsn import SECRET_KEYWORDS
from dagster_models.warehouses.postgres.errors import sqlstate

#: A network that swallows packets must not keep a session waiting for hours.
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_CHECK_INTERVAL_MILLISECONDS = 500
#: A role may have chosen other forms of text, in which values would be written or come back as
#: others or not at all. Of DateStyle only the output: the order in which a text is read stays.
_EXACT = (
    "SET DateStyle = ISO; SET bytea_output = hex; SET extra_float_digits = 1;"
    "SET standard_conforming_strings = on; SET array_nulls = on"
)
#: A role may be one for replication, in whose sessions neither foreign keys nor triggers hold, or
#: not wait for the disk, so that a crash of the server takes back what was reported as published.
#: Set only where it is so: the first one takes a right that few have.
_MEANT = "".join(
    f";SELECT set_config('{name}', '{value}', false) WHERE current_setting('{name}') = '{other}'"
    for name, other, value in (
        ("session_replication_role", "replica", "origin"),
        ("session_replication_role", "local", "origin"),
        ("synchronous_commit", "off", "on"),
    )
)
#: So often we look whether somebody still wants the connection.
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Outage:
    """When a server was away last: one process serves sessions of more and of less patience."""

    until: float = 0.0  #: by the monotonic clock
    tried_seconds: float = 0.0

    def is_known(self, connect_seconds: float) -> bool:
        """The server was just tried in vain for at least as long: one more try will do."""
        return time.monotonic() < self.until and connect_seconds <= self.tried_seconds


class Connector:
    """A database of a server, as its connections are made.

    ``parameters`` are libpq's. A server that does not answer is tried for ``connect_seconds``: it
    may be restarting.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        connect_seconds: float,
        lock_timeout: float,
        outage: Outage,
    ) -> None:
        self._parameters = {**_KEEPALIVE, **parameters}
        self._connect_seconds = connect_seconds
        self._settings_sql = (
            f"SET client_connection_check_interval = {_CHECK_INTERVAL_MILLISECONDS};"
            f"SET lock_timeout = {max(1, round(lock_timeout * 1000))};{_EXACT}{_MEANT}"
        )
        self._outage = outage

    def open(self, name: str, given_up: Callable[[], bool]) -> psycopg.Connection:
        """A new connection. A server that is away is tried for ``connect_seconds``, once where it
        was so just before. Raises WarehouseError; of kind INTERRUPTED once ``given_up``."""
        began, delay = time.monotonic(), 0.05
        known = self._outage.is_known(self._connect_seconds)
        deadline = began if known else began + self._connect_seconds
        while True:
            try:
                seconds = deadline - time.monotonic()
                return _while_wanted(partial(self._open, name, seconds), given_up)
            except psycopg.Error as error:
                now = time.monotonic()
                if not _may_come_back(error):
                    raise self._no_connection(error, now - began) from None
                if now + delay > deadline:
                    if not known:
                        self._outage.tried_seconds = self._connect_seconds
                    self._outage.until = now + self._connect_seconds
                    raise self._no_connection(error, now - began) from None
            _sleep(delay, given_up)
            delay = min(delay * 1.6, 1.0)

    def _open(self, name: str, seconds: float) -> psycopg.Connection:
        timeout = max(2, round(seconds))  # libpq knows no shorter one
        told = {"connect_timeout": str(timeout), **self._parameters, "application_name": name[:63]}
        told["client_encoding"] = "UTF8"  # we send bytes, whatever the database is stored in
        # The keyword form of everything: what a DSN may hold, its own options too, is in there.
        connection = psycopg.connect(
            **told,  # type: ignore[arg-type]
            autocommit=True,
            prepare_threshold=None,  # a pooler between us and the server may not keep them
        )
        try:
            connection.execute(self._settings_sql)
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _no_connection(self, error: psycopg.Error, seconds: float) -> WarehouseError:
        place = self._parameters
        where = f"{place.get('host', 'local socket')}:{place.get('port', '5432')}"
        what = " ".join(str(error).split())
        for name in SECRET_KEYWORDS & place.keys():
            what = what.replace(place[name] or "***", "***")
        return WarehouseError(
            ErrorKind.TOO_MANY_SESSIONS if _is_full(error) else ErrorKind.UNREACHABLE,
            f"the PostgreSQL server at {where} cannot be reached as user"
            f" {place.get('user', '(default)')}, database {place.get('dbname', '(default)')},"
            f" after {seconds:.0f} s: {what}",
            transient=_may_come_back(error),
        )


def _while_wanted(
    connect: Callable[[], psycopg.Connection], given_up: Callable[[], bool]
) -> psycopg.Connection:
    """Connect in a thread, as nothing interrupts libpq while a host does not answer. One that is
    given up ends by itself, at the latest with its ``connect_timeout``."""
    future: futures.Future[psycopg.Connection] = futures.Future()

    def run() -> None:
        try:
            connection = connect()
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(connection)
        else:
            connection.close()

    threading.Thread(target=run, daemon=True, name="connect").start()
    while not futures.wait([future], _LOOK_SECONDS).done:
        if given_up() and future.cancel():
            raise _given_up()
    return future.result()


def _sleep(seconds: float, given_up: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if given_up():
            raise _given_up()
        time.sleep(min(left, _LOOK_SECONDS))


def _given_up() -> WarehouseError:
    return WarehouseError(ErrorKind.INTERRUPTED, "stopped while it waited for the server")


def _is_full(error: psycopg.Error) -> bool:
    """By its words: of a connection that failed libpq has no SQLSTATE."""
    words = ("too many clients", "too many connections", "remaining connection slots")
    return sqlstate(error) == "53300" or any(word in str(error) for word in words)


def _may_come_back(error: psycopg.Error) -> bool:
    """A server that is down or starting, or has no room for another session, for now."""
    state = sqlstate(error)
    if state:
        return state in ("57P03", "57P01", "57P02", "53300")
    # Without an answer of the server. A password that is wrong, a database that is not there, a
    # name that no DNS knows: libpq tells these in words only.
    words = str(error).lower()
    hopeless = (
        "authentication failed",
        "does not exist",
        "no password supplied",
        "could not translate host name",
        "certificate",
        "pg_hba.conf",
        "ssl",
    )
    return isinstance(error, psycopg.OperationalError) and not any(w in words for w in hopeless)
