"""Plays a history with real processes: follows a run, and interferes at the moments it names."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

import truth_child
from truth_projects import Interference
from truth_warehouses import Truth

#: A run that is not over by then hangs.
LONGEST_SECONDS = 60.0

_forkserver = multiprocessing.get_context("forkserver")
_starting = threading.Lock()  # multiprocessing looks after the children of all threads at once


def start_the_fork_server() -> None:
    """Let it import what every run needs, once."""
    _forkserver.set_forkserver_preload(["truth_child"])
    path = os.environ.get("PYTHONPATH")
    # Python passes our sys.path on to it only since 3.12.3, and is silent of what it cannot import.
    os.environ["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), *filter(None, [path])])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


@dataclass
class Played:
    """What was seen of a run from outside."""

    exit_code: int | None = None
    terminal: str = ""
    done: list[str] = field(default_factory=list)  # actions that took place
    story: list[str] = field(default_factory=list)  # points, actions and ends, in order
    survivors: list[str] = field(default_factory=list)
    hurt: set[str] = field(default_factory=set)  # steps that a kill may have hit; "*": any
    late: bool = False  # a signal may have come when the executor was through

    def did(self, *actions: str) -> bool:
        return any(action in actions for action in self.done)

    @property
    def killed(self) -> bool:
        return any(action.startswith("kill") for action in self.done)

    @property
    def stopped(self) -> bool:
        """The run worker has noticed a signal."""
        return "Stopping: " in self.terminal


@dataclass(frozen=True)
class Came:
    """Who comes to a point: a process of the run, and the server's that works for it (0: none)."""

    pid: int = 0
    backend: int = 0


class Player:
    """One ``dagster job execute`` in *root*, followed until the last process of it has ended."""

    def __init__(
        self, root: Path, home: Path, truth: Truth, interferences: Sequence[Interference]
    ) -> None:
        self._root, self._home, self._truth = root, home, truth
        self._interferences = interferences
        self._seen: Counter[tuple[str, str]] = Counter()
        self._played = Played()
        self._line = b""
        self._due: list[tuple[float, Interference, Came]] = []
        self._held: list[socket.socket] = []  # processes that go on when a stop is noticed
        self._asks_again = False
        self._watched: set[int] = set()
        self._selector = selectors.DefaultSelector()

    def play(self, config: Mapping[str, Any]) -> Played:
        listener = socket.socket(socket.AF_UNIX)
        address = self._root.parent / "points"
        address.unlink(missing_ok=True)
        listener.bind(str(address))
        listener.listen(64)
        ours, theirs = _forkserver.Pipe(duplex=False)
        self._process = _forkserver.Process(
            target=truth_child.execute,
            args=(str(self._root), self._environment(str(address)), self._command(config), theirs),
        )
        with _starting:
            self._process.start()
        theirs.close()
        self._watch(listener, self._on_point)
        self._watch(ours, self._on_output)
        self._watch(self._process.sentinel, self._on_exit)
        with listener, ours:
            self._follow()
        self._selector.close()
        return self._played

    def _environment(self, address: str) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(truth_child.HOOK), os.environ.get("PYTHONPATH"))))
        return {
            "DAGSTER_HOME": str(self._home),
            "NO_COLOR": "1",
            "PYTHONPATH": path,
            "DAGSTER_MODELS_TRUTH_POINTS": address,
            **self._truth.env,
        }

    def _command(self, config: Mapping[str, Any]) -> list[str]:
        path = self._root / "run_config.yaml"
        path.write_text(json.dumps({"execution": {"config": config}}))
        return [*["job", "execute", "-f", "definitions.py", "-j", "test", "--config"], str(path)]

    # -- following -------------------------------------------------------------------------------

    def _watch(self, file: Any, on_ready: Any) -> None:
        self._selector.register(file, selectors.EVENT_READ, partial(on_ready, file))

    def _follow(self) -> None:
        end = time.monotonic() + LONGEST_SECONDS
        while self._played.exit_code is None or self._watched:
            now = time.monotonic()
            if now > end:
                self._give_up()
                return
            soonest = min((at for at, _, _ in self._due), default=end)
            for key, _ in self._selector.select(max(0.0, min(soonest, end) - now)):
                key.data()
            for due in [due for due in self._due if due[0] <= time.monotonic()]:
                self._due.remove(due)
                self._act(*due[1:])

    def _give_up(self) -> None:
        alive = [] if self._played.exit_code is not None else [self._process.pid]
        for pid in [*alive, *self._processes()]:
            self._played.survivors.append(f"{pid} {_read_of(pid, 'cmdline')}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> list[int]:
        """The run's other processes: they have inherited the address of the points."""
        ours = f"DAGSTER_MODELS_TRUTH_POINTS={self._root.parent / 'points'}\0"
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if ours in _read_of(pid, "environ")]

    def _on_exit(self, sentinel: int) -> None:
        self._selector.unregister(sentinel)
        with _starting:
            self._played.exit_code = self._process.exitcode
        self._played.story.append(f"run worker ended: {self._played.exit_code}")
        self._release()
        self._watch_the_others()

    def _watch_the_others(self) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                watched = os.pidfd_open(pid)
                self._watched.add(watched)
                self._watch(watched, self._on_end)

    def _on_end(self, watched: int) -> None:
        self._selector.unregister(watched)
        self._watched.remove(watched)
        os.close(watched)
        if not self._watched:
            self._watch_the_others()  # one of them may have started another

    def _on_output(self, pipe: Any) -> None:
        data = os.read(pipe.fileno(), 65536)
        if not data:
            self._selector.unregister(pipe)
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            self._played.terminal += text + "\n"
            if "Stopping: " in text:
                self._played.story.append("stop noticed")
                if self._asks_again:
                    self._signal(signal.SIGTERM)
                self._release()
            self._comes_to("line", "", Came())

    def _on_point(self, listener: socket.socket) -> None:
        sock, _ = listener.accept()
        said = sock.recv(4096).decode().split()
        if len(said) != 4:  # killed while it said so
            sock.close()
            return
        came, point, step = Came(int(said[0]), int(said[3])), said[1], said[2]
        self._played.story.append(f"{point} {step} ({came.pid})")
        if self._comes_to(point, step, came) and self._played.exit_code is None:
            self._held.append(sock)
        else:
            sock.close()

    def _release(self) -> None:
        for sock in self._held:
            sock.close()
        self._held.clear()

    # -- interfering -----------------------------------------------------------------------------

    def _comes_to(self, point: str, step: str, came: Came) -> bool:
        """Act if it is time to; True: the process must wait until the stop is noticed."""
        self._seen[point, step] += 1
        count, hold = self._seen[point, step], False
        for it in self._interferences:
            on_time = count >= it.nth if it.always else count == it.nth
            if (it.point, it.step) == (point, step) and on_time:
                if it.delay_seconds is not None:
                    self._due.append((time.monotonic() + it.delay_seconds, it, came))
                else:
                    self._act(it, came)
                    # The run worker cannot notice anything while it waits for us itself.
                    waits = it.patient and point != "journaled"
                    hold = hold or (waits and not it.action.startswith("kill"))
        return hold and not self._played.stopped

    def _act(self, it: Interference, came: Came) -> None:
        if self._played.exit_code is not None:
            return
        action = it.action
        if action == "kill here":
            action = {"code": "kill worker", "journaled": "kill run"}.get(
                it.point, "kill warehouse"
            )
        # Only who is held at a point is surely not past the end, and still busy with its step.
        held = it.delay_seconds is None and it.point != "line"
        alone = action == "kill worker" or (action == "kill session" and came.backend)
        if action == "kill run":
            self._signal(signal.SIGKILL)
        elif action.startswith("kill"):
            self._played.hurt.add(it.step if held and alone else "*")
            self._kill(action, came)
        elif action == "int":
            self._signal(signal.SIGINT)
        elif action == "terminate":
            self._terminate()
        else:
            self._asks_again = self._asks_again or action == "term twice"
            self._signal(signal.SIGTERM)
        self._played.late = self._played.late or not held
        self._played.done.append(action)
        self._played.story.append(f"! {action}")

    def _kill(self, action: str, came: Came) -> None:
        if action == "kill session":
            self._truth.end_session(came.backend)
        elif action == "kill server":
            self._truth.kill_backend(came.backend)
        else:
            warehouse = action == "kill warehouse"
            for pid in self._warehouse_processes() if warehouse else [came.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _warehouse_processes(self) -> list[int]:
        return [
            p
            for p in self._processes()
            if "dagster_models.processes.server" in _read_of(p, "cmdline")
        ]

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def _terminate(self) -> None:
        """As the UI's Terminate: the run is marked, then the code server interrupts its process."""
        with DagsterInstance.from_config(str(self._home)) as instance:
            (run,) = instance.get_runs(limit=1)
            if not run.is_finished:
                instance.report_run_canceling(run)
                self._signal(signal.SIGINT)


def _read_of(pid: int | None, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="replace")
    except OSError:
        return ""  # it has ended meanwhile
