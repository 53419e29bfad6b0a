"""What a re-execution from failure takes for committed, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun

from dagster_models._dagster.runs import resumed_runs
from dagster_models.compilation.tasks import TargetStep, task_for, warehouse_address
from dagster_models.core.changes import Changes
from dagster_models.execution import resume
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target
from project_cases import load
from running import Project, make_project

FILES = {
    "models/a.sql": "select 1 as n",
    "models/b.sql": "/* @model\ncolumns: {n: {checks: [not_null]}}\n*/\nselect n from a",
    "models/c.sql": "select n from b",
}
GRAPH = {"main.a": (), "main.b": ("main.a",), "main.c": ("main.b",)}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES)


def bindings_of(project: Project) -> dict[str, TargetStep]:
    loaded = load(project.root)
    target = usable_target(loaded)
    return {str(key): TargetStep(loaded, step, target) for key, step in loaded.steps.items()}


def build(session: Session, project: Project, run_id: str, *steps: str) -> None:
    bindings = bindings_of(project)
    session.prepare(["main"])
    for step in steps:
        assert session.run(task_for(bindings[step], run_id, 1)).error is None


def found(project: Project, *earlier: str, graph: Any = GRAPH) -> list[str]:
    steps = resume.find(graph, bindings_of(project), earlier, "new")
    return [step.step for step in steps]


@pytest.fixture
def session(project: Project) -> Iterator[Session]:
    loaded = load(project.root)
    with connect(warehouse_address(loaded, usable_target(loaded))) as session:
        yield session


def test_what_an_earlier_run_committed_is_found(project: Project, session: Session) -> None:
    assert found(project, "old") == []
    build(session, project, "old", "main.a", "main.b")
    assert found(project, "old") == ["main.a", "main.b"]
    assert found(project, "another") == []
    (_, b) = resume.find(GRAPH, bindings_of(project), ["old"], "new")
    assert (b.outcome.rows, b.outcome.columns) == (1, (("n", "INTEGER"),))
    assert [(check.name, check.passed) for check in b.outcome.checks] == [("not_null_n", True)]


def test_an_upstream_of_this_run_that_is_built_anew(project: Project, session: Session) -> None:
    build(session, project, "old", "main.a", "main.b")
    # Something else, a script or another Dagster asset, runs before main.a.
    assert found(project, "old", graph={"other": (), **GRAPH, "main.a": ("other",)}) == []


def test_a_relation_that_another_run_has_published_since(
    project: Project, session: Session
) -> None:
    build(session, project, "old", "main.a", "main.b")
    build(session, project, "another", "main.b")
    assert found(project, "old") == ["main.a"]


def test_an_upstream_that_was_published_since(project: Project, session: Session) -> None:
    """Also by one of the runs themselves: main.a is not in this run, main.b is older than it."""
    build(session, project, "first", "main.a", "main.b")
    build(session, project, "second", "main.a")
    assert found(project, "second", "first", graph={"main.b": ()}) == []


def test_code_that_has_changed(project: Project, session: Session) -> None:
    build(session, project, "old", "main.a", "main.b", "main.c")
    project.write({"models/b.sql": "select n + 1 as n from a"})
    assert found(project, "old") == ["main.a"]
    # And what reads it, by itself: its input version is another one.
    assert found(project, "old", graph={"main.c": ()}) == []


def test_a_relation_that_is_gone_or_fails_its_check(project: Project, session: Session) -> None:
    build(session, project, "old", "main.a", "main.b", "main.c")
    session.execute("create or replace table main.b as select null::integer as n")
    assert found(project, "old") == ["main.a"]
    session.execute("drop table main.a")
    assert found(project, "old") == []


def test_only_the_runs_that_this_one_goes_on_from() -> None:
    resumed = {"dagster/is_resume_retry": "true"}
    by_asset = {"dagster/is_asset_resume_retry": "true"}
    with DagsterInstance.ephemeral() as instance:
        runs: dict[str, DagsterRun] = {}
        for run_id, parent, tags in (
            ("first", None, {}),
            ("whole", "first", {}),
            ("second", "whole", resumed),
            ("third", "second", by_asset),
        ):
            run = DagsterRun("job", run_id, parent_run_id=parent, root_run_id=parent, tags=tags)
            runs[run_id] = instance.add_run(run)
        chains = {
            run_id: resumed_runs(SimpleNamespace(dagster_run=run, instance=instance))  # type: ignore[arg-type]
            for run_id, run in runs.items()
        }
    # The line ends at a run that wanted all of it anew.
    assert chains == {
        "first": [],
        "whole": [],
        "second": ["whole"],
        "third": ["second", "whole"],
    }


def test_an_increment_does_not_stand_for_a_full_refresh(project: Project, session: Session) -> None:
    project.write({"models/a.sql": "/* @model\nmaterialized: incremental\n*/\nselect 1 as n"})
    build(session, project, "first", "main.a")
    build(session, project, "old", "main.a")
    steps = {"main.a": bindings_of(project)["main.a"]}

    def found_in(run_id: str, **more: bool) -> list[str]:
        asked = {key: replace(step, **more) for key, step in steps.items()}
        return [it.step for it in resume.find({"main.a": ()}, asked, [run_id], "new")]

    assert found_in("old") == ["main.a"]
    assert found_in("old", full_refresh=True) == []
    (step,) = resume.find({"main.a": ()}, steps, ["old"], "new")
    assert step.outcome.changes == Changes("delta", None, 1, 0, 0)
