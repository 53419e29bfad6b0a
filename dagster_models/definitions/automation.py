"""``automation:`` of a model as Dagster's condition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dagster import AutomationCondition

from dagster_models.core.model import Step
from dagster_models.core.partitions import PartitionSet

#: A month is that long on average; a lookback ends in the middle of a partition, so a day more or
#: less does not matter.
_UNITS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30.44),
}
_LATEST = "in_latest_time_window"


def condition_of(step: Step) -> AutomationCondition[Any] | None:
    """The condition; None if the model says nothing.

    Raises:
        ValueError: its cron expression is not one, or it looks back, and the model has no windows
            of time to look at.
    """
    said = step.config.automation
    if said is None:
        return None
    condition: AutomationCondition[Any]
    if said.condition == "on_cron":
        try:
            condition = AutomationCondition.on_cron(said.cron, said.timezone)
        except Exception as error:  # Dagster's check of its arguments raises a class of its own
            raise ValueError(f"{said.cron!r} is no cron expression") from error
    elif said.condition == "eager":
        condition = AutomationCondition.eager()
    else:
        condition = AutomationCondition.on_missing()
    if not said.lookback:
        return condition
    delta = _delta(step.partitions.of if step.partitions else None, said.lookback)
    latest = AutomationCondition.in_latest_time_window(lookback_delta=delta)
    return condition.replace(_LATEST, latest)


def _delta(of: PartitionSet | None, lookback: int) -> timedelta:
    """The time before the end of the latest window in which the windows begin that it looks at."""
    if of is None or of.every not in _UNITS:
        raise ValueError(
            "`lookback` of `automation` counts partitions of an hour, day, week or month, and it"
            " has none of these"
        )
    return _UNITS[of.every] * (lookback + 1.5)
