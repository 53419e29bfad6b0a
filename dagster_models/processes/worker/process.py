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
the answer is UNKNOWN and the run worker reads the commit record. A query that has a check in Python
is only the second part, in which the warehouse waits for what that function finds.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from dagster_models.core.copied import Copied
from dagster_models.core.materializations import AddedTo, Custom, Reading
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.parts import joined, latest, transactions
from dagster_models.core.plain import plain
from dagster_models.core.tasks import (
    ArrowFile,
    BuildTask,
    ChecksTask,
    PythonTask,
    Query,
    ScriptTask,
    Task,
)
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.client.partition import partition_of
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.warehouse import Warehouse, bound
from dagster_models.processes.worker.checks import run_check
from dagster_models.processes.worker.controlled import Attempt, Controlled, Phase
from dagster_models.processes.worker.copy import copy_rows
from dagster_models.processes.worker.isolation import Streams, isolated, occupy_standard_descriptors
from dagster_models.processes.worker.kinds import build_in_transaction, once
from dagster_models.processes.worker.libraries import loaded_libraries
from dagster_models.processes.worker.model_table import build, discard, empty_delta, taken
from dagster_models.processes.worker.usercode import (
    MODEL,
    UserCodeFailed,
    call,
    explain,
    interrupted,
    run_exit_functions,
    run_script,
)

T = TypeVar("T")


class StepProcess(Controlled):
    """This process. ``run`` returns when the step is over and its outcome was sent."""

    def __init__(self, control: socket.socket, address: WarehouseAddress) -> None:
        super().__init__(control)
        self._address = address
        # Before user code can change it: where we publish is none of its business.
        self._environ = dict(os.environ)
        self._connection = StepConnection(self._connect)
        self._streams = Streams()
        self._pid = os.getpid()
        self._modules = set(sys.modules)  # of the template, in a fork

    def run(self, task: Task) -> None:
        attempt = self._attempt = Attempt(task)
        self._listen()
        started_at, clock = time.time(), time.perf_counter()
        try:
            outcome = self._outcome(attempt)
        finally:
            attempt.phase = Phase.OVER
            # The answer says that nothing happens any more, also in threads that the user's code
            # has left behind. If that takes too long, a cancel or the model's timeout kills this
            # process, and the run worker reports that.
            self._connection.end()
            attempt.over.set()
        outcome = replace(outcome, started_at=started_at, seconds=time.perf_counter() - clock)
        self._streams.flush()  # before the answer: the run worker then takes all output
        self._send({"outcome": outcome.to_json(), "loaded": loaded_libraries(task, self._modules)})
        self._leave(attempt)

    # -- the main thread -----------------------------------------------------------------------

    def _outcome(self, attempt: Attempt) -> Outcome:
        """Of all parts of the task; after one that was not published none is begun."""
        task = attempt.task
        if isinstance(task, ScriptTask):
            return self._one(attempt, task)
        if not isinstance(task, PythonTask):
            return self._sent(attempt, task, lambda session: session.run(task, self._check))
        outcomes: list[Outcome] = []
        for part in transactions(task):
            attempt.task = part
            outcomes.append(self._one(attempt, part))
            attempt.found = latest(attempt.found, outcomes[-1].checks)
            if not outcomes[-1].succeeded:
                break
        return joined(outcomes)

    def _one(self, attempt: Attempt, task: PythonTask | ScriptTask) -> Outcome:
        table, error = self._ran(task.project_root, partial(self._call, attempt, task))
        if error is not None:
            # The warehouse process may have got the SIGTERM, too, before we were asked to stop.
            stopped = interrupted(error) or isinstance(error, WarehouseLost)
            by_us = attempt.canceled.is_set() and stopped
            return _outcome(task, Verdict.CANCELED if by_us else _failed(task), error)
        if isinstance(task, ScriptTask):
            return Outcome(task.step, task.attempt, Verdict.DONE)
        return self._publish(task, attempt, table)

    def _ran(self, root: str, call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
        """Return what ``call`` returns, which runs the user's code, and None; or None and the
        error."""
        try:
            with isolated(root):
                return self._user_code(self._attempt, call)
        finally:
            # A child that the user's code forked came back through our frames: it is not us.
            if os.getpid() != self._pid:
                os._exit(0)

    def _user_code(
        self, attempt: Attempt, call: Callable[[], T]
    ) -> tuple[T | None, BaseException | None]:
        """SIGINT enters only here."""
        try:
            try:
                attempt.phase = Phase.USER_CODE
                if attempt.canceled.is_set():
                    raise KeyboardInterrupt
                found = call()
                attempt.phase = Phase.WAITING
                return found, None
            except BaseException as error:
                attempt.phase = Phase.WAITING
                return None, error
        except KeyboardInterrupt as late:  # it came just between an error and the line after
            attempt.phase = Phase.WAITING
            return None, late

    def _check(self, session: Session, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the Python function of a check, for which the warehouse waits with an open
        transaction; what it has found. It reads on the same session, in that transaction."""
        attempt, before = self._attempt, self._connection
        assert not isinstance(attempt.task, ScriptTask)
        check = next(it for it in attempt.task.checks if it.name == asked["check"])
        assert check.code is not None
        own = self._connection = StepConnection(once(lambda: session))
        code, relation = check.code, asked["relation"]

        def run() -> dict[str, Any]:
            with _exit_functions_after():
                return run_check(check, code, relation, own)

        try:
            found, error = self._ran(code.project_root, run)
            own.leave()
        finally:
            self._connection = before
        attempt.phase = Phase.PUBLISHING
        attempt.withheld = attempt.canceled.is_set()
        if attempt.withheld:
            return {"canceled": True}
        return found or {"error": plain(explain(error or KeyboardInterrupt(), code.file.path))}

    def _call(self, attempt: Attempt, task: PythonTask | ScriptTask) -> Any:
        if isinstance(task, PythonTask) and isinstance(task.materialization, Custom):
            self._connection = StepConnection(once(self._connect))
            with _exit_functions_after():
                build_in_transaction(task, task.materialization, self._connection)
            return None
        attempt.reading = self._read_before(task)
        if isinstance(task, PythonTask) and task.copied is not None:
            return self._copied(task, task.copied, attempt)
        table = self._file(task, attempt.reading)
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
            take = partial(taken, self._connection, no_rows)
            return call(MODEL, task, task.step, warehouse, take)

    def _read_before(self, task: PythonTask | ScriptTask) -> Reading | None:
        """What an incremental model is given, so that it returns the rows that are new."""
        if not isinstance(task, PythonTask) or not isinstance(task.materialization, AddedTo):
            return None
        question = task.build_from(ArrowFile(""))
        return self._connection.use(lambda session: session.read_before(question))

    def _publish(self, task: PythonTask, attempt: Attempt, table: Any) -> Outcome:
        """Hand the table to the warehouse process, whose answer is the outcome."""
        how = task.materialization
        if attempt.canceled.is_set():
            discard(table)
        elif not isinstance(how, Custom):
            # On a session of its own: what the user's code left open is rolled back, and what a
            # thread of it still runs has ended before anybody can read the new table.
            used, self._connection = self._connection, StepConnection(self._connect)
            used.end()

        def send(session: Session) -> Outcome:
            if isinstance(how, Custom):
                used = self._connection
                try:
                    return session.run(task.build_from(Query(how.query)), self._check)
                finally:  # else a thread of the kind's could write after the COMMIT
                    used.refuse()
            made = build(session, task, table, attempt.reading, self._check, attempt.found)
            return replace(made, notes=(*attempt.notes, *made.notes))

        return self._sent(attempt, task, send)

    def _sent(
        self,
        attempt: Attempt,
        task: BuildTask | ChecksTask | PythonTask,
        send: Callable[[Session], Outcome],
    ) -> Outcome:
        """What the warehouse answers to a task."""
        attempt.phase = Phase.PUBLISHING
        stopped = KeyboardInterrupt("stopped on request, before its table was published")
        if attempt.canceled.is_set():
            return _outcome(task, Verdict.CANCELED, stopped)
        try:
            return self._connection.use(send)
        except WarehouseLost as error:
            whole = isinstance(task, ChecksTask) or len(tuple(transactions(task))) == 1
            if attempt.withheld and whole:  # without our word nothing was published
                return _outcome(task, Verdict.CANCELED, stopped)
            # Nobody knows yet whether it was published.
            return Outcome(task.step, task.attempt, Verdict.UNKNOWN, error=TaskError.of(error))
        except Exception as error:  # before the task was sent: a full disk, no connection
            return _outcome(task, _failed(task), error)

    # -- the outside world ---------------------------------------------------------------------

    def _connect(self) -> Session:
        occupy_standard_descriptors()  # else a session gets a number that print writes to
        session = connect(self._address, environ=self._environ)
        self._send(
            {"op": "session", "session_id": session.session_id, "server_pid": session.server_pid}
        )
        return session


def _failed(task: Task) -> Verdict:
    return Verdict.ROLLED_BACK if task.publishes else Verdict.FAILED


def _outcome(task: Task, verdict: Verdict, error: BaseException) -> Outcome:
    file = "" if isinstance(task, (BuildTask, ChecksTask)) else task.file.path
    copies = isinstance(task, PythonTask) and task.copied is not None
    if isinstance(error, WarehouseError) and (copies or not file):
        found = TaskError.of(error)  # its line is one of the query
    else:
        found = explain(error, file)
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
