"""All our workers in one run: start, feed, cancel, watch, replace them; one place that waits.

    run worker ── session (Unix socket) ──> warehouse process     one per SQL step in flight
              └── socket pair + 2 pipes ──> script worker         one per Python step in flight

One ``select`` waits for all of it: answers, output, the end of a process, a signal, a thread of
ours that has finished. A worker that dies is an event like any other (loky's sentinels), and costs
only its own step, as each worker has a channel of its own.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, TypeAlias

from dagster_models import wire
from dagster_models.core.messages import Outcome, Task
from dagster_models.errors import WarehouseError, WarehouseLost
from dagster_models.session import Session, connect

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Answered:
    """The worker's answer to a task."""

    step: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is gone without an answer. ``killed``: by us, because it did not stop."""

    step: str
    message: str
    killed: bool


@dataclass(frozen=True, slots=True)
class Output:
    """Lines that a step wrote; ``stream`` is "stdout" or "stderr", ``text`` whole lines."""

    step: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The commit record was read. ``error``: it could not be, and nobody can tell."""

    step: str
    committed: bool
    error: str = ""


Happening: TypeAlias = Any
"""Answered, Lost, Output, Settled, or what a call given to ``call_soon`` returned."""


@dataclass(slots=True)
class _SqlWorker:
    """A session of the warehouse process."""

    session: Session
    key: str  # of its warehouse
    step: str | None = None
    killed: bool = False


@dataclass(slots=True)
class _ScriptWorker:
    """A process of our own; ``partial`` holds the unfinished last line of each stream."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    key: str
    step: str | None = None
    killed: bool = False
    partial: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})


_Worker = _SqlWorker | _ScriptWorker


class WorkerPool:
    """The workers of one run. ``spec`` is everywhere what ``session.connect`` needs."""

    def __init__(self) -> None:
        self._busy: dict[str, _Worker] = {}
        self._idle_sql: dict[str, list[_SqlWorker]] = {}
        self._idle_scripts: dict[str, list[_ScriptWorker]] = {}
        self._scripts: list[_ScriptWorker] = []
        self._calls: deque[Callable[[], Iterable[Happening]]] = deque()
        self._selector = selectors.DefaultSelector()
        self.wake, self._woken = socket.socketpair()
        for end in (self.wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)

    # -- what the executor asks for ------------------------------------------------------------

    def prepare(self, spec: Mapping[str, Any], schemas: Sequence[str]) -> None:
        """Reach the warehouse, make the schemas and the commit record table, once and serially.

        Raises:
            WarehouseError: it cannot be reached, or refuses.
        """
        worker = _SqlWorker(connect(spec), _key(spec))
        self._idle_sql.setdefault(worker.key, []).append(worker)
        worker.session.prepare(schemas)

    def start(self, step: str, task: Task, spec: Mapping[str, Any]) -> None:
        """Hand the task to an idle worker, or to a new one; ``step`` names it from here on.

        Raises:
            WarehouseError: the warehouse cannot be reached; nothing was started.
        """
        message = {"op": "task", "task": task.to_json()}
        if task.kind in ("python", "script"):
            idle = self._idle_scripts.setdefault(_key(spec), [])
            script = idle.pop() if idle else self._start_script_worker(spec, task.project_root)
            script.step, script.killed = step, False
            self._busy[step] = script
            self._tell(script, message)
            return
        worker = self._living_session(spec)
        worker.session.send(message)
        worker.step, worker.killed = step, False
        self._busy[step] = worker
        self._selector.register(worker.session, selectors.EVENT_READ, lambda: self._on_sql(worker))

    def cancel(self, step: str) -> None:
        """Ask the step's worker to stop; its answer tells what became of it."""
        worker = self._busy.get(step)
        if isinstance(worker, _SqlWorker):
            worker.session.cancel()
        elif worker is not None:
            self._tell(worker, {"op": "cancel"})

    def kill(self, step: str) -> None:
        """End a worker that did not stop in time: SIGKILL, or the end of its session."""
        worker = self._busy.get(step)
        if worker is None:
            return
        worker.killed = True
        if isinstance(worker, _ScriptWorker):
            _kill_group(worker.process)
        else:
            worker.session.shutdown()  # the select sees its end; the warehouse process rolls back

    def settle(self, step: str, task: Task, spec: Mapping[str, Any]) -> None:
        """Read the commit record of a task whose worker is lost; ``wait`` returns Settled.

        In a thread, as it waits until the lost session is provably gone.
        """

        def ask() -> None:
            try:
                with connect(spec) as session:
                    settled = Settled(step, session.settle(task))
            except WarehouseError as error:
                settled = Settled(step, False, f"its commit record could not be read: {error}")
            self.call_soon(lambda: [settled])

        threading.Thread(target=ask, daemon=True, name=f"settle-{step}").start()

    def call_soon(self, call: Callable[[], Iterable[Happening]]) -> None:
        """Thread-safe: let ``wait`` make the call, in its thread, and return what it returns."""
        self._calls.append(call)
        try:
            self.wake.send(b"\0")
        except (BlockingIOError, OSError):
            return  # a full buffer wakes as well; a closed one has nobody to wake

    def wait(self, timeout_seconds: float | None) -> list[Happening]:
        """Wait until something happens, a signal comes or the time is over (None: no limit)."""
        happenings: list[Happening] = []
        # Answers before ends: a worker may answer and exit at once.
        for key, _ in self._selector.select(timeout_seconds):
            happenings += key.data()
        while self._calls:
            happenings += self._calls.popleft()()
        return happenings

    def close(self) -> None:
        """End all workers; what is still in flight is interrupted and rolled back."""
        for busy in self._busy.values():
            if isinstance(busy, _SqlWorker):
                busy.session.close()
        for idle in self._idle_sql.values():
            for worker in idle:
                worker.session.close()
        for script in self._scripts:
            if script.step is None:
                self._tell(script, {"op": "exit"})
            else:
                _kill_group(script.process)
        for script in self._scripts:
            try:
                script.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                _kill_group(script.process)
                script.process.wait()
            self._forget(script)
        self._busy.clear()
        self._selector.close()
        self.wake.close()
        self._woken.close()

    # -- sessions ------------------------------------------------------------------------------

    def _living_session(self, spec: Mapping[str, Any]) -> _SqlWorker:
        idle = self._idle_sql.setdefault(_key(spec), [])
        while idle:
            worker = idle.pop()
            if not _readable(worker.session):  # an idle session says nothing but its end
                return worker
            worker.session.close()
        return _SqlWorker(connect(spec), _key(spec))

    def _on_sql(self, worker: _SqlWorker) -> list[Happening]:
        step = worker.step
        assert step is not None
        self._selector.unregister(worker.session)
        worker.step = None
        del self._busy[step]
        try:
            answer = worker.session.receive()
        except WarehouseLost as error:
            worker.session.close()
            return [Lost(step, error.message, worker.killed)]
        except WarehouseError:
            worker.session.close()
            raise
        self._idle_sql[worker.key].append(worker)
        return [Answered(step, Outcome.from_json(answer["outcome"]))]

    # -- script workers ------------------------------------------------------------------------

    def _start_script_worker(self, spec: Mapping[str, Any], folder: str) -> _ScriptWorker:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "dagster_models.worker", "--control"]
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C in the terminal is for the run worker alone
            cwd=folder,
        )
        theirs.close()
        worker = _ScriptWorker(process, ours, _key(spec))
        self._scripts.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_control(worker))
        for name, pipe in _pipes(process):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, partial(self._read, worker, name))

        def reap() -> None:  # the control socket's end is no proof: a fork may hold it open
            process.wait()
            self.call_soon(lambda: self._on_exit(worker))

        threading.Thread(target=reap, daemon=True, name=f"reaper-{process.pid}").start()
        return worker

    def _tell(self, worker: _ScriptWorker, message: Mapping[str, Any]) -> None:
        try:
            wire.send(worker.control, message)
        except OSError:
            return  # it is gone; its exit is on the way

    def _on_control(self, worker: _ScriptWorker) -> list[Happening]:
        try:
            message = wire.receive(worker.control)
        except (EOFError, OSError):
            self._unregister(worker.control)
            return []  # the reaper thread tells of its exit
        if "outcome" not in message or worker.step is None:
            return []
        step = worker.step
        output = self._drain(worker)  # it flushes before it answers: all of it is here
        worker.step = None
        del self._busy[step]
        self._idle_scripts[worker.key].append(worker)
        return [*output, Answered(step, Outcome.from_json(message["outcome"]))]

    def _on_exit(self, worker: _ScriptWorker) -> list[Happening]:
        """The process has ended. Its last frame may still be unread: an answer is an answer."""
        happenings: list[Happening] = []
        while worker.step is not None and _readable(worker.control):
            before = worker.step
            happenings += self._on_control(worker)
            if worker.step == before and not self._registered(worker.control):
                break
        happenings += self._drain(worker)
        if worker.step is not None:
            step = worker.step
            self._busy.pop(step, None)
            happenings.append(Lost(step, explain_exit(worker.process), worker.killed))
        self._forget(worker)
        return happenings

    def _forget(self, worker: _ScriptWorker) -> None:
        worker.step = None
        for idle in (self._idle_scripts.get(worker.key, []), self._scripts):
            if worker in idle:
                idle.remove(worker)
        self._unregister(worker.control)
        worker.control.close()
        for _, pipe in _pipes(worker.process):
            self._unregister(pipe)
            pipe.close()

    def _read(self, worker: _ScriptWorker, name: str) -> list[Happening]:
        pipe = dict(_pipes(worker.process))[name]
        try:
            data = os.read(pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self._unregister(pipe)
            return []
        lines, newline, rest = (worker.partial[name] + data).rpartition(b"\n")
        worker.partial[name] = rest
        return _output(worker, name, lines + newline)

    def _drain(self, worker: _ScriptWorker) -> list[Happening]:
        """All that is in the pipes now, the unfinished last lines too."""
        happenings: list[Happening] = []
        for name, pipe in _pipes(worker.process):
            while self._registered(pipe) and (more := self._read_or_none(worker, name)) is not None:
                happenings += more
            rest, worker.partial[name] = worker.partial[name], b""
            happenings += _output(worker, name, rest)
        return happenings

    def _read_or_none(self, worker: _ScriptWorker, name: str) -> list[Happening] | None:
        pipe = dict(_pipes(worker.process))[name]
        return self._read(worker, name) if _readable(pipe) else None

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


def _pipes(process: subprocess.Popen[bytes]) -> list[tuple[str, IO[bytes]]]:
    assert process.stdout is not None
    assert process.stderr is not None
    return [("stdout", process.stdout), ("stderr", process.stderr)]


def _output(worker: _ScriptWorker, name: str, data: bytes) -> list[Happening]:
    if not data or worker.step is None:
        return []  # what a thread that outlived its step writes belongs to nobody
    return [Output(worker.step, name, data.decode("utf-8", errors="replace"))]


def _key(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True)


def _readable(file: Any) -> bool:
    """Something, or the end, can be read at once. By poll: select knows no descriptor past 1023."""
    try:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """The process and whatever it started: it leads a session of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def explain_exit(process: subprocess.Popen[bytes]) -> str:
    """One sentence on how a process ended, and what usually causes that."""
    code = process.returncode
    if code is None or code >= 0:
        return (
            f"its process (pid {process.pid}) exited with code {code} before it answered: "
            "the code called os._exit, or the interpreter was torn down"
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = _SIGNALS.get(name, "")
    return f"its process (pid {process.pid}) was ended by {name}{': ' + why if why else ''}"


_SIGNALS = {
    "SIGKILL": "usually the system's out-of-memory killer, or somebody's kill -9",
    "SIGSEGV": "a crash inside a library written in C",
    "SIGABRT": "a library written in C gave up, often for lack of memory",
    "SIGBUS": "often a full disk or /dev/shm",
    "SIGTERM": "somebody asked it to end",
    "SIGXFSZ": "a file grew past the allowed size",
}
