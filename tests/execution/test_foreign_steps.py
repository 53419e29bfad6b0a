"""Steps that are not ours in the same job: they run under the same limits and the same policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import Project, make_project

pytestmark = pytest.mark.slow


FOREIGN = """
import os
from pathlib import Path
import dagster as dg
from dagster_models import load_project

@dg.asset(metadata={"dagster/table_name": "raw.orders"}, retry_policy=dg.RetryPolicy(max_retries=1))
def orders(context) -> None:
    if os.environ.get("ORDERS") == "fail" or (
        os.environ.get("ORDERS") == "once" and context.retry_number == 0
    ):
        raise RuntimeError("no orders today")

@dg.asset(deps=[dg.AssetKey(["main", "copies"])])
def after() -> None: ...

defs = load_project(Path(__file__).parent, assets=[orders, after])
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Project:
    project = make_project(
        tmp_path,
        {"models/copies.sql": "select 1 as n from (select 1) t where not exists (from orders)"},
    )
    project.write({"definitions.py": FOREIGN, "models/copies.sql": "select 1 as n, 'orders' as o"})
    project.write({"models/copies.sql": "/* @model\nupstream: [raw.orders]\n*/\nselect 1 as n"})
    return project


def test_ordinary_assets_run_in_the_same_job(
    mixed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS", "once")
    report = mixed.run()
    assert report.code == 0, report.stdout + report.stderr
    assert report.states() == dict.fromkeys(("orders", "main.copies", "after"), "succeeded")
    assert "orders" in report.of_type("STEP_UP_FOR_RETRY")


def test_a_failed_ordinary_asset_skips_the_models_that_read_it(
    mixed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS", "fail")
    report = mixed.run()
    assert report.code == 1
    assert report.states() == {"orders": "failed", "main.copies": "skipped", "after": "skipped"}
    assert "no orders today" in report.stdout


OPTIONAL = """
import os
from pathlib import Path
import dagster as dg
from dagster_models import load_project

@dg.asset(metadata={"dagster/table_name": "raw.orders"}, output_required=False)
def orders():
    if os.environ.get("ORDERS") == "some":
        yield dg.Output(None)

@dg.op(out=dg.Out(is_required=False))
def nothing():
    if False:
        yield dg.Output(1)

@dg.op
def one():
    return 1

@dg.op
def add_one(number):
    return number + 1

@dg.op
def add(numbers):
    assert numbers == [1], numbers  # goes on with what is there
    return sum(numbers)

@dg.graph_asset
def total():
    return add([add_one(nothing()), one()])

@dg.asset(deps=[dg.AssetKey(["main", "copies"])])
def after() -> None: ...

defs = load_project(Path(__file__).parent, assets=[orders, total, after])
"""


@pytest.mark.nightly_for("some")
@pytest.mark.parametrize("orders", ["", "some"])
def test_a_step_that_is_not_to_run_is_no_failure(
    orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "definitions.py": OPTIONAL,
        "models/copies.sql": "/* @model\nupstream: [raw.orders]\n*/\nselect 1 as n",
    }
    project = make_project(tmp_path, files)
    monkeypatch.setenv("ORDERS", orders)
    report = project.run({"fail_fast": True})
    assert (report.code, project.status()) == (0, "SUCCESS"), report.stdout + report.stderr
    skipped = {"total.add_one"} | (set() if orders else {"main__copies", "after"})
    assert report.of_type("STEP_SKIPPED") == skipped
    assert report.of_type("STEP_SUCCESS") >= {"orders", "total.add"}
    assert report.journal is not None
    assert report.journal.end is not None
    assert report.journal.end.status == "success"
    assert {step.step for step in report.journal.steps if step.deliberate} == {
        name.replace("__", ".") for name in skipped
    }
    assert "Completed successfully, " in report.stdout
    assert "failed" not in report.stdout
    assert ("upstream orders chose to produce nothing for it" in report.stdout) == (not orders)
