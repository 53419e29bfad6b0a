"""Who has a database file open, where it is a process that this one cannot reach."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.handshake import Listener, read_listener
from dagster_models.util import runtime_files
from dagster_models.util.users import user_name


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds the lock of a database. ``leaving``: it may just be about to end."""

    who: str
    advice: str
    leaving: bool = False

    def refusal(self, path: str, waited_seconds: float) -> WarehouseError:
        """The error of a client that has waited in vain."""
        return WarehouseError(
            ErrorKind.IN_USE,
            f"{self.who} serves {path}, and {user_name()} waited {waited_seconds:g} s for it"
            f" (lock_timeout): {self.advice}, or wait until it is idle",
        )


def is_held(path: str) -> bool:
    """Whether a process holds the lock of the database *path*."""
    try:
        lock = runtime_files.acquire(f"{path}.lock")
    except OSError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is None


def unreachable_holder(path: str) -> Holder | None:
    """The process that holds the lock of *path*, if it listens where this one cannot reach it.

    Raises WarehouseError if the lock belongs to a user who lets nobody look.
    """
    listener = _listener(path)
    found = _unreachable(listener) if listener is not None else None
    return found if found is not None and is_held(path) else None


def is_reachable(listener: Listener) -> bool:
    """Whether it is one of ours: the lock file lies where others may write."""
    return _unreachable(listener) is None


def _listener(path: str) -> Listener | None:
    try:
        return read_listener(path)
    except PermissionError as error:
        owner = user_name(os.stat(f"{path}.lock").st_uid)
        raise WarehouseError(
            ErrorKind.PERMISSION,
            f"user {user_name()} cannot read {path}.lock, which belongs to {owner}. One process"
            f" of one user serves a database file: run as {owner}; or, when no run of that user is"
            f" at work, remove the lock file, and give the other one the rights to"
            f" {os.path.dirname(path)} and the database",
            name="PermissionError",
        ) from error


def _unreachable(listener: Listener) -> Holder | None:
    if listener.host not in ("", socket.gethostname()):
        return Holder(
            f"a warehouse process on another machine or container, {listener.host}"
            f" (pid {listener.pid} there),",
            "let the runs there end",
        )
    try:
        owner = os.stat(listener.socket).st_uid
    except PermissionError:
        owner = os.stat(os.path.dirname(listener.socket)).st_uid
    except FileNotFoundError:
        return Holder(
            f"the warehouse process with pid {listener.pid}, whose socket {listener.socket} does"
            " not exist here,",
            "if this process or that one has a private folder for temporary files, set TMPDIR or"
            " XDG_RUNTIME_DIR to the same folder for both",
            leaving=True,
        )
    if owner == os.getuid():
        return None
    return Holder(
        f"a warehouse process of another user ({user_name(owner)}, pid {listener.pid})",
        f"run as that user, who owns {os.path.dirname(listener.socket)}",
    )
