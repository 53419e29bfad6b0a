"""Windows of time and values: half-open, merged by their moments, and the same after a journey."""

from __future__ import annotations

import datetime as dt
import random
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.plain import plain
from dagster_models.core.windows import (
    Partition,
    TimeWindow,
    ValueWindow,
    batches,
    covers,
    instant,
    merged,
    overlap,
    span,
)

ZONE = ZoneInfo("America/New_York")
HOUR = dt.timedelta(hours=1)


def days(first: int, last: int, month: int = 3) -> TimeWindow:
    start, end = dt.datetime(2024, month, first), dt.datetime(2024, month, last)
    return TimeWindow(start.replace(tzinfo=ZONE), end.replace(tzinfo=ZONE))


def hours(day: dt.datetime, count: int) -> list[TimeWindow]:
    """That many hours that begin at a time, as they pass."""
    start = instant(day)
    moments = [(start + n * HOUR).astimezone(ZONE) for n in range(count + 1)]
    return [TimeWindow(*pair) for pair in pairwise(moments)]


def test_neighbours_are_one_window() -> None:
    assert merged([days(3, 4), days(1, 2), days(2, 3), days(6, 7)]) == (days(1, 4), days(6, 7))
    assert merged([days(1, 3), days(2, 5)]) == (days(1, 5),)
    values = [ValueWindow(("b",)), ValueWindow(("a", "b"))]
    assert merged(values) == (ValueWindow(("b", "a")),)
    assert merged([]) == ()


@pytest.mark.parametrize(("month", "day", "count"), [(3, 10, 23), (11, 3, 25), (1, 1, 24)])
def test_the_hours_of_a_day_are_that_day(month: int, day: int, count: int) -> None:
    """Two hours of one day in November show the same time of day."""
    midnight = dt.datetime(2024, month, day, tzinfo=ZONE)
    found = hours(midnight, count)
    shuffled = random.Random(1).sample(found, count)
    assert merged(shuffled) == (days(day, day + 1, month),)
    for left_out in found[1:-1]:
        assert len(merged(it for it in found if it is not left_out)) == 2


def test_a_window_has_a_zone_and_a_length() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        TimeWindow(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2))
    with pytest.raises(ValueError, match="ends before"):
        days(2, 2)


def test_batches_are_in_the_order_of_time() -> None:
    given = [Partition(str(day), days(day, day + 1)) for day in (5, 1, 3, 2, 4)]
    keys = [[it.key for it in batch] for batch in batches(given, 2)]
    assert keys == [["1", "2"], ["3", "4"], ["5"]]
    assert [len(batch) for batch in batches(given, None)] == [5]
    assert batches([], None) == batches([], 3) == ()
    with pytest.raises(ValueError, match="0 partitions"):
        batches(given, 0)


def test_what_windows_cover() -> None:
    assert covers([days(1, 3), days(3, 5)], days(2, 4))
    assert not covers([days(1, 3), days(4, 5)], days(2, 5))
    assert covers([ValueWindow(("a",)), ValueWindow(("b",))], ValueWindow(("b", "a")))
    assert not covers([ValueWindow(("a",))], ValueWindow(("a", "b")))
    assert not overlap(days(1, 2), days(2, 3))
    assert overlap(days(1, 3), days(2, 4))
    assert overlap(ValueWindow(("a", "b")), ValueWindow(("b",)))
    assert span([days(4, 5), days(1, 2)]) == days(1, 5)


def test_partitions_are_the_same_after_a_journey() -> None:
    twice = hours(dt.datetime(2024, 11, 3, tzinfo=ZONE), 3)
    given = [Partition(str(n), window, days(1, 4, 11)) for n, window in enumerate(twice)]
    given.append(Partition("x", ValueWindow(("x",))))
    utc = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    given.append(Partition("u", TimeWindow(utc, utc + HOUR)))
    how = Incremental("replace", partitioned=Partitioned("d", tuple(given), 2))
    back = Incremental.from_json(plain(how))
    assert back == how
    for one, other in zip(back.partitions, given, strict=True):
        if isinstance(other.window, TimeWindow):
            assert isinstance(one.window, TimeWindow)
            assert instant(one.window.end) == instant(other.window.end)  # == looks at the clock
            assert one.window.start.tzinfo == other.window.start.tzinfo
    assert replace_in_full(how).partitions == ()


def replace_in_full(how: Incremental) -> Incremental:
    return Incremental(how.strategy, full_refresh=True, partitioned=how.partitioned)
