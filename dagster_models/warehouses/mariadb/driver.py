"""PyMySQL, with what it keeps to itself and we need. It is imported with the first connection."""

from __future__ import annotations

import contextlib
import socket
from functools import cache
from typing import Any

#: In the status that the server sends with each answer: a transaction is open.
IN_TRANSACTION = 1
#: How the protocol calls the type of a column.
FLOAT = 4


def errors() -> tuple[type[Exception], ...]:
    """What the driver raises."""
    import pymysql

    return pymysql.MySQLError, OSError


@cache
def connection_class() -> Any:
    import pymysql

    class DriverConnection(pymysql.Connection):  # type: ignore[misc]
        def close_at_once(self) -> None:
            """Without a word to the server, which may be gone."""
            self._force_close()

        def shut_down(self) -> None:
            """Wake whoever waits for the server; from another thread."""
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    return DriverConnection


@cache
def stream_class() -> Any:
    from pymysql.cursors import SSCursor

    class RowStream(SSCursor):  # type: ignore[misc]
        """A cursor whose rows come one by one."""

        @property
        def fields(self) -> Any:
            """What the server says of each column."""
            return getattr(self._result, "fields", None) or ()

    return RowStream
