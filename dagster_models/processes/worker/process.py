"""The worker process of Python steps: ``python -m dagster_models.processes.worker --control FD``.

    run worker ──control (socket pair)── reader thread ── queue ──> main thread: the user's code
         │                                     └── SIGINT, cancel ──────┘          │
         └────────── stdout, stderr (pipes, one step's output at a time) ──────────┤
                                             warehouse process ──── session ───────┘

It stays warm for a whole run and runs one step at a time. First it receives its warehouse's
address, then ``{"op": "task", "task": ...}``, ``{"op": "cancel"}`` and ``{"op": "exit"}``; it
sends ``{"op": "ready", "pid": ...}`` once, ``{"op": "session", "session_id": ..., "server_pid":
...}`` for each session that it opens, and ``{"outcome": ...}`` for each task, after all output
of the step was written. The end of the control socket means that the run worker is dead: the
whole process group ends.

A step has two parts. While the user's code runs, a cancel raises KeyboardInterrupt in it. While its
table is published, a cancel only asks the warehouse, whose answer counts: a commit that won the
race is COMMITTED. When the warehouse process is lost while it publishes, nobody here can know, so
the answer is UNKNOWN and the run worker reads the commit record.
"""

from __future__ import annotations

import argparse
import atexit
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import FrameType
from typing import Any, NoReturn

from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.tasks import ArrowFile, PythonTask, ScriptTask, task_from_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseLost
from dagster_models.processes import wire
from dagster_models.processes.client import leave
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.client.tables import ACCEPTED, to_arrow
from dagster_models.processes.client.warehouse import StepConnection, Warehouse, bound
from dagster_models.processes.worker.isolation import Streams, isolated, occupy_standard_descriptors
from dagster_models.processes.worker.usercode import (
    UserCodeFailed,
    call_model,
    explain,
    interrupted,
    run_script,
)
from dagster_models.util.orphans import MARK, kill_marked

_GRACE_SECONDS = 0.5  #: for user code to be interrupted when the run worker is dead
_CANCEL_AGAIN_SECONDS = 0.05  #: a cancel that reaches the warehouse before the task does is lost
_EXIT_UNHEARD = 4


class Phase(Enum):
    WAITING = auto()
    USER_CODE = auto()  #: the only phase in which SIGINT raises
    PUBLISHING = auto()
    OVER = auto()


@dataclass(slots=True)
class Attempt:
    """The task in hand, and what the reader thread and the main thread share about it."""

    task: PythonTask | ScriptTask
    phase: Phase = Phase.WAITING
    interrupted: bool = False
    canceled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    reading: Reading | None = None  #: what an incremental model was given


class Worker:
    """One worker process. ``serve`` runs in the main thread until it is asked to exit."""

    def __init__(self, control: socket.socket, address: WarehouseAddress) -> None:
        self._control, self._address = control, address
        self._sending = threading.Lock()
        self._attempts: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._attempt: Attempt | None = None
        # Before user code can change it: where we publish is none of its business.
        self._environ = dict(os.environ)
        self._connection = StepConnection(self._connect)
        self._streams = Streams()
        self._pid = os.getpid()
        self._mark = os.environ.get(MARK, "")

    def serve(self) -> None:
        signal.signal(signal.SIGINT, self._on_interrupt)
        os.register_at_fork(after_in_child=self._let_go)
        self._send({"op": "ready", "pid": self._pid})
        threading.Thread(target=self._read, daemon=True, name="control").start()
        while (attempt := self._attempts.get()) is not None:
            outcome = self._run(attempt)
            self._streams.restore()  # before the answer: the run worker then takes all output
            self._attempt = None
            self._send({"outcome": outcome.to_json()})

    # -- the reader thread ---------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                message = wire.receive(self._control)
                if message["op"] == "task":
                    self._attempt = Attempt(_python_task(message["task"]))
                    self._attempts.put(self._attempt)
                elif message["op"] == "cancel" and self._attempt is not None:
                    self._cancel(self._attempt)
                elif message["op"] == "exit":
                    self._attempts.put(None)
        except (EOFError, OSError):
            self._die()

    def _cancel(self, attempt: Attempt) -> None:
        if not attempt.canceled.is_set():
            attempt.canceled.set()
            threading.Thread(target=self._press, args=(attempt,), daemon=True).start()

    def _press(self, attempt: Attempt) -> None:
        """Stop the attempt. The main thread looks at ``canceled`` after each change of phase, and
        the phase is read here after ``canceled`` was set: one of the two sees the other."""
        main = threading.main_thread().ident or 0
        if attempt.phase is Phase.USER_CODE:
            self._connection.cancel()
            signal.pthread_kill(main, signal.SIGINT)
        while not attempt.over.wait(_CANCEL_AGAIN_SECONDS):
            if attempt.phase is Phase.PUBLISHING:
                self._connection.cancel()
            elif attempt.phase is Phase.USER_CODE:
                # For queries of threads that the code waits for. Its own cleanup may go on.
                self._connection.cancel(spare=main)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in user code, once, and nowhere else; the handler of SIGINT."""
        attempt = self._attempt
        if attempt and attempt.phase is Phase.USER_CODE and not attempt.interrupted:
            attempt.interrupted = True
            raise KeyboardInterrupt

    def _die(self) -> None:
        """Leave no process behind: the run worker is gone, and nobody will read our answer."""
        attempt = self._attempt
        if attempt is not None:
            self._cancel(attempt)
            attempt.over.wait(_GRACE_SECONDS)
        kill_marked(self._mark)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    # -- the main thread -----------------------------------------------------------------------

    def _run(self, attempt: Attempt) -> Outcome:
        started_at, clock = time.time(), time.perf_counter()
        try:
            outcome = self._outcome(attempt)
        finally:
            attempt.phase = Phase.OVER
            attempt.over.set()
            self._connection.close()  # nothing of a step's session (settings, transaction) stays
        return replace(outcome, started_at=started_at, seconds=time.perf_counter() - clock)

    def _outcome(self, attempt: Attempt) -> Outcome:
        task = attempt.task
        try:
            with isolated(task.project_root):
                table, error = self._user_code(attempt)
        finally:
            # A child that the user's code forked came back through our frames: it is not us.
            if os.getpid() != self._pid:
                os._exit(0)
            self._streams.restore()  # before a socket gets the number of one that was closed
        if error is not None:
            by_us = attempt.canceled.is_set() and interrupted(error)
            failed = Verdict.ROLLED_BACK if task.publishes else Verdict.FAILED
            return _outcome(task, Verdict.CANCELED if by_us else failed, error)
        if isinstance(task, ScriptTask):
            return Outcome(task.step, task.attempt, Verdict.DONE)
        return self._publish(task, attempt, table)

    def _user_code(self, attempt: Attempt) -> tuple[Any, BaseException | None]:
        """Return the model's table and None, or None and the error. SIGINT enters only here."""
        try:
            try:
                attempt.phase = Phase.USER_CODE
                if attempt.canceled.is_set():
                    raise KeyboardInterrupt
                table = self._call(attempt)
                attempt.phase = Phase.WAITING
                return table, None
            except BaseException as error:
                attempt.phase = Phase.WAITING
                return None, error
        except KeyboardInterrupt as late:  # it came just between an error and the line after
            attempt.phase = Phase.WAITING
            return None, late

    def _call(self, attempt: Attempt) -> Any:
        attempt.reading = self._read_before(attempt.task)
        table = self._file(attempt.task, attempt.reading)
        if self._connection.in_transaction():
            # The end of the session rolls it back; without an error the user's work would be lost.
            raise UserCodeFailed(
                ErrorKind.OPEN_TRANSACTION,
                "the code left a transaction open, which is rolled back:"
                " call warehouse.execute('commit')",
            )
        return table

    def _file(self, task: PythonTask | ScriptTask, reading: Reading | None) -> Any:
        warehouse = Warehouse(self._connection, task.queries, task.relations, reading)
        with bound(warehouse):
            if isinstance(task, ScriptTask):
                return run_script(task)
            value, line = call_model(task, warehouse)
            try:
                if value is None:
                    raise TypeError(f"the model returned nothing; return {ACCEPTED}")
                table = to_arrow(value, "the model's table")
                # A stream runs the user's own code until its end: it must not while publishing.
                return table if hasattr(table, "num_rows") else table.read_all()
            except (TypeError, ValueError) as error:
                name = type(error).__name__
                raise UserCodeFailed(ErrorKind.USER_CODE, str(error), line, name=name) from error

    def _read_before(self, task: PythonTask | ScriptTask) -> Reading | None:
        """What an incremental model is given, so that it returns the rows that are new."""
        if not isinstance(task, PythonTask) or not isinstance(task.materialization, Incremental):
            return None
        question = task.build_from(ArrowFile(""))
        return self._connection.use(lambda session: session.read_before(question))

    def _publish(self, task: PythonTask, attempt: Attempt, table: Any) -> Outcome:
        """Hand the table to the warehouse process, whose answer is the outcome."""
        # On a session of its own: a transaction that the user's code left open is rolled back.
        self._connection.close()
        attempt.phase = Phase.PUBLISHING
        if attempt.canceled.is_set():
            error = KeyboardInterrupt("stopped on request, before its table was published")
            return _outcome(task, Verdict.CANCELED, error)
        try:
            reading = attempt.reading
            return self._connection.use(lambda session: _build(session, task, table, reading))
        except WarehouseLost as error:  # nobody knows yet whether it was published
            return Outcome(task.step, task.attempt, Verdict.UNKNOWN, error=TaskError.of(error))
        except Exception as error:  # before the task was sent: a full disk, no connection
            return _outcome(task, Verdict.ROLLED_BACK, error)

    # -- the outside world ---------------------------------------------------------------------

    def _connect(self) -> Session:
        occupy_standard_descriptors()  # else a session gets a number that print writes to
        session = connect(self._address, environ=self._environ)
        self._send(
            {"op": "session", "session_id": session.session_id, "server_pid": session.server_pid}
        )
        return session

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            with self._sending:
                wire.send(self._control, message)
        except (BrokenPipeError, ConnectionResetError):
            return  # nobody is there: the reader notices, and we end
        except OSError:
            # User code has closed our descriptors: without a word from us the run worker reads the
            # commit record, but it must see that we are gone.
            kill_marked(self._mark)
            os._exit(_EXIT_UNHEARD)

    def _let_go(self) -> None:
        """Close our sockets in a forked child: they must end with this process."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (self._control.fileno(), self._connection.fileno()):
            if number is not None:
                os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)


def _python_task(data: Mapping[str, Any]) -> PythonTask | ScriptTask:
    task = task_from_json(data)
    if not isinstance(task, (PythonTask, ScriptTask)):
        raise TypeError(f"a worker does not run a {type(task).__name__}")
    return task


def _build(session: Session, task: PythonTask, table: Any, reading: Reading | None) -> Outcome:
    """Send the table as an Arrow IPC file; the warehouse process builds and publishes it."""
    path = session.write_bulk(table)
    try:
        return session.run(task.build_from(ArrowFile(path), reading))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _outcome(task: PythonTask | ScriptTask, verdict: Verdict, error: BaseException) -> Outcome:
    found = explain(error, task.file.path)
    if verdict is Verdict.CANCELED:
        found = replace(found, kind=ErrorKind.CANCELED, name="", message="stopped on request")
    return Outcome(task.step, task.attempt, verdict, error=found)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python -m dagster_models.processes.worker", allow_abbrev=False
    )
    parser.add_argument("--control", type=int, required=True, metavar="FD")
    options = parser.parse_args(arguments)
    control = socket.socket(fileno=options.control)
    control.set_inheritable(False)
    leave.forget()
    if os.getpgrp() != os.getpid():
        os.setsid()  # what ends our group must not end the run worker's
    try:
        address = WarehouseAddress.from_json(wire.receive(control))
    except (EOFError, OSError):
        os._exit(0)  # the run worker is gone already
    Worker(control, address).serve()
    _leave()


def _leave() -> NoReturn:
    """Exit without waiting for threads and children that user code left behind."""
    with suppress(Exception):
        atexit._run_exitfuncs()  # a script may have registered some; os._exit runs none
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    os._exit(0)
