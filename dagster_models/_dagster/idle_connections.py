"""Hold the files of Dagster's own SQLite event log open while a run writes to them.

Dagster's stock storage opens and closes a connection for every event. The last one to close a file
in write-ahead mode copies the log back into it and deletes the log: about a third of the time of a
small step. As long as somebody else has the file open, that does not happen. So for the time of a
run this module holds one connection to each file, and does nothing with it: Dagster's rows, its
transactions and their durability stay as they are, and what is left in the log is copied at the
end, or by whoever opens the file next if this process is killed.

What it changes for others, and what is done about it: nothing writes to ``<run id>.db`` itself any
more, but that is the file which Dagster's watchers (live logs in the UI) look at, so it is touched
after the run's events. And SQLite's locks do not survive a fork: the connections are closed before.
(storage.py goes further, for those who choose it in their dagster.yaml.)
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing


class IdleConnections:
    """One connection, in no transaction, to each of some SQLite files; what is no file is left out.

    ``touch`` sets the first file's time to now, for those who watch it.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [path for path in paths if os.path.isfile(path)]
        self._connections: list[sqlite3.Connection] = []
        for path in self._paths:
            with contextlib.suppress(sqlite3.Error):  # it would only have been faster
                self._connections.append(_open(path))
        _all.add(self)

    def touch(self) -> None:
        if self._connections:
            with contextlib.suppress(OSError):
                os.utime(self._paths[0])

    def close(self) -> None:
        while self._connections:
            self._connections.pop().close()


def _open(path: str) -> sqlite3.Connection:
    # Closed by another thread where that one forks.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # A connection has no file open before it has read something, and no part in the log before
    # that: the result must be read to its end, or it would keep an old snapshot.
    try:
        connection.execute("pragma schema_version").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def held_open(paths: Iterable[str]) -> Iterator[IdleConnections]:
    """Hold SQLite files open for the time of a block; the first is the one that is watched."""
    with closing(IdleConnections(paths)) as connections:
        yield connections


_all: weakref.WeakSet[IdleConnections] = weakref.WeakSet()


def _before_fork() -> None:
    for connections in list(_all):
        connections.close()


os.register_at_fork(before=_before_fork)
