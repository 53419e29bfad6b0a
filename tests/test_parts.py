"""Which partitions of an earlier run stand, by the commit records of their table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest

from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.model import Relation
from dagster_models.core.parts import record_count, standing, transactions, window_texts
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.windows import Partition, TimeWindow

Given = tuple[str, int, int] | str


def days(first: int, last: int) -> TimeWindow:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    return TimeWindow(start + dt.timedelta(days=first), start + dt.timedelta(days=last))


def commit_of(given: Given, part: int) -> Commit:
    """("ours", 1, 3) has built the days 1 and 2; "ours" alone has built the whole table."""
    if isinstance(given, str):
        return Commit(given, "s.t", 1, "s.t", "", {}, part=part)
    run_id, first, last = given
    start, end = window_texts(days(first, last))
    return Commit(
        run_id, "s.t", 1, "s.t", "", {}, part=part, kind="window",
        window_start=start, window_end=end,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("history", "stands"),
    [
        ([], ""),
        ([("ours", 1, 3)], "12"),
        ([("ours", 1, 3), ("theirs", 2, 3)], "1"),
        ([("theirs", 1, 4), ("ours", 2, 3)], "2"),
        (["ours"], "1234"),
        (["theirs", ("ours", 3, 5)], "34"),
        (["ours", ("theirs", 4, 9)], "123"),
        ([("ours", 1, 2), "theirs"], ""),
        ([("ours", 1, 2), ("ours", 1, 2)], "1"),
    ],
)
def test_what_stands(history: Sequence[Given], stands: str) -> None:
    """What our runs have built, and nobody has replaced since."""
    commits = [commit_of(given, part) for part, given in enumerate(history)]
    ours = [commit for commit in commits if commit.run_id == "ours"]
    wanted = [Partition(str(day), days(day, day + 1)) for day in (1, 2, 3, 4)]
    assert "".join(it.key for it in standing(commits, wanted, ours)) == stands


def test_a_partition_that_two_builds_have_built_together() -> None:
    """As a set of months was one of days before."""
    month = [Partition("month", days(1, 31))]
    halves = [commit_of(("ours", 1, 15), 0), commit_of(("ours", 15, 31), 1)]
    assert standing(halves, month, halves) == tuple(month)
    assert standing(halves[1:], month, halves) == ()


def test_the_parts_of_a_task() -> None:
    """Each record has a number of its own: neighbours in one transaction share one."""
    wanted = tuple(Partition(str(day), days(day, day + 1)) for day in (1, 2, 4, 5, 6))
    how = Incremental("replace", partitioned=Partitioned("d", wanted, 3))
    task = BuildTask("r", "s.t", 1, Relation("s", "t"), Query(""), how)
    parts = [it.materialization for it in transactions(task)]
    found = [it.partitioned for it in parts if isinstance(it, Incremental)]
    assert [(it.part, [p.key for p in it.partitions]) for it in found if it] == [
        (0, ["1", "2", "4"]),
        (2, ["5", "6"]),
    ]
    assert record_count(task) == 3
