"""Makes a real warehouse process die, hang or run short at one point of one step.

The environment variable FAULT is JSON: ``step`` (or "*"), ``point`` (see POINTS), ``way`` (a
function below, or "meet": let the step's worker die here) and ``folder`` for the files by which the
test and this process tell each other where they are. A fault happens once per folder.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: Deaths that a statement is in the middle of: a thread strikes while the statement runs.
STRIKES_WHILE_IT_RUNS = ("os._exit", "segfault", "SIGKILL")


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

    def strike(self) -> None:
        if self.way == "meet":
            self.meet()
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
    from dagster_models import materialization
    from dagster_models.warehouses.duckdb import DuckDBSession

    fault = Fault(**json.loads(text))
    run = materialization.run

    def noted(session: Any, task: Any, stop: Any) -> Any:
        fault.here.task, fault.here.stop = task, stop
        try:
            return run(session, task, stop)
        finally:
            fault.here.task = None

    materialization.run = noted

    def before(name: str, point: str) -> None:
        method = getattr(DuckDBSession, name)

        def call(self: Any, *args: Any) -> Any:
            if fault.is_due(point):
                fault.strike()
            return method(self, *args)

        setattr(DuckDBSession, name, call)

    def around(name: str, point: str) -> None:
        method = getattr(DuckDBSession, name)

        def call(self: Any, *args: Any) -> Any:
            if not fault.is_due(point):
                return method(self, *args)
            if fault.way in STRIKES_WHILE_IT_RUNS:
                threading.Thread(target=lambda: (time.sleep(0.05), fault.strike())).start()
                return method(self, *args)
            if fault.way in ("out of memory", "full disk"):
                fault.strike()
                return method(self, *args)
            result = method(self, *args)
            fault.strike()
            return result

        setattr(DuckDBSession, name, call)

    def after(name: str, point: str) -> None:
        method = getattr(DuckDBSession, name)

        def call(self: Any, *args: Any) -> Any:
            result = method(self, *args)
            if fault.is_due(point):
                fault.strike()
            return result

        setattr(DuckDBSession, name, call)

    before("begin", "begin")
    for name in ("create", "create_from_csv", "create_from_arrow"):
        around(name, "build")
    around("count", "check")
    after("write_record", "record")
    after("commit", "commit")
