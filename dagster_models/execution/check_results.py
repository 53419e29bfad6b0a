"""The result of a check, as Dagster records it."""

from __future__ import annotations

from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    TableColumn,
    TableRecord,
    TableSchema,
)

from dagster_models.reporting.dagster_text import check_summary, check_text, writable
from dagster_models.reporting.explain_text import PREFIX
from dagster_models.reporting.results import CheckResult
from dagster_models.reporting.wording import READS_THE_FORMER
from dagster_models.util.durations import rounded
from dagster_models.util.numbers import readable, readable_percent

#: The metadata by which later runs find what a check has found that looks back: its number, and the
#: target on which a build was published that had it.
VALUE, BUILT_ON = f"{PREFIX}/value", f"{PREFIX}/built_on"


def asset_check_result(
    check: CheckResult,
    target: str,
    asset: AssetKey | None = None,
    *,
    built: bool = False,
    rolled_back: bool = False,
) -> AssetCheckResult:
    """``target``: where it ran. ``asset``: the key of what the step builds; None where the step's
    context says it. ``built``: whether the build that was checked was published;
    ``rolled_back``: whether it is gone, with the rows that the check has found."""
    warn = check.severity == "warn" or not check.has_run  # it has not found that the data offend
    metadata = _metadata(check, target)
    if check.query:
        before = f"{READS_THE_FORMER}:\n\n" if rolled_back else ""
        metadata["query"] = MetadataValue.md(f"{before}```sql\n{writable(check.query)}\n```")
    return AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=AssetCheckSeverity.WARN if warn else AssetCheckSeverity.ERROR,
        description=check_summary(check) or None,
        metadata={**metadata, **_for_later_runs(check, target if built else "")},
    )


def _for_later_runs(check: CheckResult, built_on: str) -> dict[str, Any]:
    if check.value is None:
        return {}
    return {VALUE: readable(check.value), **({BUILT_ON: built_on} if built_on else {})}


def _metadata(check: CheckResult, target: str) -> dict[str, Any]:
    """The numbers are there when the check passes, too, as Dagster plots them."""
    found: dict[str, Any] = {"target": target, "seconds": rounded(check.seconds)}
    if check.error is None:  # a check that cannot run has found nothing, and not no rows
        found["failures"] = check.failures
    if check.rows is not None:
        found["rows"] = check.rows
    if check.percent is not None:
        found["percent"] = readable_percent(check.percent)
    if check.found:
        found["found"] = writable(check.found)
    if check.sample:
        found["failing_rows"] = _table(check)
    if check.stored:
        found["stored_in"] = check.stored
    if text := check_text(check):
        found["error"] = text
    return found


def _table(check: CheckResult) -> MetadataValue[Any]:
    names: list[str] = []
    for name in map(writable, check.sample_columns):  # two columns of a query may have one name
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    records = [
        TableRecord(
            {
                name: "NULL" if value is None else writable(value)
                for name, value in zip(names, row, strict=True)
            }
        )
        for row in check.sample
    ]
    schema = TableSchema([TableColumn(name, "string") for name in names])
    return MetadataValue.table(records, schema)
