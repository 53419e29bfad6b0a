"""Python steps run in worker processes: one per step in flight, warm for the whole run.

    run worker ── socket pair + 2 pipes ──> python worker

Each worker has a channel of its own, so a worker that dies costs only its own step.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import PythonTask, ScriptTask, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.python_worker import PythonWorker, start_python_worker
from dagster_models.processes import wire
from dagster_models.processes.client.channel import SessionIdentity

_READ_BYTES = 65536
_LINE_BYTES = 4 * _READ_BYTES  #: longer lines are reported in pieces


class PythonWorkers:
    """The Python worker processes of one run; a StepRunner."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._busy: dict[str, PythonWorker] = {}
        self._idle: dict[WarehouseAddress, list[PythonWorker]] = {}
        self._workers: list[PythonWorker] = []

    def start(self, step: str, task: PythonTask | ScriptTask, address: WarehouseAddress) -> None:
        """Hand the task to an idle worker, or to a new one.

        Raises:
            OSError: no process can be started.
        """
        idle = self._idle.setdefault(address, [])
        worker = idle.pop() if idle else self._start_worker(address, task.project_root)
        worker.step, worker.killed = step, False
        self._busy[step] = worker
        self._send(worker, {"op": "task", "task": task_to_json(task)})

    def cancel(self, step: str) -> None:
        """Raise KeyboardInterrupt in the user's code; the answer says what became of it."""
        worker = self._busy.get(step)
        if worker is not None:
            worker.interrupted = True
            self._send(worker, {"op": "cancel"})

    def kill(self, step: str) -> None:
        """SIGKILL."""
        worker = self._busy.get(step)
        if worker is not None:
            worker.killed = True
            worker.kill()

    def close(self) -> None:
        for worker in self._workers:
            if worker.step is None:
                self._send(worker, {"op": "exit"})
            else:
                worker.kill()
        for worker in tuple(self._workers):
            try:
                worker.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.process.wait()
            self._forget(worker)
        self._busy.clear()

    # -- processes -----------------------------------------------------------------------------

    def _start_worker(self, address: WarehouseAddress, folder: str) -> PythonWorker:
        worker = start_python_worker(address, folder)
        self._workers.append(worker)
        self._queue.watch(worker.control, partial(self._on_control, worker))
        for name, pipe in worker.pipes.items():
            self._queue.watch(pipe, partial(self._read, worker, name))

        def reap() -> None:  # the control socket's end proves nothing: a fork may hold it open
            worker.wait_for_end()
            self._queue.call_soon(lambda: self._on_exit(worker))

        threading.Thread(target=reap, daemon=True, name=f"reaper-{worker.process.pid}").start()
        return worker

    def _send(self, worker: PythonWorker, message: Mapping[str, Any]) -> None:
        try:
            wire.send(worker.control, message)
        except OSError:
            return  # it is gone, and its exit will be noticed

    def _on_control(self, worker: PythonWorker) -> list[WorkerEvent]:
        try:
            message = wire.receive(worker.control)
        except (EOFError, OSError):
            self._queue.unwatch(worker.control)
            return []  # the reaper thread reports its exit
        if message.get("op") == "session":
            worker.session = SessionIdentity(str(message["session_id"]), message["server_pid"])
        if "outcome" not in message or worker.step is None:
            return []
        step = worker.step
        output = self._drain(worker)  # all of it is here, as the worker flushes before it answers
        worker.step = None
        del self._busy[step]
        if worker.interrupted:
            self._send(worker, {"op": "exit"})
        else:
            self._idle[worker.address].append(worker)
        outcome = Outcome.from_json(message["outcome"])
        if outcome.verdict is Verdict.UNKNOWN:  # it lost the warehouse process while it published
            said = outcome.error.message if outcome.error else ""
            return [*output, Lost(step, said, worker.killed, worker.session)]
        return [*output, Answered(step, outcome)]

    def _on_exit(self, worker: PythonWorker) -> list[WorkerEvent]:
        """The process has ended. Its last frame may still be unread, and may be the answer."""
        events: list[WorkerEvent] = []
        while worker.step is not None and wire.readable(worker.control):
            before = worker.step
            events += self._on_control(worker)
            if worker.step == before and not self._queue.watches(worker.control):
                break
        events += self._drain(worker)
        if worker.step is not None:
            step = worker.step
            self._busy.pop(step, None)
            events.append(Lost(step, worker.explain_exit(), worker.killed, worker.session))
        self._forget(worker)
        return events

    def _forget(self, worker: PythonWorker) -> None:
        worker.step = None
        for workers in (self._idle.get(worker.address, []), self._workers):
            if worker in workers:
                workers.remove(worker)
        self._queue.unwatch(worker.control)
        worker.control.close()
        for pipe in worker.pipes.values():
            self._queue.unwatch(pipe)
            pipe.close()

    # -- output --------------------------------------------------------------------------------

    def _read(self, worker: PythonWorker, name: str) -> list[WorkerEvent]:
        pipe = worker.pipes[name]
        try:
            data = os.read(pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self._queue.unwatch(pipe)
            return []
        lines, newline, rest = (worker.partial[name] + data).rpartition(b"\n")
        if len(rest) > _LINE_BYTES:  # it is copied at each read: an endless line would take hours
            lines, newline, rest = lines + newline, rest, b""
        worker.partial[name] = rest
        return _output(worker, name, lines + newline)

    def _drain(self, worker: PythonWorker) -> list[WorkerEvent]:
        """Everything that is in the pipes now, including unfinished last lines."""
        events: list[WorkerEvent] = []
        for name, pipe in worker.pipes.items():
            while self._queue.watches(pipe) and wire.readable(pipe):
                events += self._read(worker, name)
            rest, worker.partial[name] = worker.partial[name], b""
            events += _output(worker, name, rest)
        return events


def _output(worker: PythonWorker, name: str, data: bytes) -> list[WorkerEvent]:
    if not data or worker.step is None:
        return []  # written by a thread that outlived its step: it belongs to no step
    return [Output(worker.step, name, data.decode("utf-8", errors="replace"))]
