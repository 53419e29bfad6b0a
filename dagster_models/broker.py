"""The warehouse process: the one that has the database open, for all who use it on this machine.

    python -m dagster_models.broker '{"type": "duckdb", "settings": {"path": ...}}'

    main thread            accepts; ends the process when nobody came for some idle seconds
    per connection
      reader thread        frames in; "cancel" and the connection's end interrupt what runs
      worker thread        the session (a cursor): one request at a time, one answer each

Started by whoever needs it first (launch.py); an flock on ``<db>.lock`` elects it. The end of a
connection, for whatever reason, means: interrupt, roll back, free. After an error that breaks the
open database the process ends itself: sessions are then lost, and their commit records are read by
a new one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster_models import launch, materialization, rendezvous, wire
from dagster_models.core.messages import Task
from dagster_models.core.model import Relation
from dagster_models.errors import Canceled, WarehouseError, WarehouseLost
from dagster_models.materialization import Stop
from dagster_models.warehouses.base import (
    FATAL,
    INTERRUPTED,
    Warehouse,
    WarehouseSession,
    quoted,
)

#: type of a target -> the module that has ``connect(settings) -> Warehouse``.
WAREHOUSES = {"duckdb": "dagster_models.warehouses.duckdb"}

IDLE_SECONDS = 2.0

#: An interrupt that comes between two statements is lost, so it is repeated this often.
_INTERRUPT_SECONDS = 0.02

_HELLO_SECONDS = 10.0

#: The loser of an election waits so long: the winner may be just leaving.
_ELECTION_SECONDS = 1.0

#: So long a client waits for the last sessions of a database file that was removed.
_LEAVING_SECONDS = 0.5

_PREPARE_TRIES = 3

Message = Mapping[str, Any]


class Server:
    """The sessions of one database. Made after the election is won."""

    def __init__(self, spec: Mapping[str, Any], path: str) -> None:
        self.path = path
        self.log = f"{rendezvous.runtime_folder()}/{rendezvous.digest(path)}.log"
        self.bulk = rendezvous.BulkFolders()
        self._settings = {**spec["settings"], "path": path}
        self._connect = importlib.import_module(WAREHOUSES[spec["type"]]).connect
        self._warehouse: Warehouse | None = None
        self._file: os.stat_result | None = None
        self._opening = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared: set[str] = set()
        self._connections: dict[str, Connection] = {}
        self._changed = threading.Lock()
        self._stopping = False
        self._idle_since = time.monotonic()
        self._woken, self._wake = os.pipe()

    # The loop

    def serve(self, listener: socket.socket) -> None:
        """Accept until idle, or until a signal says stop."""
        idle_seconds = float(self._settings.get("idle_seconds", IDLE_SECONDS))
        while not self._stopping:
            left = None
            if not self._connections:
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
        connection = Connection(self, sock)
        with self._changed:
            self._connections[connection.id] = connection
        connection.start()

    def remove(self, connection: Connection) -> None:
        with self._changed:
            del self._connections[connection.id]
            self._idle_since = time.monotonic()
        self.wake()

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"\0")

    def stop(self, *_: object) -> None:
        """Signal handler: end soon, but in order."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """Interrupt, roll back, close. Leaving with busy query threads would abort the process."""
        with self._changed:
            connections = list(self._connections.values())
        for connection in connections:
            connection.hang_up()
        for connection in connections:
            connection.gone.wait()
        if self._warehouse is not None:
            self._warehouse.close()
        self.bulk.close()

    # What connections ask for

    def open_session(self) -> WarehouseSession:
        """A session of the database, which is opened by the first. Raises WarehouseError.

        A database that failed to open is tried again for the next client: the one who fixed it.
        """
        with self._opening:
            if self._warehouse is not None and not self._same_file():
                self._close_replaced()
            if self._warehouse is None:
                self._warehouse = self._connect(self._settings)
                self._file = os.stat(self.path)
                self._prepared = set()
            return self._warehouse.session()

    def _same_file(self) -> bool:
        """What we have open is what the path names: else all we write would be lost unseen."""
        try:
            return self._file is not None and os.path.samestat(self._file, os.stat(self.path))
        except FileNotFoundError:
            return False

    def _close_replaced(self) -> None:
        with self._changed:
            others = [c for c in self._connections.values() if c.session is not None]
        end = time.monotonic() + _LEAVING_SECONDS  # some may be just leaving
        busy = [c for c in others if not c.gone.wait(max(0.0, end - time.monotonic()))]
        if busy or self._warehouse is None:
            raise WarehouseError(
                "DatabaseReplaced",
                f"{self.path} was removed or replaced while {len(busy)} sessions have the old file"
                f" open in the warehouse process {os.getpid()}: end those runs, or kill it",
            )
        self._warehouse.close()
        self._warehouse = None

    def prepare(self, session: WarehouseSession, schemas: Sequence[str], anew: bool) -> None:
        """Create schemas one session at a time: two at once would conflict."""
        with self._preparing:
            if not anew and self._prepared.issuperset(schemas) and self._prepared:
                return
            for left in reversed(range(_PREPARE_TRIES)):
                try:
                    session.prepare(schemas)
                    break
                except WarehouseError as error:  # a script's own transaction may be in the way
                    if not (left and error.kind == "TransactionException"):
                        raise
                    time.sleep(_INTERRUPT_SECONDS)
            self._prepared.update(schemas)

    def await_end(self, session_id: str, timeout_seconds: float) -> bool:
        """Wait for a session's end; True if it is gone (or was never here)."""
        connection = self._connections.get(session_id)
        return connection is None or connection.gone.wait(timeout_seconds)


class Connection:
    """One client: its socket, its session, its two threads."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.id = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.gone = threading.Event()
        self.session: WarehouseSession | None = None
        self._server = server
        self._sock = sock
        self._folders: list[str] = []
        self._requests: queue.SimpleQueue[tuple[Message, Stop] | None] = queue.SimpleQueue()
        self._stop = Stop()
        self._idle = threading.Event()
        self._idle.set()

    def start(self) -> None:
        threading.Thread(target=self._read, name=f"reader-{self.id}", daemon=True).start()

    def hang_up(self) -> None:
        """Make the reader see the end of the connection; answers can still be sent."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    # The reader thread

    def _read(self) -> None:
        worker: threading.Thread | None = None
        try:
            self._greet()
            worker = threading.Thread(target=self._work, name=f"worker-{self.id}", daemon=True)
            worker.start()
            while True:
                message = wire.receive(self._sock)
                if message.get("op") == "cancel":
                    self._cancel()
                elif self._idle.is_set():
                    self._idle.clear()
                    self._stop = Stop()
                    self._requests.put((message, self._stop))
                else:
                    raise wire.FrameError("a request came before the last one was answered")
        except (EOFError, OSError):
            pass  # the client is gone, by its own will or not
        except (wire.FrameError, WarehouseError) as error:
            print(f"session {self.id} refused: {error}", file=sys.stderr, flush=True)
        finally:
            self._cancel()
            self._requests.put(None)
            if worker is not None:
                worker.join()
            self._free()

    def _greet(self) -> None:
        """The handshake. Raises what ends the connection, after the client was told."""
        self._sock.settimeout(_HELLO_SECONDS)
        hello = wire.receive(self._sock)
        self._sock.settimeout(None)
        mine = launch.greeting(self._server.path)
        try:
            _check_hello(hello, mine)
            self.session = self._server.open_session()
            self._folders = self._server.bulk.make(self.id)
        except WarehouseError as error:
            wire.send(self._sock, {"error": wire.error_to_json(error)})
            raise
        told = {**mine, "session": self.id, "bulk": self._folders, "log": self._server.log}
        wire.send(self._sock, {"hello": told})

    def _cancel(self) -> None:
        """Interrupt until the request is answered. Nothing to do when there is none."""
        session = self.session
        while session is not None and not self._idle.is_set():
            self._stop.ask(session.interrupt)
            self._idle.wait(_INTERRUPT_SECONDS)

    def _free(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None
        self._server.bulk.remove(self.id)
        self._sock.close()
        self.gone.set()
        self._server.remove(self)

    # The worker thread

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            message, stop = request
            fatal = ""
            try:
                answer = self._answer(message, stop)
                error = (answer.get("outcome") or {}).get("error")
            except WarehouseError as failure:
                error = wire.error_to_json(failure)
                answer = {"error": error}
                if isinstance(failure, WarehouseLost):
                    fatal = str(failure)
            if error and error["kind"] in FATAL:
                fatal = f"{error['kind']}: {error['message']}"
            # Idle before the answer goes: the client's next request may be here at once.
            self._idle.set()
            if not (fatal and "error" in answer and answer["error"]["kind"] == "WarehouseLost"):
                with contextlib.suppress(OSError):
                    self._reply(answer)
            if fatal:
                _die(fatal)

    def _reply(self, answer: Message) -> None:
        try:
            wire.send(self._sock, answer)
        except wire.FrameError as error:
            refused = WarehouseError(
                "ResultTooLarge", f"{error}: use export (Arrow) for results of this size"
            )
            wire.send(self._sock, {"error": wire.error_to_json(refused)})

    def _answer(self, message: Message, stop: Stop) -> dict[str, Any]:
        """The answer to one request. Raises WarehouseError for the client to raise."""
        operation = _OPERATIONS.get(str(message.get("op")))
        assert self.session is not None
        try:
            if operation is None:
                raise WarehouseError(
                    "InvalidRequest", f"there is no operation {message.get('op')!r}"
                )
            return operation(self, self.session, message, stop)
        except WarehouseError as error:
            if error.kind == INTERRUPTED and stop.is_set():
                raise Canceled(error.kind, "stopped on request") from error
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise WarehouseError("InvalidRequest", f"{message.get('op')}: {error!r}") from error
        except OSError as error:  # e.g. no room for an export
            raise WarehouseError(type(error).__name__, str(error)) from error

    def task(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        task = Task.from_json(message["task"])
        if task.relation is not None and not session.in_transaction:
            self._server.prepare(session, [task.relation.schema], anew=False)
        return {"outcome": materialization.run(session, task, stop).to_json()}

    def prepare(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        self._server.prepare(session, message["schemas"], anew=True)
        return {}

    def execute(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        session.execute(message["sql"])
        return {}

    def query(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        names, rows = session.query(message["sql"])
        return {"columns": names, "rows": wire.encode_rows(rows)}

    def export(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        path, rows = session.export(message["sql"], self._folders)
        return {"path": path, "rows": rows}

    def load(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        relation = message["relation"]
        name = relation if isinstance(relation, str) else quoted(Relation(**relation))
        return {"rows": session.load(message["path"], name, message["mode"])}

    def begin(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        session.begin()
        return {}

    def commit(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        with stop.shielded():
            session.commit()
        return {}

    def rollback(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        with stop.shielded():
            session.rollback()
        return {}

    def settle(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        # Its end first, then the record: the other way round it could commit in between.
        gone = self._server.await_end(message.get("session", ""), float(message["wait_seconds"]))
        record = session.find_record(message["run_id"], message["step"], int(message["attempt"]))
        return {
            "committed": record is not None,
            "record": record.to_json() if record else None,
            "session_alive": not gone,
        }


Operation = Callable[[Connection, WarehouseSession, Message, Stop], dict[str, Any]]

_OPERATIONS: Mapping[str, Operation] = {
    "task": Connection.task,
    "prepare": Connection.prepare,
    "execute": Connection.execute,
    "query": Connection.query,
    "export": Connection.export,
    "import": Connection.load,
    "begin": Connection.begin,
    "commit": Connection.commit,
    "rollback": Connection.rollback,
    "settle": Connection.settle,
}


def _check_hello(hello: Message, mine: Message) -> None:
    """Refuse who is not of our kind. Raises WarehouseError."""
    if hello.get("op") != "hello" or hello.get("path") != mine["path"]:
        raise WarehouseError(
            "InvalidRequest", f"this is the warehouse process (pid {mine['pid']}) of {mine['path']}"
        )
    for what in ("protocol", "version"):
        if hello.get(what) != mine[what]:
            raise WarehouseError(
                "VersionMismatch",
                f"the warehouse process (pid {mine['pid']}) of {mine['path']} runs dagster-models"
                f" {mine['version']} (protocol {mine['protocol']}), this client"
                f" {hello.get('version')} (protocol {hello.get('protocol')}): let the runs of the"
                f" other version end, or end the process: kill {mine['pid']}",
            )


def _die(why: str) -> None:
    """End at once, without the tidying that a broken database could block."""
    print(f"the database is of no use any more, this process ends: {why}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(70)


def _elect(path: str) -> int | None:
    """The flock that makes us the warehouse process of ``path``; None if another one is it."""
    end = time.monotonic() + _ELECTION_SECONDS
    while (lock := rendezvous.acquire(f"{path}.lock")) is None:
        if time.monotonic() > end:
            return None
        time.sleep(_INTERRUPT_SECONDS)
    return lock


def _listen(address: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)  # of one that was killed: the lock is ours, so it is nobody's
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def main(argument: str) -> int:
    """Serve one database until idle. Exit code 0 also for the loser of an election."""
    faulthandler.enable()
    spec = json.loads(argument)
    path = rendezvous.real_path(spec["settings"])
    print(f"{launch.started_line(os.getpid())} of {path}", file=sys.stderr, flush=True)
    try:
        lock = _elect(path)
    except OSError as error:
        print(f"cannot make {path}.lock beside the database: {error}", file=sys.stderr)
        return 1
    if lock is None:
        return 0
    server = Server(spec, path)
    signal.signal(signal.SIGTERM, server.stop)
    address = f"{rendezvous.runtime_folder()}/{rendezvous.digest(path)}.sock"
    listener = _listen(address)
    inode = os.stat(address).st_ino
    rendezvous.publish_address(
        lock,
        {"socket": address, "pid": os.getpid(), "host": socket.gethostname(), "log": server.log},
    )
    try:
        server.serve(listener)
    finally:
        # The name first: who comes now finds nobody, and tries again. Only if it is still ours:
        # with the lock file removed by hand another process may have taken the place.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(address).st_ino == inode:
                os.unlink(address)
        listener.close()
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
