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
    if not any(all(check.passed for check in result.checks) for result in left_alone):
        words.remove("UNCHANGED")
    assert list(count) == words
    assert sum(count.values()) - count["TOTAL"] == count["TOTAL"] == len(run)
    failed = [result for result in run if result.state == "failed"]
    standing = [result for result in run if result.state in ("succeeded", "unchanged")]
    late = [result for result in standing if _has_failed_check(result)]  # with `checks: after`
    assert count["ERROR"] == len(failed) + len(late)
    assert count["PASS"] + count["WARN"] + count.get("UNCHANGED", 0) == len(standing) - len(late)


def _has_failed_check(result: StepResult) -> bool:
    return any(not check.passed and check.severity == "error" for check in result.checks)
