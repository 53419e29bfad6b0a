"""The value of one step, and the totals of a run."""

from __future__ import annotations

from hypothesis import given

from dagster_models.reporting.results import StepResult, totals
from results_examples import runs


@given(runs)
def test_totals_add_up(run: list[StepResult]) -> None:
    count = totals(run)
    words = ["PASS", "WARN", "ERROR", "SKIP", "CANCEL", "UNCHANGED", "TOTAL"]
    left_alone = [result for result in run if result.state == "unchanged"]
    if not any(not result.warned for result in left_alone):
        words.remove("UNCHANGED")
    assert list(count) == words
    assert sum(count.values()) - count["TOTAL"] == count["TOTAL"] == len(run)
    assert count["ERROR"] == sum(result.state == "failed" for result in run)
    succeeded = sum(result.state == "succeeded" for result in run)
    assert count["PASS"] + count["WARN"] + count.get("UNCHANGED", 0) == succeeded + len(left_alone)
