"""A Spark Connect server for tests: Sail, on loopback, in a temporary folder.

A guard, a process of its own, stops it and removes its folder when the test run ends, also by
SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 20
_GUARD = 'read -r _; kill -KILL "$1" 2> /dev/null; rm -rf "$2"'


@dataclass
class SailServer:
    """``folder`` is the server's own; a test keeps its tables elsewhere."""

    folder: str
    port: int
    process: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]

    @property
    def settings(self) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.port, "connect_seconds": 2}

    def kill(self) -> None:
        """As a machine that loses its power; ``restart`` brings it back."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.guard.communicate(b"\n")
        os.makedirs(self.folder, exist_ok=True)
        self.process, self.guard = _started(self.folder, self.port)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.guard.communicate(b"\n")


def start_sail() -> SailServer:
    folder = tempfile.mkdtemp(prefix="dagster-models-sail-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    return SailServer(folder, port, *_started(folder, port))


def _started(folder: str, port: int) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    program = Path(sys.executable).with_name("sail")
    log = os.path.join(folder, "log")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=output,
            stderr=output,
            env={**os.environ, "SAIL_SPARK__SESSION_TIMEOUT_SECS": "3600"},
        )
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "guard", str(process.pid), folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process, guard
        time.sleep(0.02)
    raise RuntimeError(f"Sail did not start: {Path(log).read_text()}")
