"""The process of one Python step: a fork of the template, or an interpreter of its own.

    run worker ──control (socket pair)── reader thread           main thread: the user's code
         │                                     └── SIGINT, cancel ──────┘          │
         └────────── stdout, stderr (pipes of this step) ──────────────────────────┤
                                             warehouse process ──── session ───────┘

First it receives its warehouse's address, then ``{"op": "task", "task": ...}``, and perhaps
``{"op": "cancel"}``; it sends ``{"op": "session", "session_id": ..., "server_pid": ...}`` for each
session that it opens, and ``{"outcome": ..., "loaded": [...]}`` after all output of the step was
written. Then it ends. If the control socket ends before that, the run worker is dead: the whole
process group ends.

A step has two parts. While the user's code runs, a cancel raises KeyboardInterrupt in it. While its
table is published, a cancel only asks the warehouse, whose answer counts: a commit that won the
race is COMMITTED. When the warehouse process is lost while it publishes, nobody here can know, so
the answer is UNKNOWN and the run worker reads the commit record.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from dagster_models.core.copied import Copied
from dagster_models.core.materializations import AddedTo, Custom, Reading
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.parts import joined, transactions
from dagster_models.core.tasks import ArrowFile, PythonTask, Query, ScriptTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import wire
from dagster_models.processes.client.partition import partition_of
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.client.warehouse import (
    StepConnection,
    Warehouse,
    bound,
)
from dagster_models.processes.worker.copy import copy_rows
from dagster_models.processes.worker.isolation import Streams, isolated, occupy_standard_descriptors
from dagster_models.processes.worker.kinds import build_in_transaction, once
from dagster_models.processes.worker.model_table import build, discard, empty_delta, taken
from dagster_models.processes.worker.usercode import (
    UserCodeFailed,
    call_model,
    explain,
    interrupted,
    run_exit_functions,
    run_script,
)
from dagster_models.util.orphans import MARK, kill_marked

#: Libraries that the template imports once a step has needed them. polars is not among them, as its
#: import starts threads.
WARM = ("numpy", "pandas", "pyarrow")

_GRACE_SECONDS = 0.5  #: for user code to be interrupted when the run worker is dead
_CANCEL_AGAIN_SECONDS = 0.05  #: a cancel that reaches the warehouse before the task does is lost
_ASKED_SECONDS = 3.0  #: for the run worker to ask us to stop, after a SIGTERM that it got, too
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
    notes: tuple[str, ...] = ()  #: what the user should know of the rows of a copy


class StepProcess:
    """This process. ``run`` returns when the step is over and its outcome was sent."""

    def __init__(self, control: socket.socket, address: WarehouseAddress) -> None:
        self._control, self._address = control, address
        self._sending = threading.Lock()
        # Before user code can change it: where we publish is none of its business.
        self._environ = dict(os.environ)
        self._connection = StepConnection(self._connect)
        self._streams = Streams()
        self._pid = os.getpid()
        self._mark = os.environ.get(MARK, "")
        self._masks: dict[int, set[signal.Signals | int]] = {}  # while a thread forks
        self._modules = set(sys.modules)  # of the template, in a fork

    def run(self, task: PythonTask | ScriptTask) -> None:
        attempt = self._attempt = Attempt(task)
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        os.register_at_fork(
            before=self._hold_back_sigterm,
            after_in_parent=self._take_sigterm,
            after_in_child=self._let_go,
        )
        threading.Thread(target=self._read, daemon=True, name="control").start()
        started_at, clock = time.time(), time.perf_counter()
        try:
            outcome = self._outcome(attempt)
        finally:
            attempt.phase = Phase.OVER
            attempt.over.set()
            self._connection.close()
        outcome = replace(outcome, started_at=started_at, seconds=time.perf_counter() - clock)
        self._streams.flush()  # before the answer: the run worker then takes all output
        self._send({"outcome": outcome.to_json(), "loaded": self._loaded_libraries(task)})
        self._leave(attempt)

    # -- the reader thread ---------------------------------------------------------------------

    def _read(self) -> None:
        attempt = self._attempt
        try:
            while True:
                if wire.receive(self._control)["op"] == "cancel":
                    self._cancel(attempt)
        except (EOFError, OSError):
            if not attempt.over.is_set():
                self._die(attempt)

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
        if attempt.phase is Phase.USER_CODE and not attempt.interrupted:
            attempt.interrupted = True
            raise KeyboardInterrupt

    def _on_terminate(self, signum: int, frame: FrameType | None) -> None:
        """Wait for the run worker to ask us to stop, or die of SIGTERM; its handler.

        A service or container that is stopped sends SIGTERM to all of its processes, and the run
        worker then cancels its steps. If it does not, the signal was meant for this process alone.
        """
        if not self._attempt.canceled.wait(_ASKED_SECONDS):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _die(self, attempt: Attempt) -> None:
        """Leave no process behind: the run worker is gone, and nobody will read our answer."""
        self._cancel(attempt)
        attempt.over.wait(_GRACE_SECONDS)
        self._kill_all()

    def _kill_all(self) -> NoReturn:
        """Kill all that the step has started, and this process."""
        kill_marked(self._mark)
        os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    def _leave(self, attempt: Attempt) -> None:
        """End what the step left in our group. If it was stopped, kill that: an interrupt may come
        between the start of a process and the ``try`` that would end it."""
        if attempt.canceled.is_set():
            self._kill_all()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpgrp(), signal.SIGTERM)

    # -- the main thread -----------------------------------------------------------------------

    def _outcome(self, attempt: Attempt) -> Outcome:
        """Of all parts of the task; after one that was not published none is begun."""
        if isinstance(attempt.task, ScriptTask):
            return self._one(attempt)
        outcomes: list[Outcome] = []
        for part in transactions(attempt.task):
            attempt.task = part
            outcomes.append(self._one(attempt))
            if not outcomes[-1].succeeded:
                break
        return joined(outcomes)

    def _one(self, attempt: Attempt) -> Outcome:
        task = attempt.task
        try:
            with isolated(task.project_root):
                table, error = self._user_code(attempt)
        finally:
            # A child that the user's code forked came back through our frames: it is not us.
            if os.getpid() != self._pid:
                os._exit(0)
        if error is not None:
            # The warehouse process may have got the SIGTERM, too, before we were asked to stop.
            stopped = interrupted(error) or isinstance(error, WarehouseLost)
            by_us = attempt.canceled.is_set() and stopped
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
        task = attempt.task
        if isinstance(task, PythonTask) and isinstance(task.materialization, Custom):
            self._connection = StepConnection(once(self._connect))
            with _exit_functions_after():
                build_in_transaction(task, task.materialization, self._connection)
            return None
        attempt.reading = self._read_before(attempt.task)
        if isinstance(task, PythonTask) and task.copied is not None:
            return self._copied(task, task.copied, attempt)
        table = self._file(attempt.task, attempt.reading)
        if self._connection.in_transaction():
            # The end of the session rolls it back; without an error the user's work would be lost.
            raise UserCodeFailed(
                ErrorKind.OPEN_TRANSACTION,
                "the code left a transaction open, which is rolled back:"
                " call warehouse.execute('commit')",
            )
        return table

    def _copied(self, task: PythonTask, copied: Copied, attempt: Attempt) -> str:
        """The file of the rows that are copied from another warehouse."""
        elsewhere = partial(connect, environ=self._environ)
        rows = copy_rows(
            copied,
            task.materialization,
            attempt.reading,
            here=self._address,
            connection=self._connection,
            connect=elsewhere,
        )
        attempt.notes = rows.notes
        return rows.path

    def _file(self, task: PythonTask | ScriptTask, reading: Reading | None) -> Any:
        partition = partition_of(task) if isinstance(task, PythonTask) else None
        warehouse = Warehouse(self._connection, task.queries, task.relations, reading, partition)
        with bound(warehouse), _exit_functions_after():
            if isinstance(task, ScriptTask):
                return run_script(task)
            no_rows = empty_delta(task, warehouse, reading)
            return call_model(task, warehouse, partial(taken, self._connection, no_rows))

    def _read_before(self, task: PythonTask | ScriptTask) -> Reading | None:
        """What an incremental model is given, so that it returns the rows that are new."""
        if not isinstance(task, PythonTask) or not isinstance(task.materialization, AddedTo):
            return None
        question = task.build_from(ArrowFile(""))
        return self._connection.use(lambda session: session.read_before(question))

    def _publish(self, task: PythonTask, attempt: Attempt, table: Any) -> Outcome:
        """Hand the table to the warehouse process, whose answer is the outcome."""
        how = task.materialization
        if not isinstance(how, Custom):
            # On a session of its own: what the user's code left open is rolled back.
            self._connection.close()
        attempt.phase = Phase.PUBLISHING
        if attempt.canceled.is_set():
            discard(table)
            error = KeyboardInterrupt("stopped on request, before its table was published")
            return _outcome(task, Verdict.CANCELED, error)
        try:
            if isinstance(how, Custom):
                own = task.build_from(Query(how.query))
                return self._connection.use(lambda session: session.run(own))
            reading = attempt.reading
            made = self._connection.use(lambda session: build(session, task, table, reading))
            return replace(made, notes=(*attempt.notes, *made.notes))
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

    def _loaded_libraries(self, task: PythonTask | ScriptTask) -> list[str]:
        """The modules of WARM that the step has loaded, but for the project's own of that name."""
        if isinstance(task, ScriptTask) and task.environment is not None:
            return []  # of versions of its own
        inside = os.path.join(task.project_root, "") if task.project_root else "\0"
        return [
            name
            for name in set(sys.modules) - self._modules
            if name.partition(".")[0] in WARM
            and not (getattr(sys.modules[name], "__file__", None) or "").startswith(inside)
        ]

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

    def _hold_back_sigterm(self) -> None:
        """Before a fork: Python forgets the signals that a child handles before it is set up."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._masks[threading.get_ident()] = mask

    def _take_sigterm(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident()))

    def _let_go(self) -> None:
        """Close our sockets in a forked child, which must end with this process, and let it die of
        SIGTERM: multiprocessing ends its children by that."""
        if signal.getsignal(signal.SIGTERM) == self._on_terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._take_sigterm()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (self._control.fileno(), self._connection.fileno()):
            if number is not None:
                os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)


def _outcome(task: PythonTask | ScriptTask, verdict: Verdict, error: BaseException) -> Outcome:
    copies = isinstance(task, PythonTask) and task.copied is not None
    if copies and isinstance(error, WarehouseError):
        found = TaskError.of(error)  # its line is one of the query
    else:
        found = explain(error, task.file.path)
    if verdict is Verdict.CANCELED:
        found = replace(found, kind=ErrorKind.CANCELED, name="", message="stopped on request")
    return Outcome(task.step, task.attempt, verdict, error=found)


@contextmanager
def _exit_functions_after() -> Iterator[None]:
    """Call what the user's code has registered with atexit, as the end of a program does."""
    try:
        yield
    finally:
        run_exit_functions()
