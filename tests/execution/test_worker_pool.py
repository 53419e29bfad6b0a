"""The worker pool against workers that die at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dagster_models.core.messages import Outcome, Task, Verdict
from dagster_models.execution import worker_pool
from dagster_models.execution.events import Answered, Lost
from dagster_models.execution.script_worker import ScriptWorker
from dagster_models.execution.worker_pool import WorkerPool

TASK = Task("run", "scripts.s", 1, "script", path="s.py")

#: Takes its task, answers if it is told to, and is gone.
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
def pool() -> Iterator[WorkerPool]:
    with contextlib.closing(WorkerPool()) as pool:
        yield pool


def hasty(monkeypatch: pytest.MonkeyPatch, what: str) -> list[ScriptWorker]:
    """Let the pool start such workers; those that it has started."""
    started: list[ScriptWorker] = []

    def start(spec: object, key: str, *rest: object) -> ScriptWorker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", HASTY, str(theirs.fileno()), what],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
            )
        started.append(ScriptWorker(process, ours, key, mark="nobody bears it"))
        return started[-1]

    monkeypatch.setattr(worker_pool, "start_script_worker", start)
    return started


def test_a_wait_may_be_longer_than_the_kernel_can_count(pool: WorkerPool) -> None:
    pool.call_soon(list)
    assert pool.wait(1e15) == []


def test_an_answer_counts_also_where_the_end_of_its_worker_is_noticed_first(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = hasty(monkeypatch, "answers")
    pool.start("s", TASK, {"type": "duckdb", "settings": {"path": "x"}})
    started[0].process.wait()
    # What the thread that reaps it calls: it may come between the select and the answer.
    (happening,) = pool._on_exit(started[0])
    assert happening == Answered("s", Outcome("scripts.s", 1, Verdict.COMMITTED))
    assert pool.wait(0) == []


def test_an_end_without_an_answer_is_a_lost_worker(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty(monkeypatch, "dies")
    pool.start("s", TASK, {"type": "duckdb", "settings": {"path": "x"}})
    found: list[object] = []
    while not found:
        found += pool.wait(None)
    assert [type(happening) for happening in found] == [Lost]
