"""A Spark Connect server for tests, on loopback, with a temporary folder of its own.

A guard, a process of its own, stops it and removes its folder when the test run ends, also by
SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_GUARD = 'read -r _; kill -KILL "$1" 2> /dev/null; rm -rf "$2"'


class ConnectServer(ABC):
    """``folder`` is the server's own; a test keeps its tables elsewhere."""

    start_seconds: int

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="dagster-models-spark-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._start()

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, as one process."""

    def environment(self) -> Mapping[str, str]:
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "connect_seconds": 2}

    def kill(self) -> None:
        """As a machine that loses its power; ``restart`` brings it back."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.guard.communicate(b"\n")
        os.makedirs(self.folder, exist_ok=True)
        self._start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.guard.communicate(b"\n")

    def wait_until_said(self, words: str) -> None:
        """Wait for a line of its log."""
        end = time.monotonic() + self.start_seconds
        while words not in self.log.read_text():
            assert time.monotonic() < end, words
            time.sleep(0.02)

    @property
    def log(self) -> Path:
        return Path(self.folder, "log")

    def _start(self) -> None:
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment()},
            )
        self.guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self.process.pid), self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        end = time.monotonic() + self.start_seconds
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.02)
        said = self.log.read_text()
        self.stop()
        raise RuntimeError(f"the server did not start: {said}")
