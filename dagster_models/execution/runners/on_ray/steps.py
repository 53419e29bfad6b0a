"""Python steps on the nodes of a Ray cluster; the run worker's side.

    run worker ── socket pair ──> bridge, one per cluster ──(Ray)──> one StepHost per step

What Ray says is no proof of a publication, and neither is a node's word: a variable may lead it to
another database than this process. So a step counts as committed once its commit record was read
from here, and of a step that is lost the loop asks the same.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.on_ray import OWN_CLUSTER
from dagster_models.core.plain import plain
from dagster_models.core.tasks import PythonTask, ScriptTask, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import Canceled, ErrorKind, WarehouseError
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import (
    Answered,
    Lost,
    NotStarted,
    Output,
    WorkerEvent,
)
from dagster_models.execution.runners.on_ray.host import STEP_ENDS_SECONDS
from dagster_models.processes import wire
from dagster_models.processes.client.channel import SessionIdentity
from dagster_models.processes.client.session import settle
from dagster_models.util import runtime_files
from dagster_models.util.environment import filled, names_in
from dagster_models.util.orphans import MARK

#: How long a node goes on with a step without a word from the run. Ray itself takes longer to find
#: out that a node is gone.
LEASE_SECONDS = 30.0
_END_SECONDS = 10.0  #: for the bridge to end the actors of the run
#: The process in which a session was opened, as far as this machine is concerned: none of its own.
_ELSEWHERE = 0


@dataclass(slots=True, eq=False)
class _Bridge:
    """The process that talks to one cluster. ``errors``: what it has written to stderr."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    errors: IO[bytes]

    def send(self, message: Mapping[str, Any]) -> None:
        try:
            wire.send(self.control, message)
        except OSError:
            return  # it is gone, and its end will be noticed

    def end(self) -> str:
        """End it, and return the end of what it has written."""
        self.control.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self.errors:
            self.errors.seek(0)
            lines = self.errors.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-5:])


@dataclass(slots=True, eq=False)
class _Sent:
    """An attempt that has not ended. ``session``: the one in which it writes, "" if none is
    known."""

    step: str
    task: PythonTask | ScriptTask
    address: WarehouseAddress
    bridge: _Bridge
    session: str = ""
    killed: bool = False

    @property
    def identity(self) -> SessionIdentity | None:
        return SessionIdentity(self.session, _ELSEWHERE) if self.session else None


class RaySteps:
    """The steps of one run that are on Ray clusters; a StepRunner."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._bridges: dict[str, _Bridge] = {}  # by the address of the cluster
        self._steps: dict[str, _Sent] = {}

    def start(self, step: str, task: PythonTask | ScriptTask, address: WarehouseAddress) -> None:
        """Ask the cluster for an actor that runs the step.

        Raises:
            OSError: no process can be started that would talk to Ray.
            WarehouseError: the address of the cluster needs a variable that is not set.
        """
        assert task.on_ray is not None
        cluster = _address(task.on_ray.cluster.address)
        bridge = self._bridges.get(cluster) or self._open(cluster)
        self._steps[step] = _Sent(step, task, address, bridge)
        bridge.send(
            {
                "op": "start",
                "step": step,
                "name": "/".join(map(str, task.id)),
                "needs": plain(task.on_ray.needs),
                "given": {"task": task_to_json(task), "address": address.to_json()},
            }
        )

    def cancel(self, step: str) -> None:
        """Raise KeyboardInterrupt in the user's code, or take the step back that waits."""
        if step in self._steps:
            self._steps[step].bridge.send({"op": "cancel", "step": step})

    def kill(self, step: str) -> None:
        """SIGKILL for the step's process; if the node does not do it, Ray ends the actor."""
        if step in self._steps:
            self._steps[step].killed = True
            self._steps[step].bridge.send({"op": "kill", "step": step})

    def close(self) -> None:
        """End all actors of the run."""
        for bridge in self._bridges.values():
            self._queue.unwatch(bridge.control)
            bridge.end()
        self._bridges.clear()
        self._steps.clear()

    # -- the bridge ----------------------------------------------------------------------------

    def _open(self, cluster: str) -> _Bridge:
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the bridge)
        with theirs:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dagster_models.execution.runners.on_ray"),
                    *("--control", str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal is for the run worker alone
                cwd=runtime_files.runtime_folder(),  # on sys.path: no ray.py of a project
                env=_environ(cluster),
            )
        bridge = self._bridges[cluster] = _Bridge(process, ours, errors)
        bridge.send({"op": "connect", "address": cluster, "lease_seconds": LEASE_SECONDS})
        self._queue.watch(ours, partial(self._on_message, cluster, bridge))
        return bridge

    def _on_message(self, cluster: str, bridge: _Bridge) -> list[WorkerEvent]:
        try:
            message = wire.receive(bridge.control)
        except (EOFError, OSError):
            return self._on_end(cluster, bridge)
        if message["op"] == "unreachable":
            return self._on_unreachable(cluster, bridge, message["message"])
        running = self._steps.get(message["step"])
        if running is None:
            return []
        if message["op"] == "output":
            return [Output(running.step, message["stream"], message["text"])]
        if message["op"] == "session":
            running.session = message["session"]
            return []
        del self._steps[running.step]
        if message["op"] == "not_started":
            return [_not_started(running, message["message"], message["canceled"])]
        if message["op"] == "lost":
            running.session = message["session"] or running.session
            return [Lost(running.step, message["message"], message["killed"], running.identity)]
        return self._on_outcome(running, Outcome.from_json(message["outcome"]))

    def _on_outcome(self, running: _Sent, outcome: Outcome) -> list[WorkerEvent]:
        if outcome.verdict is not Verdict.COMMITTED:
            return [Answered(running.step, outcome)]
        self._queue.ask_in_thread(partial(_confirmed, running, outcome), f"confirm-{running.step}")
        return []

    def _on_unreachable(self, cluster: str, bridge: _Bridge, why: str) -> list[WorkerEvent]:
        """The cluster could not be reached, and has none of the steps. The next one tries again."""
        what = f"the Ray cluster {cluster or '(of RAY_ADDRESS, or on this machine)'}"
        ended = self._forget(cluster, bridge)
        bridge.process.kill()  # Ray may still try
        bridge.end()
        return [_not_started(it, f"{what} cannot be reached: {why}") for it in ended]

    def _on_end(self, cluster: str, bridge: _Bridge) -> list[WorkerEvent]:
        """The bridge died. Its steps end when their leases do, if Ray has not ended them before."""
        ended, said = self._forget(cluster, bridge), bridge.end()
        why = f"the process that talks to Ray ended with exit code {bridge.process.returncode}"
        if said:
            why += f":\n{said}"
        for it in ended:
            self._queue.ask_in_thread(partial(_after_its_lease, it, why), f"lease-{it.step}")
        return []

    def _forget(self, cluster: str, bridge: _Bridge) -> list[_Sent]:
        self._queue.unwatch(bridge.control)
        if self._bridges.get(cluster) is bridge:
            del self._bridges[cluster]
        ended = [it for it in self._steps.values() if it.bridge is bridge]
        for it in ended:
            del self._steps[it.step]
        return ended


def _address(written: str) -> str:
    address = filled(written, os.environ)
    if unset := names_in(address):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"`ray: {{address: ...}}` needs the environment variable {', '.join(unset)}",
        )
    return address


def _environ(cluster: str) -> dict[str, str]:
    """Ours, with Ray's telemetry off. A cluster of the run's own listens on loopback only, which
    Ray offers where no other machine can take part."""
    found = {name: text for name, text in os.environ.items() if name != MARK}
    alone = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if cluster == OWN_CLUSTER else {}
    return {"RAY_USAGE_STATS_ENABLED": "0", **alone, **found}


def _not_started(running: _Sent, message: str, canceled: bool = False) -> NotStarted:
    if canceled:
        return NotStarted(running.step, Canceled(ErrorKind.CANCELED, message))
    return NotStarted(running.step, WarehouseError(ErrorKind.START_FAILED, message))


def _confirmed(running: _Sent, outcome: Outcome) -> WorkerEvent:
    """The outcome of a step that is committed, if its commit record is in the warehouse."""
    assert isinstance(running.task, PythonTask)
    try:
        if settle(running.address, running.task, running.identity):
            return Answered(running.step, outcome)
    except Exception as failure:  # the loop asks again, and says why nobody knows
        return Lost(running.step, f"its commit could not be confirmed: {failure}", False)
    message = (
        "the node has published it in another database than this run's: set the environment"
        f" variables of the target there as here ({running.address.type})"
    )
    error = TaskError(ErrorKind.INVALID_SETTINGS, message, final=True)
    return Answered(running.step, _elsewhere(outcome, error))


def _elsewhere(outcome: Outcome, error: TaskError) -> Outcome:
    return Outcome(
        outcome.step,
        outcome.attempt,
        Verdict.ROLLED_BACK,
        error=error,
        started_at=outcome.started_at,
        seconds=outcome.seconds,
    )


def _after_its_lease(running: _Sent, why: str) -> WorkerEvent:
    time.sleep(LEASE_SECONDS + STEP_ENDS_SECONDS)
    return Lost(running.step, why, running.killed, running.identity)
