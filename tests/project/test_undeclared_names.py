"""Names that nobody declares: those that a model stands for are errors, the others are warnings."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.model import Key
from dagster_models.project.former import MODELS_FILE
from dagster_models.project.targets import usable_target
from dagster_models.reporting.results import RunHeader, StepResult
from dagster_models.reporting.run_results import write_run_results
from dagster_models.reporting.step_results import step_result
from dagster_models.reporting.terminal import Terminal
from project_cases import load, make, write_project

ALIAS = "/* @model alias: all_orders */ select 1 as id"


@pytest.mark.parametrize("written", ["stgOrders", "Staging.stg_Orders_", "staging.all_orders"])
def test_another_spelling_of_a_model_is_an_error(tmp_path: Path, written: str) -> None:
    files = {"models/staging/stg_orders.sql": ALIAS, "models/a.sql": f"from {written}"}
    root = write_project(tmp_path, files)
    project = load(root, whole=None)
    (error,) = project.steps[Key("main", "a")].problems
    assert (error.path, error.line, error.column) == ("models/a.sql", 1, 6)
    assert (
        error.what
        == f"`{written.lower()}` is not a model of this project, but staging.stg_orders is"
    )
    assert error.fix.startswith("Write `staging.stg_orders`.")


@pytest.mark.parametrize("written", ["orders", "other.stg_orders", "shop.staging.stgorders"])
def test_any_other_name_is_a_warning(tmp_path: Path, written: str) -> None:
    files = {"models/staging/stg_orders.sql": "select 1 as id", "models/a.sql": f"from {written}"}
    project = make(tmp_path, files)
    (warning,) = project.warnings
    assert warning.severity == "warning"
    assert project.steps[Key("main", "a")].undeclared == (warning,)


def test_a_declared_source_may_have_the_letters_of_a_model(tmp_path: Path) -> None:
    files = {
        "models/sources.yaml": "sources: [{name: staging, tables: [stgorders]}]",
        "models/staging/stg_orders.sql": "select 1 as id",
        "models/a.sql": "from staging.stgorders",
    }
    assert make(tmp_path, files).warnings == ()


def test_a_model_that_an_earlier_load_has_seen(tmp_path: Path) -> None:
    files = {"models/orders.sql": "select 1 as id", "models/a.sql": "from orders"}
    root = write_project(tmp_path, files)
    load(root)
    assert not (root / "target" / MODELS_FILE).exists(), "only what Dagster loads is remembered"
    load(root, whole=None)
    (root / "models/orders.sql").unlink()
    for _ in range(2):
        (error,) = load(root, whole=None).steps[Key("main", "a")].problems
        assert error.what.startswith("`orders` was a model of this project")
    write_project(root, {"models/sources.yaml": "sources: [{name: main, tables: [orders]}]"})
    assert load(root, whole=None).warnings == ()
    (root / "models/sources.yaml").unlink()
    (root / "target" / MODELS_FILE).write_text("[1")
    assert [it.severity for it in load(root, whole=None).warnings] == ["warning"]


def test_they_are_listed_at_the_end_of_a_run_and_in_its_results(tmp_path: Path) -> None:
    files = {f"models/{name}.sql": f"from raw.{name} join raw.both using (id)" for name in "ab"}
    project = make(tmp_path, files)
    target = usable_target(project)
    results = [
        step_result(str(step.key), TargetStep(project, step, target), "succeeded", None)
        for step in project.steps.values()
    ]
    stream = io.StringIO()
    Terminal(stream, color=False, clock=lambda: "").done(results, 1.0)
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    of = "is not a model, seed or source of this project"
    assert lines[lines.index("WARN 4 names that nobody declares") + 1 :][:4] == [
        f"models/a.sql:1:6: `raw.a` {of}",
        f"models/a.sql:1:17: `raw.both` {of}",
        f"models/b.sql:1:6: `raw.b` {of}",
        f"models/b.sql:1:17: `raw.both` {of}",
    ]
    header, path = RunHeader("r", "p", "dev", 0.0, ("main.a", "main.b"), "1"), tmp_path / "r.json"
    write_run_results(path, results, header=header, seconds=1, generated_at=0)
    found = [it["adapter_response"] for it in json.loads(path.read_text())["results"]]
    assert [len(it["undeclared"]) for it in found] == [2, 2]
    assert found[0]["undeclared"][0] == f"models/a.sql:1:6: `raw.a` {of}"
    again = json.loads(json.dumps(results[0].to_json()))
    assert StepResult.from_json(again).undeclared == results[0].undeclared
