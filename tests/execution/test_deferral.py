"""``defer``: what a run on a developer's target reads from another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from dagster_models.compilation.tasks import task_for
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.execution.deferral import DEFER_TAG, deferral, target_to_defer_to
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.project.targets import usable_target
from project_cases import load
from running import make_project
from session_runs import Runs
from systems import System


@pytest.fixture
def runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs on the target dev, beside a target prod; `m.c` reads `m.b`, and that `m.a`."""
    monkeypatch.setenv("USER", "ann")
    runs = Runs(tmp_path / "project", "dev")
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [one]}]",
        "models/m/a.sql": "select k, 1 as v from raw.one",
        "models/m/b.sql": "select k, v + 1 as v from a",
        "models/m/c.sql": "/* @model\ncolumns: {k: {checks: [{relationships: {to: b, field: k}}"
        "]}}\n*/\nselect b.k, b.v + a.v as v from m.b as b join a on a.k = b.k",
    }
    settings = "target: dev\nmodels: {materialized: table}\n"
    runs.write_on(system, monkeypatch, files, settings, {"dev": "dev_${USER}_", "prod": ""})
    with runs.connect() as session:
        session.execute("create schema raw")
        session.execute("create table raw.one as select 1 as k")
    return runs


def deferred(runs: Runs, *names: str) -> dict[str, str]:
    """What a run of these steps reads from prod; the steps are built."""
    steps = {key: it for key, it in runs.steps(load(runs.root)).items() if key in names}
    found = deferral(steps, "prod")
    assert found.target_steps.keys() == steps.keys()
    with runs.connect() as session:
        session.prepare(["dev_ann_m"])
        for key, it in found.target_steps.items():
            assert set(it.deferred) <= set(found.relations)
            outcome = session.run(task_for(it, f"run {key} {len(found.relations)}", 1))
            assert outcome.succeeded, outcome.error
    return dict(found.relations)


def rows(runs: Runs, relation: str) -> list[tuple[int, ...]]:
    with runs.connect() as session:
        return session.query(f"select v from {relation}")


def test_a_model_that_neither_is_built_nor_exists_is_read_from_there(runs: Runs) -> None:
    Runs(runs.root, "prod").run()
    assert deferred(runs, "m.c") == {"m.b": "m.b", "m.a": "m.a"}
    assert rows(runs, "dev_ann_m.c") == [(3,)]
    runs.write({"models/m/a.sql": "select k, 10 as v from raw.one"})
    assert runs.run("m.a") == {"m.a": "built"}
    assert deferred(runs, "m.c") == {"m.b": "m.b"}, "what exists on the own target is read there"
    assert rows(runs, "dev_ann_m.c") == [(12,)]
    assert deferred(runs, "m.b", "m.c") == {}, "what the run builds is never deferred"
    assert rows(runs, "dev_ann_m.c") == [(21,)]
    assert rows(runs, "m.c") == [(3,)], "nothing is written to the other target"


def test_what_a_run_that_failed_has_not_built_is_deferred_by_the_next(runs: Runs) -> None:
    Runs(runs.root, "prod").run()
    runs.write({"models/m/b.sql": "select k, cast('x' as integer) as v from a"})
    assert runs.run("m.a", "m.b", "m.c") == {"m.a": "built", "m.b": "failed", "m.c": "skipped"}
    assert deferred(runs, "m.c") == {"m.b": "m.b"}


def test_what_is_on_neither_target_is_said(runs: Runs) -> None:
    steps = runs.steps(load(runs.root))
    found = deferral({"m.c": steps["m.c"]}, "prod")
    assert (dict(found.relations), set(found.nowhere)) == ({}, {"m.a", "m.b"})


def test_the_own_target_is_no_other(runs: Runs) -> None:
    steps = runs.steps(load(runs.root))
    assert deferral({"m.c": steps["m.c"]}, "dev").relations == {}


def test_another_database_is_refused(runs: Runs) -> None:
    text = (runs.root / PROJECT_FILE).read_text()
    runs.write({PROJECT_FILE: f"{text}  far: {{type: duckdb, path: far.duckdb}}\n"})
    steps = runs.steps(load(runs.root))
    with pytest.raises(ValueError, match="target 'dev' and target 'far' are in two databases"):
        deferral({"m.c": steps["m.c"]}, "far")


def test_only_changed_notices_new_rows_of_what_is_deferred(runs: Runs) -> None:
    """A deferred model is a source of the run."""
    from dagster_models.execution.known_inputs import KnownInputs
    from dagster_models.execution.unchanged import decide

    prod = Runs(runs.root, "prod")
    prod.run()

    def run(run_id: str) -> str:
        steps = deferral({"m.c": runs.steps(load(runs.root))["m.c"]}, "prod").target_steps
        known = KnownInputs()
        known.ask(steps)
        decision = decide({"m.c": ()}, steps, known, (), run_id)
        with runs.connect() as session:
            session.prepare(["dev_ann_m"])
            it = steps["m.c"]
            assert session.run(task_for(it, run_id, 1, (), known.of(it))).succeeded
        because = decision.because.get("m.c")
        return because.text if because else "unchanged"

    assert run("r1").startswith("its relation is not there")
    assert run("r2") == "unchanged"
    runs.write({"models/m/b.sql": "select k, v + 5 as v from a"})
    prod.run("m.b")
    assert run("r3") == "m.b has other rows"


def test_the_tag_goes_before_the_config_and_that_before_the_environment() -> None:
    environ = {"DAGSTER_MODELS_DEFER": "c"}
    assert target_to_defer_to({DEFER_TAG: "a"}, "b", environ) == "a"
    assert target_to_defer_to({}, "b", environ) == "b"
    assert target_to_defer_to({}, None, environ) == "c"
    assert target_to_defer_to({}, None, {}) == ""


def test_a_schema_prefix_with_the_name_of_the_developer(runs: Runs) -> None:
    it = runs.steps(load(runs.root))["m.a"]
    task = task_for(it, "r", 1)
    assert isinstance(task, BuildTask)
    assert isinstance(task.content, Query)
    assert (str(task.relation), task.step) == ("dev_ann_m.a", "m.a")
    assert '"raw"."one"' in task.content.sql, "a source gets no prefix"
    prod = replace(it, target=usable_target(it.project, "prod"))
    assert (prod.name, prod.step.code_version) == (it.name, it.step.code_version)


def test_a_real_run_says_what_it_defers(tmp_path: Path) -> None:
    files = {
        "models/m/a.sql": "select 1 as k",
        "models/m/b.sql": "select k + 1 as k from a",
    }
    project = make_project(tmp_path, files, "jobs: {test: {selection: '*'}, b: {selection: m/b}}\n")
    text = (project.root / PROJECT_FILE).read_text()
    prod = "targets: {prod: {type: duckdb, path: target/test.duckdb}, "
    text = text.replace("targets: {", prod).replace("threads: 2", "schema_prefix: dev_")
    (project.root / PROJECT_FILE).write_text(text + "target: dev\n")
    assert project.run({"target": "prod"}).code == 0
    command = project.command({"defer": "prod"}, job="b")
    import subprocess

    done = subprocess.run(
        command, cwd=project.root, env=project.env, capture_output=True, text=True, check=False
    )
    report = project.report(done.returncode, done.stdout, done.stderr)
    assert report.code == 0, report.stdout
    assert "Deferred: 1 model read from another target" in report.stdout
    assert "m.a is read from m.a" in report.stdout
    assert report.results["args"]["deferred"] == {"m.a": "m.a"}
    assert report.journal is not None
    assert report.journal.header is not None
    assert report.journal.header.deferred == {"m.a": "m.a"}
    assert project.rows("select k from dev_m.b") == [(2,)]
    assert "dev_m.a" not in project.tables()


def test_a_model_of_which_only_checks_run_is_looked_at_there(runs: Runs) -> None:
    Runs(runs.root, "prod").run()
    step = runs.steps(load(runs.root))["m.c"].only(False, ["relationships_k"])
    found = deferral({"m.c": step}, "prod")
    assert found.relations["m.c"] == "m.c"
    with runs.connect() as session:
        outcome = session.run(task_for(found.target_steps["m.c"], "r", 1))
    assert [check.passed for check in outcome.checks] == [True], outcome.error


def test_with_what_a_target_attaches(tmp_path: Path) -> None:
    """Sources are read where they are attached, whatever else the run defers."""
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as connection:
        connection.execute("create table one as select 5 as k")
    target = f"type: duckdb, path: {tmp_path / 'w.duckdb'}, attach: {{crm: ../crm.duckdb}}"
    runs = Runs(tmp_path / "project", "dev")
    runs.write(
        {
            PROJECT_FILE: "name: p\ntarget: dev\nmodels: {materialized: table}\ntargets:\n"
            f"  dev: {{{target}, schema_prefix: dev_ann_}}\n  prod: {{{target}}}\n",
            "models/sources.yaml": "sources: [{name: crm, catalog: crm, schema: main,"
            " tables: [one]}]",
            "models/m/a.sql": "select k, 1 as v from crm.main.one",
            "models/m/c.sql": "select a.k, a.v + one.k as v from m.a join crm.main.one using (k)",
        }
    )
    Runs(runs.root, "prod").run()
    assert deferred(runs, "m.c") == {"m.a": "m.a"}
    assert rows(runs, "dev_ann_m.c") == [(6,)]
