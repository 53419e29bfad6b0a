"""Python programs that need not import Dagster anew: each runs in a fork of a process that has.

Dagster's imports are half of a small run. Otherwise it is what a shell would start: the same file
as ``__main__``, the same arguments, folder, environment and streams, and an exit as Python does it.
It is not a child of the process that asks, so a test that sends signals starts the program itself.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import warm_client

#: How long the imports may take on a machine that is busy.
_START_SECONDS = 100.0
#: What a small run imports, but for the driver of a warehouse.
_NEEDED = (
    *("dagster._cli", "dagster._core.workspace.autodiscovery"),
    "dagster._core.storage.local_compute_log_manager",
    *("dagster_models.cli.main", "dagster_models.definitions.build"),
    "dagster_models.definitions.executor",
    *("sqlglot.dialects.duckdb", "sqlglot.dialects.postgres", "sqlglot.transforms"),
)
_COMMANDS = ("dagster", "dagster-models")
_COMMAND = """import sys
sys.path.insert(0, {here!r})
import warm_client
warm_client.be({address!r}, {at_start!r}, {program!r})
"""


def run(
    command: Sequence[str], folder: Path, env: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a Python file with its arguments, as ``subprocess.run`` does, whose errors are raised."""
    server = _server()
    if warm_client.read_at_start(env) != server.read_at_start:  # a test may have set one for all
        return subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    with (
        open(os.devnull) as stdin,
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
        socket.socket(socket.AF_UNIX) as answer,
    ):
        answer.connect(server.address)
        streams = [stream.fileno() for stream in (stdin, stdout, stderr)]
        warm_client.ask(answer, command, str(folder), env, streams)
        code = _exit_code(answer, command, timeout_seconds)
        for stream in (stdout, stderr):
            stream.seek(0)
        return subprocess.CompletedProcess(list(command), code, stdout.read(), stderr.read())


def commands() -> str:
    """A folder for PATH: in it, dagster and dagster-models run as ``run`` does."""
    return _server().commands


def _exit_code(answer: socket.socket, command: Sequence[str], timeout_seconds: float) -> int:
    """Wait for the process id and then for the exit code. The time of the program begins when it
    does: the first one waits for the imports."""
    end, said = time.monotonic() + _START_SECONDS, b""
    while select.select([answer], [], [], max(0.0, end - time.monotonic()))[0]:
        more = answer.recv(100)
        if not more:
            return int(said.split()[1])
        if not said:
            end = time.monotonic() + timeout_seconds
        said += more
    if said:
        os.kill(int(said.split()[0]), signal.SIGKILL)
    raise subprocess.TimeoutExpired(list(command), timeout_seconds)


class _Server:
    def __init__(self) -> None:
        self.read_at_start = warm_client.read_at_start(os.environ)
        self._folder = tempfile.mkdtemp(prefix="dagster-models-warm-")
        self.address = os.path.join(self._folder, "s")
        # Made here, so that requests wait in it while the process imports.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(100)
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
            )
        atexit.register(self._stop)
        self.commands = os.path.join(self._folder, "commands")
        os.mkdir(self.commands)
        for name in _COMMANDS:
            self._write_command(Path(self.commands, name), Path(sys.executable).with_name(name))

    def _write_command(self, path: Path, program: Path) -> None:
        text = _COMMAND.format(
            here=str(Path(__file__).parent),
            address=self.address,
            at_start=self.read_at_start,
            program=str(program),
        )
        # A path with a space cannot stand behind `#!`.
        python = shlex.join([sys.executable, "-IS", "-c", text])
        path.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        path.chmod(0o755)

    def _stop(self) -> None:
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


_starting = threading.Lock()


def _server() -> _Server:
    with _starting:  # else two threads start one each
        return _only_server()


@functools.cache
def _only_server() -> _Server:
    return _Server()


# In the process that has everything imported ----------------------------------------------------


def _serve(listener: socket.socket) -> None:
    _import_what_runs_need()
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, "a fork of a process with threads may wait for ever"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # a fork would copy every page when it collects, also at its end
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:  # else all is over
        answer, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_for_a_fork(answer)
        answer.close()


def _import_what_runs_need() -> None:
    from dagster import DagsterInstance

    from alembic_once import read_revisions_once

    read_revisions_once()
    for name in _NEEDED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as home:  # an instance imports as much again
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with DagsterInstance.from_config(home) as instance:
            instance.get_runs(limit=1)


def _wait_for_a_fork(answer: socket.socket) -> None:
    """Return in the fork that becomes the program; its parent reports its end, and exits."""
    _, streams, _, _ = socket.recv_fds(answer, 1, 3)
    command, folder, env = json.loads(answer.makefile().readline())
    pid = os.fork()
    if pid:
        try:
            answer.sendall(f"{pid} ".encode())
        except OSError:  # nobody waits any longer
            os.kill(pid, signal.SIGKILL)
            os._exit(0)
        for descriptor in streams:  # who reads them waits for the end of the program alone
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            answer.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    answer.close()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - that of the parent may have read ahead
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
    _serve(socket.socket(fileno=int(sys.argv[1])))
