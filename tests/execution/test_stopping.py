"""Ways to ask a run to stop that the tests of the executor do not play."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from running import ENDLESS, finish, logs_of, make_project, wait_for

pytestmark = pytest.mark.slow

BOTH = {
    "models/sql.sql": ENDLESS,
    "models/py.py": "import time\ndef model(warehouse):\n    print('asleep', flush=True)\n"
    "    time.sleep(600)\n",
    "models/below.sql": "select n from sql",
}
STUBBORN = """
import signal

def model(warehouse):
    said = "working"
    while True:
        try:  # around both: the interrupt may come before the pause
            print(said, flush=True)
            signal.pause()
        except KeyboardInterrupt:
            said = "not yet"
"""


def read_until(process: subprocess.Popen[str], *texts: str) -> None:
    assert process.stdout is not None
    missing = set(texts)
    while missing:
        line = process.stdout.readline()
        assert line, f"ended before {missing}"
        missing = {text for text in missing if text not in line}


def test_ctrl_c_reaches_the_whole_process_group_and_cancels(tmp_path: Path) -> None:
    """A terminal sends SIGINT to all processes of the command, not to the run worker alone: a
    worker that died of it would turn a cancel into a failure."""
    project = make_project(tmp_path, BOTH)
    process = project.start({"max_concurrent": 2}, start_new_session=True)
    read_until(process, "START table main.sql", "asleep")
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    report = project.report(process.returncode, stdout, stderr)
    assert report.states() == {
        "main.sql": "canceled",
        "main.py": "canceled",
        "main.below": "skipped",
    }
    assert project.tables() == set()


def test_a_second_ctrl_c_does_not_wait_for_the_grace_period(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/stuck.py": STUBBORN})
    process = project.start({"cancel_grace_seconds": 3600}, start_new_session=True)
    read_until(process, "working")
    process.send_signal(signal.SIGINT)
    read_until(process, "not yet")  # the first one was heard, and not obeyed
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)  # not an hour
    report = project.report(process.returncode, stdout, stderr)
    assert report.states() == {"main.stuck": "canceled"}


def test_a_stop_while_the_project_is_loading_starts_nothing(tmp_path: Path) -> None:
    gate, on = tmp_path / "gate", tmp_path / "on"
    os.mkfifo(gate)
    os.mkfifo(on)
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n"})
    loading = (
        f"import os\nif not os.path.exists({str(tmp_path / 'once')!r}):\n"
        f"    open({str(tmp_path / 'once')!r}, 'w').close()\n"
        f"    open({str(gate)!r}, 'w').close()\n    open({str(on)!r}).close()\n"
    )
    project.write({"definitions.py": loading + (project.root / "definitions.py").read_text()})
    process = project.start(start_new_session=True)
    gate.read_text()  # it is in the middle of loading
    process.send_signal(signal.SIGTERM)
    on.write_text("")
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert project.tables() == set()


def test_a_timeout_cancels_and_fails_the_step(tmp_path: Path) -> None:
    slow = f"/* @model\ntimeout: 0.5\n*/\n{ENDLESS}"
    project = make_project(tmp_path, {"models/slow.sql": slow, "models/below.sql": "from slow"})
    report = project.run()
    assert report.states() == {"main.slow": "failed", "main.below": "skipped"}
    assert "timeout" in report.stdout
    assert project.tables() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_run_and_cancels_what_is_in_flight(
    tmp_path: Path, number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    if number != signal.SIGINT:  # under nohup, SIGHUP is ignored here, and would be in the run
        request.addfinalizer(partial(signal.signal, number, signal.signal(number, signal.SIG_DFL)))
    project = make_project(
        tmp_path, {"models/slow.sql": ENDLESS, "models/below.sql": "select n from slow"}
    )
    process = project.start()
    before = wait_for(process, "START table main.slow")
    process.send_signal(number)
    report = finish(project, process)
    assert report.code == 1, before + report.stdout
    assert report.states() == {"main.slow": "canceled", "main.below": "skipped"}
    assert project.tables() == set()
    assert project.status() == "FAILURE"  # no user pressed Terminate


FIRST = '''
"""
@model
timeout: 0.5
priority: 1
"""
import os, time

def model(warehouse):
    print("pid", os.getpid())
    time.sleep(600)
'''


OTHER = """
import os

def model(warehouse):
    print("pid", os.getpid())
    return [{"n": 1}]
"""


def test_each_python_step_has_a_process_of_its_own(tmp_path: Path) -> None:
    files = {"models/first.py": FIRST, "models/second.py": OTHER, "models/third.py": OTHER}
    project = make_project(tmp_path, files)
    report = project.run({"max_concurrent": 1})
    assert report.states()["main.first"] == "failed"
    pids = {logs_of(project, f"main__{name}")[0] for name in ("first", "second", "third")}
    assert len(pids) == 3


def test_sigterm_for_every_process_of_a_run_cancels_its_steps(tmp_path: Path) -> None:
    """As a service manager or a container sends it: also to the template, to the processes of the
    steps and what they started, and to the warehouse process."""
    waits = "import subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
    waits += "print('one', flush=True)\ntime.sleep(600)\n"
    files = {
        "models/py.py": f"def model(warehouse):\n    exec({waits!r})",
        "models/asks.py": "def model(warehouse):\n    print('two', flush=True)\n"
        f"    return warehouse.sql({ENDLESS!r})",
        "scripts/waits.py": waits.replace("one", "three"),
        "models/slow.sql": ENDLESS,
    }
    project = make_project(tmp_path, files)
    process = project.start({"max_concurrent": 4})
    read_until(process, "| one", "| two", "| three", "START table main.slow")
    with project.warehouse() as session:
        everybody = [session.server_pid, *descendants(process.pid), process.pid]
    assert len(everybody) >= 8
    for pid in everybody:
        os.kill(pid, signal.SIGTERM)
    report = finish(project, process)
    assert set(report.states().values()) == {"canceled"}, report.stdout


def descendants(pid: int) -> list[int]:
    """The processes below this one, children first."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for it in threads for child in (it / "children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]
