"""The numbers of checks that look back, and their bounds, on each warehouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.core.messages import CheckOutcome
from dagster_models.core.model import Target
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import ChecksTask
from dagster_models.processes.server.attempt import Stop, run_checks
from dagster_models.warehouses.base import WarehouseSession
from project_cases import make
from systems import System

CHECKS = """
- anomaly: {of: row_count, name: rows}
- row_count: {within: 10%, where: v > 0, name: some}
- anomaly: {of: null_share, column: v, deviations: 1, name: share}
- anomaly: {of: freshness, column: at_time, within: 50%, name: age}
"""
HISTORIES = {
    "rows": (9, 11, 9, 11, 10),
    "some": (6, 8),
    "share": (0.1, 0.3, 0.1, 0.3, 0.2),
    "age": (3600.0,),
}


Ask = Callable[..., dict[str, CheckOutcome]]


@pytest.fixture
def outcomes(system: System, session: WarehouseSession, tmp_path: Path) -> Ask:
    """Runs the checks of s.t, with a history or without one."""
    model = f"/* @model\nchecks:{CHECKS}*/\nselect 1 as v, now() as at_time"
    settings = f"name: p\ndialect: {system.name}\n"
    project = make(tmp_path, {"dagster_models.yaml": settings, "models/s/t.sql": model})
    (step,) = project.steps.values()
    assert step.relation is not None
    target = Target("t", target_type(system.name))

    def run(with_history: bool = True) -> dict[str, CheckOutcome]:
        tasks = tuple(
            check_task(project, step, check, target, HISTORIES[check.name] if with_history else ())
            for check in step.checks
        )
        outcome = run_checks(session, ChecksTask("r", "s.t", 1, step.relation, tasks), Stop())
        found = {it.name: it for it in outcome.checks}
        assert not [it.error for it in found.values() if it.error]
        return found

    return run


def fill(session: WarehouseSession, rows: int, nulls: int, minutes: int = 60) -> None:
    values = ", ".join(str(i - nulls + 1) if i >= nulls else "null" for i in range(rows))
    session.execute(
        "drop table if exists s.t; create table s.t as select v, now() - interval"
        f" '{minutes} minutes' as at_time from unnest(cast(array[{values}] as int[])) as u(v)"
    )


def test_each_number_and_its_bounds(session: WarehouseSession, outcomes: Ask) -> None:
    passed = {}
    for case in ((10, 2, 60), (13, 2, 60), (14, 2, 60), (10, 3, 60), (10, 4, 89), (10, 2, 91)):
        fill(session, *case)
        found = outcomes()
        assert found["rows"].value == case[0]
        assert found["some"].value == case[0] - case[1]
        assert found["share"].value == pytest.approx(case[1] / case[0])
        assert found["age"].value == pytest.approx(60 * case[2], abs=30)
        passed[case] = "".join("-x"[it.passed] for it in found.values())
        first = outcomes(with_history=False)
        assert all(it.passed and "nothing to compare with" in it.found for it in first.values())
    # 10 within 3 deviations of 1; 7 within 10%; 0.2 within one deviation of 0.1; 3600 within 50%.
    assert passed == {
        (10, 2, 60): "x-xx",
        (13, 2, 60): "x-xx",
        (14, 2, 60): "--xx",
        (10, 3, 60): "xxxx",
        (10, 4, 89): "x--x",
        (10, 2, 91): "x-x-",
    }


def test_an_empty_table_has_a_number_of_rows_and_no_others(
    session: WarehouseSession, outcomes: Ask
) -> None:
    fill(session, 1, 0)
    session.execute("delete from s.t")
    found = outcomes()
    assert [it.value for it in found.values()] == [0, 0, None, None]
    assert [it.passed for it in found.values()] == [False, False, True, True]
    assert found["age"].found == "there is no row"
