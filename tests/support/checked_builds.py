"""Random builds of s.t with checks, and what a plain Python model says of them.

The oracle of tests of what is published: it counts in Python, and reads no bookkeeping of ours.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.checks import Threshold
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Replace,
)
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import OWN_RELATION, OWN_WINDOW
from dagster_models.core.windows import Partition, ValueWindow

Row = tuple[int, int | None]
Rows = tuple[Row, ...]

STORE = Relation("s", "failures_c")
OVER_HALF = Threshold("50", percent=True)

#: A condition as SQL and in Python.
CONDITIONS: dict[str, Callable[[Row], bool]] = {
    "v is null": lambda row: row[1] is None,
    "v < 0": lambda row: row[1] is not None and row[1] < 0,
    "k > 5 and v is not null": lambda row: row[0] > 5 and row[1] is not None,
    "(v = 3) is not false": lambda row: row[1] in (3, None),
}

#: Kinds that may follow each other. A key that is twice in the table would be an error of a merge.
KINDS: Sequence[Sequence[str]] = (
    ("table", "append"),
    ("table", "merge", "delete+insert"),
    ("table", "batches", "batches"),
)
_UNIQUE = (
    f"select k, count(*) as n_records from {OWN_RELATION}"
    f" where k in (select k from {OWN_WINDOW}) group by k having count(*) > 1"
)


def rows_where(name: str, condition: str, **more: Any) -> CheckTask:
    """A check of single rows. ``condition`` may be NULL."""
    where = more.get("where")
    offends = f"coalesce({condition}, false)"
    if where:
        offends = f"({offends} and coalesce({where}, false))"
    sql = f"select * from {OWN_RELATION} where {offends}"
    return CheckTask(name, sql, condition=offends, **more)


def of_pairs(given: Sequence[Row]) -> str:
    """The query that returns these rows."""
    rows = " union all ".join(
        f"select {k} as k, cast({'null' if v is None else v} as int) as v" for k, v in given
    )
    return f"select * from ({rows}) as given"


def ordered(rows: Sequence[Row]) -> Rows:
    return tuple(sorted(rows, key=str))


@dataclass(frozen=True)
class Checked:
    """A check. ``find`` is a plain Python model of it: what offends in the rows in scope, and in
    all of the table."""

    task: CheckTask
    find: Callable[[Sequence[Row], Sequence[Row]], list[Any]]

    def offending(self, window: Sequence[Row], table: Sequence[Row]) -> list[Any]:
        return self.find(self._scope(window, table), table)

    def judged(self, window: Sequence[Row], table: Sequence[Row]) -> tuple[int, str]:
        """How many failures there are, and whether they are too many: "error", "warn" or ""."""
        failures, rows = len(self.offending(window, table)), len(self._scope(window, table))
        for severity, limit in self.task.thresholds.items():
            most = Fraction(limit.above)
            if Fraction(failures) > (most * rows / 100 if limit.percent else most):
                return failures, severity
        return failures, ""

    def _scope(self, window: Sequence[Row], table: Sequence[Row]) -> Sequence[Row]:
        return window if self.task.scope == "window" else table


def _of_rows(check: CheckTask, condition: str) -> Checked:
    return Checked(check, lambda scope, _: [row for row in scope if CONDITIONS[condition](row)])


def _twice(scope: Sequence[Row], table: Sequence[Row]) -> list[Any]:
    counts, keys = Counter(k for k, _ in table), {k for k, _ in scope}
    return [k for k, count in counts.items() if count > 1 and k in keys]


@dataclass(frozen=True)
class Drawn:
    """A build: how, of which rows, and with which checks. ``keys``: the partitions, in order."""

    kind: str
    given: Rows
    checks: tuple[Checked, ...]
    keys: tuple[int, ...] = ()
    batch: int = 1
    earlier: tuple[int, ...] = ()

    @property
    def materialization(self) -> Materialization:
        if self.kind == "table":
            return Replace()
        if self.kind != "batches":
            return Incremental(self.kind, () if self.kind == "append" else ("k",))
        wanted, earlier = (
            tuple(Partition(str(key), ValueWindow((str(key),))) for key in keys)
            for keys in (self.keys, self.earlier)
        )
        return Incremental("replace", partitioned=Partitioned("k", wanted, self.batch, 0, earlier))

    @property
    def tasks(self) -> tuple[CheckTask, ...]:
        return tuple(check.task for check in self.checks)

    def transactions(self, table: Rows | None) -> Iterator[tuple[Rows, Rows]]:
        """The table after each of its transactions, and what the build has written by then."""
        there = list(table or ())
        if self.kind != "batches":
            keys = {k for k, _ in self.given}
            kept = [row for row in there if self.kind == "append" or row[0] not in keys]
            whole = self.kind == "table" or table is None
            yield ordered([*([] if whole else kept), *self.given]), self.given
            return
        done = set(self.earlier)
        for at in range(0, len(self.keys), self.batch):
            now = set(self.keys[at : at + self.batch])
            there = [row for row in there if row[0] not in now]
            there += [row for row in self.given if row[0] in now]
            done |= now
            yield ordered(there), ordered([row for row in there if row[0] in done])


def draw(chance: random.Random, kinds: Sequence[str]) -> Drawn:
    kind = chance.choice(kinds)
    keys = chance.sample(range(9), chance.randint(1, 6))
    often = chance.choice([1, 2]) if kind == "batches" else 1
    given: Rows = tuple((key, chance.choice([None, -1, 1, 2, 3])) for key in keys * often)
    return Drawn(kind, given, _checks(chance), tuple(sorted(keys)), chance.choice([1, 2]))


def _checks(chance: random.Random) -> tuple[Checked, ...]:
    found = []
    for name, condition in zip("cde", chance.sample(list(CONDITIONS), 3), strict=True):
        check = rows_where(name, f"({condition})", **_settings(chance))
        # A query of the user's counts the same, apart from the scan.
        check = replace(check, condition="") if name == "e" else check
        found.append(_of_rows(replace(check, store=STORE) if name == "c" else check, condition))
    twice = CheckTask("twice", _UNIQUE, **_settings(chance))
    return (*found, Checked(twice, _twice))


def _settings(chance: random.Random) -> dict[str, Any]:
    limits = chance.choice([{}, {"error_if": Threshold("1")}, {"error_if": OVER_HALF}])
    warns = chance.choice([{}, {"warn_if": Threshold("0")}])
    severity, scope = chance.choice(["error", "warn"]), chance.choice(["window", "table"])
    return {"severity": severity, "scope": scope, **limits, **warns}


@dataclass(frozen=True)
class Known:
    """What a reader sees: the table, the records (attempt, part) of its builds, and the rows that
    the check c has stored."""

    table: Rows | None = None
    records: tuple[tuple[int, int], ...] = ()
    stored: Rows | None = None


@dataclass(frozen=True)
class Expected:
    """What comes of a build or of checks: each state that a reader may see on the way, the last
    one last, whether it fails, and each check's number and state."""

    chain: tuple[Known, ...]
    fails: bool
    found: dict[str, tuple[int, str]] = field(default_factory=dict)


def after_build(drawn: Drawn, attempt: int, before: Known, *, checked: bool) -> Expected:
    """``checked``: whether its checks run before each of its transactions is published."""
    chain, found = [before], {}
    stored, fails = before.stored, False
    for part, (table, window) in enumerate(drawn.transactions(before.table)):
        if checked:
            found = {it.task.name: it.judged(window, table) for it in drawn.checks}
            stored = ordered(drawn.checks[0].offending(window, table))
            fails = any(state == "error" for _, state in found.values())
        if fails:
            break
        chain.append(Known(table, (*chain[-1].records, (attempt, part)), before.stored))
    return Expected((*chain, replace(chain[-1], stored=stored)), fails, found)


def after_checks(drawn: Drawn, before: Known) -> Expected:
    """The checks alone, which look at all of the table."""
    table = before.table or ()
    found = {it.task.name: it.judged(table, table) for it in drawn.checks}
    stored = ordered(drawn.checks[0].offending(table, table))
    fails = any(state == "error" for _, state in found.values())
    return Expected((before, replace(before, stored=stored)), fails, found)
