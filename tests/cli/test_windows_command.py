"""`dagster-models windows`: the state of each partition, by the records of its relation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from dagster_models.cli.windows import ranges, states_of
from dagster_models.core.commit import Commit
from dagster_models.core.parts import window_texts
from dagster_models.core.windows import Partition, TimeWindow

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def window(first: int, last: int) -> TimeWindow:
    return TimeWindow(START + timedelta(days=first), START + timedelta(days=last))


def commit(run: str, code: str, first: int | None = None, last: int = 0) -> Commit:
    if first is None:
        return Commit(run, "main.m", 1, "main.m", code, {})
    start, end = window_texts(window(first, last))
    return Commit(
        run, "main.m", 1, "main.m", code, {}, kind="window", window_start=start, window_end=end
    )


DAYS = [Partition(f"d{n}", window(n, n + 1)) for n in range(6)]


def shown(*commits: Commit) -> list[tuple[str, str]]:
    return list(ranges(states_of(DAYS, commits, "now")))


def test_nothing_is_built() -> None:
    assert shown() == [("missing", "d0...d5")]


def test_the_last_build_of_each_partition_counts() -> None:
    assert shown(commit("1", "old", 0, 4), commit("2", "now", 1, 3), commit("3", "old", 2, 3)) == [
        ("stale", "d0"),
        ("built", "d1"),
        ("stale", "d2...d3"),
        ("missing", "d4...d5"),
    ]


def test_a_full_refresh_builds_what_was_over_by_then() -> None:
    """Of a day that ended later it had some rows, or none."""
    at = (START + timedelta(days=3, hours=5)).isoformat()
    whole = replace(commit("1", "now"), committed_at=at)
    assert shown(whole) == [("built", "d0...d2"), ("missing", "d3...d5")]
    assert shown(whole, commit("2", "now", 3, 4)) == [("built", "d0...d3"), ("missing", "d4...d5")]
    assert shown(replace(whole, kind="adopted")) == [("missing", "d0...d5")]


def test_days_that_are_widened_to_a_week_are_built_by_what_came_after_them() -> None:
    """A build of the week knows nothing of the days in it that were not over by then."""
    days = [Partition(f"d{n}", window(0, 7), own=window(n, n + 1)) for n in range(6)]
    at = (START + timedelta(days=3, hours=5)).isoformat()
    states = [("built", "d0...d2"), ("missing", "d3...d5")]
    for one in (commit("1", "now"), commit("1", "now", 0, 7)):
        found = states_of(days, [replace(one, committed_at=at)], "now")
        assert list(ranges(found)) == states
    later = (START + timedelta(days=5)).isoformat()
    old, new = commit("1", "old", 0, 7), commit("2", "now", 0, 7)
    history = [replace(old, committed_at=at), replace(new, committed_at=later)]
    assert list(ranges(states_of(days, history, "now"))) == [
        ("built", "d0...d4"),
        ("missing", "d5"),
    ]


def test_a_full_refresh_builds_all_of_them() -> None:
    assert shown(commit("1", "old", 0, 4), commit("2", "now")) == [("built", "d0...d5")]
    assert shown(commit("2", "old"), commit("3", "now", 5, 6)) == [
        ("stale", "d0...d4"),
        ("built", "d5"),
    ]
