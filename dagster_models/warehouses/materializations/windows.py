"""Windows of a column as SQL: typed literals, the filter, and the values of reserved names.

A bound is a literal of the column's own type, and the column is never cast, so that an index or the
statistics of a scan can serve the filter. Dates and times without a zone are those of the wall
clock in the zone of the partitions; a time with a zone keeps its offset. Where the clock is put
back, an hour comes twice, and nobody can say of which one a time without a zone is: its rows belong
to the second one, so that each row is in one window.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from dagster_models.core.stand_ins import BOUNDS, KEYS, STAND_INS
from dagster_models.core.windows import (
    Partition,
    TimeWindow,
    ValueWindow,
    Window,
    instant,
    merged,
    span,
)
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote


class WindowKind(Enum):
    """How a column is compared with a window; the value is the word of its literals."""

    DATE = "DATE"
    CLOCK = "TIMESTAMP"  #: a time without a zone
    MOMENT = "TIMESTAMPTZ"
    VALUE = ""


_KINDS = (
    (re.compile(r"timestamptz|timestamp\b.* with time zone", re.IGNORECASE), WindowKind.MOMENT),
    (re.compile(r"timestamp|datetime", re.IGNORECASE), WindowKind.CLOCK),
    (re.compile(r"date\Z", re.IGNORECASE), WindowKind.DATE),
)
_TEXT = re.compile(r"(varchar|text|character varying)(\(\d+\))?\Z", re.IGNORECASE)
#: Types whose equal values may be spelled otherwise.
_SPELLED = re.compile(
    r"(varchar|text|character( varying)?|bpchar|(.+\.)?\"?citext\"?)(\(\d+\))?\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class WindowColumn:
    """The column that decides which partition a row is in; ``name`` is not quoted."""

    name: str
    type_: str

    @classmethod
    def of(cls, name: str, type_: str) -> WindowColumn:
        """*type_* in the words of the warehouse."""
        return cls(name, type_)

    @property
    def quoted(self) -> str:
        return quote(self.name)

    def literal(self, text: str) -> str:
        return literal(text)

    def typed(self, kind: WindowKind, text: str) -> str:
        """A literal of a kind of time."""
        return f"{kind.value} {self.literal(text)}"

    @property
    def _kind(self) -> WindowKind:
        return next((kind for form, kind in _KINDS if form.match(self.type_)), WindowKind.VALUE)

    def within(self, windows: Iterable[Window]) -> str:
        """The condition that a row is in one of the windows. It is NULL for a row without a value.

        Raises WarehouseError if the column cannot tell the windows apart.
        """
        given = tuple(windows)
        column = self.quoted
        times = [window for window in given if isinstance(window, TimeWindow)]
        found = [f"{column} >= {lo} AND {column} < {hi}" for lo, hi in self._ranges(times)]
        if len(found) > 1:
            found = [f"({each})" for each in found]
        for window in merged(given):
            if isinstance(window, ValueWindow):
                found.append(self._among([*map(self._value, window.values)]))
        return " OR ".join(found) or "1 = 0"

    def number_of(self, windows: Sequence[Window]) -> str:
        """In which of these windows, none of which overlaps another, a row is that is in one of
        them: its number in *windows*, as SQL. As a tree, so that a row meets few of their ends."""
        column = self.quoted
        starts: list[tuple[Any, str, int]] = []
        cases = []
        for number, window in enumerate(windows):
            if isinstance(window, ValueWindow):
                cases.append(f"WHEN {self.within([window])} THEN {number}")
            elif self._ranges([window]):  # else it is the first of two hours: see _ranges
                shown = self._kind is not WindowKind.MOMENT
                start = self._clock(window.start) if shown else instant(window.start)
                starts.append((start, self.moment(window.start), number))
        if cases:
            return f"CASE {' '.join(cases)} END"
        return _tree(column, [(sql, number) for _, sql, number in sorted(starts)])

    def _ranges(self, windows: Sequence[TimeWindow]) -> list[tuple[str, str]]:
        """The literals of each range, in order; neighbours are one."""
        if not windows:
            return []
        if self._kind is WindowKind.MOMENT:
            whole = [window for window in merged(windows) if isinstance(window, TimeWindow)]
            return [(self.moment(each.start), self.moment(each.end)) for each in whole]
        found: list[tuple[dt.datetime, dt.datetime]] = []
        for start, end in sorted((self._clock(it.start), self._clock(it.end)) for it in windows):
            if start >= end:
                continue  # the first of the two hours in which the clock shows the same
            if found and start <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((start, end))
        return [(self._literal(start), self._literal(end)) for start, end in found]

    def moment(self, moment: dt.datetime) -> str:
        """A bound as a literal of the column's type."""
        if self._kind is WindowKind.MOMENT:
            return self.typed(WindowKind.MOMENT, moment.isoformat(" "))
        return self._literal(self._clock(moment))

    def _clock(self, moment: dt.datetime) -> dt.datetime:
        """What the wall clock shows then; for a date, the midnight of its day."""
        shown = moment.replace(tzinfo=None)
        if self._kind is WindowKind.CLOCK:
            return shown
        if self._kind is not WindowKind.DATE:
            raise WarehouseError(
                ErrorKind.BAD_COLUMN,
                f"partitions: the column `{self.name}` is of the type {self.type_}, which cannot be"
                " compared with a time: cast it to a date or timestamp in the query",
                name="NoTime",
            )
        midnight = dt.datetime.combine(shown.date(), dt.time())
        # In some zones a day begins at one o'clock, when summer begins.
        if instant(midnight.replace(tzinfo=moment.tzinfo)) != instant(moment):
            raise WarehouseError(
                ErrorKind.BAD_COLUMN,
                f"partitions: the column `{self.name}` is a date, and cannot tell apart windows"
                f" that begin within a day ({moment.isoformat(' ')}): use a timestamp, or"
                " partitions of whole days",
                name="NoTime",
            )
        return midnight

    def _literal(self, shown: dt.datetime) -> str:
        text = str(shown.date()) if self._kind is WindowKind.DATE else shown.isoformat(" ")
        return self.typed(self._kind, text)

    def _among(self, listed: Sequence[str]) -> str:
        """The condition that the value is one of those, and no other that equals one: a collation,
        or a type such as citext, takes 'a' for 'A', which is the key of another partition. The
        first condition is for an index, and for a filter of a scan."""
        found = f"{self.quoted} IN ({', '.join(listed)})"
        if not _SPELLED.match(self.type_):
            return found
        texts = ", ".join(f"CAST({it} AS TEXT)" for it in listed)
        return f'({found} AND CAST({self.quoted} AS TEXT) COLLATE "C" IN ({texts}))'

    def _value(self, value: str) -> str:
        text = self.literal(value)
        return text if _TEXT.match(self.type_) else f"CAST({text} AS {self.type_})"

    @property
    def is_time(self) -> bool:
        return self._kind is not WindowKind.VALUE

    def endless(self, sign: str) -> str:
        """A bound for a build of the whole table: ``sign`` is "" or "-"."""
        return self.typed(self._kind, f"{sign}infinity")


def _tree(column: str, starts: Sequence[tuple[str, int]]) -> str:
    """Which of the ranges that begin there, in order, a value of the column is in."""
    if len(starts) < 2:
        return str(starts[0][1]) if starts else "NULL"
    middle = len(starts) // 2
    below, above = _tree(column, starts[:middle]), _tree(column, starts[middle:])
    return f"CASE WHEN {column} < {starts[middle][0]} THEN {below} ELSE {above} END"


#: Keys are texts, whatever the column is.
NO_COLUMN = WindowColumn("", "")


# Reserved names ----------------------------------------------------------------------------------


def filled_in(sql: str, partitions: Sequence[Partition], column: WindowColumn) -> str:
    """The query with the values of its reserved names. Raises WarehouseError for one that has none:
    there may be several keys, or none, as the whole table is built."""
    for text, (name, type_) in _in(sql).items():
        as_type = replace(column, type_=type_) if type_ else column
        sql = sql.replace(text, _value_of(name, partitions, as_type))
    return sql


def without_bounds(
    sql: str, partitions: Sequence[Partition], column: WindowColumn = NO_COLUMN
) -> str:
    """The query with NULL for each bound, to look for the types of its columns."""
    for text, (name, type_) in _in(sql).items():
        null = f"CAST(NULL AS {type_})" if type_ else "NULL"
        value = null if name in BOUNDS else _value_of(name, partitions, column)
        sql = sql.replace(text, value)
    return sql


def has_names(sql: str) -> bool:
    return bool(_in(sql))


def values(
    partitions: Sequence[Partition],
    column: WindowColumn | None,
    unknown: WindowColumn,
) -> tuple[tuple[str, str], ...]:
    """Each stand-in that has a value, with that; *column* is None where nobody knows its type, and
    *unknown* has the words of the warehouse."""
    found = []
    for text, (name, type_) in STAND_INS.items():
        as_type = replace(column or unknown, type_=type_) if type_ else column
        if as_type is None and name in BOUNDS:
            continue
        try:
            found.append((text, _value_of(name, partitions, as_type or unknown)))
        except WarehouseError:
            continue  # it is an error only if the model uses it
    return tuple(found)


def _in(sql: str) -> Mapping[str, tuple[str, str]]:
    return {text: what for text, what in STAND_INS.items() if text in sql}


def _value_of(name: str, partitions: Sequence[Partition], column: WindowColumn) -> str:
    if name in KEYS:
        keys = [partition.key for partition in partitions]
        if not keys:
            raise _no_value("a build of the whole table", name)
        if name == "partition_keys":
            return f"({', '.join(map(column.literal, keys))})"
        if len(keys) > 1:
            raise _no_value(f"a build of {len(keys)} partitions at once", name)
        return column.literal(keys[0])
    side = name.rpartition("_")[2]
    if not partitions and column.is_time:
        return column.endless("-" if side == "start" else "")
    found = [it.to_read if name.startswith("read_") else it.window for it in partitions]
    times = [window for window in found if isinstance(window, TimeWindow)]
    if not times or len(times) < len(found):
        raise _no_value("partitions that are no times", name)
    whole = span(times)
    return column.moment(whole.start if side == "start" else whole.end)


def _no_value(build: str, name: str) -> WarehouseError:
    fix = {
        "partition_key": "use `$partition_keys`, as in `in /*$partition_keys*/ ('a')`, or set"
        " `batch: 1`",
        "partition_keys": "put what uses it between /* @incremental */ and /* @end */",
    }.get(name, "compare with `$partition_keys` instead")
    return WarehouseError(
        ErrorKind.INVALID_INPUT, f"`${name}` has no value in {build}: {fix}", name="NoValue"
    )
