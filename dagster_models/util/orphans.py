"""Processes that user code started and did not wait for.

They are found by a mark in their environment, which children inherit whatever session or parent
they move to (a process group does not hold what calls setsid). Where there is no /proc (macOS) only
the group is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal

#: The environment variable that says whose child a process is.
MARK = "DAGSTER_MODELS_WORKER"


def kill_marked(mark: str) -> None:
    """SIGKILL for every process of this user that was started with this mark, but for this one."""
    wanted = f"{MARK}={mark}".encode()
    ours = os.getpid()
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != ours:
                with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                    _kill_if_marked(int(entry), wanted)


def _kill_if_marked(pid: int, wanted: bytes) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        if wanted in file.read().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
