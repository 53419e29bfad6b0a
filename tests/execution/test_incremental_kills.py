"""A kill at any moment of an incremental build: its rows are there once, or not at all."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterInstance

from running import Project, make_project

pytestmark = pytest.mark.slow

HOOK = Path(__file__).parent.parent / "support" / "truth_hook"
#: It appends the same three rows each time, so that a build that is repeated shows.
MODEL = "/* @model\nmaterialized: incremental\n*/\nselect i as n from range(3) t(i)"
POINTS = ("begun", "built", "recorded", "committed")


@contextmanager
def at_points(path: Path, act: Callable[[int, str], None]) -> Iterator[None]:
    """Calls ``act(pid, point)`` when the warehouse process comes to a point of the step."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    pid, point, *_ = connection.recv(1000).decode().split()
                    act(int(pid), point)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DAGSTER_MODELS_TRUTH_POINTS", str(tmp_path / "points"))
    monkeypatch.setenv("PYTHONPATH", str(HOOK))
    return make_project(tmp_path, {"models/a.sql": MODEL})


def rows(project: Project) -> int:
    return int(project.rows("select count(*) from main.a")[0][0])


def fail_the_killed_run(project: Project) -> None:
    """As a user or Dagster's monitoring does it."""
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        if not run.is_finished:
            instance.report_run_failed(run, "killed")


@pytest.mark.nightly_for("begun", "recorded")
@pytest.mark.parametrize("victim", ["warehouse", "run"])
@pytest.mark.parametrize("point", POINTS)
def test_no_rows_are_lost_or_doubled(
    project: Project, tmp_path: Path, point: str, victim: str
) -> None:
    runs = []

    def kill(pid: int, reached: str) -> None:
        if len(runs) == 2 and reached == point:
            os.kill(pid if victim == "warehouse" else runs[1].pid, signal.SIGKILL)
            runs.append(None)  # once

    with at_points(tmp_path / "points", kill):
        for _ in range(2):
            runs.append(project.start())
            runs[-1].communicate(timeout=100)
        assert len(runs) == 3, "the point was reached"
        left = {6} if point == "committed" else {3}
        if victim == "run":  # the warehouse process may be done before it notices
            left.add(6)
        assert rows(project) in left
        fail_the_killed_run(project)
        if runs[1].returncode != 0:
            again = project.run_again_from_failure()
            assert again.code == 0, again.stdout + again.stderr
    assert rows(project) == 6
    kept = project.rows("select kind, inserted from dagster_models.commits order by committed_at")
    assert kept == [("whole", 3), ("delta", 3)]


def test_two_runs_at_once_of_a_new_table(project: Project) -> None:
    """Each reads `$since` in its own turn, so that it is never out of date."""
    project.write(
        {
            "models/a.sql": "/* @model\nmaterialized: incremental\nsince: n\n*/\n"
            "select i as n from range(3) t(i) where i > $since",
            "models/b.py": '"""\n@model\nmaterialized: incremental\nsince: n\n"""\n'
            "import pyarrow as pa\n"
            "def model(warehouse):\n"
            "    since = -1 if warehouse.since is None else warehouse.since\n"
            "    return pa.table({'n': pa.array(range(since + 1, 3), pa.int64())})\n",
        }
    )
    processes = [project.start(), project.start()]
    outputs = [process.communicate(timeout=100) for process in processes]
    assert project.rows("select n from main.a order by n") == [(0,), (1,), (2,)]
    assert project.rows("select n from main.b order by n") == [(0,), (1,), (2,)]
    for process, (stdout, stderr) in zip(processes, outputs, strict=True):
        assert process.returncode == 0 or "another run has written main.b" in stdout, stderr


FUNCTION = "/* @model\nmaterialized: function\nreturns: integer\n*/\nselect {}"
KIND = """from dagster_models.kinds import Kind

class Mine(Kind):
    def build(self, warehouse, model):
        if model.there:
            warehouse.execute(f"delete from {model.relation}")
            warehouse.execute(f"insert into {model.relation} {model.query}")
        else:
            warehouse.execute(f"create table {model.relation} as {model.query}")
"""
CUSTOM = "/* @model\nmaterialized: kinds.mine.Mine\n*/\nselect {} as n"
OTHERS = {"function": (FUNCTION, "select main.a()"), "custom": (CUSTOM, "select n from main.a")}


@pytest.mark.nightly_for("recorded", "custom")
@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("function", "recorded"),
        ("function", "committed"),
        ("custom", "built"),
        ("custom", "recorded"),
        ("custom", "committed"),
    ],
)
def test_the_old_one_is_there_or_the_new_one(
    project: Project, tmp_path: Path, kind: str, point: str
) -> None:
    model, question = OTHERS[kind]
    runs = []

    def kill(pid: int, reached: str) -> None:
        if len(runs) == 2 and reached == point:
            os.kill(pid, signal.SIGKILL)
            runs.append(None)  # once

    with at_points(tmp_path / "points", kill):
        for value in (1, 2):
            project.write({"models/a.sql": model.format(value), "kinds/mine.py": KIND})
            runs.append(project.start())
            runs[-1].communicate(timeout=100)
        assert len(runs) == 3, "the point was reached"
        records = int(project.rows("select count(*) from dagster_models.commits")[0][0])
        assert project.rows(question) == [(records,)]
        assert records == (2 if point == "committed" else 1)
        fail_the_killed_run(project)
        if runs[1].returncode != 0:
            again = project.run_again_from_failure()
            assert again.code == 0, again.stdout + again.stderr
    assert project.rows(question) == [(2,)]
    assert project.rows("select count(*) from dagster_models.commits") == [(2,)]
