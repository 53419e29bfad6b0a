"""A run that breaks while it reports steps that ended together: the rest is reported, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import ENDLESS, Project, make_project

pytestmark = pytest.mark.slow

#: alpha and gamma end at one moment, and beta may start because alpha has.
FILES = {
    "models/alpha.sql": "select 1 as n",
    "models/beta.sql": f"select n from ({ENDLESS}) where n in (select n from alpha)",
    "models/gamma.sql": "select 1 as n",
    "models/delta.sql": "select n from gamma",
}
TOGETHER = """
import os, signal
from pathlib import Path
import dagster
from dagster import DagsterInstance
from dagster_models import load_project, models_executor
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered

here = Path(__file__).parent
wait, waited = EventQueue.wait, []

def both(self, timeout_seconds):
    found = wait(self, timeout_seconds)
    while not waited and any(isinstance(it, Answered) for it in found):
        if sum(isinstance(it, Answered) for it in found) == 2:
            waited.append(found)
            break
        found += wait(self, None)
    return found

EventQueue.wait = both
"""
HOOKED = """
@dagster.success_hook
def hook(context):
    with open(here / "called", "a") as file:
        print(context.step_key, file=file)
    if context.step_key == "main__alpha":
        {does}

job = dagster.define_asset_job("test", hooks={{hook}})
defs = dagster.Definitions(load_project(here).assets, jobs=[job], executor=models_executor)
"""
UNWRITABLE = """
handle_new_event = DagsterInstance.handle_new_event

def refusing(self, event, **kwargs):
    said = event.dagster_event
    if waited and said and (said.event_type_value, said.step_key) in {events}:
        raise OSError("the disk is full")
    handle_new_event(self, event, **kwargs)

DagsterInstance.handle_new_event = refusing
defs = load_project(here)
"""
BROKEN = {
    "a hook": HOOKED.format(does="raise SystemExit(3)"),
    "a start": UNWRITABLE.format(
        events=[(f"STEP_{start}", "main__beta") for start in ("START", "FAILURE")]
    ),
    "an end": UNWRITABLE.format(
        events=[(f"STEP_{end}", "main__alpha") for end in ("SUCCESS", "FAILURE")]
    ),
}


def project_of(folder: Path, definitions: str) -> Project:
    project = make_project(folder, FILES)
    project.write({"definitions.py": TOGETHER + definitions})
    return project


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_committed_is_reported_though_the_run_breaks(tmp_path: Path, broken: str) -> None:
    project = project_of(tmp_path, BROKEN[broken])
    report = project.run({"max_concurrent": 2})
    states = report.states()
    assert "The run broke: " in report.stdout
    assert project.commits() == {step for step, state in states.items() if state == "succeeded"}
    assert {"main.alpha", "main.gamma"} <= project.commits()
    assert set(states) == {"main.alpha", "main.beta", "main.gamma", "main.delta"}
    assert report.journal is not None
    assert report.journal.end is not None
    assert report.journal.end.status == "failure"
    assert set(report.statuses()) == {"alpha", "beta", "gamma", "delta"}
    failed = {step.replace("__", ".") for step in report.of_type("STEP_FAILURE")}
    assert not failed & project.commits()


def test_a_signal_that_interrupts_a_hook_stops_the_run(tmp_path: Path) -> None:
    """It is not an error of the run, and the hooks of the other steps are called."""
    project = project_of(tmp_path, HOOKED.format(does="os.kill(os.getpid(), signal.SIGINT)"))
    report = project.run({"max_concurrent": 2})
    states = report.states()
    assert "The run broke" not in report.stdout
    assert "Stopping: " in report.stdout
    assert states["main.beta"] == "canceled"
    assert {"main.alpha", "main.gamma"} <= project.commits()
    assert project.commits() == {step for step, state in states.items() if state == "succeeded"}
    called = (project.root / "called").read_text().split()
    assert {name.replace("__", ".") for name in called} == project.commits()
    assert len(called) == len(set(called))
    assert project.status() == "FAILURE"


def test_what_dagster_cannot_store_once_is_reported_as_it_is(tmp_path: Path) -> None:
    """Dagster's generator reports a failure instead, which is true of what has not started."""
    events = [("STEP_START", "main__beta"), ("STEP_SUCCESS", "main__gamma")]
    project = project_of(tmp_path, UNWRITABLE.format(events=events))
    report = project.run({"max_concurrent": 2})
    assert report.states() == {
        "main.alpha": "succeeded",
        "main.beta": "failed",
        "main.gamma": "succeeded",
        "main.delta": "succeeded",
    }
    assert project.commits() == {"main.alpha", "main.gamma", "main.delta"}
    assert report.of_type("STEP_FAILURE") == {"main__beta", "main__gamma"}
    assert "main__gamma is committed, and Dagster could not store it" in report.stdout
    assert report.journal is not None
    assert report.journal.end is not None
    assert report.journal.end.status == "failure"
