"""Runs SQL steps in sessions of the warehouse process, one session per step in flight.

    start ──> an idle session ─────────────────────────────> busy ──> Answered, Lost
          └─> _Waiting: a thread connects ──> any session that comes free ──┘
                         └─> NotStarted: it cannot be reached, or the step was canceled

If a database server cannot be reached, or accepts no further session, only the tasks that need a
new session wait. In the second case they wait as long as a session of this run may become free.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.core.extras import Export
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, ChecksTask, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import Canceled, ErrorKind, WarehouseError
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, NotStarted, WorkerEvent
from dagster_models.processes import wire
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.exports import settle


@dataclass(slots=True)
class _Open:
    """An open session. ``step``: the step that it runs. ``killed``: this run ended the session."""

    session: Session
    address: WarehouseAddress
    step: str = ""
    killed: bool = False


@dataclass(slots=True)
class _Waiting:
    """A task that waits for a session. ``refused``: the server's refusal to open one."""

    step: str
    task: BuildTask | ChecksTask
    address: WarehouseAddress
    refused: WarehouseError | None = None


class SqlSessions:
    """The sessions of one run; a StepRunner. Steps with the same address share them."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._busy: dict[str, _Open | _Waiting] = {}
        self._idle: dict[WarehouseAddress, list[_Open]] = {}
        self._opening: Counter[WarehouseAddress] = Counter()  # threads that open a session
        self._closing = threading.Lock()  # for close, and for threads that bring a session
        self._closed = False

    def prepare(
        self,
        address: WarehouseAddress,
        schemas: Sequence[str],
        exports: Sequence[tuple[Relation, Export]] = (),
        sessions: int = 1,
    ) -> None:
        """Reach the warehouse and create what the run needs there: schemas, commit record table.
        Exports of which an earlier run was killed after its COMMIT are switched now.

        Call it in a thread of its own, as it may wait for a server. Its session serves the run's
        first task. Meanwhile others are opened, so that there are as many *sessions* for the tasks
        that start first: such a task would count as started while it waits for one.

        Raises:
            WarehouseError: the warehouse cannot be reached, or refuses this.
        """
        session = connect(address)
        self._opening[address] += max(1, sessions)  # this one, too
        for number in range(1, sessions):
            self._start_opening(address, f"connect-{number}", ahead=True)
        try:
            session.prepare(schemas)
            for relation, export in exports:
                settle(session, relation, export)
        except BaseException:
            session.close()
            raise
        self._bring(session, address)

    def start(self, step: str, task: BuildTask | ChecksTask, address: WarehouseAddress) -> None:
        """Hand the task to an idle session; if there is none, a thread opens one.

        Raises:
            WarehouseError: the session has just ended; nothing was started.
        """
        idle = self._living(address)
        if idle is not None:
            self._send(idle, step, task)
            return
        self._busy[step] = _Waiting(step, task, address)
        self._reach_for_waiting(address)

    def cancel(self, step: str) -> None:
        """Interrupt the statement; the warehouse's answer says what became of it."""
        busy = self._busy.get(step)
        if isinstance(busy, _Open):
            busy.session.cancel()
        elif busy is not None:
            self._give_up(busy)

    def kill(self, step: str) -> None:
        """End the session, which the queue notices; the warehouse process rolls back."""
        busy = self._busy.get(step)
        if isinstance(busy, _Open):
            busy.killed = True
            busy.session.shutdown()
        elif busy is not None:
            self._give_up(busy)

    def close(self) -> None:
        """End all sessions. Those that a thread is still opening are closed when they open."""
        with self._closing:
            self._closed = True
        idle = [session for sessions in self._idle.values() for session in sessions]
        for busy in (*self._busy.values(), *idle):
            if isinstance(busy, _Open):
                busy.session.close()
        self._busy.clear()
        self._idle.clear()

    # -- sessions that are open ----------------------------------------------------------------

    def _living(self, address: WarehouseAddress) -> _Open | None:
        idle = self._idle.setdefault(address, [])
        while idle:
            found = idle.pop()
            if not wire.readable(found.session):  # an idle session is readable only at its end
                return found
            found.session.close()
        return None

    def _send(self, idle: _Open, step: str, task: BuildTask | ChecksTask) -> None:
        idle.session.send({"op": "task", "task": task_to_json(task)})
        idle.step, idle.killed = step, False
        self._busy[step] = idle
        self._queue.watch(idle.session, lambda: self._on_answer(idle))

    def _on_answer(self, busy: _Open) -> list[WorkerEvent]:
        self._queue.unwatch(busy.session)
        del self._busy[busy.step]
        try:
            outcome = busy.session.receive_outcome()
        except WarehouseError as error:
            return self._on_loss(busy, error.message)
        if outcome.verdict is Verdict.UNKNOWN:
            return self._on_loss(busy, outcome.error.message if outcome.error else "")
        return [Answered(busy.step, outcome), *self._free(busy)]

    def _on_loss(self, busy: _Open, message: str) -> list[WorkerEvent]:
        busy.session.close()
        lost = Lost(busy.step, message, busy.killed, busy.session.identity)
        return [lost, *self._refuse_those_in_vain(busy.address)]

    def _free(self, idle: _Open) -> list[WorkerEvent]:
        """Give a session that is free to the first task that waits for one, or keep it."""
        waiting = next(iter(self._waiting(idle.address)), None)
        if waiting is None:
            self._idle.setdefault(idle.address, []).append(idle)
            return []
        try:
            self._send(idle, waiting.step, waiting.task)
        except WarehouseError as error:  # it has just ended
            idle.session.close()
            return self._not_started(waiting, error)
        return []

    # -- sessions that are being opened --------------------------------------------------------

    def _reach_for_waiting(self, address: WarehouseAddress) -> None:
        """Let there be a thread that opens a session for each task that waits for a new one. It is
        for no certain task: the first one gets the session that comes first."""
        for waiting in self._unserved(address):
            self._opening[address] += 1
            self._start_opening(address, f"connect-{waiting.step}", ahead=False)

    def _unserved(self, address: WarehouseAddress) -> list[_Waiting]:
        """The tasks that wait for a new session, beyond those that are being opened."""
        new = [waiting for waiting in self._waiting(address) if waiting.refused is None]
        return new[self._opening[address] :]

    def _start_opening(self, address: WarehouseAddress, name: str, ahead: bool) -> None:
        given = (address, ahead)
        threading.Thread(target=self._open, args=given, daemon=True, name=name).start()

    def _open(self, address: WarehouseAddress, ahead: bool) -> None:
        """Open a session. This runs in a thread of its own, because a server that cannot be reached
        may keep it waiting."""
        try:
            session = connect(address)
        except Exception as error:  # whatever it is, the step must end
            known = error if isinstance(error, WarehouseError) else _unexpected(error)
            self._queue.call_soon(lambda: self._on_refusal(address, known, ahead))
        else:
            self._bring(session, address)

    def _bring(self, session: Session, address: WarehouseAddress) -> None:
        """Take in a new session, for the first task that waits for one. Thread-safe."""
        with self._closing:
            if not self._closed:
                self._queue.call_soon(lambda: self._on_session(_Open(session, address)))
                return
        session.close()

    def _on_session(self, idle: _Open) -> list[WorkerEvent]:
        if self._closed:
            idle.session.close()
            return []
        self._opening[idle.address] -= 1
        events = self._free(idle)
        self._reach_for_waiting(idle.address)  # a task that was refused may have got it
        return events

    def _on_refusal(
        self, address: WarehouseAddress, error: WarehouseError, ahead: bool
    ) -> list[WorkerEvent]:
        """Of a session *ahead* of the tasks nobody hears: a task that waits for one tries again."""
        self._opening[address] -= 1
        if self._closed:
            return []
        if ahead:
            self._reach_for_waiting(address)
            return []
        waiting = next(iter(self._unserved(address)), None)
        if waiting is None:  # given up, or another session came free
            return []
        if error.kind is ErrorKind.TOO_MANY_SESSIONS:
            waiting.refused = error
            return self._refuse_those_in_vain(address)
        return self._not_started(waiting, error)

    def _refuse_those_in_vain(self, address: WarehouseAddress) -> list[WorkerEvent]:
        """End the tasks that wait for a session in use to become free, if no session is in use."""
        if any(isinstance(busy, _Open) and busy.address == address for busy in self._busy.values()):
            return []
        return [
            event
            for waiting in self._waiting(address)
            if waiting.refused is not None
            for event in self._not_started(waiting, waiting.refused)
        ]

    def _give_up(self, waiting: _Waiting) -> None:
        """End a task that still waits. The session that is being opened is for the next one."""
        stopped = Canceled(ErrorKind.CANCELED, "stopped before it had a session of the warehouse")
        self._queue.put(*self._not_started(waiting, stopped))

    def _not_started(self, waiting: _Waiting, error: WarehouseError) -> list[WorkerEvent]:
        del self._busy[waiting.step]
        return [NotStarted(waiting.step, error)]

    def _waiting(self, address: WarehouseAddress) -> list[_Waiting]:
        return [w for w in self._busy.values() if isinstance(w, _Waiting) and w.address == address]


def _unexpected(error: Exception) -> WarehouseError:
    return WarehouseError(
        ErrorKind.UNREACHABLE,
        f"the warehouse cannot be reached: {error}",
        name=type(error).__name__,
    )
