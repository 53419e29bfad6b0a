"""What checks that look back have found after earlier builds, from Dagster's event log.

Only builds count that were published, on the same target: a table of a developer says nothing of
that in production, and a value that kept a build from being published is none of the relation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from dagster import AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.anomalies import LAST, looks_back
from dagster_models.core.checks import Check
from dagster_models.execution.check_results import BUILT_ON, VALUE
from dagster_models.reporting.explain_text import PREFIX

#: How many events are read for one value: others are of other targets, of partitions of one build,
#: or of builds that were not published.
_EVENTS_A_VALUE = 5


def with_history(
    it: TargetStep,
    asset: AssetKey | None,
    instance: DagsterInstance,
    warn: Callable[[str], object],
) -> TargetStep:
    """The step, with what those of its checks have found that look back. ``warn`` is called if that
    cannot be read, which is no reason to fail a run: the checks then say that they compare with
    nothing."""
    checks = [check for check in it.step.checks if looks_back(check)]
    if not checks or asset is None:
        return it
    try:
        found = {check.name: _values(it, check, asset, instance) for check in checks}
    except Exception as error:
        names = ", ".join(check.name for check in checks)
        warn(
            f"{it.name}: earlier values of {names} cannot be read: {type(error).__name__}: {error}"
        )
        return it
    return replace(it, histories=found)


def _values(
    it: TargetStep, check: Check, asset: AssetKey, instance: DagsterInstance
) -> tuple[float, ...]:
    last = check.arguments.get("last", LAST)
    found: list[float] = []
    if check.arguments.get("of", "row_count") == "row_count" and not check.where:
        # These are there from before the check was declared. A view has none.
        found = list(islice(_row_counts(it, asset, instance, last), last))
    if not found:
        key = AssetCheckKey(asset, check.name)
        found = list(islice(_found(it, key, instance, last), last))
    return tuple(reversed(found))


def _row_counts(
    it: TargetStep, asset: AssetKey, instance: DagsterInstance, last: int
) -> Iterator[float]:
    runs = set()
    for record in instance.fetch_materializations(asset, limit=_EVENTS_A_VALUE * last).records:
        built = record.asset_materialization
        metadata = built.metadata if built is not None else {}
        again = f"{PREFIX}/committed_in_run" in metadata
        if record.run_id in runs or again or _value(metadata, f"{PREFIX}/target") != it.target.name:
            continue
        runs.add(record.run_id)  # one of several partitions has the count of the table, too
        count = _value(metadata, "dagster/row_count")
        if count is not None:
            yield float(count)


def _found(
    it: TargetStep, key: AssetCheckKey, instance: DagsterInstance, last: int
) -> Iterator[float]:
    storage = instance.event_log_storage
    for record in storage.get_asset_check_execution_history(key, limit=_EVENTS_A_VALUE * last):
        event = record.event.dagster_event if record.event is not None else None
        if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        metadata = event.asset_check_evaluation_data.metadata
        value = _value(metadata, VALUE)
        if value is not None and _value(metadata, BUILT_ON) == it.target.name:
            yield float(value)


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    return getattr(metadata.get(name), "value", None)
