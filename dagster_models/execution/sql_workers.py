"""The sessions of a run that build SQL models: one per step in flight, reached without waiting.

    start ──> an idle session ─────────────────────────────> busy ──> Answered, Lost
          └─> _Reaching: a thread connects ──> any session that comes free ──┘
                         └─> NotStarted: it cannot be reached, or the step was canceled

A server that is away, or has no room for another session, keeps only the tasks waiting that need
one. Where it has no room, those wait for as long as a session of this run may still come free.
"""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.messages import Task
from dagster_models.errors import Canceled, ErrorKind, WarehouseError
from dagster_models.execution.events import Answered, Happening, Lost, NotStarted
from dagster_models.processes import wire
from dagster_models.processes.client.session import Session, connect

#: Lets the pool's ``wait`` make a call, in its thread.
CallSoon = Callable[[Callable[[], Iterable[Happening]]], None]


@dataclass(slots=True)
class _Worker:
    """A session of the warehouse process."""

    session: Session
    key: str  # of its warehouse
    step: str | None = None
    killed: bool = False


@dataclass(slots=True)
class _Reaching:
    """A task that waits for a session. ``refused``: the server has room for no other one."""

    step: str
    task: Task
    key: str
    refused: WarehouseError | None = None


class SqlWorkers:
    """The sessions of one run. All but ``prepare`` is called in the thread of the pool's wait.

    ``key`` is everywhere what stands for a warehouse.
    """

    def __init__(self, selector: selectors.BaseSelector, call_soon: CallSoon) -> None:
        self._selector, self._call_soon = selector, call_soon
        self._busy: dict[str, _Worker | _Reaching] = {}
        self._idle: dict[str, list[_Worker]] = {}
        self._closing = threading.Lock()  # between close and threads that bring a session
        self._closed = False

    def prepare(self, spec: Mapping[str, Any], key: str, schemas: Sequence[str]) -> None:
        """See ``WorkerPool.prepare``."""
        session = connect(spec)
        try:
            session.prepare(schemas)
        except BaseException:
            session.close()
            raise
        self._bring(session, key)

    def start(self, step: str, task: Task, spec: Mapping[str, Any], key: str) -> None:
        """Raises WarehouseError: the session is just gone; nothing was started."""
        worker = self._living(key)
        if worker is not None:
            self._send(worker, step, task)
            return
        self._busy[step] = reaching = _Reaching(step, task, key)
        name = f"reach-{step}"
        thread = threading.Thread(target=self._reach, args=(reaching, spec), daemon=True, name=name)
        thread.start()

    def cancel(self, step: str) -> None:
        """Harmless for a step that is not in flight here."""
        worker = self._busy.get(step)
        if isinstance(worker, _Worker):
            worker.session.cancel()
        elif worker is not None:
            self._give_up(worker)

    def kill(self, step: str) -> None:
        """End the session of a step that did not stop in time; harmless as ``cancel``."""
        worker = self._busy.get(step)
        if isinstance(worker, _Worker):
            worker.killed = True
            worker.session.shutdown()  # the select sees the end; the warehouse process rolls back
        elif worker is not None:
            self._give_up(worker)

    def close(self) -> None:
        """End all sessions; what a thread still brings is closed as it comes."""
        with self._closing:
            self._closed = True
        idle = [worker for workers in self._idle.values() for worker in workers]
        for worker in (*self._busy.values(), *idle):
            if isinstance(worker, _Worker):
                worker.session.close()
        self._busy.clear()
        self._idle.clear()

    # -- sessions that are there ---------------------------------------------------------------

    def _living(self, key: str) -> _Worker | None:
        idle = self._idle.setdefault(key, [])
        while idle:
            worker = idle.pop()
            if not wire.readable(worker.session):  # an idle session says nothing but its end
                return worker
            worker.session.close()
        return None

    def _send(self, worker: _Worker, step: str, task: Task) -> None:
        worker.session.send({"op": "task", "task": task.to_json()})
        worker.step, worker.killed = step, False
        self._busy[step] = worker
        self._selector.register(
            worker.session, selectors.EVENT_READ, lambda: self._on_answer(worker)
        )

    def _on_answer(self, worker: _Worker) -> list[Happening]:
        step = worker.step
        assert step is not None
        self._selector.unregister(worker.session)
        worker.step = None
        del self._busy[step]
        try:
            outcome = worker.session.receive_outcome()
        except WarehouseError as error:
            worker.session.close()
            lost = Lost(step, error.message, worker.killed, worker.session.identity)
            return [lost, *self._refuse_those_in_vain(worker.key)]
        return [Answered(step, outcome), *self._free(worker)]

    def _free(self, worker: _Worker) -> list[Happening]:
        """A session without a task: for the first that waits for one, or for later."""
        waiting = next(iter(self._reaching(worker.key)), None)
        if waiting is None:
            self._idle.setdefault(worker.key, []).append(worker)
            return []
        try:
            self._send(worker, waiting.step, waiting.task)
        except WarehouseError as error:  # it is just gone
            worker.session.close()
            return self._not_started(waiting, error)
        return []

    # -- sessions that are to come -------------------------------------------------------------

    def _reach(self, waiting: _Reaching, spec: Mapping[str, Any]) -> None:
        """In a thread of its own: a server that is away may take its time."""
        try:
            session = connect(spec)
        except Exception as error:  # whatever it is, the step must end
            told = error if isinstance(error, WarehouseError) else _unexpected(error)
            self._call_soon(lambda: self._unreached(waiting, told))
        else:
            self._bring(session, waiting.key)

    def _bring(self, session: Session, key: str) -> None:
        """Thread-safe: a new session, for the first task that waits for one."""
        with self._closing:
            if not self._closed:
                self._call_soon(lambda: self._reached(_Worker(session, key)))
                return
        session.close()

    def _reached(self, worker: _Worker) -> list[Happening]:
        if self._closed:
            worker.session.close()
            return []
        return self._free(worker)

    def _unreached(self, waiting: _Reaching, error: WarehouseError) -> list[Happening]:
        if self._busy.get(waiting.step) is not waiting:
            return []  # given up, or another session came free
        if error.kind is ErrorKind.TOO_MANY_SESSIONS:
            waiting.refused = error
            return self._refuse_those_in_vain(waiting.key)
        return self._not_started(waiting, error)

    def _refuse_those_in_vain(self, key: str) -> list[Happening]:
        """Tasks that wait for a session of ours to come free, where none is left that could."""
        if any(isinstance(w, _Worker) and w.key == key for w in self._busy.values()):
            return []
        return [
            happening
            for waiting in self._reaching(key)
            if waiting.refused is not None
            for happening in self._not_started(waiting, waiting.refused)
        ]

    def _give_up(self, waiting: _Reaching) -> None:
        """What the thread still brings is for the next one."""
        stopped = Canceled(ErrorKind.CANCELED, "stopped before it had a session of the warehouse")
        told = self._not_started(waiting, stopped)
        self._call_soon(lambda: told)

    def _not_started(self, waiting: _Reaching, error: WarehouseError) -> list[Happening]:
        del self._busy[waiting.step]
        return [NotStarted(waiting.step, error)]

    def _reaching(self, key: str) -> list[_Reaching]:
        return [w for w in self._busy.values() if isinstance(w, _Reaching) and w.key == key]


def _unexpected(error: Exception) -> WarehouseError:
    return WarehouseError(
        ErrorKind.UNREACHABLE,
        f"the warehouse cannot be reached: {error}",
        name=type(error).__name__,
    )
