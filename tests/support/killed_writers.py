"""Processes that publish one relation again and again, and are killed at it.

A writer's program forks another process for each line of its input, [settings, acked, first, ...],
and prints the pid. That appends the number of each attempt to the file *acked* once its outcome
says that it is published, and the number below zero if it says that it is not.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession

#: A server of Java needs half a minute to start, and its first statement as long again.
_SECONDS = 240


class Writer:
    """A process that is killed."""

    def __init__(self, told: Path, pid: int) -> None:
        self._told, self._pid = told, pid

    def wait_for(self, lines: int) -> None:
        self.wait_until(lambda: len(self.lines()) >= lines)

    def wait_for_the_end(self) -> None:
        self.wait_until(lambda: not self.is_alive())

    def wait_until(self, happened: Callable[[], object]) -> None:
        end = time.monotonic() + _SECONDS
        while not happened():
            assert time.monotonic() < end
            time.sleep(0.002)

    def is_alive(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, 0)
            return True
        return False

    def lines(self) -> list[str]:
        return self._told.read_text().split()

    def kill(self) -> list[int]:
        """Kill it; the attempts that it has reported as published, and below zero those that it has
        reported as not published."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.wait_for_the_end()
        return [int(line) for line in self.lines()[1:]]


Start = Callable[..., Writer]


@contextlib.contextmanager
def writers(program: str, folder: Path) -> Iterator[Start]:
    """What starts a writer by its settings, its first attempt, and what its program asks for
    besides; in the end all of them are killed."""
    command = [sys.executable, "-W", "ignore", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started: list[Writer] = []
    with subprocess.Popen(command, **pipes, stderr=subprocess.DEVNULL) as parent:  # type: ignore[call-overload]

        def start(settings: dict[str, Any], first: int, *more: str) -> Writer:
            told = folder / f"told-{first}"
            told.touch()
            asked = [settings, str(told), first, *more]
            print(json.dumps(asked), file=parent.stdin, flush=True)
            started.append(Writer(told, int(parent.stdout.readline())))
            return started[-1]

        yield start
        for writer in started:
            writer.kill()
        parent.stdin.close()


class Server(Protocol):
    def kill(self) -> None: ...
    def restart(self) -> None: ...


class InTurns:
    """Several servers, another one of which is killed each time."""

    def __init__(self, *servers: Server) -> None:
        self._turns, self._killed = itertools.cycle(servers), servers[0]

    def kill(self) -> None:
        self._killed = next(self._turns)
        self._killed.kill()

    def restart(self) -> None:
        self._killed.restart()


#: What is wrong, how many attempts were in doubt, and the number of the next attempt, after what a
#: killed writer has reported (see ``Writer.kill``), whose first attempt had that number.
Settle = Callable[[list[int], int], tuple[list[str], int, int]]


def kill_at_random(
    server: Server,
    start: Callable[[int], Writer],
    kills: int,
    seed: object,
    settle: Settle,
    server_each: int = 3,
) -> None:
    """Kill a writer at a random moment again and again, each third time after its server, or as
    *server_each* says."""
    chance, first, wrong, doubted = random.Random(str(seed)), 1, list[str](), 0
    for number in range(kills):
        writer = start(first)
        writer.wait_for(1 + number % 2)
        time.sleep(chance.uniform(0, 0.3))
        if number % server_each == 1:
            server.kill()
            time.sleep(0.1)  # the writer goes on without it
            said = writer.kill()
            server.restart()
        else:
            said = writer.kill()
        found, more, first = settle(said, first)
        wrong += [f"kill {number}: {it}" for it in found]
        doubted += more
    print(f"{seed}: {kills} kills, {doubted} attempts in doubt, {len(wrong)} disagreements")
    assert wrong == []


# In the program ----------------------------------------------------------------------------------


def fork_for_each_line(write: Callable[..., None], *modules: str) -> None:
    """*modules*: what takes its time to import. There is no connection before the fork."""
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            write(*json.loads(line))
        print(pid, flush=True)


def publish_until_killed(
    session: WarehouseSession, acked: str, first: int, task: Callable[[int], BuildTask]
) -> None:
    session.prepare(["s"])
    attempt = first
    with open(acked, "a", buffering=1) as told:
        print("ready", file=told)
        while True:
            verdict = run(session, task(attempt), Stop()).verdict
            if verdict in (Verdict.COMMITTED, Verdict.ROLLED_BACK):
                print(attempt if verdict is Verdict.COMMITTED else -attempt, file=told)
            attempt += 1
