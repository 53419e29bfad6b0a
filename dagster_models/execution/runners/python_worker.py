"""A Python step's process as its runner sees it, and the template that starts such processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

from dagster_models.processes import wire
from dagster_models.processes.client.channel import SessionIdentity
from dagster_models.util.orphans import MARK

#: For the template to end, once it was asked to; it waits a little for its steps.
_END_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class PythonWorker:
    """The process of one step.

    ``mark`` names it, and is in the environment of all processes that it starts. ``partial`` holds
    the unfinished last line of each stream. ``killed``: we killed it, because it did not stop.
    ``spoilt``: why what it sends cannot be read; it is ended then.
    """

    step: str
    mark: str
    control: socket.socket
    pipes: Mapping[str, FileIO]
    session: SessionIdentity | None = None
    killed: bool = False
    spoilt: str = ""
    partial: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})

    def close(self) -> None:
        self.control.close()
        for pipe in self.pipes.values():
            pipe.close()


class WorkerTemplate:
    """The process of which all Python workers of a run are forks (processes/worker/template.py)."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.process, self.control = process, control

    def start(self, step: str, warm: Collection[str]) -> PythonWorker:
        """Let it start a worker; reading the worker's pipes does not block.

        Raises:
            OSError: the template is gone, or there are no descriptors left.
        """
        mark = os.urandom(8).hex()
        ours, theirs = socket.socketpair()
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        for reader in (out, err):
            os.set_blocking(reader, False)
        pipes = {"stdout": FileIO(out), "stderr": FileIO(err)}
        ends = (theirs.detach(), out_end, err_end)
        worker = PythonWorker(step, mark, ours, pipes)
        try:
            wire.send(self.control, {"op": "start", "mark": mark, "warm": sorted(warm)})
            socket.send_fds(self.control, [b"\0"], ends)
        except BaseException:
            worker.close()
            raise
        finally:
            for end in ends:
                os.close(end)
        return worker

    def kill(self, worker: PythonWorker) -> None:
        """Kill the process and whatever it started."""
        with suppress(OSError):
            wire.send(self.control, {"op": "kill", "mark": worker.mark})

    def close(self) -> None:
        """End the template, and with it whatever still runs."""
        self.control.close()
        try:
            self.process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def explain_end(self) -> str:
        """One sentence on how the template has ended."""
        self.process.kill()  # it has closed its socket: there is nothing that it could still do
        return explain_exit(
            f"the process that starts Python steps (pid {self.process.pid})", self.process.wait()
        )


def start_template(folder: str) -> WorkerTemplate:
    """Start a template in *folder*. Raises OSError."""
    ours, theirs = socket.socketpair()
    command = [
        *(sys.executable, "-m", "dagster_models.processes.worker"),
        *("--control", str(theirs.fileno())),
    ]
    with theirs:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # steps have their own
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C in the terminal is for the run worker alone
            cwd=folder,
            env={**os.environ, MARK: os.urandom(8).hex()},
        )
    return WorkerTemplate(process, ours)


def explain_worker_end(ended: Mapping[str, Any]) -> str:
    """One sentence on how a worker's process ended (the template's report), and the usual cause."""
    if ended["error"]:
        return f"no process could be started for it: {ended['error']}"
    return explain_exit(f"its process (pid {ended['pid']})", ended["code"])


def explain_exit(who: str, code: int) -> str:
    """One sentence on how a process ended before it answered, and what usually causes that."""
    if code == UNHEARD:
        return (
            f"{who} could not answer: the code has closed descriptors that it did not open"
            " (os.close, os.closerange)"
        )
    if code >= 0:
        return (
            f"{who} exited with code {code} before it answered: usually os._exit, or a library that"
            " ends the process"
        )
    return f"{who} was ended by {explain_signal(-code)}"


UNHEARD = 4
"""The exit code of a worker that could not send its answer (see processes/worker/process.py)."""


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
