"""Python programs that need not import Dagster anew: each runs in a fork of a process that has.

Dagster's imports are half of a small run. Otherwise it is what a shell would start: the same file
as ``__main__``, the same arguments, folder and environment, and an exit as Python does it; its
streams are files. It is not a child of the process that asks, so a test that sends signals starts
the program itself.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

#: The variables that Python or the loader read when a process starts, which is over by then, and
#: those that Python reads once.
_READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "TMP", "TEMP")
#: How long the imports may take on a machine that is busy.
_START_SECONDS = 100.0


def run(
    command: Sequence[str], folder: Path, env: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a Python file with its arguments, as ``subprocess.run`` does, whose errors are raised."""
    if _read_at_start(env) != _server().read_at_start:  # a test may have set one for all its runs
        return subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    with tempfile.TemporaryDirectory() as streams:
        stdout, stderr, ended = (Path(streams, name) for name in ("stdout", "stderr", "ended"))
        os.mkfifo(ended)
        answer = os.open(ended, os.O_RDONLY | os.O_NONBLOCK)
        try:
            request = [list(command), str(folder), dict(env), str(stdout), str(stderr), str(ended)]
            _server().ask(request)
            code = _exit_code(answer, command, timeout_seconds)
        finally:
            os.close(answer)
        return subprocess.CompletedProcess(
            list(command), code, stdout.read_text(), stderr.read_text()
        )


def _exit_code(answer: int, command: Sequence[str], timeout_seconds: float) -> int:
    """Wait for the process id and then for the exit code. The time of the program begins when it
    does: the first one waits for the imports."""
    end, said = time.monotonic() + _START_SECONDS, b""
    while select.select([answer], [], [], max(0.0, end - time.monotonic()))[0]:
        more = os.read(answer, 100)
        if not more:
            return int(said.split()[1])
        if not said:
            end = time.monotonic() + timeout_seconds
        said += more
    if said:
        os.kill(int(said.split()[0]), signal.SIGKILL)
    raise subprocess.TimeoutExpired(list(command), timeout_seconds)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in env if name.startswith(_READ_AT_START)}


class _Server:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read_at_start = _read_at_start(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        atexit.register(self._stop)

    def ask(self, request: Any) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


_starting = threading.Lock()


def _server() -> _Server:
    with _starting:  # else two threads start one each
        return _only_server()


@functools.cache
def _only_server() -> _Server:
    return _Server()


# In the process that has everything imported ----------------------------------------------------


def _serve() -> None:
    _import_what_runs_need()
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, "a fork of a process with threads may wait for ever"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # a fork would copy every page when it collects, also at its end
    for line in iter(sys.stdin.buffer.readline, b""):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_for_a_fork(*json.loads(line))


def _import_what_runs_need() -> None:
    from dagster import DagsterInstance
    from dagster._cli import create_dagster_cli  # noqa: F401

    import dagster_models.cli.main
    import dagster_models.definitions.executor  # noqa: F401

    with tempfile.TemporaryDirectory() as home:  # an instance imports as much again
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with DagsterInstance.from_config(home) as instance:
            instance.get_runs(limit=1)


def _wait_for_a_fork(
    command: list[str], folder: str, env: dict[str, str], stdout: str, stderr: str, ended: str
) -> None:
    """Return in the fork that becomes the program; its parent reports its end, and exits."""
    pid = os.fork()
    if pid:
        try:
            answer = os.open(ended, os.O_WRONLY | os.O_NONBLOCK)
            os.write(answer, f"{pid} ".encode())
        except OSError:  # nobody waits any longer
            os.kill(pid, signal.SIGKILL)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    for descriptor, path in enumerate((os.devnull, stdout, stderr)):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the old one may hold the next request
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    _become(command)


def _become(command: list[str]) -> NoReturn:
    program, sys.argv = Path(command[0]), list(command)
    sys.path[0] = str(program.parent)
    main = ModuleType("__main__")
    main.__file__ = str(program)
    sys.modules["__main__"] = main
    exec(compile(program.read_bytes(), str(program), "exec"), main.__dict__)
    sys.exit()


if __name__ == "__main__":
    _serve()
