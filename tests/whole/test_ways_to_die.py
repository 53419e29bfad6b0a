"""A catalogue of ways to die: way x point x who, on real processes, and what becomes of the table.

The runners, the warehouse process and the Python worker are the real ones; faults/ makes a
warehouse process, or the server behind it, fail at an exact point, and a Python worker dies by the
code of the model in it. After each death: the outcome is true of the warehouse, nothing is left
over, the next run succeeds. By default every way and every point of each who dies is tried, but not
every way at every point (``pairwise`` in deaths.py). All of it, and the table of it::

    DAGSTER_MODELS_TEST_EXHAUSTIVE=1 pytest -s tests/test_ways_to_die.py
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import pytest

from addresses import duckdb_at, postgres_at
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.messages import Verdict
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import BuildTask, PythonTask, Task
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution import lookup
from dagster_models.execution.runners.events import Answered, Lost, Settled
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.processes.address import key_of
from dagster_models.processes.client.session import connect
from dagster_models.util import runtime_files
from deaths import ALL, VICTIM, Case, as_table, pairwise, python_of, sql_of
from paths import SUPPORT
from postgres_server import GIVEN, PostgresServer, dsn_of_database, start_server
from running import EXHAUSTIVE
from tasks import python_task, sql_task

pytestmark = pytest.mark.slow

FAULTS = str(SUPPORT / "faults")
BOUND_SECONDS = 30.0  #: no way to die may take a run longer, on a busy machine
GRACE_SECONDS = 0.3

# The grounds ---------------------------------------------------------------------------------


class Ground(Protocol):
    """A new database with the victim's old table and the table of the commit records.

    ``settings``: of its target; ``ask``: when every process has let go of it; ``sessions``: of
    others, that a server still has.
    """

    settings: dict[str, Any]

    def ask(self, sql: str) -> list[tuple[Any, ...]]: ...
    def sessions(self) -> list[tuple[Any, ...]]: ...


class DuckDBFile:
    def __init__(self, folder: Path, template: Path) -> None:
        self._path = shutil.copy(template, folder / "w.duckdb")
        self.settings = {"path": str(self._path)}

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self._path)) as direct:
            return direct.sql(sql).fetchall()

    def sessions(self) -> list[tuple[Any, ...]]:
        return []


class PostgresDatabase:
    def __init__(self, admin: str, template: str) -> None:
        name = f"ways_{os.getpid()}_{os.urandom(4).hex()}"
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}".encode())
        self._dsn = dsn_of_database(admin, name)
        self.settings = {"dsn": self._dsn, "connect_seconds": 30}

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn, autocommit=True) as direct:
            return direct.execute(sql.encode()).fetchall()

    def sessions(self) -> list[tuple[Any, ...]]:
        return self.ask(
            "select application_name, state, query from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="module")
def duckdb_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "w.duckdb"
    furnish(duckdb_at(path, idle_seconds=0.1))
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be killed. It is not there where one is given, which must live."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postgres_template(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The connection string of a server, and the name of the database to be copied."""
    given = os.environ.get(GIVEN)
    admin = given or request.getfixturevalue("server").dsn
    name = f"ways_template_{os.getpid()}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    furnish(postgres_at(dsn_of_database(admin, name), idle_seconds=0.1))
    yield admin, name
    if not given:
        return  # its server ends with all that is on it
    with psycopg.connect(admin, autocommit=True) as connection:
        like = f"ways_%{os.getpid()}%"
        found = connection.execute("select datname from pg_database where datname like %s", [like])
        for (database,) in found.fetchall():
            connection.execute(f"drop database {database} with (force)".encode())


def furnish(address: WarehouseAddress) -> None:
    with connect(address) as session:
        session.prepare(["main"])
        session.execute("create table main.victim as select 'old' as n")
        pid = session.server_pid
    wait_for_end({pid})


# The stage -----------------------------------------------------------------------------------


@dataclass
class Stage:
    """A database, a folder for the fault's files, and all processes that were started on it."""

    warehouse: str
    ground: Ground
    folder: Path
    mark: str
    more: dict[str, Any] = field(default_factory=dict)

    def address(self, **settings: Any) -> WarehouseAddress:
        self.more.update(settings)  # all sessions of one process have the same
        given = {**self.ground.settings, "idle_seconds": 0.3, **self.more}
        return WarehouseAddress(target_type(self.warehouse), given)

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
def stage(
    case: Case, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    if case.in_server and GIVEN in os.environ:
        pytest.skip("the server is not ours: its processes must live")
    if case.warehouse == "duckdb":
        ground: Ground = DuckDBFile(tmp_path, request.getfixturevalue("duckdb_template"))
    else:
        ground = PostgresDatabase(*request.getfixturevalue("postgres_template"))
    stage = Stage(case.warehouse, ground, tmp_path, os.urandom(8).hex())
    monkeypatch.setenv("WAYS_TO_DIE", stage.mark)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([FAULTS, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(lookup, "_SETTLE_SECONDS", 0.5)
    for name in ("reached", "gone"):
        os.mkfifo(tmp_path / name)
    yield stage
    for pid in stage.processes():  # of a test that failed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


@contextlib.contextmanager
def started_again(case: Case, request: pytest.FixtureRequest) -> Iterator[None]:
    """If a case kills the server, start it again."""
    if case.way != "server killed":
        yield
        return
    server: PostgresServer = request.getfixturevalue("server")
    assert server.process is not None
    dying = server.process
    thread = threading.Thread(target=lambda: (dying.wait(), server.start()), daemon=True)
    thread.start()
    yield
    thread.join(timeout=30)
    assert not thread.is_alive(), "the server was not killed, or does not start again"


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


def task_of(kind: str, run_id: str, **more: Any) -> BuildTask | PythonTask:
    if kind == "python":
        return python_task(VICTIM, more.pop("path", ""), run_id=run_id, **more)
    return sql_task(VICTIM, more.pop("sql", ""), run_id=run_id, **more)


def run(runners: TaskRunners, task: Task, address: WarehouseAddress) -> tuple[str, str]:
    """One step, as the executor's loop does it: its state, and the error that is reported."""
    runners.of(task).start(VICTIM, task, address)
    text, killed, end = "", False, time.monotonic() + BOUND_SECONDS
    while (left := end - time.monotonic()) > 0:
        for event in runners.queue.wait(left):
            if isinstance(event, Answered):
                error = event.outcome.error
                text = f"{error.title}: {error.message}" if error else ""
                return by_verdict(event.outcome.verdict), text
            if isinstance(event, Lost):
                text, killed = event.message, event.killed
                question = partial(lookup.commit_of, event, task, address)
                runners.queue.ask_in_thread(question, "settle")
            elif isinstance(event, Settled):
                text += event.error
                if event.committed:
                    return "succeeded", text
                return "canceled" if killed else "failed", text
    pytest.fail(f"no end after {BOUND_SECONDS} s: {text}")


def by_verdict(verdict: Verdict) -> str:
    return {
        Verdict.COMMITTED: "succeeded",
        Verdict.ROLLED_BACK: "failed",
        Verdict.FAILED: "failed",
        Verdict.CANCELED: "canceled",
    }[verdict]


def stop_when_reached(runners: TaskRunners, kind: str, stage: Stage) -> None:
    """Cancel the step when the fault has struck, kill it after the grace: what the loop does."""

    runner = runners.of(task_of(kind, ""))

    def press() -> None:
        with open(stage.folder / "reached") as file:
            file.read()
        runners.queue.call_soon(lambda: runner.cancel(VICTIM) or [])
        time.sleep(GRACE_SECONDS)
        runners.queue.call_soon(lambda: runner.kill(VICTIM) or [])

    threading.Thread(target=press, daemon=True).start()


# The deaths ----------------------------------------------------------------------------------

OUTCOMES: dict[Case, str] = {}


@pytest.mark.parametrize("case", ALL if EXHAUSTIVE else pairwise(ALL), ids=str)
def test_a_death(
    case: Case, stage: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = "none" if case.way in ("memory_limit", "gigantic result", "gigantic error") else case.way
    if case.in_worker:
        way = "none" if case.point == "begin" else "meet"
    fault = {"step": VICTIM, "point": case.point, "way": way, "folder": str(stage.folder)}
    fault["warehouse"] = case.warehouse
    monkeypatch.setenv("FAULT", json.dumps(fault))
    address = stage.address(**({"memory_limit": "50MB"} if case.way == "memory_limit" else {}))
    query, check = sql_of(case)
    more: dict[str, Any] = {"checks": (CheckTask("c", check),), "sql": query}
    kind = "sql"
    if not case.who.startswith("SQL"):
        kind = "python"
        path = stage.folder / "victim.py"
        path.write_text(python_of(case, stage.folder))
        more = {"checks": (CheckTask("c", check),), "path": str(path)}
        more["project_root"] = str(stage.folder)
    with started_again(case, request), contextlib.closing(TaskRunners()) as runners:
        if case.way == "hang":
            stop_when_reached(runners, kind, stage)
        began = time.monotonic()
        state, text = run(runners, task_of(kind, "first", **more), address)
        seconds = time.monotonic() - began
        OUTCOMES[case] = state
        print(f"{state} in {seconds:.2f} s: {text[:2000]}")
        assert case.state in (state, "either"), text
        monkeypatch.delenv("FAULT")
        lift_limits(stage)
        if case.way != "hang":  # in the same run: no other step is hurt
            check_the_truth(stage, state)
            check_the_next(runners, kind, stage)
    if case.way == "hang":  # what hears no interrupt holds its table until its process ends
        check_the_truth(stage, state)
        wait_for_end(stage.processes())
        with contextlib.closing(TaskRunners()) as runners:
            check_the_next(runners, kind, stage)
    check_nothing_is_left(stage)


def check_the_next(runners: TaskRunners, kind: str, stage: Stage) -> None:
    if kind == "python":  # a worker that died or ran short costs no other step
        after = stage.folder / "after.py"
        after.write_text("def model(warehouse): return [{'n': 'after'}]")
        more = {"path": str(after), "project_root": str(stage.folder)}
    else:
        more = {"sql": "select 'after' as n"}
    state, text = run(runners, task_of(kind, "second", **more), stage.address())
    assert state == "succeeded", text


def lift_limits(stage: Stage) -> None:
    """The disk has room again, memory is free."""
    for pid in stage.processes():
        for what in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (hard, hard))


def check_the_truth(stage: Stage, state: str) -> None:
    with connect(stage.address()) as session:
        (content,) = session.query("select min(n) from main.victim")
        records = session.query("select run_id from dagster_models.commits")
    assert content == (("new",) if state == "succeeded" else ("old",))
    assert records == ([("first",)] if state == "succeeded" else [])


def check_nothing_is_left(stage: Stage) -> None:
    wait_for_end(stage.processes())
    assert stage.processes() == set()
    key = key_of(stage.address())
    lock = runtime_files.acquire(f"{key}.lock")
    assert lock is not None
    os.close(lock)
    end = time.monotonic() + 15
    while sessions := stage.ground.sessions():
        assert time.monotonic() < end, sessions
        time.sleep(0.02)  # a server does not announce the end of a session
    assert stage.ground.ask("select min(n) from main.victim") == [("after",)]
    found = stage.ground.ask(
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema') order by 1"
    )
    ours = {("dagster_models.commits",), ("dagster_models.format",)}  # a table or a comment
    assert set(found) - ours == {("main.victim",)}


@pytest.fixture(scope="session", autouse=True)
def table() -> Iterator[None]:
    yield
    if OUTCOMES:
        print("\n" + as_table(OUTCOMES))
