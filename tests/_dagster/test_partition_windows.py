"""The partitions of a run and their windows, beside those of Dagster's context and the calendar."""

from __future__ import annotations

import os
import random
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from dagster_models._dagster.partitions import (
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    definition_of,
    range_tags,
    run_partitions,
)
from dagster_models.core.partitions import PartitionSet, StepPartitions
from dagster_models.core.plain import plain
from dagster_models.core.windows import Partition, TimeWindow, ValueWindow

CASES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "20"))

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo")
CRONS = ("0 6 * * *", "30 0 * * 3", "15 */6 * * *", "0 0 1 */3 *", "*/30 * * * *", "0 0,12 * * *")


def random_set(of: random.Random) -> PartitionSet:
    every: Any = of.choice(["hour", "day", "week", "month", "cron"])
    start, days = datetime(2023, of.randint(1, 12), of.randint(1, 28)), 400
    if every == "hour":  # around days on which clocks change
        start, days = datetime(2024, *of.choice([(3, 9), (3, 30), (10, 26), (11, 2)])), 4
    return PartitionSet(
        "some",
        every,
        of.choice(CRONS) if every == "cron" else "",
        start,
        start + timedelta(days=days),
        of.choice(ZONES),
    )


def dagsters(of: dg.PartitionsDefinition[str], tags: dict[str, str]) -> tuple[datetime, datetime]:
    """The window that Dagster's context names in a run with these tags."""
    found = []

    @dg.asset(partitions_def=of)
    def one(context) -> None:  # type: ignore[no-untyped-def]  # Dagster refuses a postponed one
        found.append(context.partition_time_window)

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([one], tags=tags, instance=instance).success
    return found[0].start, found[0].end


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone))


def by_the_calendar(of: PartitionSet, key: str) -> tuple[datetime, datetime] | None:
    """The window of a key by Python's calendar; None for those that only cron can tell."""
    if of.every not in ("day", "week", "month"):
        return None
    first = date.fromisoformat(key)
    after = {"day": first + timedelta(days=1), "week": first + timedelta(days=7)}
    after["month"] = (first + timedelta(days=31)).replace(day=1)
    assert of.every != "week" or first.weekday() == 0
    return midnight(first, of.timezone), midnight(after[of.every], of.timezone)


@pytest.mark.parametrize("seed", range(CASES))
def test_the_windows_are_those_of_the_context_and_of_the_calendar(seed: int) -> None:
    of = random.Random(seed)
    some = random_set(of)
    definition = definition_of(some)
    keys = definition.get_partition_keys()
    assert keys, some
    first = of.randrange(len(keys))
    last = min(len(keys) - 1, first + of.choice([0, 0, 1, 5]))
    tags = {RANGE_START_TAG: keys[first], RANGE_END_TAG: keys[last]}
    if first == last and of.random() < 0.7:
        tags = {PARTITION_TAG: keys[first]}

    found = run_partitions(StepPartitions(some, "d"), tags)
    assert [it.key for it in found] == list(keys[first : last + 1])
    windows = [it.window for it in found if isinstance(it.window, TimeWindow)]
    ends = windows[0].start.timestamp(), windows[-1].end.timestamp()
    start, end = dagsters(definition, tags)
    assert ends == (start.timestamp(), end.timestamp())
    assert {str(it.start.tzinfo) for it in windows} == {some.timezone}
    for one, two in pairwise(windows):
        assert one.end.timestamp() == two.start.timestamp()
    for it, window in zip(found, windows, strict=True):
        calendar = by_the_calendar(some, it.key)
        assert calendar is None or calendar == (window.start, window.end)
        assert it.read is None


def days(zone: str = "America/New_York", **options: Any) -> StepPartitions:
    some = PartitionSet("daily", "day", "", datetime(2024, 1, 1), datetime(2024, 12, 1), zone)
    return StepPartitions(some, "d", **options)


def wall(window: Any) -> tuple[str, str]:
    return tuple(
        it.replace(tzinfo=None).isoformat(" ", "minutes") for it in (window.start, window.end)
    )


def test_what_is_read_is_counted_in_partitions() -> None:
    (one,) = run_partitions(days(read=(-6, 1)), {PARTITION_TAG: "2024-11-05"})
    assert wall(one.window) == ("2024-11-05 00:00", "2024-11-06 00:00")
    assert wall(one.to_read) == ("2024-10-30 00:00", "2024-11-07 00:00")
    (first,) = run_partitions(days(read=(-2, 0)), {PARTITION_TAG: "2024-01-01"})
    assert wall(first.to_read) == ("2023-12-30 00:00", "2024-01-02 00:00"), "before the first one"
    (last,) = run_partitions(days(read=(0, 2)), {PARTITION_TAG: "2024-11-30"})
    assert wall(last.to_read) == ("2024-11-30 00:00", "2024-12-03 00:00"), "after the last one"


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [("week", "2024-02-26", "2024-03-04"), ("month", "2024-02-01", "2024-03-01"),
     ("year", "2024-01-01", "2025-01-01")],
)  # fmt: skip
def test_a_partition_is_widened_to_whole_units(unit: str, start: str, end: str) -> None:
    (one,) = run_partitions(days(widen=unit), {PARTITION_TAG: "2024-02-29"})
    assert wall(one.window) == (f"{start} 00:00", f"{end} 00:00")
    assert wall(one.own) == ("2024-02-29 00:00", "2024-03-01 00:00")
    assert Partition.from_json(plain(one)) == one
    assert one.read is None
    (read,) = run_partitions(days(widen=unit, read=(-400, 0)), {PARTITION_TAG: "2024-02-29"})
    assert wall(read.to_read) == ("2023-01-25 00:00", f"{end} 00:00")


def test_values_are_their_own_windows() -> None:
    regions = StepPartitions(
        PartitionSet("regions", "values", values=("emea", "apac", "amer")), "r"
    )
    tags = {RANGE_START_TAG: "apac", RANGE_END_TAG: "amer"}
    found = run_partitions(regions, tags)
    assert [(it.key, it.window) for it in found] == [
        ("apac", ValueWindow(("apac",))),
        ("amer", ValueWindow(("amer",))),
    ]
    with pytest.raises(ValueError, match=r"'asia' is no partition of `regions`. They go from emea"):
        run_partitions(regions, {PARTITION_TAG: "asia"})


@pytest.mark.parametrize(
    "tags",
    [
        {PARTITION_TAG: "2023-12-31"},
        {PARTITION_TAG: "2024-12-01"},
        {PARTITION_TAG: "2024-01-01-00:00"},
        {PARTITION_TAG: ""},
        {RANGE_START_TAG: "2024-01-05", RANGE_END_TAG: "2025-01-05"},
        {RANGE_START_TAG: "2024-01-05", RANGE_END_TAG: "2024-01-04"},
        {PARTITION_TAG: "2024-01-01|emea"},
    ],
)
def test_what_is_no_partition_is_refused(tags: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`daily`"):
        run_partitions(days(), tags)


def test_each_set_has_one_definition() -> None:
    assert definition_of(days().of) is definition_of(days().of)


def test_the_tags_of_the_last_complete_partitions() -> None:
    of = definition_of(days("UTC").of)
    with dg.partition_loading_context(
        effective_dt=datetime(2024, 3, 2, 0, 0, tzinfo=ZoneInfo("UTC"))
    ):
        assert range_tags(of, 0) == {PARTITION_TAG: "2024-03-01"}
        assert range_tags(of, 3) == {RANGE_START_TAG: "2024-02-27", RANGE_END_TAG: "2024-03-01"}
        assert range_tags(of, 1000)[RANGE_START_TAG] == "2024-01-01"
    with dg.partition_loading_context(
        effective_dt=datetime(2024, 1, 1, 23, tzinfo=ZoneInfo("UTC"))
    ):
        assert range_tags(of, 3) == {}
