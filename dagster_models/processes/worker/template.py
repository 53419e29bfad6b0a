"""The template of step processes: ``python -m dagster_models.processes.worker --control FD``.

    run worker ──control (socket pair)──> template ──fork──> a process for each Python step
         │                              (one thread, runs                │
         │                               no user code)                   │
         └─────────── the step's own socket pair, stdout and stderr ─────┘

Whatever a step does to its process ends with that process: module globals, threads, handlers, time
zone, everything. A new interpreter would be as clean, but it takes 0.2 s to start, and as long to
import pyarrow. A fork of this process takes a few milliseconds, and shares its memory.

It receives ``{"op": "start", "mark": ..., "warm": [...]}``, followed by three descriptors (control
socket, stdout and stderr of the step), and ``{"op": "kill", "mark": ...}``. It sends ``{"op":
"ended", "mark": ..., "pid": ..., "code": ..., "error": ...}`` for each step; ``code`` is negative
for a signal. The end of the control socket means that the run is over, or that the run worker is
dead: every step still running is ended.

Only a process with a single thread can be forked safely: another thread may hold a lock that nobody
releases in the child. So only libraries of a short list (``libraries.WARM``) are imported here,
which leave no thread behind. If there is one all the same, and on systems whose libraries do not
survive a fork (macOS), each step starts as a new interpreter.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from dagster_models.processes import wire
from dagster_models.processes.handshake import package_version
from dagster_models.processes.worker.step import serve
from dagster_models.util.orphans import MARK, kill_marked, remark

#: After the end of the run worker: steps interrupt their code and end by themselves within this.
_LAST_SECONDS = 2.0

_FAILED_TO_FORK = -1


class Template:
    """One template process. ``serve`` runs until its control socket ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._marks: dict[int, str] = {}  # of the steps' processes, by pid
        self._tried: set[str] = set()  # modules of WARM libraries
        self._forks = sys.platform == "linux"
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)

    def serve(self) -> None:
        # Not SIG_IGN, which new programs inherit. A service that is stopped sends SIGTERM to every
        # process: the run worker, which gets it too, decides what becomes of the steps.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, _no_matter)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        package_version()  # each session's greeting has it, and it takes a while
        gc.disable()  # it would write to pages that the steps share
        gc.freeze()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            poll.poll()
            self._reap()
            if wire.readable(self._control) and not self._read():
                return

    def _read(self) -> bool:
        """Carry out one request; False at the end of the control socket."""
        try:
            message = wire.receive(self._control)
            if message["op"] == "start":
                _, descriptors, _, _ = socket.recv_fds(self._control, 1, 3)
                self._start(message["mark"], message["warm"], descriptors)
            elif message["op"] == "kill":
                self._kill(message["mark"])
        except (EOFError, OSError):
            return False
        return True

    # -- steps -----------------------------------------------------------------------------------

    def _start(self, mark: str, warm: Iterable[str], descriptors: Sequence[int]) -> None:
        self._load(warm)
        start = self._fork if self._forks else _new_interpreter
        try:
            self._marks[start(mark, descriptors)] = mark
        except OSError as error:  # no memory, too many processes
            self._report(mark, 0, _FAILED_TO_FORK, str(error))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, mark: str, descriptors: Sequence[int]) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            self._become_a_step(mark, descriptors)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _become_a_step(self, mark: str, descriptors: Sequence[int]) -> NoReturn:
        """Make the fork as a new interpreter would be, and run a step in it."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control, *outputs = descriptors
        for number, descriptor in enumerate(outputs, start=1):
            os.dup2(descriptor, number)
        for descriptor in (*outputs, self._woken, self._wake):
            os.close(descriptor)
        self._control.close()
        remark(mark)
        gc.enable()
        random = sys.modules.get("numpy.random")
        if random is not None:  # Python's own `random` does this at every fork
            random.seed()
        serve(socket.socket(fileno=control))

    def _load(self, names: Iterable[str]) -> None:
        """Import modules of the WARM libraries, for all steps from now on."""
        new = [name for name in names if name not in self._tried]
        if not new or not self._forks:
            return
        # jemalloc, as pyarrow brings it along, would otherwise start a thread.
        with _environment("JE_ARROW_MALLOC_CONF", "background_thread:false"):
            for name in new:
                self._tried.add(name)
                with suppress(Exception):  # it is the step's business to report this
                    importlib.import_module(name)
        gc.freeze()
        self._forks = _is_alone()

    def _kill(self, mark: str) -> None:
        for pid, other in self._marks.items():
            if other == mark:
                _kill_group(pid)
                kill_marked(mark)

    def _reap(self) -> None:
        """Report the steps' processes that have ended."""
        with suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass
        for pid, mark in tuple(self._marks.items()):
            code = _exit_code(pid, mark)
            if code is not None:
                del self._marks[pid]
                self._report(mark, pid, code)

    def _report(self, mark: str, pid: int, code: int, error: str = "") -> None:
        message = {"op": "ended", "mark": mark, "pid": pid, "code": code, "error": error}
        with suppress(OSError):  # nobody is there: the next read notices
            wire.send(self._control, message)

    def close(self) -> None:
        """Wait a little for the steps, whose run worker is gone, too, and kill those left."""
        deadline = time.monotonic() + _LAST_SECONDS
        while self._marks and time.monotonic() < deadline:
            select.select([self._woken], [], [], max(0.0, deadline - time.monotonic()))
            self._reap()
        for mark in tuple(self._marks.values()):
            self._kill(mark)


def _exit_code(pid: int, mark: str) -> int | None:
    """The exit code of a step's process, negative for a signal; None while it runs.

    If it died, or a step was stopped in it, what it had started is killed. What a step started that
    went well may stay, in a session of its own (a daemon).
    """
    if hasattr(os, "waitid"):  # see the end without reaping it: its group is still its own
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if end is None:
            return None
        if end.si_status != 0:
            _kill_group(pid)
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        kill_marked(mark)
    return code


def _kill_group(pid: int) -> None:
    """Kill a step's process and its group; it leads one as soon as it runs."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _new_interpreter(mark: str, descriptors: Sequence[int]) -> int:
    """Start a step's process that is no fork of this one."""
    control, out, err = descriptors
    os.set_inheritable(control, True)
    command = [sys.executable, "-m", __package__, "--step", str(control)]
    outputs = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((out, err), start=1)]
    return os.posix_spawn(sys.executable, command, {**os.environ, MARK: mark}, file_actions=outputs)


def _is_alone() -> bool:
    """Whether this process has a single thread after a fork, as it must have for the next one."""
    # numpy's OpenBLAS has threads after its import. It ends them at a fork, and starts them when
    # they are needed, which is never here.
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return len(os.listdir("/proc/self/task")) == 1


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable during a block, unless it is set."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _no_matter(*_: object) -> None:
    """Handle a signal by doing nothing."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}", allow_abbrev=False, description=(__doc__ or "")[:70]
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--control", type=int, metavar="FD", help="be a template")
    which.add_argument("--step", type=int, metavar="FD", help="run one step")
    parser.add_argument("--given", type=int, metavar="FD", help="a file with the step")
    options = parser.parse_args(arguments)
    control = socket.socket(fileno=options.step if options.control is None else options.control)
    control.set_inheritable(False)
    if os.getpgrp() != os.getpid():
        os.setsid()  # what ends our group must not end the run worker's
    if options.control is None:
        serve(control, options.given)
    template = Template(control)
    template.serve()
    template.close()
    os._exit(0)
