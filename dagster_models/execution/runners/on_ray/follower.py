"""The way of one step in the bridge: from the request for an actor to the end of the step."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dagster_models.execution.runners.on_ray.host import STEP_ENDS_SECONDS, StepHost, version
from dagster_models.processes import wire

Message = dict[str, Any]

_PENDING_SECONDS = 10.0  #: after which the user reads what a step waits for
_KILL_SECONDS = 5.0  #: for a node to end the step's process, before Ray ends its actor
_MOST_WAITING = 1000  #: messages that the run worker has not taken yet


class Outbox:
    """Messages to the run worker, sent by a thread of its own: it may take them slowly, and the
    nodes have to be asked all the same."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._messages: queue.Queue[Mapping[str, Any]] = queue.Queue()
        threading.Thread(target=self._send, daemon=True, name="outbox").start()

    def put(self, message: Mapping[str, Any]) -> None:
        self._messages.put(message)

    @property
    def is_full(self) -> bool:
        return self._messages.qsize() > _MOST_WAITING

    def flush(self) -> None:
        self._messages.join()

    def _send(self) -> None:
        while True:
            message = self._messages.get()
            with suppress(OSError):  # nobody is there: the reader notices
                wire.send(self._control, message)
            self._messages.task_done()


class Follower:
    """One attempt of one step. ``begin`` is called once, unless it is canceled before; ``cancel``
    and ``kill`` come from another thread than the one that follows the step."""

    def __init__(self, frame: Mapping[str, Any], lease_seconds: float, outbox: Outbox) -> None:
        self._frame, self._outbox, self._lease_seconds = frame, outbox, lease_seconds
        self._lock = threading.Lock()
        self._host: Any = None
        self._node = ""
        self._session = ""
        self._stopped = self._handed_over = self._begun = self._over = False
        self._killed = False  # by us, as it did not stop, or before it had begun
        self._answered = time.monotonic()

    # -- what the run worker asks for ----------------------------------------------------------

    def begin(self) -> None:
        threading.Thread(target=self._run, daemon=True, name=self._frame["step"]).start()

    def cancel(self) -> None:
        with self._lock:
            self._stopped = True
            if self._begun and not self._over:
                self._host.cancel.remote()
            elif self._host is not None and not self._over:
                self._killed = True
                self._end_actor()  # it waits for its turn, or is just starting
            elif not self._over:  # nothing was asked for yet
                self._end(not_started("stopped before it was handed to the cluster", True))

    def kill(self) -> None:
        self.cancel()
        with self._lock:
            self._killed = True
            if self._begun and not self._over:
                self._host.kill.remote()
                threading.Timer(_KILL_SECONDS, self._end_actor).start()

    # -- the thread of the step ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            end = self._follow()
        except Exception as error:  # whatever it is, the step must end
            end = self._lost(error)
        with self._lock:
            self._end(end)
        if self._host is not None:
            self._release()

    def _follow(self) -> Message:
        import ray

        with self._lock:
            if self._over:
                return {}
            try:
                self._host = self._actor(ray)
            except ValueError as error:  # the name is taken
                return not_started(f"the cluster has this attempt already: {first_line(error)}")
        call = self._host.where.remote()
        if not ray.wait([call], timeout=_PENDING_SECONDS)[0]:
            self._say(f"Ray has not started this step yet: it asks for {self._asked()}\n")
        self._node, at = ray.get(call)
        self._handed_over = True
        given = {"version": version(), "lease_seconds": self._lease_seconds}
        if refused := ray.get(self._host.begin.remote({**self._frame["given"], **given})):
            return not_started(f"the node {at} refuses it: {refused}")
        with self._lock:
            self._begun, self._answered = True, time.monotonic()
            if self._stopped:
                self._host.cancel.remote()
        while True:
            if self._outbox.is_full:
                ray.get(self._host.stay.remote(), timeout=self._lease_seconds)
                self._answered = time.monotonic()
                time.sleep(0.2)
                continue
            found = ray.get(self._host.events.remote(), timeout=self._lease_seconds)
            self._answered = time.monotonic()
            for message in found:
                if message["op"] in ("outcome", "lost"):
                    return {**message, "killed": self._killed}
                self._session = message.get("session", self._session)
                self._outbox.put({**message, "step": self._frame["step"]})

    def _actor(self, ray: Any) -> Any:
        """Ask for the actor, under the name that only this attempt has. Neither it nor a call of
        it is ever repeated by Ray."""
        needs = self._frame["needs"]
        options: dict[str, Any] = {
            "name": self._frame["name"],
            "num_cpus": needs["cpus"],
            "num_gpus": needs["gpus"],
            "memory": needs["memory"] or None,
            "resources": dict(needs["resources"]) or None,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 4,
        }
        return ray.remote(StepHost).options(**options).remote()

    def _asked(self) -> str:
        needs = self._frame["needs"]
        asked = {"CPU": needs["cpus"], "GPU": needs["gpus"], "bytes of memory": needs["memory"]}
        asked |= dict(needs["resources"])
        return ", ".join(f"{it:g} {name}" for name, it in asked.items() if it) or "nothing"

    def _lost(self, error: Exception) -> Message:
        """The end of a step whose actor is lost, once nothing of it can run any more."""
        import ray

        text = str(error)
        if not self._handed_over and self._stopped:
            return not_started("stopped before a node had it", True)
        if not self._handed_over:
            return not_started(f"no node could start it: {explained(text)}")
        self._end_actor()
        # If the node lives, its raylet has seen the actor's process end.
        lives = False
        with suppress(Exception):
            lives = any(it["NodeID"] == self._node and it["Alive"] for it in ray.nodes())
        until = time.monotonic() if lives else self._answered + self._lease_seconds
        time.sleep(max(0.0, until - time.monotonic()) + STEP_ENDS_SECONDS)
        message = f"its process in the Ray cluster was lost: {explained(text)}"
        return {"op": "lost", "message": message, "killed": self._killed, "session": self._session}

    def _end(self, message: Message) -> None:
        """Report the end, once."""
        if not self._over and message:
            self._over = True
            self._outbox.put({**message, "step": self._frame["step"]})

    def _say(self, text: str) -> None:
        step = self._frame["step"]
        self._outbox.put({"op": "output", "step": step, "stream": "stderr", "text": text})

    def _end_actor(self) -> None:
        import ray

        with suppress(Exception):
            ray.kill(self._host)

    def _release(self) -> None:
        """Give the node back, when the step's process is gone."""
        import ray

        with suppress(Exception):
            ray.get(self._host.close.remote(), timeout=_KILL_SECONDS)
        self._end_actor()


def not_started(message: str, canceled: bool = False) -> Message:
    return {"op": "not_started", "message": message, "canceled": canceled}


def first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


#: What Ray writes above the reason, one a line, for whoever looks at its dashboard.
_IDENTITY = ("The actor died", "actor_id:", "class_name:", "ip:", "name:", "namespace:", "pid:")


def explained(text: str) -> str:
    """Ray's own reason in few lines."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(_IDENTITY))[:600]
