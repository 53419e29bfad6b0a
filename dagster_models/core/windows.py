"""Partitions of a table, and the windows that they stand for: which values of one of its columns.

A window of time is half-open: it has its start and not its end. Both are aware, in the zone of the
partitions' definition: by their wall clock they are compared with a column of dates or of times
without a zone, and by their moment with one that has a zone. A static partition stands for a value.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")

_MOMENT = re.compile(r"(?P<time>[^\[]+)(\[(?P<zone>.+)\])?\Z")


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """From ``start`` up to, and without, ``end``. Raises ValueError for naive or reversed ends."""

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"{self} has no time zone")
        if instant(self.start) >= instant(self.end):
            raise ValueError(f"{self} ends before it has begun")

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class ValueWindow:
    """These values, as text."""

    values: tuple[str, ...]


Window: TypeAlias = TimeWindow | ValueWindow


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition by its key in Dagster. ``read``: the window that must be read to build it, and
    ``own``: the time that the key names, of which ``widen`` makes the window; None where that is
    the same one."""

    key: str
    window: Window
    read: TimeWindow | None = None
    own: TimeWindow | None = None

    @property
    def to_read(self) -> Window:
        return self.read or self.window

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Partition:
        """The inverse of ``core.plain.plain``."""
        read, own = (_times(it) if it else None for it in (data["read"], data["own"]))
        return cls(data["key"], window_from_json(data["window"]), read, own)


def window_from_json(data: Mapping[str, Any]) -> Window:
    """The inverse of ``core.plain.plain``."""
    return ValueWindow(tuple(data["values"])) if "values" in data else _times(data)


def _times(data: Mapping[str, Any]) -> TimeWindow:
    return TimeWindow(moment_of(data["start"]), moment_of(data["end"]))


def instant(moment: dt.datetime) -> dt.datetime:
    """The moment in UTC. Python compares two times of one zone by their wall clocks, which show one
    hour twice when summer ends."""
    return moment.astimezone(dt.timezone.utc)


def text_of(moment: dt.datetime) -> str:
    """The moment with its offset, and the name of its zone: 2024-01-01T00:00:00-05:00[America/...].
    ``moment_of`` is the inverse."""
    zone = getattr(moment.tzinfo, "key", "")
    return moment.isoformat() + (f"[{zone}]" if zone else "")


def moment_of(text: str) -> dt.datetime:
    """Raises ValueError if *text* is none."""
    found = _MOMENT.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no moment")
    moment = dt.datetime.fromisoformat(found["time"])
    return moment.astimezone(ZoneInfo(found["zone"])) if found["zone"] else moment


# Several partitions -------------------------------------------------------------------------------


def merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """What one statement replaces for all of these: neighbours are one window. Times are in order,
    and values are one window, in which each is once."""
    given = tuple(windows)
    times = [window for window in given if isinstance(window, TimeWindow)]
    values = [v for window in given if isinstance(window, ValueWindow) for v in window.values]
    found: list[Window] = [*_joined(times)]
    if values:
        found.append(ValueWindow(tuple(dict.fromkeys(values))))
    return tuple(found)


def _joined(windows: Sequence[TimeWindow]) -> list[TimeWindow]:
    found: list[TimeWindow] = []
    for window in sorted(windows, key=lambda it: instant(it.start)):
        if found and instant(window.start) <= instant(found[-1].end):
            end = max(found[-1].end, window.end, key=instant)
            found[-1] = TimeWindow(found[-1].start, end)
        else:
            found.append(window)
    return found


def span(windows: Iterable[TimeWindow]) -> TimeWindow:
    """From the first start to the last end. Raises ValueError for no window."""
    given = tuple(windows)
    starts, ends = (it.start for it in given), (it.end for it in given)
    return TimeWindow(min(starts, key=instant), max(ends, key=instant))


def in_order(partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    """Those of time in its order; others as they are given."""

    def start(partition: Partition) -> dt.datetime:
        window = partition.window
        return instant(window.start) if isinstance(window, TimeWindow) else _FIRST

    return tuple(sorted(partitions, key=start))


_FIRST = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


def batches(partitions: Sequence[Partition], size: int | None) -> tuple[tuple[Partition, ...], ...]:
    """The partitions in order, cut into batches of that size, the last of which may be smaller;
    None: all in one. Raises ValueError for a size below 1."""
    ordered = in_order(partitions)
    if size is None:
        return (ordered,) if ordered else ()
    if size < 1:
        raise ValueError(f"a batch cannot have {size} partitions")
    return tuple(ordered[at : at + size] for at in range(0, len(ordered), size))


def covers(windows: Iterable[Window], wanted: Window) -> bool:
    """Whether these windows together have all of the one that is wanted."""
    if isinstance(wanted, ValueWindow):
        has = {v for window in windows if isinstance(window, ValueWindow) for v in window.values}
        return has.issuperset(wanted.values)
    start, end = instant(wanted.start), instant(wanted.end)
    times = (window for window in merged(windows) if isinstance(window, TimeWindow))
    return any(instant(it.start) <= start and end <= instant(it.end) for it in times)


def overlap(one: Window, other: Window) -> bool:
    """Whether a row may be in both."""
    if isinstance(one, TimeWindow) and isinstance(other, TimeWindow):
        starts_before = instant(one.start) < instant(other.end)
        return starts_before and instant(other.start) < instant(one.end)
    if isinstance(one, ValueWindow) and isinstance(other, ValueWindow):
        return not set(one.values).isdisjoint(other.values)
    return True  # the definition was another one
