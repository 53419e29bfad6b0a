"""Python steps, each run in a process of its own, which is a fork of one template.

    run worker ── socket pair ──> template ──fork──┐
         └─────── socket pair + 2 pipes ──> python worker, one per step

Each worker has a channel of its own, so a worker that dies costs only its own step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import ScriptTask, Task, project_root_of, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.python_worker import (
    PythonWorker,
    WorkerTemplate,
    explain_worker_end,
    start_template,
)
from dagster_models.processes import wire
from dagster_models.processes.client.channel import SessionIdentity

_READ_BYTES = 65536
_LINE_BYTES = 4 * _READ_BYTES  #: longer lines are reported in pieces


class PythonWorkers:
    """The Python worker processes of one run; a StepRunner."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._template: WorkerTemplate | None = None
        self._workers: dict[str, PythonWorker] = {}  # whose outcome has not come, by step
        self._warm: set[str] = set()  # modules of libraries that steps of this run need

    def start(self, step: str, task: Task, address: WarehouseAddress) -> None:
        """Let the template start a worker, and hand it the task.

        Raises:
            OSError: no process can be started.
        """
        if not isinstance(task, ScriptTask):
            self._warm.add("pyarrow")  # a model's table, and the rows of a check
        if self._template is None:
            self._template = start_template(project_root_of(task))
            self._queue.watch(self._template.control, partial(self._on_template, self._template))
        worker = self._template.start(step, self._warm)
        self._workers[step] = worker
        self._queue.watch(worker.control, partial(self._on_control, worker))
        for name, pipe in worker.pipes.items():
            self._queue.watch(pipe, partial(self._read, worker, name))
        # It is not among the arguments, which every user of the machine can list.
        self._send(worker, address.to_json())
        self._send(worker, {"op": "task", "task": task_to_json(task)})

    def cancel(self, step: str) -> None:
        """Raise KeyboardInterrupt in the user's code; the answer says what became of it."""
        worker = self._workers.get(step)
        if worker is not None:
            self._send(worker, {"op": "cancel"})

    def kill(self, step: str) -> None:
        """SIGKILL."""
        worker = self._workers.get(step)
        if worker is not None and self._template is not None:
            worker.killed = True
            self._template.kill(worker)

    def session_of(self, step: str) -> SessionIdentity | None:
        """The session that a step which runs has opened last; None while it has none."""
        worker = self._workers.get(step)
        return None if worker is None else worker.session

    def close(self) -> None:
        for step in tuple(self._workers):
            self.kill(step)
        if self._template is not None:
            self._queue.unwatch(self._template.control)
            self._template.close()
            self._template = None
        for worker in tuple(self._workers.values()):
            self._forget(worker)

    # -- processes -----------------------------------------------------------------------------

    def _send(self, worker: PythonWorker, message: Mapping[str, Any]) -> None:
        try:
            wire.send(worker.control, message)
        except OSError:
            return  # it is gone, and its end will be reported

    def _on_template(self, template: WorkerTemplate) -> list[WorkerEvent]:
        """The template reports the end of a worker, or has ended itself."""
        try:
            message = wire.receive(template.control)
        except (EOFError, OSError):
            return list(self._on_end_of(template))
        found = (it for it in self._workers.values() if it.mark == message["mark"])
        worker = next(found, None)
        return [] if worker is None else self._on_exit(worker, explain_worker_end(message))

    def _on_end_of(self, template: WorkerTemplate) -> Iterator[WorkerEvent]:
        """Give up its workers, which end when their sockets do; the next step starts another."""
        self._queue.unwatch(template.control)
        template.control.close()
        self._template = None
        why = template.explain_end()
        for worker in tuple(self._workers.values()):
            yield from self._on_exit(worker, why)

    def _on_control(self, worker: PythonWorker) -> list[WorkerEvent]:
        try:
            message = wire.receive(worker.control)
            if message.get("op") == "session":
                worker.session = SessionIdentity(str(message["session_id"]), message["server_pid"])
            if "outcome" not in message:
                return []
            outcome = Outcome.from_json(message["outcome"])
        except (EOFError, OSError):
            self._queue.unwatch(worker.control)
            return []  # the template reports its exit
        except Exception as error:  # it runs the user's code, which may do anything
            self._give_up(worker, error)
            return []
        output = self._drain(worker)  # all of it is here, as the worker flushes before it answers
        self._warm.update(message.get("loaded", ()))
        self._forget(worker)
        if outcome.verdict is Verdict.UNKNOWN:  # it lost the warehouse process while it published
            said = outcome.error.message if outcome.error else ""
            return [*output, Lost(worker.step, said, worker.killed, worker.session)]
        return [*output, Answered(worker.step, outcome)]

    def _on_exit(self, worker: PythonWorker, why: str) -> list[WorkerEvent]:
        """The process has ended. Its last frames may still be unread, even the answer."""
        events: list[WorkerEvent] = []
        while self._queue.watches(worker.control) and wire.readable(worker.control):
            events += self._on_control(worker)
        if worker.step not in self._workers:
            return events
        events += self._drain(worker)
        self._forget(worker)
        return [*events, Lost(worker.step, worker.spoilt or why, worker.killed, worker.session)]

    def _give_up(self, worker: PythonWorker, error: Exception) -> None:
        """End a worker whose messages cannot be read; the template reports its end."""
        self._queue.unwatch(worker.control)
        worker.spoilt = (
            "its answer could not be read: the code has written to a socket that is not its own, or"
            f" changed functions of the standard library ({error})"
        )
        if self._template is not None:
            self._template.kill(worker)

    def _forget(self, worker: PythonWorker) -> None:
        del self._workers[worker.step]
        for file in (worker.control, *worker.pipes.values()):
            self._queue.unwatch(file)
        worker.close()

    # -- output --------------------------------------------------------------------------------

    def _read(self, worker: PythonWorker, name: str) -> list[WorkerEvent]:
        pipe = worker.pipes[name]
        if pipe.closed:  # its step has just ended
            return []
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
    return [Output(worker.step, name, data.decode("utf-8", errors="replace"))] if data else []
