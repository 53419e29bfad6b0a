"""What `dagster-models retry` goes on with: checks that failed after all models, and runs whose
process was killed. Its way of steps is in test_run_command.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.definitions.reconstruct import ReconstructableJob

from commands import DAGSTER_MODELS
from dagster_models.cli.selection import failed_last
from dagster_models.definitions.launch import Asked, ProjectLocation, location_of, new_run
from dagster_models.definitions.retried import retried_run
from dagster_models.errors import SelectionError
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.selection import Facts
from dagster_models.reporting import journal
from dagster_models.reporting.results import RunHeader, StepResult
from project_cases import load
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
    retried = retried_run(location, None, None)
    assert retried.run.step_keys_to_execute == ["main__c"]
    assert "`dagster-models checks main.a.not_null_n` runs them" in retried.note
    first = run_of(location, "a b", full_refresh="a", fail_fast="true")
    assert location.loaded.execute(first) == "FAILURE"
    again = retried_run(location, None, None).run
    failed = AssetCheckKey(AssetKey(["main", "a"]), "not_null_n")
    assert (again.asset_check_selection, again.asset_selection) == ({failed}, set())
    assert (again.parent_run_id, again.root_run_id) == (first.run_id, first.run_id)
    tags = {name for name in again.tags if name.startswith("dagster_models/")}
    assert tags == {"dagster_models/fail_fast"}, "what is about builds is left out"
    assert location.loaded.execute(again) == "FAILURE"
    once_more = retried_run(location, None, None).run
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
        retried_run(location, None, None)
    process.kill()
    process.wait()
    process.stdout.close()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(journal, "this_host", lambda: "another")
        with pytest.raises(SelectionError, match="is STARTED: only one that has failed"):
            retried_run(location, None, None)  # that machine may be executing it
    again = retried_run(location, None, None).run
    assert again.step_keys_to_execute == ["main__b"]
    with DagsterInstance.get() as instance:
        killed = instance.get_run_by_id(str(again.parent_run_id))
    assert killed is not None
    assert killed.status.value == "FAILURE"


#: Another project in the same code location, and a second target.
BESIDE = {
    "dagster_models.yaml": "name: test\njobs: {all: {}}\ntarget: dev\ntargets:\n"
    "  dev: {type: duckdb, path: target/test.duckdb}\n"
    "  prod: {type: duckdb, path: target/test.duckdb, schema_prefix: prod_}\n",
    "models/a.sql": "select no_such_function() as n",
    "other/dagster_models.yaml": "name: other\nkey_prefix: other\njobs: {all: {}}\n"
    "targets: {dev: {type: duckdb, path: target/other.duckdb}}\n",
    "other/models/a.sql": "select no_such_function() as n",
    "definitions.py": "from pathlib import Path\nimport dagster as dg\n"
    "from dagster_models import load_project\nroot = Path(__file__).parent\n"
    "defs = dg.Definitions.merge(load_project(root), load_project(root / 'other'))\n",
}


@pytest.mark.parametrize("location", [BESIDE], indirect=True)
def test_the_last_run_is_one_of_the_project_that_has_done_something(
    location: ProjectLocation, project: Project
) -> None:
    loaded = location.loaded

    def failed(job: str, *key: str, **tags: str) -> str:
        given = {f"dagster_models/{name}": it for name, it in tags.items()}
        run = loaded.new_run(job, {AssetKey(key)}, given, {})
        assert loaded.execute(run) == "FAILURE"
        return run.run_id

    def last(target: str | None = None) -> str | None:
        return retried_run(location, None, target).run.parent_run_id

    with pytest.raises(SelectionError, match="no run of test has begun yet"):
        last()
    on_prod = failed("all", "main", "a", target="prod")
    on_dev = failed("all", "main", "a")
    cannot_begin = failed("all", "main", "a", target="nope")
    of_another = failed("other__all", "other", "main", "a")
    assert (last(), last("dev"), last("prod")) == (on_dev, on_dev, on_prod)
    with pytest.raises(SelectionError, match="no run of test on target nope has begun yet"):
        last("nope")
    assert (
        failed_last(location.project, None) == failed_last(location.project, "prod") == ["main.a"]
    )
    folder = Path(location.project.target_path, "runs")
    ids = [path.stem for path in folder.glob("*.jsonl")]
    assert {*ids} == {on_prod, on_dev}, (cannot_begin, of_another)


def test_failed_is_of_the_last_run_on_the_target_that_has_results(project: Project) -> None:
    """The database of a run may be out of reach: then its journal has an end, and no step."""
    loaded = load(project.root)
    for at, (run_id, target, steps) in enumerate(
        [("first", "prod", ["main.a"]), ("then", "dev", []), ("last", "prod", [])]
    ):
        header = RunHeader(run_id, "test", target, float(at), ("main.a",), "1", 2)
        with journal.Journal(loaded.target_path, header) as written:
            for step in steps:
                written.step(StepResult(step, "sql", "view", "failed"))
            written.end("failure", (), 1.0)
        os.utime(written.path, (at, at))
    assert failed_last(loaded, "prod") == ["main.a"]
    with pytest.raises(SelectionError, match="last run on target dev, and there was none yet"):
        failed_last(loaded, None)


#: What fails, below and beside what fails, and two jobs.
GOING = {
    "dagster_models.yaml": "name: test\njobs: {bad: {}, all: {}}\n"
    "targets: {dev: {type: duckdb, path: target/test.duckdb}}\n",
    "models/b.sql": "/* @model\ncolumns: {n: {checks: [unique]}}\n*/\nselect nope() as n from a",
    "models/c.sql": "select n from b",
    "models/d.sql": "select nope() as n",
}


@contextmanager
def loaded_anew(project: Project) -> Iterator[ProjectLocation]:
    """The location as another process would load it: in this one Dagster keeps the last one."""
    sys.modules.pop("definitions", None)
    ReconstructableJob.get_repository_definition.cache_clear()
    ReconstructableJob.get_definition.cache_clear()
    with location_of(project.root, {}) as found:
        yield found


@pytest.mark.parametrize("location", [GOING], indirect=True)
def test_it_goes_on_with_what_is_still_there(location: ProjectLocation, project: Project) -> None:
    loaded = location.loaded
    named = run_of(location, "b c d")
    of_job = loaded.new_run("bad", (), {}, {})
    assert not of_job.asset_selection, "as the UI and schedules make it"
    assert [loaded.execute(run) for run in (named, of_job)] == ["FAILURE", "FAILURE"]
    (project.root / "models/b.sql").rename(project.root / "models/renamed.sql")
    project.write({"models/c.sql": "select n from renamed"})
    gone = "Left out, as main.b is gone (deleted, renamed or disabled)."
    with loaded_anew(project) as now:
        for run in (named, of_job):
            again = retried_run(now, run.run_id, None)
            assert (again.note, again.run.job_name) == (gone, run.job_name)
            assert sorted(again.run.step_keys_to_execute or ()) == ["main__c", "main__d"]
            assert again.run.parent_run_id == run.run_id
    project.write({"dagster_models.yaml": GOING["dagster_models.yaml"].replace("bad:", "worse:")})
    (project.root / "models/d.sql").unlink()
    with loaded_anew(project) as now:
        again = retried_run(now, of_job.run_id, None)
        assert again.run.step_keys_to_execute == ["main__c"]
        first, second = again.note.splitlines()
        assert (
            first == f"There is no job bad any more, so it goes on under job {again.run.job_name}."
        )
        assert second == "Left out, as main.b, main.d are gone (deleted, renamed or disabled)."
    (project.root / "models/c.sql").unlink()
    with loaded_anew(project) as now:
        for run in (named, of_job):
            with pytest.raises(
                SelectionError, match=r"still there: main.b, main.c, main.d are gone"
            ):
                retried_run(now, run.run_id, None)
