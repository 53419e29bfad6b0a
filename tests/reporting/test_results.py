"""The value of one step, and the totals of a run."""

from __future__ import annotations

from hypothesis import given

from dagster_models.reporting.results import StepResult, totals
from results_examples import runs


@given(runs)
def test_totals_add_up(run: list[StepResult]) -> None:
    count = totals(run)
    assert list(count) == ["PASS", "WARN", "ERROR", "SKIP", "CANCEL", "TOTAL"]
    assert sum(count.values()) - count["TOTAL"] == count["TOTAL"] == len(run)
    assert count["ERROR"] == sum(result.state == "failed" for result in run)
    assert count["PASS"] + count["WARN"] == sum(result.state == "succeeded" for result in run)
