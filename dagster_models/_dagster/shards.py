"""The open SQLite files of the event log storage: a bounded number, with one connection each."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeAlias

from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import QueuePool

#: The most engines that are open at once, the index's among them. Each holds three files (.db,
#: -wal, -shm). A run writes to two shards; a webserver reads the runs that somebody looks at.
MAX_OPEN_SHARDS = 16

#: The device and inode of the file that a path leads to; None if there is no file.
FileIdentity: TypeAlias = "tuple[int, int] | None"


class _SqliteConnection(sqlite3.Connection):
    """A connection that can close the cursors that are still open on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        cursor = super().cursor(*args, **kwargs)
        self._cursors.add(cursor)
        return cursor

    def close_cursors(self) -> None:
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()


class _Shard:
    """One file with its engine.

    Attributes:
        open: The connection of the block that is using the file; None if there is none.
        facts: What is known about the file. It stays true as long as it is the same file.
    """

    __slots__ = ("engine", "facts", "identity", "open", "path")

    def __init__(self, folder: str, name: str) -> None:
        self.path = os.path.join(folder, f"{name}.db")
        self.open: Connection | None = None
        self.identity: FileIdentity = None
        self.facts: set[str] = set()
        self.engine: Engine = create_engine(
            URL.create("sqlite", database=self.path),
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={
                "timeout": SQLITE_BUSY_TIMEOUT_SECONDS,
                "factory": _SqliteConnection,
                # One thread at a time uses it (the lock of Shards), but not always the same one.
                "check_same_thread": False,
            },
        )

    def still_there(self) -> bool:
        """Whether the path still leads to the file that is open."""
        return self.identity is None or self.identity == _identity(self.path)


def _identity(path: str) -> FileIdentity:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Shards:
    """The open files of one storage. Their number is bounded, and one thread uses them at a time.

    Attributes:
        lock: Held while a connection is in use, as Dagster's own class holds its lock. It is
            reentrant, so that the events of a batch can join the transactions of the batch.
    """

    def __init__(self, folder: str, limit: int = MAX_OPEN_SHARDS) -> None:
        self.lock = threading.RLock()
        self._folder = folder
        self._limit = limit
        self._shards: OrderedDict[str, _Shard] = OrderedDict()  # the least recently used first
        with _fork_lock:  # _before_fork iterates over the set
            _all_shards.add(self)

    def names(self) -> tuple[str, ...]:
        """The shards that are open, the least recently used first."""
        with self.lock:
            return tuple(self._shards)

    def facts(self, name: str) -> set[str]:
        """What is known of a shard's file; the caller may add to it."""
        with self.lock:
            return self._get(name).facts

    @contextlib.contextmanager
    def connection(self, name: str) -> Iterator[Connection]:
        """Yield a connection in a transaction, which is committed at the end of the block.

        Inside another block on the same shard (which only the same thread can have opened), this
        yields the connection of the outer block, and the outer block commits.
        """
        with self.lock:
            shard = self._get(name)
            if shard.open is not None:
                yield shard.open
                return
            try:
                with _transaction(shard) as connection:
                    yield connection
            except BaseException:
                # After an I/O error or an interrupt the state of a connection is uncertain, so
                # the next use begins with a new one.
                self._close(name)
                raise

    def _get(self, name: str) -> _Shard:
        shard = self._shards.get(name)
        if shard is not None and shard.open is None and not shard.still_there():
            self._close(name)
            shard = None
        if shard is None:
            shard = self._shards[name] = _Shard(self._folder, name)
            idle = [n for n, s in self._shards.items() if s.open is None and s is not shard]
            for oldest in idle[: max(0, len(self._shards) - self._limit)]:
                self._close(oldest)
        self._shards.move_to_end(name)
        return shard

    def _close(self, name: str) -> None:
        self._shards.pop(name).engine.dispose()

    def close(self) -> None:
        """Close every connection that no block is using; the next use opens a new one."""
        with self.lock:
            for name in [n for n, shard in self._shards.items() if shard.open is None]:
                self._close(name)

    def close_unless_busy(self) -> None:
        """Close as :meth:`close` does, but never wait: the garbage collector may run this."""
        if self.lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self.lock.release()


@contextlib.contextmanager
def _transaction(shard: _Shard) -> Iterator[Connection]:
    with shard.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        if shard.identity is None:
            shard.identity = _identity(shard.path)
        before = raw.total_changes
        shard.open = connection
        try:
            with connection.begin():
                yield connection
        finally:
            shard.open = None
            raw.close_cursors()
        changed = raw.total_changes != before
    if changed:
        # The commit went to the -wal file. This notifies the watchers of the .db file, including
        # those of the stock class in other processes, and only now can they read the commit.
        with contextlib.suppress(FileNotFoundError):
            os.utime(shard.path)


# Forks. A forked child inherits SQLite's record of the locks that this process holds, but not the
# locks themselves. As long as an inherited connection exists in the child, the child's new
# connections to the same file are unprotected (https://www.sqlite.org/howtocorrupt.html, 2.6). So
# before a fork, every storage is locked and its connections are closed. (`subprocess` forks without
# these handlers, which is fine: its child only executes another program, and SQLite's files are
# closed on exec.)
_fork_lock = threading.Lock()
_all_shards: weakref.WeakSet[Shards] = weakref.WeakSet()
_held: list[Shards] = []


def _before_fork() -> None:
    _fork_lock.acquire()
    for shards in list(_all_shards):
        shards.lock.acquire()
        _held.append(shards)
        shards.close()


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _fork_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
