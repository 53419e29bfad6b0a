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
from importlib.util import find_spec
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
    session_seconds: int = 3600  #: how long it keeps a session that is idle

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
        self.process, self.guard = _started(self.folder, self.port, self.session_seconds)

    def wait_until_said(self, words: str) -> None:
        """Wait for a line of its log."""
        end = time.monotonic() + _START_SECONDS
        while words not in Path(self.folder, "log").read_text():
            assert time.monotonic() < end, words
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.guard.communicate(b"\n")


def why_no_sail() -> str:
    """Why there is no server to test with; "" if there is one."""
    missing = [it for it in ("pysail", "pyspark", "deltalake") if find_spec(it) is None]
    return f"{', '.join(missing)} not installed: `make setup` does it" if missing else ""


def start_sail(session_seconds: int = 3600) -> SailServer:
    folder = tempfile.mkdtemp(prefix="dagster-models-sail-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    started = _started(folder, port, session_seconds)
    return SailServer(folder, port, *started, session_seconds)


def _started(
    folder: str, port: int, session_seconds: int
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    program = Path(sys.executable).with_name("sail")
    log = os.path.join(folder, "log")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=output,
            stderr=output,
            env={**os.environ, "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(session_seconds)},
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
