"""Kinds of models beside a plain Python model of each: random builds, and what they must leave."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Protocol

from test_incremental import values
from test_partitions import FIRST, daily, summed
from test_snapshot import KINDS, START, History, Key, Values, source

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Since,
    Snapshot,
)
from dagster_models.core.stand_ins import SINCE
from incremental_oracle import expected

Table = list[dict[str, str | None]]


@dataclass(frozen=True)
class Wanted:
    """What a transaction of a build leaves. ``state`` is the oracle's own, None where there is no
    table; ``records``: kind, inserted, updated and deleted of each record that it adds."""

    state: Any
    records: list[tuple[str, int | None, int | None, int | None]]


class Kind(Protocol):
    """A kind of model, and the plain Python model of it."""

    def draw(self, number: int) -> tuple[Materialization, str, Any]:
        """Return how the next build is made, its query, and the same as values."""

    def apply(self, state: Any, how: Any, given: Any, now: datetime) -> list[Wanted]:
        """Return what each transaction of a build leaves; none of one that fails."""

    def table(self, state: Any) -> Table:
        """Return the rows of the table."""


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    found: Table = [
        {name: None if it is None else str(it) for name, it in zip(names, row, strict=True)}
        for row in rows
    ]
    return sorted(found, key=lambda row: str(sorted(row.items())))


# Incremental -------------------------------------------------------------------------------------


@dataclass
class Added:
    """The strategies append, by `$since` or not, delete+insert and merge."""

    strategy: str
    chance: random.Random

    def draw(self, number: int) -> tuple[Incremental, str, Any]:
        pick = self.chance.choice
        rows = [
            (pick([0, 1, 2, number, number + 1]), pick(["x", "y", ""]), pick([None, 1, 2, 3]))
            for _ in range(self.chance.randint(0, 6))
        ]
        if self.strategy == "merge" and self.chance.random() < 0.8:
            rows = list({row[:2]: row for row in rows}.values())
        key = () if self.strategy == "append" else ("k", "l")
        how = Incremental(self.strategy, key, full_refresh=self.chance.random() < 0.1)
        query = values(*rows)
        if self.strategy == "append" and self.chance.random() < 0.7:
            how = replace(how, since=Since("k"))
            query = f"select * from ({query}) as q where k > {SINCE}"
        return how, query, rows

    def apply(self, state: Any, how: Incremental, given: Any, now: datetime) -> list[Wanted]:
        rows = given
        if how.since and state and not how.full_refresh:
            rows = [row for row in given if row[0] > max(row[0] for row in state)]
        does, what = expected(how, state, rows)
        if does == "fails":
            return []
        table, changes = what
        return [Wanted(table, [_record(changes)])]

    def table(self, state: Any) -> Table:
        return _table(("k", "l", "v"), state)


def _record(it: Changes) -> tuple[str, int | None, int | None, int | None]:
    return it.kind, it.inserted, it.updated, it.deleted


# Replaced partitions -----------------------------------------------------------------------------


@dataclass
class Replaced:
    """The strategy replace; ``batch``: some of the builds have several transactions."""

    batch: bool
    chance: random.Random

    DAYS = range(1, 7)

    def draw(self, number: int) -> tuple[Incremental, str, Any]:
        days = self.chance.sample(self.DAYS, self.chance.randint(1, 6))
        full = self.chance.random() < 0.1
        batch = self.chance.choice([1, 2, 2, 3]) if self.batch else None
        how = Incremental(
            "replace", partitioned=Partitioned("d", daily(*days), batch), full_refresh=full
        )
        rows = [
            (self._day(self.chance.randint(0, 7)), self.chance.choice("xy"), number)
            for _ in range(self.chance.randint(0, 12))
        ]
        typed = "select cast(null as date) as d, cast(null as varchar) as k, cast(null as int) as v"
        lines = [f"select date '{d}', '{k}', {v}" for d, k, v in rows]
        rows_of = " union all ".join([f"{typed} where 1 = 0", *lines])
        query = f"select d, k, count(*) as n, sum(v) as v from ({rows_of}) as q group by d, k"
        return how, query, (rows, sorted(days))

    @staticmethod
    def _day(day: int) -> Any:
        return FIRST + timedelta(days=day - 1)

    def apply(self, state: Any, how: Incremental, given: Any, now: datetime) -> list[Wanted]:
        rows, days = given
        found = summed(rows)
        if how.full_refresh:
            replaced = 0 if state is None else None
            inserted = sum(map(Counter.total, found.values()))
            return [Wanted(found, [("whole", inserted, 0, replaced)])]
        assert how.partitioned is not None
        size = how.partitioned.batch or len(days)
        steps: list[Wanted] = []
        for at in range(0, len(days), size):
            new = {self._day(day): found.get(self._day(day), Counter()) for day in days[at:][:size]}
            state = state or {}
            records = [("window", _count(new, run), 0, _count(state, run)) for run in _runs([*new])]
            state = {**state, **new}
            steps.append(Wanted(state, records))
        return steps

    def table(self, state: Any) -> Table:
        rows = [row for counted in state.values() for row in counted.elements()]
        return _table(("d", "k", "n", "v"), rows)


def _runs(days: Sequence[Any]) -> Iterator[list[Any]]:
    """Days that follow each other are one window, which has one record."""
    for _, run in groupby(enumerate(days), lambda it: it[1] - timedelta(days=it[0])):
        yield [day for _, day in run]


def _count(state: dict[Any, Counter[Any]], days: Sequence[Any]) -> int:
    return sum(state[day].total() for day in days if day in state)


# Snapshots ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    values: Values
    start: datetime
    end: datetime | None = None
    dead: bool = False


@dataclass
class Snapshots:
    """Both strategies and all ways to treat deletions, one after the other."""

    seed: int
    chance: random.Random
    _how: Snapshot = field(init=False)
    _states: Iterator[tuple[float, dict[Key, Values], bool]] = field(init=False)

    def __post_init__(self) -> None:
        strategy, deletes = KINDS[self.seed % len(KINDS)]
        open_end = self.chance.choice(["", "9999-12-31 00:00:00"])
        updated_at = "u" if strategy == "timestamp" else ""
        self._how = Snapshot(strategy, ("k", "l"), updated_at, (), deletes, open_end)
        self._states = History(self.chance, self._how).states()

    def draw(self, number: int) -> tuple[Snapshot, str, Any]:
        _, live, wide = next(self._states)
        return self._how, source(live, wide), (live, wide)

    def apply(self, state: Any, how: Snapshot, given: Any, now: datetime) -> list[Wanted]:
        live, wide = given
        old, was_wide = state or ({}, False)
        history = {key: list(of_key) for key, of_key in old.items()}
        counts = Counter[str]()
        for key, row in live.items():
            counts[_version(history.setdefault(key, []), how, row, now)] += 1
        if how.hard_deletes != "ignore":
            for key in history.keys() - live.keys():
                counts["gone"] += _gone(history[key], how, now)
        record = ("snapshot", counts["new"], counts["changed"], counts["gone"])
        return [Wanted((history, wide or was_wide), [record])]

    def table(self, state: Any) -> Table:
        history: dict[Key, list[Version]] = state[0]
        how, wide = self._how, state[1]
        marks = how.hard_deletes == "new_record"
        end = str(datetime.fromisoformat(how.open_end)) if how.open_end else None
        names = ("k", "l", "v", "w", "u", "valid_from", "valid_to")
        names += (*(["z"] if wide else []), *(["is_deleted"] if marks else []))
        return _table(
            names,
            [
                (
                    *(*key, it.values.v, it.values.w, START + timedelta(hours=it.values.hour)),
                    *(it.start, it.end or end),
                    *([it.values.z] if wide else []),
                    *([it.dead] if marks else []),
                )
                for key, versions in history.items()
                for it in versions
            ],
        )


def _version(of_key: list[Version], how: Snapshot, row: Values, now: datetime) -> str:
    """Add a version if the row differs from the last one."""
    born = now if how.strategy == "check" else START + timedelta(hours=row.hour)
    last = of_key[-1] if of_key else None
    if last is None or last.end is not None:
        if last is not None and last.end is not None and born <= last.end:
            born = max(now, last.end)
        of_key.append(Version(row, born))
        return "new"
    later = row.hour > last.values.hour
    if not last.dead and not (later if how.strategy == "timestamp" else row != last.values):
        return "same"
    moment = born if born > last.start else now
    of_key[-1] = replace(last, end=moment)
    of_key.append(Version(row, moment))
    return "new" if last.dead else "changed"


def _gone(of_key: list[Version], how: Snapshot, now: datetime) -> bool:
    last = of_key[-1]
    if last.end is not None or last.dead:
        return False
    of_key[-1] = replace(last, end=now)
    if how.hard_deletes == "new_record":
        of_key.append(Version(last.values, now, dead=True))
    return True


KINDS_OF_MODELS: Mapping[str, Callable[[int, random.Random], Kind]] = {
    "append": lambda seed, chance: Added("append", chance),
    "delete+insert": lambda seed, chance: Added("delete+insert", chance),
    "merge": lambda seed, chance: Added("merge", chance),
    "replace": lambda seed, chance: Replaced(False, chance),
    "batches": lambda seed, chance: Replaced(True, chance),
    "snapshot": Snapshots,
}
