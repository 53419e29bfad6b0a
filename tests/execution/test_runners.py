"""The runners against workers that die at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from addresses import duckdb_at
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners import python_workers
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, WorkerEvent
from dagster_models.execution.runners.python_worker import PythonWorker
from dagster_models.execution.runners.task_runners import TaskRunners
from tasks import script_task

TASK = script_task("scripts.s", "s.py", run_id="run")
ADDRESS = duckdb_at("x")

#: Takes its task, answers if the second argument says so, and is gone.
HASTY = """
import os, socket, sys
from dagster_models.processes import wire
control = socket.socket(fileno=int(sys.argv[1]))
wire.receive(control)
if sys.argv[2] == "answers":
    wire.send(control, {"outcome": {"step": "scripts.s", "attempt": 1, "verdict": "committed"}})
os._exit(7)
"""


@pytest.fixture
def runners() -> Iterator[TaskRunners]:
    with contextlib.closing(TaskRunners()) as runners:
        yield runners


def hasty(monkeypatch: pytest.MonkeyPatch, what: str) -> list[PythonWorker]:
    """Let the runner start such workers; those that it has started."""
    started: list[PythonWorker] = []

    def start(address: WarehouseAddress, folder: str) -> PythonWorker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", HASTY, str(theirs.fileno()), what],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
            )
        started.append(PythonWorker(process, ours, address, mark="no process has this mark"))
        return started[-1]

    monkeypatch.setattr(python_workers, "start_python_worker", start)
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
    started[0].process.wait()
    # What the thread that reaps it calls: it may come between the select and the answer.
    (event,) = runners.python._on_exit(started[0])
    assert event == Answered("s", Outcome("scripts.s", 1, Verdict.COMMITTED))
    assert runners.queue.wait(0) == []


def test_an_end_without_an_answer_is_a_lost_worker(
    runners: TaskRunners, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty(monkeypatch, "dies")
    runners.python.start("s", TASK, ADDRESS)
    assert [type(event) for event in next_events(runners.queue)] == [Lost]


def test_close_ends_every_worker(runners: TaskRunners, monkeypatch: pytest.MonkeyPatch) -> None:
    started = hasty(monkeypatch, "dies")
    for step in ("a", "b", "c"):
        runners.python.start(step, TASK, ADDRESS)
    runners.python.close()
    assert [worker.process.returncode is not None for worker in started] == [True] * 3
    assert [worker.control.fileno() for worker in started] == [-1] * 3


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
