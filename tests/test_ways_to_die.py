"""A catalogue of ways to die: way x point x who, on real processes, and what becomes of the table.

    python tests/test_ways_to_die.py        prints the table

The worker pool, the warehouse process and the script worker are the real ones; faults/ makes a
warehouse process fail at an exact point, and a script worker dies by the code of the model in it.
After each death: the outcome is true of the warehouse, nothing is left over, the next run succeeds.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_models import rendezvous, worker_pool
from dagster_models.core.messages import CheckTask, Task, Verdict
from dagster_models.core.model import Relation
from dagster_models.session import connect
from dagster_models.worker_pool import Answered, Lost, Settled, WorkerPool

pytestmark = pytest.mark.slow

FAULTS = str(Path(__file__).parent / "faults")
VICTIM = "main.victim"
BOUND_SECONDS = 15.0  #: no way to die may take a run longer
GRACE_SECONDS = 0.3

POINTS = ("begin", "build", "check", "record", "commit")
TITLES = ("before BEGIN", "in the build", "in a check", "after the record", "after COMMIT")

# The table -----------------------------------------------------------------------------------
# F failed, C canceled: the table is as before. S succeeded: it is the new one. E: either, and as
# it is told. A digit says why there is no such death.

WAREHOUSE_DIES = {
    "sys.exit": "F F F F S",
    "os._exit": "F F F F S",
    "segfault": "F F F F S",
    "SIGKILL": "F F F F S",
    "out of memory": "F F F E S",
    "hang": "C C C C S",
    "closed stdout": "S S S S S",
    "full disk": "F F F F S",
}
CASES = {
    "SQL step, warehouse process": {
        **WAREHOUSE_DIES,
        "memory_limit": "1 F F 1 1",
        "gigantic result": "2 F F 2 2",
    },
    "Python step, warehouse process": {
        **WAREHOUSE_DIES,
        **dict.fromkeys(("sys.exit", "segfault", "closed stdout"), "5 5 5 5 5"),
        "out of memory": "E E E E S",
        "full disk": "E E E F S",
    },
    "Python step, its worker": {
        "sys.exit": "F 3 3 3 3",
        "os._exit": "F F F S S",
        "segfault": "F F F S S",
        "SIGKILL": "F F F S S",
        "out of memory": "F S S S S",
        "hang": "C C C S S",
        "nonsense result": "F 4 4 4 4",
        "gigantic result": "S 4 4 4 4",
        "gigantic error": "F 4 4 4 4",
        "closed stdout": "S S S S S",
        "closed descriptors": "F S S S S",
        "full disk": "S S S S S",  # a limit that user code lowers is its own: ours is put back
    },
}
REASONS = {
    "1": "DuckDB refuses what a query asks for; these points ask for nothing",
    "2": "only a query's own text can be gigantic, and none of the user's runs here",
    "3": "the user's code has returned: sys.exit in a thread of its ends only that thread",
    "4": "the model returns, or raises, before BEGIN",
    "5": "the same code in the same process as for an SQL step",
}
STATES = {"F": "failed", "S": "succeeded", "C": "canceled", "E": "either"}


@dataclass(frozen=True)
class Case:
    who: str
    way: str
    point: str
    state: str

    @property
    def in_worker(self) -> bool:
        return self.who.endswith("its worker")


ALL = [
    Case(who, way, point, STATES[cell])
    for who, ways in CASES.items()
    for way, cells in ways.items()
    for point, cell in zip(POINTS, cells.split(), strict=True)
    if cell in STATES
]

# What the victim does ------------------------------------------------------------------------

NEW = "select 'new' as n"
ENDLESS = "select 'new' as n, sum(i) as s from range(100000000000000) t(i)"
ENDLESS_CHECK = "select sum(i) as s from range(100000000000000) t(i)"
LARGE = "select 'new' as n, list(i) as l from range(20000000) t(i)"  # a list cannot spill
LARGE_CHECK = "select list(i) as l from range(20000000) t(i) having len(l) < 0"
OFFENDS_NOBODY = "select * from main.victim where n <> 'new'"
GIGANTIC = "error(repeat('x', 100000000))"


def sql_of(case: Case) -> tuple[str, str]:
    """The query and the check of an SQL step."""
    query, check = NEW, OFFENDS_NOBODY
    if case.in_worker:  # it is in Python that something goes wrong
        return query, check
    if case.way in ("os._exit", "segfault", "SIGKILL"):
        query = ENDLESS if case.point == "build" else query
        check = ENDLESS_CHECK if case.point == "check" else check
    elif case.way in ("out of memory", "full disk", "memory_limit"):
        query = LARGE if case.point in ("begin", "build") else query
        check = LARGE_CHECK if case.point == "check" else check
        if case.way == "full disk":
            query, check = "select 'new' as n, i from range(200000) t(i)", OFFENDS_NOBODY
    elif case.way == "gigantic result":
        query = f"select {GIGANTIC} as n" if case.point == "build" else query
        check = f"select {GIGANTIC} as n" if case.point == "check" else check
    return query, check


DEEDS = {
    "sys.exit": "sys.exit(3)",
    "os._exit": "os._exit(7)",
    "segfault": "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); faulthandler._sigsegv()",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "out of memory": "limit(resource.RLIMIT_AS, memory()); fill = fill_it",
    "hang": "hold_the_interpreter()",
    "closed stdout": "sys.stdout.close(); os.close(1); os.close(2)",
    "closed descriptors": "os.closerange(0, 256)",
    "full disk": "limit(resource.RLIMIT_FSIZE, 0)",
}

MODEL = """
import ctypes, faulthandler, os, resource, signal, sys, threading

def limit(what, soft):
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def hold_the_interpreter():
    # As a library in C does that neither lets go of the interpreter's lock nor looks at signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        ctypes.PyDLL(None).sleep(1000)

def strike():
    fill_it = bytes
    {deed}

def told(text):
    try:
        with open(os.path.join({folder!r}, "gone"), "w") as file:
            file.write(text)
    except OSError:
        pass

def wait():
    with open(os.path.join({folder!r}, "reached")) as file:
        file.read()
    gone = os.open(os.path.join({folder!r}, "gone"), os.O_WRONLY)
    {thread}

def model(warehouse):
    {body}
"""
IN_A_THREAD = "threading.Thread(target=wait, daemon=True).start(); return [{'n': 'new'}]"
RETURNS = "return [{'n': 'new'}]"
BODIES = {
    "out of memory": "strike(); return [{'n': 'new', 'x': bytes(1 << 30)}]",
    "hang": "os.close(os.open(os.path.join(FOLDER, 'reached'), os.O_WRONLY)); strike()",
    "nonsense result": "return (row for row in [threading.Lock()])",
    "gigantic result": "import pyarrow as pa; "
    "return pa.table({'n': ['new'] * 1000, 'x': ['x' * 100_000] * 1000})",
    "gigantic error": "raise ValueError('x' * 100_000_000)",
}


def python_of(case: Case, folder: Path) -> str:
    deed = DEEDS.get(case.way, "pass") if case.in_worker else "pass"
    if not case.in_worker:
        body = RETURNS
    elif case.point == "begin":
        body = BODIES.get(case.way, f"strike(); {RETURNS}").replace("FOLDER", repr(str(folder)))
    else:
        body = IN_A_THREAD
    dies = case.way in ("os._exit", "segfault", "SIGKILL", "hang")
    go_on = "os.write(gone, b'go on'); os.close(gone)"
    if case.way == "closed descriptors":
        thread = "os.write(gone, b'go on'); strike()"  # closes it too
    elif case.way == "hang":
        thread = "os.close(gone); strike()"
    else:
        thread = "strike()" if dies else f"strike(); {go_on}"
    return MODEL.format(deed=deed, folder=str(folder), thread=thread, body=body)


# The stage -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the victim's old table, and the commit records' table."""
    path = tmp_path_factory.mktemp("template") / "w.duckdb"
    settings = {"path": str(path), "idle_seconds": 0.3}
    with connect({"type": "duckdb", "settings": settings}) as session:
        session.prepare(["main"])
        session.execute("create table main.victim as select 'old' as n")
        pid = session.server_pid
    wait_for_end({pid})
    return path


@dataclass
class Stage:
    """A database, a folder for the fault's files, and all processes that were started on it."""

    folder: Path
    mark: str

    @property
    def database(self) -> Path:
        return self.folder / "w.duckdb"

    def spec(self, **settings: Any) -> dict[str, Any]:
        path = str(self.database)
        return {"type": "duckdb", "settings": {"path": path, "idle_seconds": 0.3, **settings}}

    def processes(self) -> set[int]:
        """Those that inherited our mark, whosever children they are by now."""
        return {int(entry) for entry in os.listdir("/proc") if entry.isdigit() and self._has(entry)}

    def _has(self, pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"WAYS_TO_DIE={self.mark}".encode() in file.read()
        except OSError:
            return False


@pytest.fixture
def stage(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    shutil.copy(template, tmp_path / "w.duckdb")
    stage = Stage(tmp_path, os.urandom(8).hex())
    monkeypatch.setenv("WAYS_TO_DIE", stage.mark)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([FAULTS, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(worker_pool, "_SETTLE_SECONDS", 0.5)
    for name in ("reached", "gone"):
        os.mkfifo(tmp_path / name)
    yield stage
    for pid in stage.processes():  # of a test that failed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def wait_for_end(pids: set[int]) -> None:
    """Until these processes are gone, which is an event: a process is a descriptor, too."""
    end = time.monotonic() + 15
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(process, select.POLLIN)
        gone = poll.poll(max(0, end - time.monotonic()) * 1000)
        os.close(process)
        assert gone, f"process {pid} is left over: {command_of(pid)}"


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def task_of(kind: str, run_id: str, **more: Any) -> Task:
    return Task(run_id, VICTIM, 1, kind, Relation("main", "victim"), **more)


def run(pool: WorkerPool, task: Task, spec: dict[str, Any]) -> tuple[str, str]:
    """One step, as the executor's loop does it: its state, and the error that is told."""
    pool.start(VICTIM, task, spec)
    told, killed, end = "", False, time.monotonic() + BOUND_SECONDS
    while (left := end - time.monotonic()) > 0:
        for happening in pool.wait(left):
            if isinstance(happening, Answered):
                error = happening.outcome.error
                told = f"{error.kind}: {error.message}" if error else ""
                return by_verdict(happening.outcome.verdict), told
            if isinstance(happening, Lost):
                told, killed = happening.message, happening.killed
                pool.settle(happening, task, spec)
            elif isinstance(happening, Settled):
                told += happening.error
                if happening.committed:
                    return "succeeded", told
                return "canceled" if killed else "failed", told
    pytest.fail(f"no end after {BOUND_SECONDS} s: {told}")


def by_verdict(verdict: Verdict) -> str:
    return {
        Verdict.COMMITTED: "succeeded",
        Verdict.ROLLED_BACK: "failed",
        Verdict.CANCELED: "canceled",
    }[verdict]


def stop_when_reached(pool: WorkerPool, stage: Stage) -> None:
    """Cancel the step when the fault has struck, kill it after the grace: what the loop does."""

    def press() -> None:
        with open(stage.folder / "reached") as file:
            file.read()
        pool.call_soon(lambda: pool.cancel(VICTIM) or [])
        time.sleep(GRACE_SECONDS)
        pool.call_soon(lambda: pool.kill(VICTIM) or [])

    threading.Thread(target=press, daemon=True).start()


# The deaths ----------------------------------------------------------------------------------

OUTCOMES: dict[tuple[str, str, str], str] = {}


@pytest.mark.parametrize("case", ALL, ids=lambda c: f"{c.who}-{c.way}-{c.point}".replace(" ", "_"))
def test_a_death(case: Case, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    way = "none" if case.way in ("memory_limit", "gigantic result", "gigantic error") else case.way
    if case.in_worker:
        way = "none" if case.point == "begin" else "meet"
    fault = {"step": VICTIM, "point": case.point, "way": way, "folder": str(stage.folder)}
    monkeypatch.setenv("FAULT", json.dumps(fault))
    spec = stage.spec(**({"memory_limit": "50MB"} if case.way == "memory_limit" else {}))
    query, check = sql_of(case)
    more: dict[str, Any] = {"checks": (CheckTask("c", check),), "sql": query}
    kind = "sql"
    if not case.who.startswith("SQL"):
        kind = "python"
        path = stage.folder / "victim.py"
        path.write_text(python_of(case, stage.folder))
        more = {"checks": (CheckTask("c", check),), "path": str(path)}
        more["project_root"] = str(stage.folder)
    with contextlib.closing(WorkerPool()) as pool:
        if case.way == "hang":
            stop_when_reached(pool, stage)
        began = time.monotonic()
        state, told = run(pool, task_of(kind, "first", **more), spec)
        seconds = time.monotonic() - began
        OUTCOMES[case.who, case.way, case.point] = state
        print(f"{state} in {seconds:.2f} s: {told[:2000]}")
        assert case.state in (state, "either"), told
        monkeypatch.delenv("FAULT")
        lift_limits(stage)
        if case.way != "hang":  # in the same run: nobody else's step is hurt
            check_the_truth(stage, state)
            check_the_next(pool, kind, stage)
    if case.way == "hang":  # what hears no interrupt holds its table until its process ends
        check_the_truth(stage, state)
        with contextlib.closing(WorkerPool()) as pool:
            check_the_next(pool, kind, stage)
    check_nothing_is_left(stage)


def check_the_next(pool: WorkerPool, kind: str, stage: Stage) -> None:
    if kind == "python":  # a worker that died or ran short costs no other step
        after = stage.folder / "after.py"
        after.write_text("def model(warehouse): return [{'n': 'after'}]")
        more = {"path": str(after), "project_root": str(stage.folder)}
    else:
        more = {"sql": "select 'after' as n"}
    state, told = run(pool, task_of(kind, "second", **more), stage.spec())
    assert state == "succeeded", told


def lift_limits(stage: Stage) -> None:
    """The disk has room again, memory is free."""
    for pid in stage.processes():
        for what in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (hard, hard))


def check_the_truth(stage: Stage, state: str) -> None:
    with connect(stage.spec()) as session:
        (content,) = session.query("select min(n) from main.victim")
        records = session.query("select run_id from dagster_models.commits")
    assert content == (("new",) if state == "succeeded" else ("old",))
    assert records == ([("first",)] if state == "succeeded" else [])


def check_nothing_is_left(stage: Stage) -> None:
    wait_for_end(stage.processes())
    assert stage.processes() == set()
    lock = rendezvous.acquire(f"{stage.database}.lock")
    assert lock is not None
    os.close(lock)
    with duckdb.connect(str(stage.database)) as direct:
        assert direct.sql("select min(n) from main.victim").fetchall() == [("after",)]
        found = direct.sql(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        assert sorted(found) == [("dagster_models.commits",), ("main.victim",)]


@pytest.fixture(scope="session", autouse=True)
def table() -> Iterator[None]:
    yield
    if OUTCOMES:
        print("\n" + as_table())


def as_table() -> str:
    width = max(len(way) for ways in CASES.values() for way in ways)
    lines = []
    for who, ways in CASES.items():
        heads = "".join(f"{title:18}" for title in TITLES)
        lines += ["", f"{who} dies", f"  {'':{width}}  {heads}".rstrip()]
        for way, cells in ways.items():
            found = [
                OUTCOMES.get((who, way, point), f"- [{cell}]" if cell in REASONS else "not run")
                for point, cell in zip(POINTS, cells.split(), strict=True)
            ]
            cells_told = "".join(f"{text:18}" for text in found)
            lines.append(f"  {way:{width}}  {cells_told}".rstrip())
    lines += ["", *(f"[{number}] {reason}" for number, reason in REASONS.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-s", "--no-header"]))
