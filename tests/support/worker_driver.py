"""Drives a real template and its step processes over sockets and pipes, as the run worker does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.messages import Outcome
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.tasks import Task, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes import wire
from dagster_models.util.orphans import MARK, kill_marked
from tasks import python_task, script_task

WAIT_SECONDS = 30


class Pipe:
    """All that came through a pipe, read by a thread; waits are for bytes, not for time."""

    def __init__(self, file: Any) -> None:
        self._file, self._text, self._ended = file, b"", False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            data = self._file.read1(65536)
            with self._news:
                self._text += data
                self._ended = not data
                self._news.notify_all()
            if not data:
                return

    def take(self, end: str = "") -> str:
        """What came since the last take; waits until it contains ``end``."""
        with self._news:
            assert self._news.wait_for(
                lambda: end.encode() in self._text or self._ended, WAIT_SECONDS
            ), f"{end!r} did not come, only {self._text!r}"
            taken, self._text = self._text, b""
            return taken.decode()

    def wait_for_end(self) -> None:
        """Until every process that held the other end is gone."""
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive(), "a process still holds the pipe"

    def close(self) -> None:
        self.wait_for_end()  # before the close, which would wait for the reader without an end
        self._file.close()


class Driver:
    """A template, the process of one step at a time, and a project folder of files for it.

    All steps write to the same pipes, whose ends are kept open between them.
    """

    def __init__(self, folder: Path, address: WarehouseAddress) -> None:
        self.folder, self.attempts, self._address = folder, 0, address
        self.template_control, theirs = socket.socketpair()
        self.template_control.settimeout(WAIT_SECONDS)
        self.template = subprocess.Popen(
            [
                *(sys.executable, "-m", "dagster_models.processes.worker"),
                *("--control", str(theirs.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            env={**os.environ, MARK: os.urandom(8).hex()},
        )
        theirs.close()
        self.control = socket.socket()  # of the step; none has started yet
        readers, self._ends = zip(os.pipe(), os.pipe(), strict=True)
        self.out, self.err = (Pipe(open(reader, "rb")) for reader in readers)  # noqa: SIM115
        self.mark = ""
        self.warm: list[str] = []

    def write(self, name: str, source: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        return path

    def start(self, kind: str, source: str, name: str = "built", **more: Any) -> None:
        self.start_file(kind, self.write(f"{name}.py", source), name, **more)

    def start_file(self, kind: str, path: Path, name: str = "built", **more: Any) -> None:
        digest = more.pop("digest", "")
        more = {"project_root": str(self.folder), **more}
        file = LoadedFile(str(path), path.name, digest)
        make = python_task if kind == "python" else script_task
        self.attempts += 1  # no attempt is published twice
        task = make(f"main.{name}", path, run_id="run", attempt=self.attempts, file=file, **more)
        self.start_task(task)

    def start_task(self, task: Task) -> None:
        self.control.close()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(WAIT_SECONDS)
        self.mark = os.urandom(8).hex()
        start = {"op": "start", "mark": self.mark, "warm": self.warm}
        wire.send(self.template_control, start)
        with theirs:
            ends = [theirs.fileno(), *self._ends]
            socket.send_fds(self.template_control, [b"\0"], ends)
        wire.send(self.control, self._address.to_json())
        wire.send(self.control, {"op": "task", "task": task_to_json(task)})

    def answer(self) -> Outcome:
        while "outcome" not in (message := wire.receive(self.control)):
            assert message["op"] == "session"
        self.warm += message["loaded"]
        return Outcome.from_json(message["outcome"])

    def next_session(self) -> dict[str, Any]:
        """Wait until the worker opens a session; what it says of it."""
        message = wire.receive(self.control)
        assert message["op"] == "session"
        return message

    def run(self, kind: str, source: str, name: str = "built", **more: Any) -> Outcome:
        self.start(kind, source, name, **more)
        return self.answer()

    def cancel(self) -> None:
        """Ask the step to stop; as for the run worker, its process may have answered and ended."""
        with suppress(BrokenPipeError):
            wire.send(self.control, {"op": "cancel"})

    def kill(self) -> None:
        wire.send(self.template_control, {"op": "kill", "mark": self.mark})

    def pid(self) -> int:
        """Of the step's process, the template's only child."""
        template = self.template.pid
        (child,) = Path(f"/proc/{template}/task/{template}/children").read_text().split()
        return int(child)

    def code(self) -> int:
        """Wait for the end of the step's process; its exit code, as the template reports it."""
        while (message := wire.receive(self.template_control))["mark"] != self.mark:
            pass  # that of a step before it
        return int(message["code"])

    def ends(self) -> int:
        """Wait for the end of the step's process without an answer, then for its exit code."""
        code = self.code()
        while wire.readable(self.control):
            try:
                message = wire.receive(self.control)
            except EOFError:
                break
            assert "outcome" not in message, f"answered {message}"
        return code

    def abandon(self) -> None:
        """Close all that we hold, as the death of a run worker does."""
        self.template_control.close()
        self.control.close()
        for end in self._ends:
            os.close(end)
        self._ends = ()

    def close(self) -> None:
        self.abandon()
        self.template.wait(WAIT_SECONDS)
        kill_marked(self.mark)  # whatever it left behind, so that a test that fails leaves nothing
        self.out.close()
        self.err.close()


#: A check that no row fails and that takes far longer than any test waits.
SLOW_CHECK = CheckTask(
    "slow", "select a.range from range(100000000) a, range(100000) b where a.range + b.range < 0"
)
