"""The one process of a run that talks to Ray: ``python -m ...on_ray --control FD``.

    run worker ──control (socket pair)── bridge ──(Ray)── a StepHost for each step

Ray's client starts threads, takes over SIGTERM, and ends its process when the cluster is gone. The
run worker must survive all of that, so it has no part of Ray in it.

It receives ``{"op": "connect", "address": ..., "lease_seconds": ...}``, and then ``{"op": "start",
"step": ..., "name": ..., "needs": ..., "given": ...}``, ``cancel`` and ``kill``. It sends, each
with its step, ``output``, ``session``, and one end: ``outcome``, ``lost`` or ``not_started``.
``{"op": "unreachable", "message": ...}`` is the end of all steps, of which the cluster has got
none. The end of the control socket means that the run is over, or that the run worker is dead:
whatever still runs for it is ended.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import threading
from contextlib import suppress
from typing import NoReturn

from dagster_models.core.on_ray import OWN_CLUSTER
from dagster_models.execution.runners.on_ray.follower import Follower, Outbox
from dagster_models.processes import wire

NAMESPACE = "dagster-models"
_CONNECT_SECONDS = 60.0  #: for the cluster to answer; Ray itself tries for minutes
_END_SECONDS = 5.0  #: for Ray to end our actors, before this process ends without it


class Bridge:
    """This process. ``serve`` returns at the end of the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control, self._outbox = control, Outbox(control)
        self._starts: queue.SimpleQueue[Follower | None] = queue.SimpleQueue()  # None: the end
        self._steps: dict[str, Follower] = {}
        self._lease_seconds = 0.0

    def serve(self) -> None:
        first = wire.receive(self._control)
        self._lease_seconds = float(first["lease_seconds"])
        # It reads while we connect, which takes seconds, so that a step can be stopped meanwhile.
        threading.Thread(target=self._read, daemon=True, name="control").start()
        late = threading.Timer(_CONNECT_SECONDS, self._give_up)
        late.daemon = True
        late.start()
        try:
            connect(str(first["address"]))
        except BaseException as error:  # Ray ends the process in some cases
            self._unreachable(_first_lines(error))
            return
        late.cancel()
        while follower := self._starts.get():
            follower.begin()

    def _give_up(self) -> None:
        self._unreachable(f"it did not answer within {_CONNECT_SECONDS:g} s")
        os._exit(1)  # nothing else ends Ray's own tries

    def _unreachable(self, why: str) -> None:
        self._outbox.put({"op": "unreachable", "message": why})
        self._outbox.flush()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                frame = wire.receive(self._control)
                step = frame["step"]
                if frame["op"] == "start":
                    self._steps[step] = Follower(frame, self._lease_seconds, self._outbox)
                    self._starts.put(self._steps[step])
                elif step in self._steps and frame["op"] == "cancel":
                    self._steps[step].cancel()
                elif step in self._steps:
                    self._steps[step].kill()
        threading.Timer(_END_SECONDS, os._exit, (1,)).start()  # Ray may hang, or still connect
        self._starts.put(None)


def connect(address: str) -> None:
    """Become a driver of the cluster. Raises whatever Ray raises."""
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": NAMESPACE}
    if address == OWN_CLUSTER:
        ray.init(address=OWN_CLUSTER, include_dashboard=False, **quiet)
    else:
        # Without an address it would start a cluster where there is none.
        ray.init(address=address or os.environ.get("RAY_ADDRESS") or "auto", **quiet)


def _first_lines(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "ray":
        return "Ray is not installed here: pip install 'dagster-models[ray]'"
    return "\n".join((str(error) or type(error).__name__).splitlines()[:5])


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", allow_abbrev=False)
    parser.add_argument("--control", type=int, required=True, metavar="FD")
    control = socket.socket(fileno=parser.parse_args().control)
    control.set_inheritable(False)
    with suppress(EOFError, OSError):
        Bridge(control).serve()
    with suppress(BaseException):
        import ray

        threading.Timer(_END_SECONDS, os._exit, (1,)).start()
        ray.shutdown()
    os._exit(0)
