"""The result of a check, as Dagster records it."""

from __future__ import annotations

from dagster import AssetCheckResult, AssetCheckSeverity, AssetKey

from dagster_models.reporting.dagster_text import check_text
from dagster_models.reporting.results import CheckResult
from dagster_models.util.durations import rounded


def asset_check_result(check: CheckResult, asset: AssetKey | None = None) -> AssetCheckResult:
    """``asset``: the key of what the step builds; None where the step's context says it."""
    warn = check.severity == "warn"
    text = check_text(check)
    return AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=AssetCheckSeverity.WARN if warn else AssetCheckSeverity.ERROR,
        description=text or None,
        metadata={
            "failures": check.failures,
            "seconds": rounded(check.seconds),
            **({"error": text} if text else {}),
        },
    )
