"""Drives one real worker process over its control socket and pipes, as the run worker does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import CheckTask, LoadedFile, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes import wire
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
    """A worker, and a project folder of files for it."""

    def __init__(self, folder: Path, address: WarehouseAddress) -> None:
        self.folder, self.attempts = folder, 0
        self.control, theirs = socket.socketpair()
        self.control.settimeout(WAIT_SECONDS)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dagster_models.processes.worker"),
                *("--control", str(theirs.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        wire.send(self.control, address.to_json())
        self.out, self.err = Pipe(self.process.stdout), Pipe(self.process.stderr)
        assert wire.receive(self.control) == {"op": "ready", "pid": self.process.pid}

    def write(self, name: str, source: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        return path

    def start(self, kind: str, source: str, name: str = "built", **more: Any) -> None:
        path = self.write(f"{name}.py", source)
        digest = more.pop("digest", "")
        more = {"project_root": str(self.folder), **more}
        file = LoadedFile(str(path), path.name, digest)
        make = python_task if kind == "python" else script_task
        self.attempts += 1  # no attempt is published twice
        task = make(f"main.{name}", path, run_id="run", attempt=self.attempts, file=file, **more)
        wire.send(self.control, {"op": "task", "task": task_to_json(task)})

    def answer(self) -> Outcome:
        while "outcome" not in (message := wire.receive(self.control)):
            assert message["op"] == "session"
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
        wire.send(self.control, {"op": "cancel"})

    def ends(self) -> int:
        """Wait for the end of the control socket without an answer, then for the exit code."""
        try:
            while True:
                message = wire.receive(self.control)
                assert "outcome" not in message, f"answered {message}"
        except EOFError:
            return self.process.wait(WAIT_SECONDS)

    def exit(self) -> int:
        if self.process.poll() is None:
            wire.send(self.control, {"op": "exit"})
        return self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        self.control.close()
        self.process.wait(WAIT_SECONDS)
        # Whatever it left behind, so that a test that fails leaves nothing.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.out.close()
        self.err.close()


#: A check that no row fails and that takes far longer than any test waits.
SLOW_CHECK = CheckTask(
    "slow", "select a.range from range(100000000) a, range(100000) b where a.range + b.range < 0"
)
