"""The warehouse process: the one that has the database open, for all who use it on this machine.

    echo '{"type": "duckdb", "settings": {"path": ...}}' | python -m dagster_models.processes.server

    main thread            accepts clients; ends the process after some idle seconds without any
    per connection         connection.py
      reader thread        reads frames; "cancel" and the connection's end interrupt a statement
      worker thread        the session (a cursor): one request at a time, one answer each

The first client that needs the process starts it (launch.py), and an flock on ``<db>.lock`` elects
it. When a connection ends, for whatever reason, its statement is interrupted, its transaction is
rolled back and its session is freed. After an error that breaks the open database, the process ends
itself: its sessions are then lost, and a new process reads their commit records.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from dagster_models.core.warehouse_address import SessionRequest, WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes import handshake
from dagster_models.processes.address import key_of
from dagster_models.processes.client import launch
from dagster_models.processes.server.attempt import Stop
from dagster_models.processes.server.bulk_folders import BulkFolders
from dagster_models.processes.server.connection import STUCK_SECONDS, ClientConnection, die
from dagster_models.processes.server.shared_database import SharedDatabase
from dagster_models.util import runtime_files
from dagster_models.util.file_systems import why_not_here
from dagster_models.util.hidden_modules import hide
from dagster_models.util.users import user_name
from dagster_models.warehouses.base import WarehouseSession

#: Seconds between two tries to get a lock, or a turn, that another process or client has.
_RETRY_SECONDS = 0.02

#: How long the loser of an election waits, because the winner may be about to exit.
_ELECTION_SECONDS = 1.0

#: How long a COMMIT may take once the process was asked to end.
_COMMIT_SECONDS = 30.0

#: A log that is longer than this is emptied when the next process starts.
_LOG_BYTES = 1 << 20


class WarehouseServer:
    """Serves the sessions of one database. It is created once the election is won."""

    def __init__(self, address: WarehouseAddress, path: str) -> None:
        self.path = path
        self.log = f"{runtime_files.runtime_folder()}/{runtime_files.digest(path)}.log"
        self.bulk = BulkFolders()
        self._address = address
        self.database = SharedDatabase(address, path, self._await_gone)
        self._idle_seconds = address.number("idle_seconds")
        self._connections: dict[str, ClientConnection] = {}
        self._changed = threading.Lock()
        self._writers: dict[str, ClientConnection] = {}  # by relation: whose turn it is
        self._stopping = False
        self._leaving = False
        self._idle_since = time.monotonic()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    # The loop

    def serve(self, listener: socket.socket) -> None:
        """Accept clients until the process is idle, or until a signal asks it to stop."""
        while not self._stopping:
            left = None
            self._leave_the_stuck()
            if not self._connections:
                idle_seconds = 0.0 if self._leaving else self._idle_seconds
                left = self._idle_since + idle_seconds - time.monotonic()
                if left <= 0:
                    return
            waited: list[Any] = [listener, self._woken]
            ready, _, _ = select.select(waited, [], [], left)
            if self._woken in ready:
                os.read(self._woken, 4096)
            if listener in ready:
                sock, _ = listener.accept()
                self._add(sock)

    def _add(self, sock: socket.socket) -> None:
        connection = ClientConnection(self, sock)
        with self._changed:
            self._connections[connection.id] = connection
        try:
            connection.start()
        except RuntimeError as error:  # no memory for a thread: a new process has some
            die(f"a session cannot be served: {error}")

    def _leave_the_stuck(self) -> None:
        """End the process if nothing is left but statements that ignore interrupts and whose
        clients are gone: these statements hold the relations that they were building. A client
        that connects in the meantime waits to be accepted, and then finds a new process."""
        with self._changed:
            left = list(self._connections.values())
        if not left or any(not connection.harmless.is_set() for connection in left):
            return
        if not _all(left, lambda c: c.gone, STUCK_SECONDS):
            die(f"{len(left)} sessions ignore interrupts, and nobody waits for them")

    def remove(self, connection: ClientConnection) -> None:
        with self._changed:
            del self._connections[connection.id]
            self.database.forget(connection.id)
            self._idle_since = time.monotonic()
        self.wake()

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"\0")

    def stop(self, *_: object) -> None:
        """A signal handler: end soon, but cleanly."""
        self._stopping = True

    def stop_on(self, number: int) -> None:
        """Let a signal stop the process, whichever thread the kernel gives it to. Often that is one
        of DuckDB's, and then nothing but the wakeup descriptor ends the main thread's select."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(number, self.stop)

    def close(self) -> None:
        """Interrupt, roll back, close. Exiting with busy query threads would abort the process."""
        with self._changed:
            connections = list(self._connections.values())
        for connection in connections:
            connection.hang_up()
        # A COMMIT under way may take its time; a statement that ignores interrupts may not.
        in_time = _all(connections, lambda c: c.harmless, _COMMIT_SECONDS)
        if not (in_time and _all(connections, lambda c: c.gone, STUCK_SECONDS)):
            die("a session ignores interrupts")
        self.database.close()
        self.bulk.close()

    # What connections ask for

    def open_session(
        self, name: str, request: SessionRequest, given_up: Callable[[], bool]
    ) -> WarehouseSession:
        """A session of the database. Raises WarehouseError; see ``SharedDatabase.session``.

        From now on the process may be idle for the longest time that any client has asked for.
        """
        wanted = self._address.type.number(request.settings, "idle_seconds")
        self._idle_seconds = max(self._idle_seconds, wanted)
        self._leaving = False
        return self.database.session(name, request, given_up)

    def leave(self, sessions: Collection[str]) -> int:
        """End as soon as nobody is connected, unless somebody asked for more idle seconds or comes
        meanwhile. The number of connections besides those of *sessions*, which are closing."""
        self._leaving = self._idle_seconds <= self._address.type.number({}, "idle_seconds")
        with self._changed:
            return sum(name not in sessions for name in self._connections)

    def _await_gone(self, name: str, timeout_seconds: float) -> bool:
        connection = self._connections.get(name)
        return connection is None or connection.gone.wait(timeout_seconds)

    @contextlib.contextmanager
    def writing(self, relation: str, writer: ClientConnection, stop: Stop) -> Iterator[None]:
        """Let one task at a time build a relation. Two transactions at once would conflict, and the
        second would lose its work to the first; in turns, both are published and the later one
        stays. A stop ends the wait.

        Raises WarehouseError if the task whose turn it is was stopped but ignores interrupts.
        """
        key, patience = relation.lower(), STUCK_SECONDS
        while (holder := self._take_turn(key, writer)) is not writer:
            if stop.wait(_RETRY_SECONDS):
                break
            patience -= _RETRY_SECONDS if holder.harmless.is_set() else 0
            if patience < 0:
                raise WarehouseError(
                    ErrorKind.HELD,
                    f"{relation} is held by a query of an earlier run. The query was stopped, but"
                    " it ignores interrupts. It ends when the warehouse process exits, once nobody"
                    f" else uses that process: try again later, or kill process {os.getpid()}",
                )
        try:
            yield
        finally:
            with self._changed:
                if self._writers.get(key) is writer:
                    del self._writers[key]

    def _take_turn(self, key: str, writer: ClientConnection) -> ClientConnection:
        with self._changed:
            return self._writers.setdefault(key, writer)

    def await_end(self, session_id: str, timeout_seconds: float) -> bool:
        """Wait for a session's end; True if it can no longer publish anything."""
        connection = self._connections.get(session_id)
        return connection is None or connection.harmless.wait(timeout_seconds)

    def published(self, session_id: str) -> None:
        """Note that a lost session has already published. Nobody waits for what it still does, and
        the next task that builds the relation need not wait for this session to end."""
        connection = self._connections.get(session_id)
        if connection is None:
            return
        connection.harmless.set()
        with self._changed:
            self._writers = {k: w for k, w in self._writers.items() if w is not connection}
        self.wake()


def _all(
    connections: Sequence[ClientConnection],
    event: Callable[[ClientConnection], threading.Event],
    timeout_seconds: float,
) -> bool:
    """Wait until an event of each connection has happened; False if the time was too short."""
    end = time.monotonic() + timeout_seconds
    return all(event(c).wait(max(0.0, end - time.monotonic())) for c in connections)


def _elect(path: str) -> int | None:
    """Return the flock that makes this the warehouse process of ``path``; None if there already is
    such a process."""
    end = time.monotonic() + _ELECTION_SECONDS
    while (lock := runtime_files.acquire(f"{path}.lock")) is None:
        if time.monotonic() > end:
            return None
        time.sleep(_RETRY_SECONDS)
    return lock


def _listen(address: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)  # left by a killed process; as we hold the lock, no process uses it
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def main() -> int:
    """Serve one database until idle. The loser of an election exits with 0, too."""
    faulthandler.enable()
    address = WarehouseAddress.from_json(json.load(sys.stdin))
    if not address.type.needs_pandas:
        hide("pandas")
    path = key_of(address)
    print(f"{launch.started_line(os.getpid())} of {path}", file=sys.stderr, flush=True)
    if why := why_not_here(path) if address.type.file_setting else "":
        print(why, file=sys.stderr)
        return 1
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # target/ of a fresh clone
        lock = _elect(path)
    except OSError as error:
        print(
            f"user {user_name()} cannot make or open {path}.lock beside the database: {error}. The"
            " user needs to write in that folder, for the files of the database too: grant it, or"
            " set the target's path to a file in another folder",
            file=sys.stderr,
        )
        return 1
    if lock is None:
        return 0
    os.ftruncate(lock, 0)  # whoever listened before does so no more
    with contextlib.suppress(OSError):  # stderr may be a terminal, if started by hand
        if os.fstat(2).st_size > _LOG_BYTES:
            os.ftruncate(2, 0)
    try:
        server = WarehouseServer(address, path)
    except WarehouseError as error:
        print(error.message, file=sys.stderr)
        return 1
    server.stop_on(signal.SIGTERM)
    name = f"{runtime_files.runtime_folder()}/{runtime_files.digest(path)}.sock"
    listener = _listen(name)
    inode = os.stat(name).st_ino
    handshake.publish_listener(
        lock, handshake.Listener(name, os.getpid(), socket.gethostname(), server.log)
    )
    try:
        server.serve(listener)
    finally:
        # Remove the socket's name first: a client that comes now finds no process, and tries again.
        # Remove it only if it is ours: if the lock file was removed by hand, another process may
        # have put its own socket there.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(name).st_ino == inode:
                os.unlink(name)
        listener.close()
        server.close()
        os.close(lock)  # those who wait for the file need not wait for the interpreter's end, too
    return 0
