"""What `dagster-models retry` goes on with: checks that failed after all models, and runs whose
process was killed. Its way of steps is in test_run_command.py."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance, DagsterRun

from commands import DAGSTER_MODELS
from dagster_models.definitions.launch import Asked, ProjectLocation, location_of, new_run
from dagster_models.definitions.retried import retried_run
from dagster_models.errors import SelectionError
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.selection import Facts
from dagster_models.reporting import journal
from running import ENDLESS, Project, make_project

CHECKED = "/* @model\nmaterialized: table\ncolumns: {n: {checks: [{not_null: {}}, unique]}}\n*/\n"
WARNED = "/* @model\ncolumns: {n: {checks: [{not_null: {severity: warn}}]}}\n*/\nselect n from a"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"models/a.sql": "select 1 as n"}, "jobs: {all: {}}\n")


@pytest.fixture
def location(
    project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ProjectLocation]:
    project.write(request.param)
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    with location_of(project.root, {}) as found:
        yield found
    leave_all()


def run_of(location: ProjectLocation, select: str, **tags: str) -> DagsterRun:
    asked = Asked(
        select, "", "", None, {f"dagster_models/{name}": it for name, it in tags.items()}, {}
    )
    made = new_run(location, asked, lambda project: Facts(lambda ref: [], list)).run
    assert made is not None
    return made


def events(run: DagsterRun, *types: DagsterEventType) -> list[DagsterEventType]:
    with DagsterInstance.get() as instance:
        found = instance.get_records_for_run(run.run_id, of_type=set(types)).records
    return [it.event_log_entry.get_dagster_event().event_type for it in found]


LATE = {
    "dagster_models.yaml": "name: test\nchecks: after\njobs: {all: {}}\n"
    "targets: {dev: {type: duckdb, path: target/test.duckdb, threads: 2}}\n",
    "models/a.sql": f"{CHECKED}select 1 as n union all select null",
    "models/b.sql": WARNED,
    "models/c.sql": "select no_such_function() as n",
}


@pytest.mark.parametrize("location", [LATE], indirect=True)
def test_checks_that_failed_after_all_models_run_alone(
    location: ProjectLocation, project: Project
) -> None:
    both = run_of(location, "*")
    assert location.loaded.execute(both) == "FAILURE"
    retried = retried_run(location, None)
    assert retried.run.step_keys_to_execute == ["main__c"]
    assert "`dagster-models checks main.a.not_null_n` runs them" in retried.note
    first = run_of(location, "a b", full_refresh="a", fail_fast="true")
    assert location.loaded.execute(first) == "FAILURE"
    again = retried_run(location, None).run
    failed = AssetCheckKey(AssetKey(["main", "a"]), "not_null_n")
    assert (again.asset_check_selection, again.asset_selection) == ({failed}, set())
    assert (again.parent_run_id, again.root_run_id) == (first.run_id, first.run_id)
    tags = {name for name in again.tags if name.startswith("dagster_models/")}
    assert tags == {"dagster_models/fail_fast"}, "what is about builds is left out"
    assert location.loaded.execute(again) == "FAILURE"
    once_more = retried_run(location, None).run
    with project.warehouse() as session:
        session.execute("delete from main.a where n is null")
    assert location.loaded.execute(once_more) == "SUCCESS"
    evaluated, built = (
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_MATERIALIZATION,
    )
    for run in (again, once_more):
        assert events(run, evaluated, built) == [evaluated]


STUCK = {"models/b.sql": f"select n from ({ENDLESS}), a"}


@pytest.mark.parametrize("location", [STUCK], indirect=True)
def test_a_run_whose_process_was_killed_goes_on(
    location: ProjectLocation, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(
        [DAGSTER_MODELS, "run", "--project", str(project.root)],
        env=project.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "START" in line and "main.b" in line)
    with pytest.raises(SelectionError, match="is STARTED: only one that has failed"):
        retried_run(location, None)
    process.kill()
    process.wait()
    process.stdout.close()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(journal, "this_host", lambda: "another")
        with pytest.raises(SelectionError, match="is STARTED: only one that has failed"):
            retried_run(location, None)  # that machine may be executing it
    again = retried_run(location, None).run
    assert again.step_keys_to_execute == ["main__b"]
    with DagsterInstance.get() as instance:
        killed = instance.get_run_by_id(str(again.parent_run_id))
    assert killed is not None
    assert killed.status.value == "FAILURE"
