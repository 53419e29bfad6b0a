"""All our workers in one run: start, feed, cancel, watch, replace them; one place that waits.

    run worker ── session (Unix socket) ──> warehouse process     one per SQL step in flight
              └── socket pair + 2 pipes ──> script worker         one per Python step in flight

One ``select`` waits for all of it: answers, output, the end of a process, a signal, a thread of
ours that has finished. A worker that dies is an event like any other (loky's sentinels), and costs
only its own step, as each worker has a channel of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from dagster_models.core.messages import Outcome, Task
from dagster_models.errors import WarehouseError
from dagster_models.execution.events import Answered, Happening, Lost, Output, Settled
from dagster_models.execution.script_worker import ScriptWorker, start_script_worker
from dagster_models.execution.sql_workers import SqlWorkers
from dagster_models.processes import wire
from dagster_models.processes.client.session import SessionIdentity, settle

T = TypeVar("T")

_READ_BYTES = 65536
_LINE_BYTES = 4 * _READ_BYTES  #: a longer line is told in pieces
_SETTLE_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 3600.0


class WorkerPool:
    """The workers of one run. ``spec`` is everywhere what ``session.connect`` needs."""

    def __init__(self) -> None:
        self._busy: dict[str, ScriptWorker] = {}
        self._idle_scripts: dict[str, list[ScriptWorker]] = {}
        self._scripts: list[ScriptWorker] = []
        self._calls: deque[Callable[[], Iterable[Happening]]] = deque()
        self._selector = selectors.DefaultSelector()
        self.wake, self._woken = socket.socketpair()
        for end in (self.wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)
        self._sql = SqlWorkers(self._selector, self.call_soon)

    # -- what the executor asks for ------------------------------------------------------------

    def prepare(self, spec: Mapping[str, Any], schemas: Sequence[str]) -> None:
        """Reach the warehouse, make the schemas and the commit record table, once and serially.

        It may wait for a server: call it in a thread where others must not wait meanwhile.

        Raises:
            WarehouseError: it cannot be reached, or refuses.
        """
        self._sql.prepare(spec, _key(spec), schemas)

    def start(self, step: str, task: Task, spec: Mapping[str, Any]) -> None:
        """Hand the task to an idle worker, or to a new one; ``step`` names it from here on.

        Never waits for a server: where a task needs a new session, a thread opens it, and ``wait``
        returns NotStarted if that fails.

        Raises:
            WarehouseError: its session is just gone; nothing was started.
            OSError: no process can be started.
        """
        if task.kind not in ("python", "script"):
            self._sql.start(step, task, spec, _key(spec))
            return
        idle = self._idle_scripts.setdefault(_key(spec), [])
        script = idle.pop() if idle else self._start_script_worker(spec, task.project_root)
        script.step, script.killed = step, False
        self._busy[step] = script
        self._tell(script, {"op": "task", "task": task.to_json()})

    def cancel(self, step: str) -> None:
        """Ask the step's worker to stop; its answer tells what became of it."""
        script = self._busy.get(step)
        if script is None:
            self._sql.cancel(step)
            return
        script.interrupted = True
        self._tell(script, {"op": "cancel"})

    def kill(self, step: str) -> None:
        """End a worker that did not stop in time: SIGKILL, or the end of its session."""
        script = self._busy.get(step)
        if script is None:
            self._sql.kill(step)
            return
        script.killed = True
        script.kill()

    def settle(self, lost: Lost, task: Task, spec: Mapping[str, Any]) -> None:
        """Read the commit record of a task whose worker is lost; ``wait`` returns Settled.

        In a thread, as it waits until the lost session is provably gone.
        """

        def ask() -> Settled:
            try:
                committed = settle(spec, task, lost.session, _SETTLE_SECONDS)
                return Settled(lost.step, committed)
            except WarehouseError as error:
                told = f"its commit record could not be read: {error}"
                return Settled(lost.step, False, told)

        self.call_in_thread(ask, f"settle-{lost.step}")

    def call_in_thread(self, call: Callable[[], Happening], name: str) -> None:
        """Make a call that may wait in a thread of its own; ``wait`` returns what it returned."""

        def run() -> None:
            happening = call()
            self.call_soon(lambda: [happening])

        threading.Thread(target=run, daemon=True, name=name).start()

    def while_listening(
        self, call: Callable[[], T], name: str, stopped: Callable[[], bool]
    ) -> T | None:
        """What a call that may wait for a server returns or raises; None if ``stopped``, which is
        asked after each signal, comes true first. For when nothing is in flight: what else happens
        meanwhile is lost."""

        def attempt() -> tuple[T | None, Exception | None]:
            try:
                return call(), None
            except Exception as error:
                return None, error

        self.call_in_thread(attempt, name)
        while not stopped():
            for result, error in self.wait(None):
                if error is not None:
                    raise error
                return result  # type: ignore[no-any-return]
        return None

    def call_soon(self, call: Callable[[], Iterable[Happening]]) -> None:
        """Thread-safe: let ``wait`` make the call, in its thread, and return what it returns."""
        self._calls.append(call)
        try:
            self.wake.send(b"\0")
        except (BlockingIOError, OSError):
            return  # a full buffer wakes as well; a closed one has nobody to wake

    def wait(self, timeout_seconds: float | None) -> list[Happening]:
        """Wait until something happens, a signal comes or the time is over (None: no limit).

        It may return early: the kernel counts milliseconds in 31 bits.
        """
        if timeout_seconds is not None:
            timeout_seconds = min(timeout_seconds, _LONGEST_WAIT_SECONDS)
        happenings: list[Happening] = []
        # Answers before ends: a worker may answer and exit at once.
        for key, _ in self._selector.select(timeout_seconds):
            happenings += key.data()
        while self._calls:
            happenings += self._calls.popleft()()
        return happenings

    def close(self) -> None:
        """End all workers; what is still in flight is interrupted and rolled back."""
        self._sql.close()
        while self._calls:  # one may bring a session, which is closed; of the others nobody hears
            with contextlib.suppress(Exception):
                self._calls.popleft()()
        for script in self._scripts:
            if script.step is None:
                self._tell(script, {"op": "exit"})
            else:
                script.kill()
        for script in self._scripts:
            try:
                script.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                script.kill()
                script.process.wait()
            self._forget(script)
        self._busy.clear()
        self._selector.close()
        self.wake.close()
        self._woken.close()

    # -- script workers ------------------------------------------------------------------------

    def _start_script_worker(self, spec: Mapping[str, Any], folder: str) -> ScriptWorker:
        worker = start_script_worker(spec, _key(spec), folder)
        self._scripts.append(worker)
        on_control = partial(self._on_control, worker)
        self._selector.register(worker.control, selectors.EVENT_READ, on_control)
        for name, pipe in worker.pipes.items():
            self._selector.register(pipe, selectors.EVENT_READ, partial(self._read, worker, name))

        def reap() -> None:  # the control socket's end is no proof: a fork may hold it open
            worker.wait_for_end()
            self.call_soon(lambda: self._on_exit(worker))

        threading.Thread(target=reap, daemon=True, name=f"reaper-{worker.process.pid}").start()
        return worker

    def _tell(self, worker: ScriptWorker, message: Mapping[str, Any]) -> None:
        try:
            wire.send(worker.control, message)
        except OSError:
            return  # it is gone; its exit is on the way

    def _on_control(self, worker: ScriptWorker) -> list[Happening]:
        try:
            message = wire.receive(worker.control)
        except (EOFError, OSError):
            self._unregister(worker.control)
            return []  # the reaper thread tells of its exit
        if message.get("op") == "session":
            worker.session = SessionIdentity(str(message["session_id"]), message["server_pid"])
        if "outcome" not in message or worker.step is None:
            return []
        step = worker.step
        output = self._drain(worker)  # it flushes before it answers: all of it is here
        worker.step = None
        del self._busy[step]
        if worker.interrupted:
            self._tell(worker, {"op": "exit"})
        else:
            self._idle_scripts[worker.key].append(worker)
        return [*output, Answered(step, Outcome.from_json(message["outcome"]))]

    def _on_exit(self, worker: ScriptWorker) -> list[Happening]:
        """The process has ended. Its last frame may still be unread: an answer is an answer."""
        happenings: list[Happening] = []
        while worker.step is not None and wire.readable(worker.control):
            before = worker.step
            happenings += self._on_control(worker)
            if worker.step == before and not self._registered(worker.control):
                break
        happenings += self._drain(worker)
        if worker.step is not None:
            step = worker.step
            self._busy.pop(step, None)
            told = worker.explain_exit()
            happenings.append(Lost(step, told, worker.killed, worker.session))
        self._forget(worker)
        return happenings

    def _forget(self, worker: ScriptWorker) -> None:
        worker.step = None
        for idle in (self._idle_scripts.get(worker.key, []), self._scripts):
            if worker in idle:
                idle.remove(worker)
        self._unregister(worker.control)
        worker.control.close()
        for pipe in worker.pipes.values():
            self._unregister(pipe)
            pipe.close()

    def _read(self, worker: ScriptWorker, name: str) -> list[Happening]:
        pipe = worker.pipes[name]
        try:
            data = os.read(pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self._unregister(pipe)
            return []
        lines, newline, rest = (worker.partial[name] + data).rpartition(b"\n")
        if len(rest) > _LINE_BYTES:  # copied at each read: a line without an end would take hours
            lines, newline, rest = lines + newline, rest, b""
        worker.partial[name] = rest
        return _output(worker, name, lines + newline)

    def _drain(self, worker: ScriptWorker) -> list[Happening]:
        """All that is in the pipes now, the unfinished last lines too."""
        happenings: list[Happening] = []
        for name, pipe in worker.pipes.items():
            while self._registered(pipe) and (more := self._read_or_none(worker, name)) is not None:
                happenings += more
            rest, worker.partial[name] = worker.partial[name], b""
            happenings += _output(worker, name, rest)
        return happenings

    def _read_or_none(self, worker: ScriptWorker, name: str) -> list[Happening] | None:
        pipe = worker.pipes[name]
        return self._read(worker, name) if wire.readable(pipe) else None

    # -- the selector --------------------------------------------------------------------------

    def _registered(self, file: Any) -> bool:
        return not getattr(file, "closed", False) and file in self._selector.get_map()

    def _unregister(self, file: Any) -> None:
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            return  # not watched any more

    def _on_wake(self) -> list[Happening]:
        try:
            while self._woken.recv(_READ_BYTES):
                pass
        except (BlockingIOError, OSError):
            pass
        return []


def _output(worker: ScriptWorker, name: str, data: bytes) -> list[Happening]:
    if not data or worker.step is None:
        return []  # what a thread that outlived its step writes belongs to nobody
    return [Output(worker.step, name, data.decode("utf-8", errors="replace"))]


def _key(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True)
