"""Lets the database files go that this process has used, so that the next program can open them.

A warehouse process waits some idle seconds for another client, as the next step or command is
often not far. After a run, and when a program ends, nobody is left who would come: the process is
asked to end as soon as it has no client, and its end is awaited.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import WarehouseError
from dagster_models.processes import handshake, wire
from dagster_models.processes.client.holders import is_held, is_reachable

#: How long the end of a warehouse process is awaited: closing a large file takes its time.
_END_SECONDS = 30.0

#: How long other clients are given that are just leaving, too.
_OTHERS_SECONDS = 0.2

_POLL_SECONDS = 0.005


class _Session(Protocol):
    """What is asked of a session that this process has opened."""

    session_id: str

    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class _Used:
    """The sessions of this process, open or not: path -> name -> session, if it is still there.

    A forked child is another process, whose parent may go on.
    """

    pid: int
    sessions: dict[str, dict[str, weakref.ref[_Session]]] = field(default_factory=dict)


_used = _Used(os.getpid())


def note_session(path: str, address: WarehouseAddress, session: _Session) -> None:
    """Remember that this process has a session there. A target that has ``idle_seconds`` of its own
    is left to them; so is a server, which can be reached by everybody anyway."""
    global _used
    if not address.type.file_setting or "idle_seconds" in address.settings:
        return
    if _used.pid != os.getpid():
        _used = _Used(os.getpid())
    _used.sessions.setdefault(path, {})[session.session_id] = weakref.ref(session)


def leave_all() -> None:
    """Let go of all files in which this process has no open session any more."""
    if _used.pid != os.getpid():
        return
    for path, sessions in list(_used.sessions.items()):
        if not _open(sessions.values()):
            del _used.sessions[path]
            with contextlib.suppress(OSError, EOFError, wire.FrameError, WarehouseError):
                _leave(path, list(sessions))


def _open(sessions: Iterable[weakref.ref[_Session]]) -> list[_Session]:
    living = (reference() for reference in sessions)
    return [session for session in living if session is not None and not session.closed]


def _leave_at_exit() -> None:
    if _used.pid == os.getpid():
        for sessions in _used.sessions.values():
            for session in _open(sessions.values()):
                session.close()
    leave_all()


def forget() -> None:
    """Let go of nothing at this process's end: its parent goes on."""
    _used.sessions.clear()
    atexit.unregister(_leave_at_exit)


def _leave(path: str, sessions: list[str]) -> None:
    end = time.monotonic() + _OTHERS_SECONDS
    while (others := _ask(path, sessions)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    if others == 0:
        end = time.monotonic() + _END_SECONDS
        while is_held(path) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)


def _ask(path: str, sessions: list[str]) -> int | None:
    """How many clients other than these sessions the warehouse process has; None without one."""
    listener = handshake.read_listener(path)
    if listener is None or not is_reachable(listener):
        return None
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_END_SECONDS)
        sock.connect(listener.socket)
        wire.send(sock, {**handshake.greeting(path), "op": "leave", "sessions": sessions})
        answer = wire.receive(sock)
    return int(answer["others"])


atexit.register(_leave_at_exit)
