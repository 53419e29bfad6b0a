"""``checks: each | after | none``: when the checks of models run, and what is reported of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_models import load_project, models_executor
from dagster_models.reporting.journal import latest_journal, read_journal
from running import ENDLESS, Project, finish, make_project, wait_for


def checked(checks: str, sql: str) -> str:
    return f"/* @model\ncolumns: {{n: {{checks: {checks}}}}}\n*/\n{sql}"


FILES = {
    "models/m/a.sql": checked(
        "[not_null: {store_failures: true}]", "select 1 as n union all select null"
    ),
    "models/m/b.sql": checked("[not_null: {severity: warn}]", "select n from m.a"),
    "models/m/c.sql": checked("[unique, not_null: {where: n = 1}]", "select n from m.b"),
}
#: (asset, check) -> whether it passes, and its severity.
AFTER = {
    ("a", "not_null_n"): (False, "ERROR"),
    ("b", "not_null_n"): (False, "WARN"),
    ("c", "unique_n"): (True, "ERROR"),
    ("c", "not_null_n"): (True, "ERROR"),
}


@dataclass
class Ran:
    """One run: its events, the status of its checks for Dagster, and the files it left."""

    success: bool
    events: list[dg.DagsterEvent]
    checks: dict[tuple[str, str], str]
    failure: str
    root: Path

    def evaluated(self) -> dict[tuple[str, str], tuple[bool, str]]:
        found = (it for it in self.events if it.event_type_value == "ASSET_CHECK_EVALUATION")
        data = [it.asset_check_evaluation_data for it in found]
        return {
            (it.asset_key.path[-1], it.check_name): (it.passed, it.severity.name) for it in data
        }

    def built(self) -> set[str]:
        found = (it for it in self.events if it.event_type_value == "ASSET_MATERIALIZATION")
        return {str(it.asset_key.path[-1]) for it in found if it.asset_key}

    def journal(self) -> dict[str, tuple[str, dict[str, bool]]]:
        path = latest_journal(self.root / "target")
        assert path is not None
        return {
            it.step: (it.state, {check.name: check.passed for check in it.checks})
            for it in read_journal(path).steps
        }

    def ending(self) -> str:
        path = latest_journal(self.root / "target")
        assert path is not None
        end = read_journal(path).end
        return end.status if end is not None else ""

    def statuses(self) -> dict[str, str]:
        results = json.loads((self.root / "target" / "run_results.json").read_text())["results"]
        return {it["unique_id"].removeprefix("test.p."): it["status"] for it in results}


def run(
    project: Project,
    *,
    executor: dg.ExecutorDefinition = models_executor,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Ran:
    defs = dg.Definitions.merge(load_project(project.root), dg.Definitions(executor=executor))
    job = defs.resolve_implicit_global_asset_job_def()
    run_config = {"execution": {"config": dict(config)}} if config else None
    with dg.DagsterInstance.ephemeral() as instance:
        made = instance.create_run_for_job(job, tags=tags, run_config=run_config)
        execute_run(InMemoryJob(job), made, instance, raise_on_error=False)
        logs = instance.all_logs(made.run_id)
        events = [it.dagster_event for it in logs if it.dagster_event is not None]
        failures = [it for it in events if it.event_type_value == "PIPELINE_FAILURE"]
        data: Any = failures[0].event_specific_data if failures else None
        error = data.error if data is not None else None
        finished = instance.get_run_by_id(made.run_id)
        assert finished is not None
        checks = {}
        for asset, check in AFTER:
            key = dg.AssetCheckKey(dg.AssetKey(["m", asset]), check)
            history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            checks[asset, check] = history[0].status.value if history else ""
        return Ran(
            finished.status is dg.DagsterRunStatus.SUCCESS,
            events,
            checks,
            error.message if error else "",
            project.root,
        )


def test_after_all_models_are_published_and_the_run_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, FILES)
    ran = run(project, tags={"dagster_models/checks": "after"})
    assert ran.built() == {"a", "b", "c"}
    assert ran.evaluated() == AFTER
    assert not ran.success
    assert "1 check failed after all models were published: m.a: not_null_n: 1 of 2" in ran.failure
    assert ran.ending() == "failure"
    assert set(ran.checks.values()) == {"FAILED", "SUCCEEDED"}
    order = [it.event_type_value for it in ran.events]
    assert (
        order.index("ASSET_CHECK_EVALUATION") > len(order) - order[::-1].index("STEP_SUCCESS") - 1
    )
    assert ran.journal() == {
        "m.a": ("succeeded", {"not_null_n": False}),
        "m.b": ("succeeded", {"not_null_n": False}),
        "m.c": ("succeeded", {"unique_n": True, "not_null_n": True}),
    }
    statuses = ran.statuses()
    assert {name: status for name, status in statuses.items() if name.startswith("model")} == {
        f"model.test.{name}": "success" for name in "abc"
    }
    tests = {name.partition("test.test.")[2]: status for name, status in statuses.items()}
    assert tests["a.not_null_n"] == "fail"
    assert tests["b.not_null_n"] == "warn"
    assert tests["c.unique_n"] == "pass"
    out = capfd.readouterr().out
    assert "ERROR checks m.a" in out
    assert "WARN checks m.b" in out
    assert "OK checks m.c" in out
    assert "Done. PASS=1 WARN=1 ERROR=1" in out
    assert project.rows("select * from m.failures_not_null_n") == [(None,)]


def test_each_is_the_default_and_holds_back(tmp_path: Path) -> None:
    ran = run(make_project(tmp_path, FILES))
    assert (ran.built(), ran.success) == (set(), False)
    assert ran.evaluated() == {("a", "not_null_n"): (False, "ERROR")}


@pytest.mark.parametrize("executor", [models_executor, dg.in_process_executor])
def test_none_says_nothing_of_checks(tmp_path: Path, executor: dg.ExecutorDefinition) -> None:
    project = make_project(tmp_path, FILES, settings="checks: none\n")
    ran = run(project, executor=executor)
    assert (ran.built(), ran.success) == ({"a", "b", "c"}, True)
    assert ran.evaluated() == {}
    # Planned with the run, and not run: Dagster shows such a check as skipped, as the run is over.
    assert set(ran.checks.values()) == {"PLANNED"}


def test_the_tag_goes_before_the_run_config_and_that_before_the_project(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES, settings="checks: none\n")
    assert run(project, config={"checks": "after"}).evaluated() == AFTER
    tags = {"dagster_models/checks": "none"}
    assert run(project, config={"checks": "after"}, tags=tags).success
    ran = run(project, tags={"dagster_models/checks": "never"})
    assert "checks is 'never'; it may be each, after or none" in ran.failure
    assert ran.built() == set()


def test_another_executor_has_no_after(tmp_path: Path) -> None:
    """It knows of no last model: the checks run before each model is published."""
    project = make_project(tmp_path, FILES, settings="checks: after\n")
    ran = run(project, executor=dg.in_process_executor)
    assert (ran.built(), ran.success) == (set(), False)


def test_a_check_that_cannot_run_after_all_models(tmp_path: Path) -> None:
    expression = "[expression: {sql: \"cast(n as date) > date '2024-01-01'\", name: breaks}]"
    files = {
        "models/m/a.sql": checked(expression, "select 'x' as n"),
        "models/m/b.sql": "select n from m.a",
    }
    project = make_project(tmp_path, files, settings="checks: after\n")
    ran = run(project)
    assert ran.built() == {"a", "b"}
    assert ran.evaluated() == {("a", "breaks"): (False, "ERROR")}
    assert not ran.success
    assert "m.a: breaks: models/m/a.sql:2: " in ran.failure


def test_no_check_is_without_a_result_after_one_that_cannot_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A blocking one, and one that only warns; in Dagster, run_results.json and the terminal."""
    files = {
        "models/m/a.sql": checked("[not_null]", "select 'x' as n"),
        "checks/breaks.sql": "/* @check\nmodel: m.a\n*/\nselect * from m.a where n > 1",
        "checks/later.sql": "/* @check\nmodel: m.a\n*/\nselect * from m.a where n = 'y'",
        "models/m/b.sql": "select 'x' as n",
        "checks/warns.sql": "/* @check\nmodel: m.b\nseverity: warn\n*/\n"
        "select * from m.b where n > 1",
    }
    ran = run(make_project(tmp_path, files))
    assert ran.built() == {"b"}
    assert ran.evaluated() == {
        ("a", "not_null_n"): (True, "ERROR"),
        ("a", "breaks"): (False, "ERROR"),
        ("a", "later"): (False, "WARN"),
        ("b", "warns"): (False, "WARN"),
    }
    statuses = {name: it for name, it in ran.statuses().items() if not name.startswith("model")}
    assert {name.removeprefix("test.test."): it for name, it in statuses.items()} == {
        "a.not_null_n": "pass",
        "a.breaks": "error",
        "a.later": "skipped",
        "b.warns": "warn",
    }
    out = capfd.readouterr().out
    assert "ERROR check breaks: checks/breaks.sql:4: " in out
    assert "SKIP check later: it did not run: the check breaks before it could not" in out
    assert "WARN check warns: checks/warns.sql:5: " in out


@pytest.mark.slow
def test_a_stop_cancels_them(tmp_path: Path) -> None:
    """The models stay, and no check is said to have passed or failed."""
    files = {
        "models/m/a.sql": "select 1 as n",
        "checks/endless.sql": f"/* @check\nmodel: m.a\n*/\nselect * from ({ENDLESS}) where n < 0",
    }
    project = make_project(tmp_path, files, settings="checks: after\n")
    process = project.start()
    wait_for(process, "Checks of 1 step, after all models")
    process.send_signal(signal.SIGINT)
    report = finish(project, process)
    assert report.states() == {"m.a": "succeeded"}
    assert report.code != 0
    assert "m.a" in project.tables()
    assert "ASSET_CHECK_EVALUATION" not in {type_ for _, type_, _ in report.events}
    assert project.status() in ("FAILURE", "CANCELED")


def test_a_secret_in_an_offending_row_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "hush-hush")
    files = {"models/m/a.sql": checked("[rejected_values: [a]]", "select $x || '/a' as n")}
    files["checks/odd.sql"] = "select n, $x as mine from m.a where n <> $x"
    settings = "vars:\n  x: {type: text, env: KEY, secret: true}\n"
    project = make_project(tmp_path, files, settings=settings)
    ran = run(project)
    assert ran.evaluated() == {("a", "odd"): (False, "ERROR")} | {
        ("a", "rejected_values_n"): (True, "ERROR")
    }
    shown = [capfd.readouterr().out, *map(repr, ran.events)]
    shown += [path.read_text() for path in (project.root / "target").rglob("*.json*")]
    assert "***/a" in "".join(shown)
    assert not any("hush" in text for text in shown)
