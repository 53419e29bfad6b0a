"""Named sets of partitions, as dagster_models.yaml declares them, and how a step is partitioned."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from dagster_models.core.windows import TimeWindow, ValueWindow, Window

if TYPE_CHECKING:
    from dagster_models.core.model import Key, Location

Every = Literal["hour", "day", "week", "month", "cron", "values"]

#: The end of partitions that have none.
_NEVER = datetime.datetime(9999, 1, 1)
#: What a truncation of a time may leave, the finest first; "" is the time itself.
UNITS = ("", "second", "minute", "hour", "day", "week", "month", "quarter", "year")


def coarser(one: str, two: str) -> str:
    """The unit that is left of a time if both truncate it."""
    return max(one, two, key=UNITS.index)


@dataclass(frozen=True, slots=True)
class PartitionSet:
    """A named set of partitions: windows of time, each from one tick to the next, or values.

    ``every`` says when the ticks are, by the wall clock of ``timezone``; ``cron`` has them if it is
    "cron". A week begins on Monday, as that of `date_trunc` does. ``start`` and ``end`` are naive
    times of that clock. ``values`` are the partitions if ``every`` is "values".
    """

    name: str
    every: Every
    cron: str = ""
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    timezone: str = "UTC"
    values: tuple[str, ...] = ()
    location: Location | None = field(default=None, compare=False)

    @property
    def is_timed(self) -> bool:
        return self.every != "values"

    @property
    def unit(self) -> str:
        """The coarsest truncation that leaves each time in its own partition."""
        if self.every == "cron":
            return "" if self.ticks_within_days else "day"
        return self.every if self.is_timed else ""

    @property
    def ticks_within_days(self) -> bool:
        """Whether a window may begin at another time than midnight."""
        if self.every == "cron":
            return self.cron.split()[:2] != ["0", "0"] and self.cron not in _AT_MIDNIGHT
        return self.every == "hour"


_AT_MIDNIGHT = ("@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


@dataclass(frozen=True, slots=True)
class PartitionsConfig:
    """``partitions:`` of a model: the name of a set, and how its own partitions are made.

    ``by``: the column, "" if the lineage says which. ``read``: a build reads from that many
    partitions before the first one (negative) to that many after the last. ``widen``: each
    partition stands for the whole week, month or year around it.
    """

    of: str
    by: str = ""
    read: tuple[int, int] = (0, 0)
    widen: str = ""


@dataclass(frozen=True, slots=True)
class Automation:
    """``automation:`` of a model: when Dagster builds it by itself, and how many partitions before
    the latest one it looks at."""

    condition: Literal["eager", "on_missing", "on_cron"]
    cron: str = ""
    timezone: str = "UTC"
    lookback: int = 0


#: How the partitions of a step correspond to those of one that it reads: the same ones, the last
#: one, all of them, those that ``read`` reaches, or, of another set, those of the same time.
How = Literal["same", "last", "all", "read", "overlapping"]


@dataclass(frozen=True, slots=True)
class StepPartitions:
    """How a step is partitioned: by its column ``by``, into the partitions of the set ``of``.
    ``read`` and ``widen`` are those of PartitionsConfig; ``upstream`` has the steps and sources
    that it reads which are partitioned themselves."""

    of: PartitionSet
    by: str
    read: tuple[int, int] = (0, 0)
    widen: str = ""
    upstream: Mapping[Key, How] = field(default_factory=dict)

    @property
    def reach(self) -> Window | None:
        """What the partitions of the set reach, by now and later; None if that is not known."""
        if not self.of.is_timed:
            return ValueWindow(self.of.values)
        if self.widen or self.of.start is None:
            return None
        zone = ZoneInfo(self.of.timezone)
        ends = self.of.start, self.of.end or _NEVER
        return TimeWindow(*(moment.replace(tzinfo=zone) for moment in ends))
