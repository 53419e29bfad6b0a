"""What runs on a node of the cluster for one step: an actor of Ray around the local runner.

    run worker ── bridge ──(Ray)──> StepHost ── PythonWorkers ──> the step's process ──> warehouse

The step's process is the one of docs/architecture.md, started by the same runner, so the user's
code meets on a node what it meets at home. Its rows go from there to the warehouse.

A node that nobody reaches must not go on: the run takes the step for lost, and may start another
attempt. So a host has a lease, which each call of ``events`` renews. It counts from the last answer
that the caller has provably got, which is never later than the caller's own clock says. When it has
run out, this process ends at once, and with it the step's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from dagster_models.core.python_code import PythonCode
from dagster_models.core.tasks import PythonTask, ScriptTask, task_from_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.python_workers import PythonWorkers
from dagster_models.processes.client.channel import SessionIdentity
from dagster_models.processes.handshake import PROTOCOL, package_version
from dagster_models.util.environment import names_in

#: After the end of a host: its step sees that, and is killed in this time (processes/worker).
STEP_ENDS_SECONDS = 2.5
WAIT_SECONDS = 1.0  #: for something to report, before ``events`` answers that there is nothing
_LOOK_SECONDS = 0.5
_EXIT_UNREACHED = 5

#: Has a file, a project_root and modules.
Code = TypeVar("Code", PythonTask, ScriptTask, PythonCode)
Message = dict[str, Any]


def version() -> str:
    """What must be equal on both sides, as they exchange tasks."""
    return f"{package_version()} (protocol {PROTOCOL})"


class StepHost:
    """One attempt of one step. Ray calls its methods in threads of their own; ``events`` is called
    again once the call before it has answered."""

    def __init__(self) -> None:
        self._queue = EventQueue()
        self._workers = PythonWorkers(self._queue)
        self._step = ""
        self._session: SessionIdentity | None = None
        self._lease_seconds = 0.0
        self._closed = threading.Event()
        self._answered = self._proved = time.monotonic()

    def where(self) -> tuple[str, str]:
        """The node that this is on, by its id and its address."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()

    def begin(self, given: Mapping[str, Any]) -> str:
        """Start the step; why this node refuses it, "" if it does not."""
        if given["version"] != version():
            return (
                f"dagster-models is {version()} there, and {given['version']} in the run: install"
                " the same version"
            )
        task = task_from_json(given["task"])
        assert isinstance(task, (PythonTask, ScriptTask))
        assert task.on_ray is not None
        there = moved(task, task.on_ray.cluster.project_dir or task.project_root)
        address = WarehouseAddress.from_json(given["address"])
        if why := other_code(there) or unset_variables(address):
            return why
        self._lease_seconds = float(given["lease_seconds"])
        self._answered = self._proved = time.monotonic()
        self._step = there.step
        # Ray's threads block SIGINT, and what they start inherits that: no cancel would arrive.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        try:
            self._workers.start(there.step, there, address)
        except OSError as error:
            return f"no process can be started there: {error}"
        threading.Thread(target=self._watch, daemon=True, name="lease").start()
        return ""

    def events(self) -> list[Message]:
        """What has happened since the last call; [] if it is nothing for a second."""
        self._proved, end = self._answered, time.monotonic() + WAIT_SECONDS
        found: list[Message] = []
        while not found and (left := end - time.monotonic()) > 0:
            found += self._read(left)
        self._answered = time.monotonic()
        return found

    def stay(self) -> None:
        """Renew the lease, and leave the events where they are: the caller cannot take more."""
        self._proved, self._answered = self._answered, time.monotonic()

    def cancel(self) -> None:
        """Raise KeyboardInterrupt in the user's code; the outcome says what became of it."""
        self._queue.call_soon(self._do(self._workers.cancel))

    def kill(self) -> None:
        """SIGKILL for the step's process; its end is an event."""
        self._queue.call_soon(self._do(self._workers.kill))

    def close(self) -> None:
        """End the step's process, and what it has started. This process may go on."""
        self._workers.close()
        self._closed.set()

    def _do(self, what: Callable[[str], None]) -> Callable[[], Iterable[WorkerEvent]]:
        def call() -> Iterable[WorkerEvent]:
            what(self._step)
            return ()

        return call

    def _read(self, seconds: float) -> Iterator[Message]:
        events = self._queue.wait(seconds)
        session = self._workers.session_of(self._step)
        if session is not None and session != self._session:
            self._session = session
            yield {"op": "session", "session": session.session_id}
        for event in events:
            yield _message(event)

    def _watch(self) -> None:
        while time.monotonic() < self._proved + self._lease_seconds:
            if self._closed.wait(_LOOK_SECONDS):
                return
        os._exit(_EXIT_UNREACHED)  # the template sees the end of its socket, and ends the step


def _message(event: WorkerEvent) -> Message:
    if isinstance(event, Output):
        return {"op": "output", "stream": event.stream, "text": event.text}
    if isinstance(event, Answered):
        return {"op": "outcome", "outcome": event.outcome.to_json()}
    assert isinstance(event, Lost)
    session = event.session.session_id if event.session is not None else ""
    return {"op": "lost", "message": event.message, "killed": event.killed, "session": session}


def unset_variables(address: WarehouseAddress) -> str:
    """Why the target leads nowhere from this node; "" if all its variables are set here."""
    names = {name for value in address.settings.values() for name in names_in(value)}
    unset = sorted(names.difference(os.environ))
    which = f"variable{'s' if len(unset) > 1 else ''} {', '.join(unset)}"
    return f"the target needs the environment {which}, which the node lacks" if unset else ""


# The project on the node -------------------------------------------------------------------------


def moved(task: PythonTask | ScriptTask, folder: str) -> PythonTask | ScriptTask:
    """The same task of the project in *folder*."""
    if isinstance(task, ScriptTask):
        own = task.environment
        if own is not None:
            own = replace(own, folder=_path(own.folder, task.project_root, folder))
        return replace(_code(task, folder), environment=own)
    checks = tuple(
        replace(it, code=_code(it.code, folder)) if it.code is not None else it
        for it in task.checks
    )
    return replace(_code(task, folder), checks=checks)


def _code(code: Code, folder: str) -> Code:
    file, *modules = (
        replace(it, path=_path(it.path, code.project_root, folder))
        for it in (code.file, *code.modules)
    )
    return replace(code, file=file, project_root=folder, modules=tuple(modules))


def _path(path: str, root: str, folder: str) -> str:
    """The path, below *folder* if it was below *root*."""
    return folder + path[len(root) :] if path.startswith(f"{root}/") else path


def other_code(task: PythonTask | ScriptTask) -> str:
    """Why the project on this node is not the one that the run has loaded; "" if it is."""
    if not os.path.isdir(task.project_root):
        return (
            f"the project's folder is not there: {task.project_root}. Copy it to each node, or set"
            " `ray: {project_dir: ...}` in dagster_models.yaml"
        )
    codes = [it.code for it in getattr(task, "checks", ()) if it.code is not None]
    for file in dict.fromkeys(it for code in (task, *codes) for it in (code.file, *code.modules)):
        try:
            with open(file.path, "rb") as opened:
                same = file.is_as_loaded(opened.read())
        except OSError as error:
            return f"{file.name or file.path} cannot be read there: {error.strerror}"
        if not same:
            return (
                f"{file.name or file.path} is another one there than the run has loaded: copy the"
                " project to each node"
            )
    return ""
