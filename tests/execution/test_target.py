"""A run on another target than the one that the project was loaded for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from addresses import duckdb_at
from dagster_models import WarehouseResource, load_project
from dagster_models.execution.options import TARGET_TAG, Options
from dagster_models.processes.client.session import connect
from running import Project, make_project

TARGETS = (
    "targets:\n"
    "  dev: {type: duckdb, path: target/test.duckdb, threads: 2}\n"
    "  other: {type: duckdb, path: target/other.duckdb, schema_prefix: x_}\n"
    "  pg: {type: postgres, dsn: '${TARGET_TEST_DSN}', schema_prefix: x_, threads: 3}\n"
)
ORDERS = """
from pathlib import Path
import dagster as dg
from dagster_models import WarehouseResource, load_project

@dg.asset(metadata={"dagster/table_name": "raw.orders"})
def orders(warehouse: WarehouseResource) -> None:
    with warehouse.connect() as connection:
        connection.execute("create schema if not exists raw")
        connection.execute("drop table if exists raw.orders")
        connection.execute("create table raw.orders as select 1 as id")

defs = load_project(Path(__file__).parent, assets=[orders])
"""
FILES = {
    "definitions.py": ORDERS,
    "models/marts/totals.sql": "/* @model\ncolumns: {n: {checks: [not_null]}} */\n"
    "select count(*) as n from raw.orders",
    "models/marts/from_python.py": '"""\n@model\n"""\n'
    "def model(warehouse):\n    return warehouse.sql('select n + 1 as n from totals')\n",
}


def project_of(folder: Path, files: Mapping[str, str] = FILES) -> Project:
    project = make_project(folder, {})
    project.write({"dagster_models.yaml": f"name: test\n{TARGETS}", **files})
    return project


def materialized(project: Project) -> dict[str, Mapping[str, Any]]:
    """Asset -> metadata of its last materialisation."""
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        found = {}
        for key in ("totals", "from_python"):
            event = instance.get_latest_materialization_event(dg.AssetKey(["marts", key]))
            assert event is not None
            assert event.asset_materialization is not None
            metadata = event.asset_materialization.metadata
            found[key] = {name: value.value for name, value in metadata.items()}
        return found


@pytest.mark.slow
def test_the_run_config_chooses_the_target(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET_TEST_DSN", postgres_dsn)
    project = project_of(tmp_path)
    report = project.run({"target": "pg"})
    assert report.code == 0, report.stdout + report.stderr
    assert "Concurrency: 3 slots (target='pg')" in report.stdout
    with psycopg.connect(postgres_dsn) as there:
        assert there.execute("select n from x_marts.totals").fetchall() == [(1,)]
        assert there.execute("select n from x_marts.from_python").fetchall() == [(2,)]
        assert there.execute("select id from raw.orders").fetchall() == [(1,)]
    assert not project.database.exists()
    assert report.journal is not None
    assert report.journal.header is not None
    assert report.journal.header.target == "pg"
    relations = {step.step: step.relation for step in report.journal.steps}
    assert relations["marts.totals"] == "x_marts.totals"
    for name, metadata in materialized(project).items():
        assert metadata["dagster/table_name"] == f"x_marts.{name}"
        assert metadata["dagster_models/relation"] == f"x_marts.{name}"
        assert metadata["dagster_models/target"] == "pg"
    assert report.results["args"]["target"] == "pg"
    assert not (project.root / "target" / "schemas.json").exists()


def test_a_target_in_the_run_config_that_is_not_there(tmp_path: Path) -> None:
    """Dagster refuses it, with those that are, and there is no run."""
    job = load_project(project_of_one(tmp_path).root).resolve_job_def("test")
    config = {"execution": {"config": {"target": "othr"}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="other"):
        dg.validate_run_config(job, config)


def test_a_target_in_the_run_tag_that_is_not_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Reported before the first step, on the console too, which shows no events of Dagster."""
    project = project_of_one(tmp_path)
    repository = ReconstructableRepository.for_file(str(project.root / "definitions.py"), "defs")
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        job = repository.get_reconstructable_job("test")
        assert not dg.execute_job(job, instance, tags={TARGET_TAG: "othr"}).success
    text = capfd.readouterr().err
    assert "The run cannot begin: 1 problem" in text
    assert "there is no target `othr`" in text
    assert "Did you mean `other`?" in text
    assert "STEP_START" not in {kind for _, kind, _ in project.events()}
    assert project.status() == "FAILURE"


@dg.asset
def looked(warehouse: WarehouseResource) -> list[Any]:
    with warehouse.connect() as connection:
        return connection.sql("select current_database() as name").df()["name"].tolist()


def run_of(project: Project, tags: Mapping[str, str], *, fails: bool = False) -> Any:
    defs = load_project(project.root, assets=[looked])
    job = defs.resolve_job_def("test")
    return job.execute_in_process(tags=dict(tags), raise_on_error=not fails)


def errors_of(result: Any) -> dict[str, str]:
    return {
        event.step_key: event.step_failure_data.error.to_string()
        for event in result.all_events
        if event.is_step_failure
    }


def project_of_one(folder: Path) -> Project:
    return project_of(folder, {"models/marts/a.sql": "select 1 as n"})


def test_the_run_tag_chooses_it_under_any_executor(tmp_path: Path) -> None:
    project = project_of_one(tmp_path)
    result = run_of(project, {TARGET_TAG: "other"})
    assert result.output_for_node("looked") == ["other"]
    assert not project.database.exists()
    with connect(duckdb_at(project.root / "target/other.duckdb")) as s:
        assert s.query("select n from x_marts.a") == [(1,)]
    assert run_of(project, {}).output_for_node("looked") == ["test"]
    assert project.rows("select n from marts.a") == [(1,)]


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    result = run_of(project_of_one(tmp_path), {TARGET_TAG: "othr"}, fails=True)
    errors = errors_of(result)
    assert "there is no target `othr`" in errors["marts__a"]
    assert "there is no target `othr`" in errors["looked"]


def test_a_target_whose_variable_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TARGET_TEST_DSN", raising=False)
    result = run_of(project_of_one(tmp_path), {TARGET_TAG: "pg"}, fails=True)
    errors = errors_of(result)
    assert "needs the environment variable TARGET_TEST_DSN" in errors["marts__a"]
    assert "environment variable TARGET_TEST_DSN is not set" in errors["looked"]


def test_the_tag_goes_before_the_run_config(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"execution": {"config": {"target": "pg"}}}
    options = Options(target="pg")
    assert options.target_of({}, config) == "pg"
    assert options.target_of({TARGET_TAG: "other"}, config) == "other"
    assert Options().target_of({}, {}) is None
    by_env = {"execution": {"config": {"target": {"env": "CHOSEN_TARGET"}}}}
    monkeypatch.setenv("CHOSEN_TARGET", "pg")
    assert options.target_of({}, by_env) == "pg"
    with pytest.raises(ValueError, match="execution: config: target"):
        options.target_of({}, {})


def test_a_warehouse_that_is_configured_in_the_launchpad_is_not_that_of_the_models(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = project_of_one(tmp_path)
    repository = ReconstructableRepository.for_file(str(project.root / "definitions.py"), "defs")
    elsewhere = {"settings": {"path": str(tmp_path / "elsewhere.duckdb")}}
    config = {"resources": {"warehouse": {"config": elsewhere}}}
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        job = repository.get_reconstructable_job("test")
        assert dg.execute_job(job, instance, run_config=config).success
    said = "The run config of the resource warehouse applies only to your own assets"
    assert f"WARNING: {said}" in capfd.readouterr().out
    assert [message for _, _, message in project.events() if message.startswith(said)]
    assert project.rows("select n from marts.a") == [(1,)]
