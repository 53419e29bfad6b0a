"""A worker process for Python steps, as its runner sees it: the process, its socket and pipes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes import wire
from dagster_models.processes.client.channel import SessionIdentity
from dagster_models.util.orphans import MARK, kill_marked


@dataclass(slots=True, eq=False)
class PythonWorker:
    """One worker process. ``step``: what it works on.

    ``partial`` holds the unfinished last line of each stream. ``killed``: we killed it.
    ``interrupted``: a step was asked to stop. Such a worker is not used again, as a
    KeyboardInterrupt may leave things behind (a library half imported, a lock held).
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    address: WarehouseAddress
    mark: str  #: in the environment of all processes that it starts
    step: str | None = None
    session: SessionIdentity | None = None
    killed: bool = False
    interrupted: bool = False
    partial: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})

    @property
    def pipes(self) -> dict[str, IO[bytes]]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return {"stdout": self.process.stdout, "stderr": self.process.stderr}

    def kill(self) -> None:
        """Kill the process and whatever it started: it leads a session of its own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.returncode is None:
            self.process.kill()
        kill_marked(self.mark)

    def wait_for_end(self) -> None:
        """Wait for the process to end.

        If it died, or a step of it was stopped, what it had started is killed. What a step started
        that went well may stay, in a session of its own (a daemon).
        """
        if hasattr(os, "waitid"):  # see the end without reaping it: its group is still its own
            with suppress(ChildProcessError):
                end = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
                if end is None or self._is_death(end.si_status):
                    self.kill()
        if self._is_death(self.process.wait()):
            kill_marked(self.mark)

    def _is_death(self, status: int) -> bool:
        return status != 0 or self.interrupted or self.killed

    def explain_exit(self) -> str:
        """One sentence on how the process ended, and what usually causes that."""
        pid, code = self.process.pid, self.process.returncode
        if code == UNHEARD:
            return (
                f"its process (pid {pid}) could not answer: the code has closed descriptors that "
                "it did not open (os.close, os.closerange)"
            )
        if code is None or code >= 0:
            return (
                f"its process (pid {pid}) exited with code {code} before it answered: usually "
                "os._exit, or a library that ends the process"
            )
        return f"its process (pid {pid}) was ended by {explain_signal(-code)}"


UNHEARD = 4
"""The exit code of a worker that could not send its answer (see processes/worker/process.py)."""


def start_python_worker(address: WarehouseAddress, folder: str) -> PythonWorker:
    """Start a worker in *folder*; reading its pipes does not block."""
    ours, theirs = socket.socketpair()
    command = [
        sys.executable,
        "-m",
        "dagster_models.processes.worker",
        "--control",
        str(theirs.fileno()),
    ]
    mark = os.urandom(8).hex()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(theirs.fileno(),),
        start_new_session=True,  # Ctrl-C in the terminal is for the run worker alone
        cwd=folder,
        env={**os.environ, MARK: mark},
    )
    theirs.close()
    # It is not among the arguments, which every user of the machine can list.
    wire.send(ours, address.to_json())
    worker = PythonWorker(process, ours, address, mark)
    for pipe in worker.pipes.values():
        os.set_blocking(pipe.fileno(), False)
    return worker


def explain_signal(number: int) -> str:
    """A signal's name, and what usually sends it."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    why = _USUAL_CAUSE.get(name)
    return f"{name}: {why}" if why else name


_USUAL_CAUSE = {
    "SIGKILL": "usually the system's out-of-memory killer, or a kill -9",
    "SIGSEGV": "a crash inside a library written in C",
    "SIGABRT": "a library written in C gave up, often for lack of memory",
    "SIGBUS": "often a full disk or /dev/shm",
    "SIGTERM": "somebody asked it to end",
    "SIGXFSZ": "a file grew past the allowed size",
}
