"""The runners against workers that die at the worst moment."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from addresses import duckdb_at
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.definitions import executor
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.execution.runners import python_workers, sql_sessions
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.python_worker import WorkerTemplate
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.processes import wire
from dagster_models.processes.client.session import Session, connect
from running import alive, make_project
from tasks import script_task, sql_task

TASK = script_task("scripts.s", "s.py", run_id="run")
ADDRESS = duckdb_at("x")
NEVER_ENDS = "select count(*) as n from range(100000000) a, range(100000) b"

#: A template whose steps do as the second argument says, and are gone.
HASTY = """
import os, socket, sys
from dagster_models.processes import wire
control, what = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
while True:
    try:
        message = wire.receive(control)
    except EOFError:
        sys.exit()
    if message["op"] != "start":
        continue
    _, (step, *outputs), _, _ = socket.recv_fds(control, 1, 3)
    if what == "takes the template along":
        os._exit(3)
    with socket.socket(fileno=step) as step:
        if what == "writes nonsense":
            step.sendall(b"what is this?")
        if what == "writes another shape":
            wire.send(step, {"outcome": {"nothing": "known"}})
        if what == "answers":
            outcome = {"step": "scripts.s", "attempt": 1, "verdict": "committed"}
            wire.send(step, {"outcome": outcome, "loaded": []})
    for output in outputs:
        os.close(output)
    error = "no memory" if what == "cannot start" else ""
    ended = {"mark": message["mark"], "pid": 42, "code": 7, "error": error}
    wire.send(control, {"op": "ended", **ended})
"""


@pytest.fixture
def runners() -> Iterator[TaskRunners]:
    with contextlib.closing(TaskRunners()) as runners:
        yield runners


def hasty(monkeypatch: pytest.MonkeyPatch, what: str) -> list[WorkerTemplate]:
    """Let the runner start such a template; those that it has started."""
    started: list[WorkerTemplate] = []

    def start(folder: str) -> WorkerTemplate:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", HASTY, str(theirs.fileno()), what]
            process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        started.append(WorkerTemplate(process, ours))
        return started[-1]

    monkeypatch.setattr(python_workers, "start_template", start)
    return started


def next_events(queue: EventQueue) -> list[WorkerEvent]:
    while not (found := queue.wait(None)):
        pass
    return found


def test_a_wait_may_be_longer_than_the_kernel_can_count(runners: TaskRunners) -> None:
    runners.queue.put()
    assert runners.queue.wait(1e15) == []


def test_an_answer_counts_also_where_the_end_of_its_worker_is_noticed_first(
    runners: TaskRunners, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = hasty(monkeypatch, "answers")
    runners.python.start("s", TASK, ADDRESS)
    assert wire.readable(started[0].control, 30)
    (event,) = runners.python._on_template(started[0])
    assert event == Answered("s", Outcome("scripts.s", 1, Verdict.COMMITTED))
    assert runners.queue.wait(0) == []


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("dies", "its process (pid 42) exited with code 7 before it answered"),
        ("writes nonsense", "its answer could not be read"),
        ("writes another shape", "its answer could not be read"),
        ("cannot start", "no process could be started for it: no memory"),
    ],
)
def test_an_end_without_an_answer_is_a_lost_worker(
    runners: TaskRunners, monkeypatch: pytest.MonkeyPatch, what: str, message: str
) -> None:
    hasty(monkeypatch, what)
    runners.python.start("s", TASK, ADDRESS)
    (lost,) = next_events(runners.queue)
    assert isinstance(lost, Lost)
    assert lost.message.startswith(message)


def test_a_lost_template_costs_the_steps_in_flight_and_no_later_one(
    runners: TaskRunners, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty(monkeypatch, "takes the template along")
    for step in ("a", "b"):
        with contextlib.suppress(OSError):  # it may be gone before the second one
            runners.python.start(step, TASK, ADDRESS)
    lost = next_events(runners.queue)
    assert [type(event) for event in lost] == [Lost] * len(lost)
    assert "the process that starts Python steps" in str(lost[0])
    hasty(monkeypatch, "answers")
    runners.python.start("c", TASK, ADDRESS)
    (event,) = next_events(runners.queue)
    assert isinstance(event, Answered)


def test_close_ends_every_worker(runners: TaskRunners, tmp_path: Path) -> None:
    """Real ones, which are in the middle of their steps."""
    script = tmp_path / "s.py"
    script.write_text("import os, time\nprint(os.getpid())\ntime.sleep(600)")
    task = script_task("scripts.s", script, run_id="run", project_root=str(tmp_path))
    for step in ("a", "b", "c"):
        runners.python.start(step, task, ADDRESS)
    pids: set[int] = set()
    while len(pids) < 3:
        pids |= {int(event.text) for event in next_events(runners.queue) if type(event) is Output}
    template = runners.python._template
    assert template is not None
    runners.python.close()
    assert template.process.returncode == 0
    assert not [pid for pid in pids if alive(pid)]


def test_a_step_that_is_not_running_here_is_neither_canceled_nor_killed(
    runners: TaskRunners,
) -> None:
    for runner in (runners.sql, runners.python):
        runner.cancel("s")
        runner.kill("s")
    assert runners.queue.wait(0) == []


def test_events_that_come_while_a_call_is_awaited_do_not_end_it(runners: TaskRunners) -> None:
    queue = runners.queue

    def call() -> int:
        queue.put(Lost("s", "", killed=False))
        return 3

    assert queue.while_listening(call, "call", lambda: False) == 3
    with pytest.raises(ZeroDivisionError):
        queue.while_listening(lambda: 1 // 0, "call", lambda: False)
    assert queue.while_listening(call, "call", lambda: True) is None


class Connecting:
    """``connect`` that notes each call, and lets those ahead of the tasks wait for ``let``.
    ``fail``: these then raise an error."""

    def __init__(self, fail: bool = False) -> None:
        self.calls: list[str] = []
        self.let, self._fail = threading.Event(), fail

    def __call__(self, address: WarehouseAddress) -> Session:
        name = threading.current_thread().name
        self.calls.append(name)
        if name in ("connect-1", "connect-2"):
            assert self.let.wait(60)
            if self._fail:
                raise WarehouseError(ErrorKind.TOO_MANY_SESSIONS, "no more")
        return connect(address)


def test_the_first_tasks_get_the_sessions_that_are_opened_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, steps = duckdb_at(tmp_path / "x.duckdb", idle_seconds=1), ["s.a", "s.b", "s.c"]
    for fail in (False, True):
        connecting = Connecting(fail)
        monkeypatch.setattr(sql_sessions, "connect", connecting)
        with contextlib.closing(TaskRunners()) as runners:
            runners.sql.prepare(address, ["s"], sessions=3)
            runners.queue.wait(60)
            for step in steps:
                runners.sql.start(step, sql_task(step, "select 1 as x"), address)
            connecting.let.set()
            for thread in threading.enumerate():  # else the first session may serve all of them
                if thread.name in ("connect-1", "connect-2"):
                    thread.join(60)
            events: list[WorkerEvent] = []
            while len(events) < len(steps):
                events += runners.queue.wait(60)
        assert sorted(it.step for it in events if isinstance(it, Answered)) == steps
        # One that cannot be opened ahead is opened for the task that waits for it.
        assert len(connecting.calls) == 3 if not fail else 4 <= len(connecting.calls) <= 5


def test_what_a_run_does_before_its_first_steps_and_what_it_keeps_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens sessions ahead, gives back the memory that its creation took, and keeps one
    dictionary of tags for all events of a step. One run shows all three."""
    project = make_project(tmp_path, {f"models/m/{it}.sql": "select 1 as n" for it in "abc"})
    connecting = Connecting()
    connecting.let.set()
    monkeypatch.setattr(sql_sessions, "connect", connecting)
    stored: list[set[str]] = []
    give_back = lambda: stored.append({kind for _, kind, _ in project.events()})  # noqa: E731
    monkeypatch.setattr(executor, "give_back", give_back)
    repository = ReconstructableRepository.for_file(str(project.root / "definitions.py"), "defs")
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        result = dg.execute_job(repository.get_reconstructable_job("test"), instance)
    assert result.success
    assert "connect-1" in connecting.calls, "one for each of its two slots"
    assert "connect-2" not in connecting.calls
    (before,) = stored
    assert "PIPELINE_START" in before
    assert "STEP_START" not in before
    start, *rest = [event for event in result.all_events if event.step_key == "m__a"]
    assert start.event_type_value == "STEP_START"
    assert {event.event_type_value for event in rest} >= {"ASSET_MATERIALIZATION", "STEP_SUCCESS"}
    assert all(event.logging_tags is start.logging_tags for event in rest)


def test_a_task_whose_session_went_to_another_one_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second session comes first, for the first task. It is lost, and the first one fails."""
    address = duckdb_at(tmp_path / "x.duckdb", idle_seconds=1)
    calls, begun, fail = itertools.count(), threading.Event(), threading.Event()

    def connecting(address: WarehouseAddress) -> Session:
        if next(calls):
            return connect(address)
        begun.set()
        assert fail.wait(60)
        raise WarehouseError(ErrorKind.UNREACHABLE, "gone")

    monkeypatch.setattr(sql_sessions, "connect", connecting)
    with contextlib.closing(TaskRunners()) as runners:
        runners.sql.start("s.a", sql_task("s.a", NEVER_ENDS), address)
        assert begun.wait(60)
        runners.sql.start("s.b", sql_task("s.b", "select 1 as x"), address)
        assert runners.queue.wait(60) == []  # s.a has a session
        runners.sql.kill("s.a")
        fail.set()
        ended = set[str]()
        end = time.monotonic() + 20
        while len(ended) < 2 and time.monotonic() < end:
            ended |= {it.step for it in runners.queue.wait(1)}
        assert ended == {"s.a", "s.b"}


def test_a_task_whose_session_went_to_one_that_was_refused_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = duckdb_at(tmp_path / "x.duckdb", idle_seconds=1)
    calls, let = itertools.count(), threading.Event()

    def connecting(address: WarehouseAddress) -> Session:
        number = next(calls)
        if number == 1:
            raise WarehouseError(ErrorKind.TOO_MANY_SESSIONS, "no more")
        assert number != 2 or let.wait(60)
        return connect(address)

    monkeypatch.setattr(sql_sessions, "connect", connecting)
    with contextlib.closing(TaskRunners()) as runners:
        for step in ("s.a", "s.b"):  # the second one is refused, and waits for the first one's
            runners.sql.start(step, sql_task(step, NEVER_ENDS), address)
            assert runners.queue.wait(60) == []
        runners.sql.start("s.c", sql_task("s.c", "select 1 as x"), address)
        let.set()
        ended, end = set[str](), time.monotonic() + 20
        while not ended and time.monotonic() < end:
            ended |= {it.step for it in runners.queue.wait(1)}
        assert ended == {"s.c"}
