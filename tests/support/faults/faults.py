"""Makes a real warehouse process, or the server behind it, die or run short at one point of a step.

The environment variable FAULT is JSON: ``warehouse``, ``step`` (or "*"), ``point`` (deaths.py),
``way`` (a function below, or "meet": let the step's worker die here) and ``folder`` for the files
by which the test and this process tell each other where they are. It happens once per folder.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: Deaths that a statement is in the middle of: a thread strikes while the statement runs.
STRIKES_WHILE_IT_RUNS = (
    *("os._exit", "segfault", "SIGKILL"),
    *("session ended", "backend killed", "server killed"),
)

SESSIONS = {"duckdb": "DuckDBSession", "postgres": "PostgresSession"}


def leave() -> None:
    sys.exit(3)


def end() -> None:
    os._exit(7)


def crash() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler._sigsegv()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_more_memory() -> None:
    """Like a container that is full: no page more than there are now."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, used)


def no_more_disk() -> None:
    """Every write to a file fails, that to the log too."""
    _limit(resource.RLIMIT_FSIZE, 0)


def hang() -> None:
    """As a statement does that hears no interrupt."""
    threading.Event().wait()


def close_output() -> None:
    sys.stdout.close()
    sys.stderr.close()


def end_backend(backend: int) -> None:
    """What pg_terminate_backend sends; return when it has ended."""
    _end(backend, signal.SIGTERM, waited=backend)


def kill_backend(backend: int) -> None:
    """The server then ends all its sessions, and starts again."""
    _end(backend, signal.SIGKILL, waited=backend)


def kill_server(backend: int) -> None:
    """Its main process; the test starts it again. A backend ends when it next waits."""
    with open(f"/proc/{backend}/stat") as file:
        main = int(file.read().rpartition(")")[2].split()[1])
    _end(main, signal.SIGKILL, waited=backend)


def _end(pid: int, number: int, waited: int) -> None:
    process = os.pidfd_open(waited)
    os.kill(pid, number)
    select.select([process], [], [])
    os.close(process)


SERVER_WAYS: dict[str, Callable[[int], None]] = {
    "session ended": end_backend,
    "backend killed": kill_backend,
    "server killed": kill_server,
}

WAYS: dict[str, Callable[[], None]] = {
    "sys.exit": leave,
    "os._exit": end,
    "segfault": crash,
    "SIGKILL": kill,
    "out of memory": no_more_memory,
    "full disk": no_more_disk,
    "hang": hang,
    "closed stdout": close_output,
    "none": lambda: None,
}


def _limit(what: int, soft: int) -> None:
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))


class Fault:
    def __init__(self, step: str, point: str, way: str, folder: str) -> None:
        self.step, self.point, self.way, self.folder = step, point, way, folder
        self.here = threading.local()

    def is_due(self, point: str) -> bool:
        task = getattr(self.here, "task", None)
        if point != self.point or task is None or self.step not in ("*", task.step):
            return False
        try:
            os.close(os.open(f"{self.folder}/struck", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def strike(self, session: Any) -> None:
        if self.way == "meet":
            self.meet()
        elif self.way in SERVER_WAYS:
            SERVER_WAYS[self.way](session._connection.info.backend_pid)
        else:
            if self.way == "hang":  # the test stops the step as soon as it does
                with open(f"{self.folder}/reached", "w"):
                    pass
            WAYS[self.way]()

    def meet(self) -> None:
        """Let the worker know where we are; go on when it is dead or says so."""
        with open(f"{self.folder}/reached", "w"):
            pass
        with open(f"{self.folder}/gone") as file:
            if file.read() != "go on" and self.point in ("begin", "build", "check"):
                self.here.stop.wait(20)  # its end is an interrupt, which is on the way


def install(text: str) -> None:
    from dagster_models.core.tasks import Query
    from dagster_models.processes.server import attempt as materialization

    told = json.loads(text)
    warehouse = told.pop("warehouse")
    module = importlib.import_module(f"dagster_models.warehouses.{warehouse}.session")
    session_class = getattr(module, SESSIONS[warehouse])
    fault = Fault(**told)
    run = materialization.run

    def noted(session: Any, task: Any, stop: Any, *more: Any) -> Any:
        fault.here.task, fault.here.stop = task, stop
        try:
            return run(session, task, stop, *more)
        finally:
            fault.here.task = None

    materialization.run = noted

    def wrap(name: str, point: str, strike_and_call: Callable[..., Any]) -> None:
        method = getattr(session_class, name)

        def call(self: Any, *args: Any) -> Any:
            if not fault.is_due(point):
                return method(self, *args)
            return strike_and_call(self, lambda: method(self, *args))

        setattr(session_class, name, call)

    def before(session: Any, method: Callable[[], Any]) -> Any:
        fault.strike(session)
        return method()

    def after(session: Any, method: Callable[[], Any]) -> Any:
        result = method()
        fault.strike(session)
        return result

    def in_the_middle(session: Any, method: Callable[[], Any]) -> Any:
        """Of a text, which is an endless one for this."""
        if fault.way not in STRIKES_WHILE_IT_RUNS:
            return in_a_short_one(session, method)
        threading.Thread(target=lambda: (time.sleep(0.05), fault.strike(session))).start()
        return method()

    def in_a_short_one(session: Any, method: Callable[[], Any]) -> Any:
        short_of = fault.way in ("out of memory", "full disk")
        return (before if short_of else after)(session, method)

    wrap("begin", "begin", before)

    def build(session: Any, method: Callable[[], Any]) -> Any:
        sends_a_text = isinstance(fault.here.task.content, Query)
        return (in_the_middle if sends_a_text else in_a_short_one)(session, method)

    wrap("replace_table", "build", build)
    wrap("count", "check", in_the_middle)
    wrap("write_record", "record", after)
    wrap("commit", "commit", after)
