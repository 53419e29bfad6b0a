"""How the run worker controls a step's process, and how that process ends: its reader thread, its
signals, and what it sends."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import FrameType
from typing import Any, NoReturn

from dagster_models.core.materializations import Reading
from dagster_models.core.messages import CheckOutcome
from dagster_models.core.tasks import Task
from dagster_models.processes import wire
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.util.orphans import MARK, kill_marked

_GRACE_SECONDS = 0.5  #: for user code to be interrupted when the run worker is dead
_CANCEL_AGAIN_SECONDS = 0.05  #: a cancel that reaches the warehouse before the task does is lost
_ASKED_SECONDS = 3.0  #: for the run worker to ask us to stop, after a SIGTERM that it got, too
_EXIT_UNHEARD = 4


class Phase(Enum):
    WAITING = auto()
    USER_CODE = auto()  #: the only phase in which SIGINT raises
    PUBLISHING = auto()
    OVER = auto()


@dataclass(slots=True)
class Attempt:
    """The task in hand, and what the reader thread and the main thread share about it."""

    task: Task
    phase: Phase = Phase.WAITING
    interrupted: bool = False
    canceled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    reading: Reading | None = None  #: what an incremental model was given
    notes: tuple[str, ...] = ()  #: what the user should know of the rows of a copy
    found: tuple[CheckOutcome, ...] = ()  #: by the checks of its parts that are over
    withheld: bool = False  #: the warehouse waits for what a check finds, and will not get it


class Controlled:
    """A process whose control socket is read by a thread of its own. ``_attempt`` is the task in
    hand, and ``_connection`` has its session."""

    _attempt: Attempt
    _connection: StepConnection

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sending = threading.Lock()
        self._mark = os.environ.get(MARK, "")
        self._masks: dict[int, set[signal.Signals | int]] = {}  # while a thread forks

    def _listen(self) -> None:
        """Handle signals and forks, and read what the run worker sends."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        os.register_at_fork(
            before=self._hold_back_sigterm,
            after_in_parent=self._take_sigterm,
            after_in_child=self._let_go,
        )
        threading.Thread(target=self._read, daemon=True, name="control").start()

    def _read(self) -> None:
        attempt = self._attempt
        try:
            while True:
                if wire.receive(self._control)["op"] == "cancel":
                    self._cancel(attempt)
        except (EOFError, OSError):
            if not attempt.over.is_set():
                self._die(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        if not attempt.canceled.is_set():
            attempt.canceled.set()
            threading.Thread(target=self._press, args=(attempt,), daemon=True).start()

    def _press(self, attempt: Attempt) -> None:
        """Stop the attempt. The main thread looks at ``canceled`` after each change of phase, and
        the phase is read here after ``canceled`` was set: one of the two sees the other."""
        main = threading.main_thread().ident or 0
        if attempt.phase is Phase.USER_CODE:
            self._connection.cancel()
            signal.pthread_kill(main, signal.SIGINT)
        while not attempt.over.wait(_CANCEL_AGAIN_SECONDS):
            if attempt.phase is Phase.PUBLISHING:
                self._connection.cancel()
            elif attempt.phase is Phase.USER_CODE:
                # For queries of threads that the code waits for. Its own cleanup may go on.
                self._connection.cancel(spare=main)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in user code, once, and nowhere else; the handler of SIGINT."""
        attempt = self._attempt
        if attempt.phase is Phase.USER_CODE and not attempt.interrupted:
            attempt.interrupted = True
            raise KeyboardInterrupt

    def _on_terminate(self, signum: int, frame: FrameType | None) -> None:
        """Wait for the run worker to ask us to stop, or die of SIGTERM; its handler.

        A service or container that is stopped sends SIGTERM to all of its processes, and the run
        worker then cancels its steps. If it does not, the signal was meant for this process alone.
        """
        if not self._attempt.canceled.wait(_ASKED_SECONDS):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _die(self, attempt: Attempt) -> None:
        """Leave no process behind: the run worker is gone, and nobody will read our answer."""
        self._cancel(attempt)
        attempt.over.wait(_GRACE_SECONDS)
        self._kill_all()

    def _kill_all(self) -> NoReturn:
        """Kill all that the step has started, and this process."""
        kill_marked(self._mark)
        os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    def _leave(self, attempt: Attempt) -> None:
        """End what the step left in our group. If it was stopped, kill that: an interrupt may come
        between the start of a process and the ``try`` that would end it."""
        if attempt.canceled.is_set():
            self._kill_all()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpgrp(), signal.SIGTERM)

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            with self._sending:
                wire.send(self._control, message)
        except (BrokenPipeError, ConnectionResetError):
            return  # nobody is there: the reader notices, and we end
        except OSError:
            # User code has closed our descriptors: without a word from us the run worker reads the
            # commit record, but it must see that we are gone.
            kill_marked(self._mark)
            os._exit(_EXIT_UNHEARD)

    def _hold_back_sigterm(self) -> None:
        """Before a fork: Python forgets the signals that a child handles before it is set up."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._masks[threading.get_ident()] = mask

    def _take_sigterm(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident()))

    def _let_go(self) -> None:
        """Close our sockets in a forked child, which must end with this process, and let it die of
        SIGTERM: multiprocessing ends its children by that."""
        if signal.getsignal(signal.SIGTERM) == self._on_terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._take_sigterm()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (self._control.fileno(), self._connection.fileno()):
            if number is not None:
                os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)
