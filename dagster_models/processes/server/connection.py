"""One client of the warehouse process: its socket, its session, its two threads.

The reader thread takes frames in, so that a "cancel" or the connection's end reaches a session that
is busy; the worker thread runs one request at a time and answers each.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.plain import plain
from dagster_models.core.tasks import BuildTask, ChecksTask, task_from_json
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import Canceled, ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import handshake, wire
from dagster_models.processes.server import attempt as attempts
from dagster_models.processes.server import operations
from dagster_models.processes.server.attempt import Stop
from dagster_models.processes.server.bulk_folders import BulkFolders
from dagster_models.processes.server.shared_database import SharedDatabase
from dagster_models.util.arrow_files import lasting_folders
from dagster_models.warehouses.base import WarehouseSession

#: An interrupt that comes between two statements is lost, so it is repeated at this interval.
INTERRUPT_SECONDS = 0.02

_HELLO_SECONDS = 10.0

#: How long a statement may take to end after it is interrupted, before it counts as stuck.
STUCK_SECONDS = 2.0

Message = Mapping[str, Any]


class Host(Protocol):
    """What a connection asks of the process that serves it."""

    path: str
    log: str
    bulk: BulkFolders
    database: SharedDatabase

    def open_session(
        self, name: str, request: SessionRequest, given_up: Callable[[], bool]
    ) -> WarehouseSession: ...
    def writing(
        self, relation: str, writer: ClientConnection, stop: Stop
    ) -> AbstractContextManager[None]: ...
    def await_end(self, session_id: str, timeout_seconds: float) -> bool: ...
    def published(self, session_id: str) -> None: ...
    def leave(self, sessions: Collection[str]) -> int: ...
    def remove(self, connection: ClientConnection) -> None: ...
    def wake(self) -> None: ...


class ClientConnection:
    """One client: its socket, its session, its two threads."""

    def __init__(self, server: Host, sock: socket.socket) -> None:
        self.id = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.gone = threading.Event()
        #: The client is gone, and its session can no longer publish anything: it has ended, or all
        #: that it still does is run a statement that does not react to an interrupt.
        self.harmless = threading.Event()
        self.session: WarehouseSession | None = None
        self.server = server
        self._sock = sock
        self._folders: list[str] = []
        self._requests: queue.SimpleQueue[tuple[Message, Stop] | None] = queue.SimpleQueue()
        self._stop = Stop()
        self._idle = threading.Event()
        self._idle.set()
        self._asking = False  #: the request in hand goes on with what the client sends next
        self.turn = contextlib.ExitStack()  #: of a relation that this client's code builds

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
            if not self._greet():
                return
            worker = threading.Thread(target=self._work, name=f"worker-{self.id}", daemon=True)
            worker.start()
            while True:
                self._interrupt_until_spoken_to()
                message = wire.receive(self._sock)
                if message.get("op") == "cancel":
                    self._interrupt()
                elif self._idle.is_set():
                    self._idle.clear()
                    if not self._asking:
                        self._stop = Stop()
                    self._requests.put((message, self._stop))
                else:
                    raise wire.FrameError("a request came before the last one was answered")
        except (EOFError, OSError):
            pass  # the client has closed the connection, or has died
        except (wire.FrameError, WarehouseError) as error:
            log(f"session {self.id} refused: {error}")
        finally:
            self._end_request()
            self._requests.put(None)
            if worker is not None:
                worker.join()
            self._free()

    def _greet(self) -> bool:
        """Shake hands; False if the client wants no session.

        Raises the error that ends the connection; a WarehouseError is reported to the client first.
        """
        self._sock.settimeout(_HELLO_SECONDS)
        hello = wire.receive(self._sock)
        self._sock.settimeout(None)
        mine = handshake.greeting(self.server.path)
        if hello.get("op") == "leave" and hello.get("path") == self.server.path:
            others = self.server.leave({self.id, *hello["sessions"]})
            wire.send(self._sock, {"others": others})
            return False
        try:
            handshake.check_hello(hello, mine)
            request = SessionRequest.from_json(hello["request"])
            # A client that waits for our hello sends nothing: only its end can be read.
            given_up = partial(wire.readable, self._sock)
            self.session = self.server.open_session(self.id, request, given_up)
            self._folders = self.server.bulk.make(self.id)
        except WarehouseError as error:
            wire.send(self._sock, {"error": wire.error_to_json(error)})
            raise
        greeting = {**mine, "session": self.id, "bulk": self._folders, "log": self.server.log}
        wire.send(self._sock, {"hello": greeting})
        return True

    def _interrupt(self) -> None:
        """Interrupt the request in hand, if there is one."""
        if self.session is not None and not self._idle.is_set():
            self._stop.ask(self.session.interrupt)

    def _interrupt_until_spoken_to(self) -> None:
        """Repeat the interrupt of a canceled request until it is answered or the client sends more.

        The end of the client must be noticed even while a statement ignores interrupts.
        """
        while self._stop.is_set() and not self._idle.is_set():
            if wire.readable(self._sock, INTERRUPT_SECONDS):
                return
            self._interrupt()

    def _end_request(self) -> None:
        """The client is gone: interrupt the request in hand, if any, until it has ended."""
        cut_off_at = time.monotonic() + STUCK_SECONDS
        while not self._idle.is_set():
            self._interrupt()
            if time.monotonic() > cut_off_at and self._stop.in_time and self.session is not None:
                self.session.cut_off()
            if self._stop.in_time and not self.harmless.is_set():
                self.harmless.set()
                self.server.wake()
            self._idle.wait(INTERRUPT_SECONDS)

    def _free(self) -> None:
        self.turn.close()
        if self.session is not None:
            self.session.close()
            self.session = None
        self.server.bulk.remove(self.id)
        self._sock.close()
        self.gone.set()
        self.harmless.set()
        self.server.remove(self)

    # The worker thread

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            message, stop = request
            fatal, lost = "", False
            try:
                answer = self._answer(message, stop)
                outcome = answer.get("outcome") or {}
                error = outcome.get("error")
                lost = outcome.get("verdict") == Verdict.UNKNOWN
                if lost and self.server.database.capabilities.shared_fate:
                    fatal = str(outcome["error"]["message"])
            except WarehouseError as failure:
                error = wire.error_to_json(failure)
                answer = {"error": error}
                lost = isinstance(failure, WarehouseLost)
                if lost and self.server.database.capabilities.shared_fate:
                    fatal = str(failure)
            except BaseException as failure:  # whatever it is, the client must not be left waiting
                log(traceback.format_exc())
                error = wire.error_to_json(WarehouseError(ErrorKind.INTERNAL, repr(failure)))
                answer = {"error": error}
            if error and error["kind"] == ErrorKind.BROKEN:
                fatal = f"{error['name']}: {error['message']}"
            # Idle before the answer is sent: the client's next request may follow at once.
            self._idle.set()
            if not (fatal and lost):
                with contextlib.suppress(OSError):
                    self._reply(answer)
            if fatal:
                die(fatal)
            if lost:  # the database server lost this session; the other sessions may go on
                self.hang_up()

    def ask(self, message: Message) -> Message:
        """Send a message in the middle of a request, and return what the client sends next.

        Raises WarehouseError, and the request counts as stopped, if the client is gone or asks to.
        """
        self._asking = True
        self._idle.set()
        with contextlib.suppress(OSError):  # the reader notices
            self._reply(message)
        found = self._requests.get()
        self._asking = False
        if found is None:
            self._requests.put(None)
        elif not found[0].get("canceled"):
            return {**found[0], "folders": self._folders}
        self._stop.ask(lambda: None)  # nothing runs that could be interrupted
        raise WarehouseError(ErrorKind.INTERRUPTED, "stopped while the client ran a check")

    def _reply(self, answer: Message) -> None:
        try:
            wire.send(self._sock, answer)
        except wire.FrameError as error:
            refused = WarehouseError(
                ErrorKind.RESULT_TOO_LARGE, f"{error}: use export (Arrow) for results of this size"
            )
            wire.send(self._sock, {"error": wire.error_to_json(refused)})

    def _answer(self, message: Message, stop: Stop) -> dict[str, Any]:
        """Return the answer to one request. A WarehouseError is raised again in the client."""
        operation = _OPERATIONS.get(str(message.get("op")))
        assert self.session is not None
        try:
            if operation is None:
                raise WarehouseError(
                    ErrorKind.INVALID_REQUEST, f"there is no operation {message.get('op')!r}"
                )
            return operation(self, self.session, message, stop)
        except WarehouseError as error:
            if error.kind is ErrorKind.INTERRUPTED and stop.is_set():
                raise Canceled(ErrorKind.CANCELED, "stopped on request") from error
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise WarehouseError(
                ErrorKind.INVALID_REQUEST, f"{message.get('op')}: {error!r}"
            ) from error
        except OSError as error:  # e.g. no room for an export
            raise WarehouseError(ErrorKind.IO, str(error), name=type(error).__name__) from error

    def task(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        task = task_from_json(message["task"])
        if isinstance(task, ChecksTask):
            outcome = attempts.run_checks(session, task, stop, self._folders, self.ask)
            return {"outcome": outcome.to_json()}
        if not isinstance(task, BuildTask):
            raise ValueError(f"a warehouse process does not run a {type(task).__name__}")
        if not session.in_transaction:
            stores = (check.store.schema for check in task.checks if check.store is not None)
            schemas = list(dict.fromkeys((task.relation.schema, *stores)))
            try:
                with stop.shielded():
                    self.server.database.prepare(session, schemas, anew=False)
            except WarehouseLost:
                raise
            except WarehouseError as error:
                return {"outcome": attempts.refused(task, error).to_json()}
        try:
            with self.server.writing(str(task.relation), self, stop):
                outcome = attempts.run(session, task, stop, self._folders, self.ask)
                return {"outcome": outcome.to_json()}
        except WarehouseLost:
            raise
        except WarehouseError as error:  # it never got its turn
            return {"outcome": attempts.refused(task, error).to_json()}

    def read_before(
        self, session: WarehouseSession, message: Message, stop: Stop
    ) -> dict[str, Any]:
        task = task_from_json(message["task"])
        if not isinstance(task, BuildTask):
            raise ValueError(f"a {type(task).__name__} builds nothing")
        with stop.shielded():
            self.server.database.prepare(session, [task.relation.schema], anew=False)
        with self.server.writing(str(task.relation), self, stop):
            reading = attempts.read_before(session, task, stop)
        return {"reading": plain(reading) if reading else None}

    def in_transaction(
        self, session: WarehouseSession, message: Message, stop: Stop
    ) -> dict[str, Any]:
        return {"in_transaction": session.in_transaction}

    def prepare(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        self.server.database.prepare(session, message["schemas"], anew=True)
        return {}

    def execute(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        session.execute(message["sql"])
        return {}

    def query(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        names, rows = session.query(message["sql"])
        return {"columns": names, "rows": wire.encode_rows(rows)}

    def export(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        folders = lasting_folders(self._folders) if message.get("lasting") else self._folders
        path, rows = session.export(message["sql"], folders)
        return {"path": path, "rows": rows}

    def load(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        relation = message["relation"]
        name = relation if isinstance(relation, str) else session.quoted(Relation(**relation))
        return {"rows": session.load(message["path"], name, message["mode"])}

    def begin(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        (session.begin_reading if message.get("reading") else session.begin)()
        return {}

    def commit(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        with stop.shielded():
            session.commit()
        return {}

    def rollback(self, session: WarehouseSession, message: Message, stop: Stop) -> dict[str, Any]:
        with stop.shielded():
            session.rollback()
        return {}


Operation = Callable[[ClientConnection, WarehouseSession, Message, Stop], dict[str, Any]]

_OPERATIONS: Mapping[str, Operation] = {
    "task": ClientConnection.task,
    "read_before": ClientConnection.read_before,
    "in_transaction": ClientConnection.in_transaction,
    "prepare": ClientConnection.prepare,
    "execute": ClientConnection.execute,
    "query": ClientConnection.query,
    "export": ClientConnection.export,
    "import": ClientConnection.load,
    "begin": ClientConnection.begin,
    "commit": ClientConnection.commit,
    "rollback": ClientConnection.rollback,
    "settle": operations.settle,
    "last_proofs": operations.last_proofs,
    "ledger": operations.ledger,
    "built_by": operations.built_by,
    "drop": operations.drop,
    "adopt": operations.adopt,
    "there": operations.there,
    "fingerprint": operations.fingerprint,
    "unrepeatable": operations.unrepeatable,
    "query_columns": operations.query_columns,
    "open_build": operations.open_build,
    "begin_rehearsal": operations.begin_rehearsal,
    "rehearse": operations.rehearse,
    "complete": operations.complete,
}


def log(text: str) -> None:
    """Write to the process's log. A failure is ignored: its disk may be full."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def die(why: str) -> None:
    """End at once, without the cleanup that a broken database could block."""
    log(f"the database can no longer be used, so this process ends: {why}")
    os._exit(70)
