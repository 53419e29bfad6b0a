"""Checks that are Python functions, in runs of Dagster: with each model, after all, and alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from cli_cases import run as command
from dagster_models import load_project, models_executor
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.session import connect
from dagster_models.reporting.journal import latest_journal, read_journal
from on_postgres import postgres_project
from running import ENDLESS, Project, make_project

CHECK = '''
"""Looks at the numbers.

@check
description: Numbers are small.
store_failures: true
"""

from shared import most


def check(warehouse):
    print("at most", most())
    return warehouse.sql("select n from a where n > $largest")
'''

FILES = {
    "models/m/a.sql": "/* @model\nmaterialized: table\n*/\nselect n from raw.orders",
    "models/m/b.py": "def model(warehouse):\n    return warehouse.sql('select n from a')\n",
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}]}]",
    "shared.py": "def most():\n    return 2\n",
    "checks/small.py": CHECK,
    "checks/all_there.py": '"""\n@check\nseverity: warn\n"""\ndef check(warehouse):\n'
    "    return abs(len(warehouse.table('b')) - len(warehouse.table('a')))\n",
    "checks/orders.py": "def check(warehouse):\n"
    "    return len(warehouse.table('raw.orders')) > 1\n",
}
SMALL = dg.AssetCheckKey(dg.AssetKey(["m", "a"]), "small")
ALL_THERE = dg.AssetCheckKey(dg.AssetKey(["m", "b"]), "all_there")
ORDERS = dg.AssetCheckKey(dg.AssetKey(["raw", "orders"]), "orders")
IN_PROCESS = dg.in_process_executor


class Runner:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.defs = load_project(project.root)

    def sql(self, text: str) -> list[Any]:
        resource: Any = (self.defs.resources or {})["warehouse"]
        with connect(resource.address(None)) as session:
            if text.startswith("select"):
                return sorted(session.query(text))
            session.execute(text)
            return []

    def run(
        self,
        *,
        assets: Collection[str] = (),
        checks: Collection[dg.AssetCheckKey] = (),
        executor: dg.ExecutorDefinition = models_executor,
        tags: Mapping[str, str] | None = None,
    ) -> Ran:
        defs = dg.Definitions.merge(self.defs, dg.Definitions(executor=executor))
        job = defs.resolve_implicit_global_asset_job_def()
        if assets or checks:
            job = job.get_subset(
                asset_selection=frozenset(dg.AssetKey(["m", name]) for name in assets),
                asset_check_selection=frozenset(checks),
            )
        with dg.DagsterInstance.ephemeral() as instance:
            made = instance.create_run_for_job(job, tags=tags)
            execute_run(InMemoryJob(job), made, instance, raise_on_error=False)
            logs = instance.all_logs(made.run_id)
            return Ran([it.dagster_event for it in logs if it.dagster_event is not None])


class Ran:
    def __init__(self, events: list[dg.DagsterEvent]) -> None:
        self.succeeded = any(it.event_type_value == "PIPELINE_SUCCESS" for it in events)
        self.built = {
            it.asset_key.path[-1]
            for it in events
            if it.event_type_value == "ASSET_MATERIALIZATION" and it.asset_key
        }
        data = [
            it.asset_check_evaluation_data
            for it in events
            if it.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
        self.checks = {it.asset_check_key: it.passed for it in data}
        self.metadata = {it.check_name: it.metadata for it in data}


@pytest.fixture
def runner(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Runner:
    if getattr(request, "param", "duckdb") == "duckdb":
        project = make_project(tmp_path, FILES, "vars: {largest: 2}\n")
    else:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_dsn"))
        project = postgres_project(tmp_path, FILES)
        settings = project.root / "dagster_models.yaml"
        settings.write_text(settings.read_text() + "vars: {largest: 2}\n")
    runner = Runner(project)
    runner.sql("create schema raw; create table raw.orders as select 1 as n union all select 2")
    return runner


@pytest.mark.parametrize(
    ("runner", "executor"),
    [("duckdb", models_executor), ("postgres", models_executor), ("duckdb", IN_PROCESS)],
    indirect=["runner"],
)
def test_with_each_model_what_is_published_has_passed(
    runner: Runner, executor: dg.ExecutorDefinition, capfd: pytest.CaptureFixture[str]
) -> None:
    good = runner.run(assets="ab", checks=[SMALL, ALL_THERE], executor=executor)
    assert (good.succeeded, good.built) == (True, {"a", "b"})
    assert good.checks == {SMALL: True, ALL_THERE: True}
    assert "small: at most 2" in capfd.readouterr().out
    runner.sql("insert into raw.orders values (3)")
    bad = runner.run(assets="ab", checks=[SMALL, ALL_THERE], executor=executor)
    assert (bad.succeeded, bad.built, bad.checks) == (False, set(), {SMALL: False})
    assert bad.metadata["small"]["failures"].value == 1
    assert bad.metadata["small"]["stored_in"].value == "m.failures_small"
    assert runner.sql("select n from m.a") == runner.sql("select n from m.b") == [(1,), (2,)]
    assert runner.sql("select n from m.failures_small") == [(3,)]


def test_after_all_models(runner: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    runner.sql("insert into raw.orders values (3)")
    ran = runner.run(tags={"dagster_models/checks": "after"})
    assert (ran.succeeded, ran.built) == (False, {"a", "b"})
    assert {key: passed for key, passed in ran.checks.items() if key != ORDERS} == {
        SMALL: False,
        ALL_THERE: True,
    }
    assert "small: at most 2" in capfd.readouterr().out
    assert runner.sql("select n from m.a") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("runner", ["postgres"], indirect=True)
def test_alone_nothing_is_built(runner: Runner) -> None:
    assert runner.run(assets="ab").succeeded
    records = runner.sql("select step, run_id from dagster_models.commits")
    runner.sql("insert into m.a values (3); insert into m.b values (3)")
    ran = runner.run(checks=[SMALL, ALL_THERE, ORDERS])
    assert (ran.succeeded, ran.built) == (False, set())
    assert (ran.checks[SMALL], ran.checks[ORDERS]) == (False, True)
    assert runner.sql("select step, run_id from dagster_models.commits") == records
    ran = runner.run(checks=[ALL_THERE, ORDERS])
    assert ran.checks == {ALL_THERE: True, ORDERS: True}


def test_the_command_runs_them(runner: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    assert runner.run(assets="ab").succeeded
    root = runner.project.root
    runner.sql("insert into m.a values (3)")
    capfd.readouterr()
    assert command(root, "checks", "small") == 1
    out = capfd.readouterr().out
    assert "at most 2" in out
    assert "FAIL check small: 1 row" in out
    (root / "checks" / "small.py").write_text(CHECK.replace("most()", "1 / 0"))
    assert command(root, "checks", "small") == 1
    out = capfd.readouterr().out
    assert "checks/small.py:13: ZeroDivisionError: division by zero" in out
    assert "processes/worker" not in out


def test_a_timeout_in_a_check_rolls_back(tmp_path: Path) -> None:
    files = {
        "models/m/a.sql": "/* @model\nmaterialized: table\ntimeout: 1s\n*/\nselect 1 as n",
        "checks/endless.py": '"""\n@check\nmodel: a\n"""\ndef check(warehouse):\n'
        f'    warehouse.sql("{ENDLESS}").arrow()\n',
    }
    runner = Runner(make_project(tmp_path, files))
    ran = runner.run(assets="a", checks=[dg.AssetCheckKey(dg.AssetKey(["m", "a"]), "endless")])
    assert (ran.succeeded, ran.built) == (False, set())
    path = latest_journal(runner.project.root / "target")
    assert path is not None
    (step,) = read_journal(path).steps
    assert (step.state, step.timed_out) == ("failed", True)
    assert step.error is not None
    assert step.error.kind is ErrorKind.CANCELED
    assert runner.sql("select table_name from duckdb_tables() where schema_name = 'm'") == []
