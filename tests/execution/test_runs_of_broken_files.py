"""Runs of a project in which a file is wrong: its step fails with that error, the others go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cli_cases import run as cli
from dagster_models import ModelsTranslator, load_project
from dagster_models.compilation.tasks import TargetStep, exports_by_warehouse, task_for
from dagster_models.core.model import Key
from dagster_models.core.model import Project as ModelsProject
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import BrokenFile
from dagster_models.execution.deferral import deferral
from dagster_models.execution.known_inputs import KnownInputs
from dagster_models.execution.resume import find
from dagster_models.execution.unchanged import decide
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target
from dagster_models.reporting.dagster_text import step_text
from dagster_models.reporting.step_results import step_result
from project_cases import load, write_project
from running import Project, make_project
from session_runs import Runs
from systems import System

HEADER = """/* @model
description: What was sold.
tags: [nightly]
retries: 3
columns: {id: {checks: [not_null]}}
*/
"""
FILES = {
    "models/marts/raw.sql": "select 1 as id",
    "models/marts/sold.sql": f"{HEADER}select id from raw",
    "models/marts/report.sql": "select count(*) as n from sold",
    "models/marts/other.sql": "select id from raw",
}
BROKEN = {"models/marts/sold.sql": f"{HEADER}select id frm raw where"}
ERROR = "models/marts/sold.sql:7:"
JOBS = "jobs: {test: {selection: '*'}, night: {selection: 'tag:nightly'}}\n"
JOBS += "schedules: {daily: {job: night, cron: '0 6 * * *'}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES, JOBS)


def test_a_run_goes_on_and_the_former_table_is_left_alone(project: Project) -> None:
    assert project.run().code == 0
    project.write(BROKEN)
    report = project.run()
    assert report.code == 1
    assert report.states() == {
        "marts.raw": "succeeded",
        "marts.other": "succeeded",
        "marts.sold": "failed",
        "marts.report": "skipped",
    }
    (message,) = (it["message"] for it in report.results["results"] if it["status"] == "error")
    assert ERROR in message
    (failure,) = (text for step, kind, text in report.events if kind == "STEP_FAILURE")
    assert ERROR in report.stdout
    assert "Dagster" not in failure
    assert report.of_type("STEP_UP_FOR_RETRY") == set(), "another attempt cannot help"
    assert report.stderr.count("1 problem in the project") == 1, report.stderr
    assert project.rows("select id from marts.sold") == [(1,)]
    project.write({"models/marts/sold.sql": FILES["models/marts/sold.sql"]})
    assert project.run_again_from_failure().code == 0
    assert project.commits() == {"marts.sold", "marts.report"}


def test_dagster_shows_the_broken_asset(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_project(project.root).resolve_asset_graph()
    project.write(BROKEN)
    with caplog.at_level(logging.WARNING, "dagster_models"):
        defs = load_project(project.root)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert ERROR in record.message
    assert "All others can be run" in record.message
    monkeypatch.setattr("sys.argv", ["dagster", "api", "execute_run", "{}"])
    caplog.clear()
    load_project(project.root)
    assert caplog.records == [], "a run reports the errors of its own steps"
    graph, key = defs.resolve_asset_graph(), dg.AssetKey(["marts", "sold"])
    node = graph.get(key)
    assert (node.description or "").startswith(ERROR)
    assert "What was sold." in (node.description or "")
    assert node.code_version is None
    assert graph.asset_check_keys == before.asset_check_keys != set()
    assert {it.key for it in graph.asset_nodes} == {it.key for it in before.asset_nodes}
    assert graph.get(dg.AssetKey(["marts", "report"])).parent_keys == {key}
    assert [it.name for it in defs.get_repository_def().schedule_defs] == ["daily"]


def test_the_page_of_a_broken_asset_reads_as_it_was_written(tmp_path: Path) -> None:
    """A description is Markdown; what becomes of a model in Python does not hang on its code."""
    bad = "def model(warehouse):\n    return (\n"
    made = "def sql(vars):\n    return (\n"
    files = {**BROKEN, "models/marts/bad.py": bad, "models/marts/made.py": made}
    graph = load_project(write_project(tmp_path, files)).resolve_asset_graph()
    kinds = {name: graph.get(dg.AssetKey(["marts", name])).kinds for name in ("bad", "made")}
    assert kinds == {"bad": {"python", "duckdb", "table"}, "made": {"python", "duckdb", "view"}}
    error, fix, prose = (graph.get(dg.AssetKey(["marts", "sold"])).description or "").split("\n\n")
    assert error.startswith(ERROR)
    assert fix.startswith("Correct it.")
    assert prose == "What was sold."


def test_a_job_whose_models_cannot_be_read_runs_them_and_fails(project: Project) -> None:
    """It would succeed each night without doing anything, or stop the whole code location."""
    project.write({"models/marts/sold.sql": "/* @model\ntags: [nightly\n*/ select id from raw"})
    job = load_project(project.root).resolve_job_def("night")
    assert {str(node.name) for node in job.nodes} == {"marts__sold"}


def test_what_dagster_refuses_of_one_model(project: Project) -> None:
    project.write(
        {"models/marts/other.sql": "/* @model meta: {owners: [nobody]} */ select id from raw"}
    )

    class Odd(ModelsTranslator):
        def get_asset_spec(self, item: Any, project: Any, relation: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(item, project, relation)
            return spec.merge_attributes(owners=item.config.meta.get("owners", []))

    defs = load_project(project.root, translator=Odd())
    description = defs.resolve_asset_graph().get(dg.AssetKey(["marts", "other"])).description
    assert (description or "").startswith("models/marts/other.sql:1:1: error: Dagster refuses")


def test_what_reads_a_table_of_an_unknown_name_cannot_be_built(tmp_path: Path) -> None:
    """A step of another name would read a table that may be there, and is another one."""
    files = {**FILES, "models/marts/sold.sql": "/* @model\nalias: [\n*/ select id from raw"}
    project = load(write_project(tmp_path, files), whole=None)
    target = usable_target(project)
    with pytest.raises(BrokenFile, match=r"it reads marts.sold, whose file is wrong:\nmodels/"):
        task_for(TargetStep(project, project.steps[Key("marts", "report")], target), "run", 1)


def test_a_check_run_of_a_broken_model_fails(tmp_path: Path) -> None:
    project = load(write_project(tmp_path, {**FILES, **BROKEN}), whole=None)
    step = TargetStep(project, project.steps[Key("marts", "sold")], usable_target(project))
    with pytest.raises(BrokenFile, match=ERROR):
        task_for(step.only(False, ["not_null_id"]), "run", 1)


def test_what_reads_a_broken_source_cannot_be_built(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, tables: [{name: a}, {name: b, identifier: [b]}]}]"
    files = {"models/sources.yaml": sources, "models/a.sql": "from raw.a"}
    root = write_project(tmp_path, {**files, "models/b.sql": "from raw.b"})
    project = load(root, whole=None)
    steps = [TargetStep(project, it, usable_target(project)) for it in project.steps.values()]
    task_for(steps[0], "run", 1)
    with pytest.raises(BrokenFile, match=r"the source raw.b is wrong:\nmodels/sources.yaml:1:"):
        task_for(steps[1], "run", 1)


def test_the_commands(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    tests = "- {model: other, name: one, given: {raw: [{id: 7}]}, expect: [{id: 7}]}\n"
    tests += "- {model: sold, name: two, given: {raw: [{id: 7}]}, expect: [{id: 7}]}\n"
    project.write({**BROKEN, "unit_tests/all.yaml": tests})
    codes = {"check": 1, "ls": 1, "compile other": 0, "compile sold": 1, "test": 2}
    said = {}
    for words, code in codes.items():
        assert cli(project.root, *words.split()) == code, words
        said[words] = "".join(capsys.readouterr())
    assert "marts.sold    table   models/marts/sold.sql  (broken)" in said["ls"]
    assert ERROR in said["compile sold"]
    assert ERROR in said["check"]
    assert "PASS marts.other: one" in said["test"]
    assert ERROR in said["test"]


class Lenient(Runs):
    """Runs of a project in which files may be wrong."""

    def load(self) -> ModelsProject:
        return load(self.root, whole=None)


@pytest.fixture
def runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lenient:
    runs = Lenient(tmp_path / "project")
    runs.write_on(system, monkeypatch, FILES, "models: {materialized: table}\n")
    return runs


WRONG = {
    "text": "select id frm raw where",
    "name of the table": "/* @model\nalias: [\n*/ select id from raw",
}


@pytest.mark.parametrize("how", WRONG)
def test_what_looks_at_former_builds_leaves_it_to_fail(runs: Lenient, how: str) -> None:
    """Which steps a run need not build is decided before the first one, for all of them."""
    runs.run()
    before = runs.contents()
    runs.write({"models/marts/sold.sql": WRONG[how]})
    steps = runs.steps(runs.load())
    graph = {name: [str(read) for read in it.step.upstream] for name, it in steps.items()}
    decided = decide(graph, steps, KnownInputs(), (), "again")
    assert set(decided.unchanged) == {"marts.raw", "marts.other"}
    assert decided.because["marts.sold"].text == "its file is wrong"
    found = {it.step for it in find(graph, steps, _run_ids(steps), "again")}
    assert found == {"marts.raw", "marts.other"}
    assert exports_by_warehouse(steps) == {}
    assert deferral(steps, "").nowhere == ()
    with pytest.raises(BrokenFile):
        task_for(steps["marts.sold"], "again", 1)
    runs.write({"models/marts/sold.sql": FILES["models/marts/sold.sql"]})
    assert runs.contents() == before, "nothing was done to its table"


def _run_ids(steps: Mapping[str, TargetStep]) -> set[str]:
    first = steps["marts.raw"]
    assert first.relation is not None
    with connect(first.address) as session:
        return {commit.run_id for commit in session.last_proofs([first.relation])}


def test_the_line_of_generated_sql_that_the_warehouse_refuses(runs: Lenient) -> None:
    text = "select id,\\n  nope_fn(id) as n\\nfrom raw"
    runs.write({"models/marts/gen.py": f"import os\n\ndef sql(vars):\n    return '{text}'\n"})
    steps = runs.steps(runs.load())
    with connect(steps["marts.raw"].address) as session:
        session.prepare(["marts"])
        for name in ("marts.raw", "marts.gen"):
            task = task_for(steps[name], "r", 1)
            assert isinstance(task, BuildTask)
            outcome = session.run(task)
    said = step_text(step_result("marts.gen", steps["marts.gen"], "failed", outcome))
    where = "models/marts/gen.py:3: line 2 of what sql(vars) returned, `nope_fn(id) as n`: "
    assert said.startswith(where)
