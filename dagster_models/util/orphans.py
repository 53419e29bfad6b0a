"""Ends processes that user code started and did not wait for.

They are found by a mark in their environment, which children inherit whatever session or parent
they move to (a process that calls setsid leaves its group). Without /proc (on macOS) only the
process group is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

#: The environment variable that names the worker whose descendant a process is.
MARK = "DAGSTER_MODELS_WORKER"


def kill_marked(mark: str) -> None:
    """Kill every process of this user that was started with this mark, except the caller."""
    wanted = f"{MARK}={mark}".encode()
    ours = os.getpid()
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != ours:
                with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                    _kill_if_marked(int(entry), wanted)


def _kill_if_marked(pid: int, wanted: bytes) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        if wanted in file.read().split(b"\0"):
            os.kill(pid, signal.SIGKILL)


def remark(mark: str) -> None:
    """Give this process, which is a fork of a marked one, a mark of its own.

    /proc shows the environment as it was when the program started, in that memory. Forks of this
    process have a copy of it, so the mark is changed there; programs get it from ``os.environ``.
    """
    if MARK in os.environ and len(mark) == len(os.environ[MARK]):
        strings = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
        start, at = f"{MARK}=".encode(), 0
        while address := strings[at]:
            if ctypes.string_at(address, len(start)) == start:
                ctypes.memmove(address + len(start), mark.encode(), len(mark))
            at += 1
    os.environ[MARK] = mark
