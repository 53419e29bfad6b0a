"""A run whose worker is gone and which another one takes over: both have its id.

Dagster's ``max_resume_run_attempts`` does this; in Kubernetes the other one is another pod."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._grpc.types import ResumeRunArgs
from dagster_shared.serdes import serialize_value

from commands import DAGSTER
from dagster_models.reporting.journal import read_journal
from running import Project, make_project

#: The worker dies when b is committed, and before that is reported to Dagster.
DYING = """
import os, signal
from pathlib import Path
from dagster_models import load_project
from dagster_models.execution.own_steps import OwnSteps

here = Path(__file__).parent
finish = OwnSteps._finish

def dying(self, ends):
    steps = [running.parked.context.step.key for running, _ in ends]
    if "main__b" in steps and not (here / "dead").exists():
        (here / "dead").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return finish(self, ends)

OwnSteps._finish = dying
defs = load_project(here)
"""
#: The first worker begins to build b when the second one has built all of it.
BOTH_LIVE = """
from pathlib import Path
from dagster_models import load_project
from dagster_models.execution.runners.sql_sessions import SqlSessions

here = Path(__file__).parent
start = SqlSessions.start

def waiting(self, step, task, address):
    if task.step == "main.b" and not (here / "second").exists():
        for pipe, mode in (("waits", "w"), ("goes", "r")):
            open(here / pipe, mode).close()  # when the test opens it, too
    start(self, step, task, address)

SqlSessions.start = waiting
defs = load_project(here)
"""
TABLE = "/* @model\nmaterialized: table\n*/\n"
FILES = {
    "definitions.py": DYING,
    "models/a.sql": f"{TABLE}select now() as at",
    "models/b.sql": f"{TABLE}select now() as at from a",
    "models/c.sql": f"{TABLE}select now() as at from b",
}


def resume(project: Project) -> tuple[str, DagsterRunStatus]:
    """The id of the last run, and what becomes of it when another worker takes it over."""
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        assert run.status is DagsterRunStatus.STARTED, "nobody knows that its worker is gone"
        assert run.job_code_origin is not None
        arguments = ResumeRunArgs(run.job_code_origin, run.run_id, instance.get_ref())
        command = [DAGSTER, "api", "resume_run", serialize_value(arguments)]
        subprocess.run(command, cwd=project.root, env=project.env, check=True, timeout=100)
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        return run.run_id, ended.status


@pytest.mark.nightly
def test_what_the_first_worker_has_committed_is_not_built_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    assert project.run().code != 0
    before = project.rows("select b.at, a.at from main.b b, main.a a")
    run_id, status = resume(project)
    assert status is DagsterRunStatus.SUCCESS
    assert project.rows("select b.at, a.at from main.b b, main.a a") == before
    records = "select distinct run_id, step, attempt from dagster_models.commits order by step"
    assert project.rows(records) == [(run_id, f"main.{name}", 1) for name in "abc"]
    steps = read_journal(project.root / "target" / "runs" / f"{run_id}.jsonl").steps
    assert {it.step: it.committed_in for it in steps} == {
        "main.a": run_id,
        "main.b": run_id,
        "main.c": "",
    }


@pytest.mark.nightly
def test_of_two_workers_that_live_one_publishes_each_step(tmp_path: Path) -> None:
    """The first one was only taken for dead. What it sends has the run, step and attempt of what
    the second one has published, so it is refused a second publication and finds the first."""
    project = make_project(tmp_path, {**FILES, "definitions.py": BOTH_LIVE})
    for pipe in ("waits", "goes"):
        os.mkfifo(project.root / pipe)
    first = project.start()
    (project.root / "waits").read_text()
    (project.root / "second").touch()
    run_id, status = resume(project)
    assert status is DagsterRunStatus.SUCCESS
    built = "select b.at, c.at from main.b b, main.c c"
    before = project.rows(built)
    (project.root / "goes").write_text("")
    first.communicate(timeout=100)
    assert project.rows(built) == before
    records = "select run_id, step, attempt from dagster_models.commits order by step"
    assert project.rows(records) == [(run_id, f"main.{name}", 1) for name in "abc"]
