"""Starts a warehouse process, and explains why one does not answer or has died."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.holders import is_held
from dagster_models.processes.handshake import read_listener
from dagster_models.util import runtime_files
from dagster_models.util.orphans import MARK

#: The processes that this one started, by pid: only a parent learns how its child ended.
_children: dict[int, subprocess.Popen[bytes]] = {}
_children_lock = threading.Lock()

#: Between two starts: a process that lost the election to one that is just leaving exits at once.
_RESTART_SECONDS = 0.05

_TAIL_LINES = 15


class Starter:
    """Starts the warehouse process of a database, once among all clients that want it."""

    def __init__(self, address: WarehouseAddress, path: str, environ: Mapping[str, str]) -> None:
        self._address, self._path, self._environ = address, path, environ
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def __enter__(self) -> Starter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def ensure_started(self) -> None:
        """Start the process unless somebody else is doing so.

        Raises WarehouseError if it cannot.
        """
        if self._lock is None:
            folder = runtime_files.runtime_folder()
            name = f"{folder}/{runtime_files.digest(self._path)}.start"
            try:
                self._lock = runtime_files.acquire(name)
            except OSError as error:
                raise runtime_files.no_room(folder, error) from error
            return  # whoever held it may just have started the process: look once more
        if self._child is not None:
            if self._child.poll() is None:
                return
            if self._child.returncode != 0:
                raise WarehouseError(
                    ErrorKind.START_FAILED,
                    f"the warehouse process of {self._path} did not start:\n"
                    + (log_tail(_log_path(self._path), self._child.pid) or _why_silent()),
                )
            # 0: it lost the election to a process that is leaving, or was idle before we came.
            self._child = None
            self._not_before = time.monotonic() + _RESTART_SECONDS
        if time.monotonic() >= self._not_before:
            try:
                self._child = _start(self._address, self._path, self._environ)
            except OSError as error:
                if error.filename == sys.executable:
                    what = f"the warehouse process of {self._path} cannot be started: {error}"
                    raise WarehouseError(ErrorKind.START_FAILED, what) from error
                raise runtime_files.no_room(runtime_files.runtime_folder(), error) from error


def _why_silent() -> str:
    """Why a process that did not start has written nothing to its log."""
    folder = runtime_files.runtime_folder()
    if shutil.disk_usage(folder).free:
        return "(it said nothing)"
    return runtime_files.no_room(folder, OSError(errno.ENOSPC, "no space is left")).message


def _log_path(path: str) -> str:
    return f"{runtime_files.runtime_folder()}/{runtime_files.digest(path)}.log"


def _start(
    address: WarehouseAddress, path: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    if address.type.file_setting:  # the path in the settings may be relative to our folder
        address = address.with_settings(**{address.type.file_setting: path})
    environ = {**address.type.process_environment, **environ}
    fd = os.open(_log_path(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "dagster_models.processes.server"],
            stdin=subprocess.PIPE,
            stdout=fd,
            stderr=fd,
            start_new_session=True,  # Ctrl-C is meant for the run, not for those who share the file
            env={name: value for name, value in environ.items() if name != MARK},
            cwd=runtime_files.runtime_folder(),  # on sys.path: no json.py of a project
        )
    finally:
        os.close(fd)
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        # Not in the arguments, which every user of the machine can list: it may hold a password.
        pipe.write(json.dumps(address.to_json()).encode())
    with _children_lock:
        for pid in [pid for pid, other in _children.items() if other.poll() is not None]:
            if len(_children) > 8:  # keep some of the dead: their sessions may still ask how
                del _children[pid]
        _children[child.pid] = child
    return child


@atexit.register
def disown() -> None:
    """Forget a child that outlives us by design, so that its end causes no ResourceWarning."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0


def why_no_answer(path: str, timeout_seconds: float) -> str:
    listener = read_listener(path)
    answer = f"no warehouse process of {path} answered within {timeout_seconds:g} s."
    if listener is not None and _alive(listener.pid):
        return (
            f"{answer} The one with pid {listener.pid} holds {path}.lock; it may be opening a large"
            f" file. Try again, or end it: kill {listener.pid}"
        )
    tail = log_tail(_log_path(path), None)
    return f"{answer} The end of its log, {_log_path(path)}:\n{tail}"


def obituary(pid: int, log: str, path: str) -> str:
    """Explain what is known of a warehouse process that closed its connection."""
    parts = [f"the warehouse process (pid {pid}) of {path} {_end(pid)}."]
    parts.append("What was not committed is rolled back; the next session starts a new process.")
    tail = log_tail(log, pid)
    if tail:
        parts.append(f"The end of its log, {log}:\n{tail}")
    return "\n".join(parts)


def _end(pid: int) -> str:
    with _children_lock:
        child = _children.get(pid)
    if child is None:
        return "closed the session, and still runs" if _alive(pid) else "is gone"
    try:
        code = child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return "closed the session, and still runs"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return (
            "was killed by SIGKILL. That is usually the kernel, which was out of memory (set"
            " memory_limit in the target, or fewer threads), or somebody's kill -9"
        )
    return f"was killed by {name}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_served_by(pid: int, path: str) -> bool:
    """Whether the warehouse process of *path* is still the one with that pid."""
    listener = read_listener(path)
    if listener is None or (listener.pid, listener.host) != (pid, socket.gethostname()):
        return False  # another one has taken its place: it is gone
    # Where nobody holds the lock for life any more, the pid may be anybody's.
    return is_held(path)


def kill(pid: int, path: str) -> None:
    """Kill the warehouse process of *path* (SIGKILL), if it is still the one with that pid."""
    if is_served_by(pid, path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started_line(pid: int) -> str:
    """Return the first line that a warehouse process writes to its log; log_tail looks for it."""
    return f"-- warehouse process {pid}"


def log_tail(log: str, pid: int | None) -> str:
    """Return the last lines of the log, those of one process if its first line is found."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = file.read()[-20_000:].splitlines()
    except OSError:
        return ""
    if pid is not None:
        starts = [i for i, line in enumerate(lines) if line.startswith(started_line(pid))]
        if starts:
            lines = lines[starts[-1] + 1 :]
    return "\n".join(lines[-_TAIL_LINES:])
