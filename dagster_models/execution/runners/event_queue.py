"""The only place where a run waits: for its runners, for threads of its own, and for signals.

    runners ── files to watch ────┐
    threads ── put, call_soon ────┼──> EventQueue.wait() ──> worker events ──> the loop
    signals ── a byte to ``wake`` ┘

A worker that dies is an event like any other (as loky's sentinels are).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from dagster_models.execution.runners.events import WorkerEvent

T = TypeVar("T")

_READ_BYTES = 65536
_LONGEST_WAIT_SECONDS = 3600.0


class EventQueue:
    """The worker events of one run, in the order in which they came.

    ``watch``, ``unwatch``, ``watches`` and ``wait`` belong to the thread that waits; any thread may
    call the others.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], Iterable[WorkerEvent]]] = deque()
        self._selector = selectors.DefaultSelector()
        self.wake, self._woken = socket.socketpair()
        for end in (self.wake, self._woken):
            end.setblocking(False)
        self.watch(self._woken, self._on_wake)

    def watch(self, file: Any, on_readable: Callable[[], Iterable[WorkerEvent]]) -> None:
        """Let ``wait`` call *on_readable* when *file* can be read, and return what it returned."""
        self._selector.register(file, selectors.EVENT_READ, on_readable)

    def unwatch(self, file: Any) -> None:
        """Harmless for a file that is not watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(file)

    def watches(self, file: Any) -> bool:
        try:
            return file in self._selector.get_map()
        except ValueError:  # it is closed
            return False

    def put(self, *events: WorkerEvent) -> None:
        """Let ``wait`` return these events."""
        self.call_soon(lambda: events)

    def call_soon(self, call: Callable[[], Iterable[WorkerEvent]]) -> None:
        """Let ``wait`` make the call in its thread, and return what it returned."""
        self._calls.append(call)
        try:
            self.wake.send(b"\0")
        except (BlockingIOError, OSError):
            return  # a full buffer wakes as well; a closed one has no wait to end

    def ask_in_thread(self, question: Callable[[], WorkerEvent], name: str) -> None:
        """Make a call that may take long in a thread of its own; ``wait`` returns the answer."""
        threading.Thread(target=lambda: self.put(question()), daemon=True, name=name).start()

    def while_listening(
        self, call: Callable[[], T], name: str, stopped: Callable[[], bool]
    ) -> T | None:
        """What a call that may take long returns or raises; None if the run is stopped first.

        ``stopped`` is asked after each signal. This is for times when nothing is in flight: events
        that come meanwhile are dropped.
        """
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:
                done.set_exception(error)
            self.put()

        threading.Thread(target=run, daemon=True, name=name).start()
        while not stopped():
            if done.done():
                return done.result()
            self.wait(None)
        return None

    def wait(self, timeout_seconds: float | None) -> list[WorkerEvent]:
        """The next events; none after a signal or after *timeout_seconds* (None: no limit).

        It may return early: the kernel counts milliseconds in 31 bits.
        """
        if timeout_seconds is not None:
            timeout_seconds = min(timeout_seconds, _LONGEST_WAIT_SECONDS)
        events: list[WorkerEvent] = []
        # Answers before ends: a worker may answer and exit at once.
        for key, _ in self._selector.select(timeout_seconds):
            events += key.data()
        while self._calls:
            events += self._calls.popleft()()
        return events

    def close(self) -> None:
        """Close the queue, after the runners.

        Calls that are left are still made, as one may bring a session, which has to be closed.
        """
        while self._calls:
            with contextlib.suppress(Exception):
                self._calls.popleft()()
        self._selector.close()
        self.wake.close()
        self._woken.close()

    def _on_wake(self) -> list[WorkerEvent]:
        try:
            while self._woken.recv(_READ_BYTES):
                pass
        except (BlockingIOError, OSError):
            pass
        return []
