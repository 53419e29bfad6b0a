"""Signals that stop a run: notice them, and end the run as Dagster does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator

from dagster import DagsterExecutionInterruptedError
from dagster._utils.interrupts import pop_captured_interrupt

__all__ = ["interrupted", "pop_captured_interrupt", "waking_on_signals"]


def interrupted(message: str) -> BaseException:
    """The error that makes Dagster end the run as canceled (if a user asked) or as failed."""
    error: BaseException = DagsterExecutionInterruptedError(message)
    return error


@contextlib.contextmanager
def waking_on_signals(wake: socket.socket) -> Iterator[None]:
    """Have each signal write a byte to *wake*, so that a wait on its other end returns.

    Dagster's handler only sets a flag (``capture_interrupts``), and PEP 475 resumes the wait.
    """
    try:
        before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    except ValueError:  # this is not the main thread, and no signal arrives here
        yield
        return
    # A closed terminal ends a run as Ctrl-C does. Under nohup the signal is ignored and stays so.
    hangs_up = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    if hangs_up:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        if hangs_up:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
