"""Partitions as Dagster's own values: the definition of a set, the partitions of a run with their
windows, and how those of two assets correspond."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from dagster import (
    AllPartitionMapping,
    DailyPartitionsDefinition,
    HourlyPartitionsDefinition,
    LastPartitionMapping,
    MonthlyPartitionsDefinition,
    PartitionKeyRange,
    PartitionMapping,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionMapping,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from dagster_models.core.partitions import How, PartitionSet, StepPartitions
from dagster_models.core.windows import Partition, TimeWindow, ValueWindow

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

_DAYS, _TIMES = "%Y-%m-%d", "%Y-%m-%d-%H:%M"  # as Dagster's own definitions write their keys


@lru_cache(maxsize=1000)
def definition_of(of: PartitionSet) -> PartitionsDefinition[str]:
    """The definition: one instance for each set, however many assets have it.

    Raises:
        DagsterError: a cron expression or a value is not allowed.
    """
    if of.start is None:
        return StaticPartitionsDefinition(list(of.values))
    zone = of.timezone
    if of.every == "hour":
        return HourlyPartitionsDefinition(of.start, of.end, timezone=zone)
    if of.every == "day":
        return DailyPartitionsDefinition(of.start, of.end, timezone=zone)
    if of.every == "week":  # a week of `date_trunc` begins on Monday
        return WeeklyPartitionsDefinition(of.start, of.end, day_offset=1, timezone=zone)
    if of.every == "month":
        return MonthlyPartitionsDefinition(of.start, of.end, timezone=zone)
    once_a_day = all(field.isdigit() for field in of.cron.split()[:2]) or not of.ticks_within_days
    fmt = _DAYS if once_a_day else _TIMES
    return TimeWindowPartitionsDefinition(
        of.start, fmt, end=of.end, cron_schedule=of.cron, timezone=of.timezone
    )


def mapping_of(how: How, partitions: StepPartitions) -> PartitionMapping | None:
    """How the partitions of a step correspond to those of what it reads; None where Dagster's
    default is right."""
    if how == "last":
        return LastPartitionMapping()
    if how == "all":
        return AllPartitionMapping()
    if how == "same":
        return None
    before, after = partitions.read if how == "read" else (0, 0)
    return TimeWindowPartitionMapping(
        start_offset=before, end_offset=after, allow_nonexistent_upstream_partitions=True
    )


# The partitions of a run --------------------------------------------------------------------------


def is_partitioned(tags: Mapping[str, str]) -> bool:
    """Whether a run with these tags names partitions."""
    return PARTITION_TAG in tags or RANGE_START_TAG in tags


def run_partitions(partitions: StepPartitions, tags: Mapping[str, str]) -> tuple[Partition, ...]:
    """The partitions of a step that a run with these tags builds, in their order.

    Raises:
        ValueError: the tags name none, or one that there is not (yet).
    """
    of = definition_of(partitions.of)
    keys = _keys(of, partitions.of.name, tags)
    return tuple(_partition(of, key, partitions) for key in keys)


def _keys(of: PartitionsDefinition[str], name: str, tags: Mapping[str, str]) -> Sequence[str]:
    if (key := tags.get(PARTITION_TAG)) is not None:
        _check_key(of, name, key)
        return [key]
    first, last = tags[RANGE_START_TAG], tags.get(RANGE_END_TAG, tags[RANGE_START_TAG])
    for key in (first, last):
        _check_key(of, name, key)
    keys = of.get_partition_keys_in_range(PartitionKeyRange(first, last))
    if not keys:
        raise ValueError(f"{last!r} comes before {first!r} in `{name}`")
    return keys


def every_partition(partitions: StepPartitions) -> tuple[Partition, ...]:
    """All partitions of a step that there are now, in their order."""
    of = definition_of(partitions.of)
    return tuple(_partition(of, key, partitions) for key in of.get_partition_keys())


def _check_key(of: PartitionsDefinition[str], name: str, key: str) -> None:
    if not of.has_partition_key(key):
        ends = dict.fromkeys(filter(None, (of.get_first_partition_key(), last_key(of))))
        there_are = f"They go from {' to '.join(ends)}" if ends else "There are none yet"
        raise ValueError(f"{key!r} is no partition of `{name}`. {there_are}.")


def last_key(of: PartitionsDefinition[str]) -> str | None:
    """The last partition that is complete."""
    return of.get_last_partition_key()


def _partition(of: PartitionsDefinition[str], key: str, partitions: StepPartitions) -> Partition:
    if not isinstance(of, TimeWindowPartitionsDefinition):
        return Partition(key, ValueWindow((key,)))
    exact = of.time_window_for_partition_key(key)
    own = window = TimeWindow(*exact)
    before, after = partitions.read
    if partitions.widen:
        window = TimeWindow(
            _floor(exact.start, partitions.widen), _ceiling(exact.end, partitions.widen)
        )
    start, end = exact
    for _ in range(-before):
        start = _next(of.get_prev_partition_window, start)
    for _ in range(after):
        end = _next(of.get_next_partition_window, end)
    read = TimeWindow(min(start, window.start, key=_instant), max(end, window.end, key=_instant))
    return Partition(key, window, None if read == window else read, None if own == window else own)


def _next(
    step: Callable[..., tuple[dt.datetime, dt.datetime] | None], at: dt.datetime
) -> dt.datetime:
    """The other end of the window beside *at*, also before the first and after the last one."""
    found = step(at, respect_bounds=False)
    if found is None:
        return at
    return found[0] if _instant(found[0]) < _instant(at) else found[1]


def _instant(moment: dt.datetime) -> float:
    return moment.timestamp()


def _floor(moment: dt.datetime, unit: str) -> dt.datetime:
    """The beginning of the day, week, month or year that *moment* is in, in its zone."""
    day = moment.date()
    if unit == "week":
        day -= dt.timedelta(days=day.weekday())
    elif unit != "day":
        day = day.replace(day=1, month=1 if unit == "year" else day.month)
    return dt.datetime.combine(day, dt.time(), moment.tzinfo)


def _ceiling(moment: dt.datetime, unit: str) -> dt.datetime:
    """The first beginning of such a unit that is not before *moment*."""
    floor = _floor(moment, unit)
    if _instant(floor) >= _instant(moment):
        return floor
    days = {"day": 1, "week": 7, "month": 31, "year": 366}[unit]
    after = floor.date() + dt.timedelta(days=days)
    return _floor(dt.datetime.combine(after, dt.time(), moment.tzinfo), unit)


# Schedules ----------------------------------------------------------------------------------------


def range_tags(of: PartitionsDefinition[str], lookback: int) -> dict[str, str]:
    """The tags of a run of the last complete partition and *lookback* before it; {} if there is
    none."""
    last = last_key(of)
    if last is None:
        return {}
    first = last
    if isinstance(of, TimeWindowPartitionsDefinition):
        start = of.time_window_for_partition_key(last).start
        for _ in range(lookback):
            window = of.get_prev_partition_window(start)
            if window is None:
                break
            start = window.start
        first = of.get_partition_key_for_timestamp(start.timestamp())
    return {PARTITION_TAG: last} if first == last else {RANGE_START_TAG: first, RANGE_END_TAG: last}
