"""What Dagster's event log says of a step or check that did not succeed."""

from __future__ import annotations

from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.wording import (
    cancel_story,
    check_failure,
    failed_checks,
    failure,
    placed,
    skip_path,
    skip_reason,
)


def step_text(result: StepResult) -> str:
    """What became of the step, with the place in the user's file; "" for one that succeeded."""
    if result.state == "failed":
        reasons = (failure(result), failed_checks(result))
        return placed(result.where, ": ".join(filter(None, reasons)))
    if result.state == "canceled":
        return f"Canceled: {cancel_story(result)}"
    if result.state == "skipped":
        path = skip_path(result)
        return f"Skipped: {skip_reason(result)}" + (f" ({path})" if path else "")
    return ""


def check_text(check: CheckResult) -> str:
    """Where and how the check's own query failed; "" for one that could be run."""
    return check_failure(check) if check.error is not None else ""
