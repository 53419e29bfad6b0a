"""Processes that are killed in the middle of a run: what becomes of their steps."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from running import ENDLESS, alive, finish, make_project, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


BLOCKED = """
import os, signal

def model(warehouse):
    warehouse.sql("select 1").fetchall()
    with open({gate!r}, "w") as file:
        file.write(str(os.getpid()))
    while True:
        signal.pause()
"""


def test_kill_9_of_a_python_worker(tmp_path: Path, gate: Path) -> None:
    files = {"models/alpha.sql": "select 1 as n", "models/stuck.py": BLOCKED.format(gate=str(gate))}
    project = make_project(tmp_path, files)
    process = project.start()
    pid = int(gate.read_text())  # blocks until the step has opened the other end
    os.kill(pid, signal.SIGKILL)
    report = finish(project, process)
    assert report.states() == {"main.alpha": "succeeded", "main.stuck": "failed"}
    assert "SIGKILL" in report.stdout
    assert "out-of-memory" in report.stdout


def test_python_code_that_swallows_the_interrupt_is_killed_after_its_grace(
    tmp_path: Path, gate: Path
) -> None:
    stubborn = f"""
import os, signal

def model(warehouse):
    warehouse.sql("select 1").fetchall()
    while True:
        try:  # around all of it: the interrupt may come as soon as the pid is read
            with open({str(gate)!r}, "w") as file:
                file.write(str(os.getpid()))
            signal.pause()
        except KeyboardInterrupt:
            pass
"""
    project = make_project(tmp_path, {"models/stuck.py": stubborn})
    process = project.start({"cancel_grace_seconds": 0.5})
    pid = int(gate.read_text())
    process.send_signal(signal.SIGTERM)
    report = finish(project, process)
    assert report.states() == {"main.stuck": "canceled"}
    assert report.journal is not None
    (stuck,) = report.journal.steps
    assert stuck.error is not None  # the reason is known: we killed it
    assert stuck.error.message.startswith("it did not stop within 0.5 s of being asked to")
    assert not alive(pid)


def test_kill_9_of_the_warehouse_process(tmp_path: Path, gate: Path) -> None:
    signal_start = f"open({str(gate)!r}, 'w').write('started')"
    project = make_project(
        tmp_path,
        {
            "models/slow.sql": ENDLESS,
            "models/below.sql": "select n from slow",
            "scripts/start.py": signal_start,
        },
    )
    process = project.start({"max_concurrent": 2})
    wait_for(process, "START table main.slow")
    assert gate.read_text() == "started"
    with project.warehouse() as session:
        os.kill(session.server_pid, signal.SIGKILL)
    report = finish(project, process)
    assert report.states()["main.slow"] == "failed"
    assert report.states()["main.below"] == "skipped"
    assert "warehouse process" in report.stdout
    project.write({"models/slow.sql": "select 1 as n"})
    os.unlink(gate)
    assert project.run().code == 0


def test_kill_9_of_the_run_worker_leaves_no_process_and_the_next_run_works(
    tmp_path: Path, gate: Path
) -> None:
    files = {"models/stuck.py": BLOCKED.format(gate=str(gate)), "models/slow.sql": ENDLESS}
    project = make_project(tmp_path, files)
    process = project.start({"max_concurrent": 2})
    pid = int(gate.read_text())
    process.kill()
    process.communicate()
    project.write({"models/slow.sql": "select 1 as n"})
    (project.root / "models/stuck.py").unlink()
    assert project.run().code == 0
    assert not alive(pid)
