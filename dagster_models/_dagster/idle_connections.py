"""Hold the files of Dagster's own SQLite event log open while a run writes to them.

Dagster's stock storage opens and closes a connection for every event. The last connection to close
a file in write-ahead mode copies the log back into it and deletes the log, which is about a third
of the time of a small step. That does not happen as long as another connection has the file open.
So during a run this module holds one connection to each file and does nothing with it. Dagster's
rows, its transactions and their durability stay as they are. What is left in the log is copied at
the end of the run, or by the next process that opens the file if this process is killed.

This has two effects on others. Nothing writes to ``<run id>.db`` itself any more, but Dagster's
watchers (live logs in the UI) look at that file, so it is touched after the run's events. And
SQLite's locks do not survive a fork, so the connections are closed before one.

storage.py goes further, for those who choose it in their dagster.yaml.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing


class IdleConnections:
    """One connection, outside any transaction, to each of *paths* that is an SQLite file."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [path for path in paths if os.path.isfile(path)]
        self._connections: list[sqlite3.Connection] = []
        for path in self._paths:
            with contextlib.suppress(sqlite3.Error):  # the run is slower, and works all the same
                self._connections.append(_open(path))
        _all.add(self)

    def touch(self) -> None:
        """Set the first file's time to now, which notifies its watchers."""
        if self._connections:
            with contextlib.suppress(OSError):
                os.utime(self._paths[0])

    def close(self) -> None:
        while self._connections:
            self._connections.pop().close()


def _open(path: str) -> sqlite3.Connection:
    # Another thread closes it if that thread forks.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # A connection opens the file and its log only when it reads something. The result must be
    # read to its end, or the connection would keep an old snapshot.
    try:
        connection.execute("pragma schema_version").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def held_open(paths: Iterable[str]) -> Iterator[IdleConnections]:
    """Hold SQLite files open during the block; watchers look at the first of them."""
    with closing(IdleConnections(paths)) as connections:
        yield connections


_all: weakref.WeakSet[IdleConnections] = weakref.WeakSet()


def _before_fork() -> None:
    for connections in list(_all):
        connections.close()


os.register_at_fork(before=_before_fork)
