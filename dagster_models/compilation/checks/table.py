"""The kinds of checks -> the functions that write their SQL.

``project.checks.kinds`` has what their declarations may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dagster_models.compilation.checks import groups, rows, totals
from dagster_models.compilation.checks.anomaly import anomaly
from dagster_models.compilation.checks.parts import CheckParts, CheckSql
from dagster_models.core.anomalies import ANOMALY

COMPILERS: Mapping[str, Callable[[CheckParts], CheckSql]] = {
    "not_null": rows.not_null,
    "accepted_values": rows.accepted_values,
    "rejected_values": rows.rejected_values,
    "range": rows.range_of_values,
    "length": rows.length,
    "regex": rows.regex,
    "expression": rows.expression,
    "unique": groups.unique,
    "relationships": groups.relationships,
    "sequential": groups.sequential,
    "equality": groups.equality,
    "row_count": totals.row_count,
    ANOMALY: anomaly,
    "distinct_count": totals.distinct_count,
    "recency": totals.recency,
    **totals.TOTALS,
}
