"""The relations that dbt has built beside ours: columns, types, and rows as multisets.

Each side sorts the texts of its rows itself, and both are read side by side. So however many rows
there are, few of them are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

Columns = Sequence[tuple[str, str]]  #: (name, type)


class RelationState(Enum):
    EQUAL = "equal"
    MOMENT = "differs between two runs of dbt, too"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


class Side(Protocol):
    """A database that one of both has built."""

    def columns(self, relation: str) -> Columns | str:
        """The columns of a relation (SQL), or why there is none."""

    def texts(self, relation: str, columns: Sequence[str]) -> Iterator[str]:
        """One text for each row, in the order of code points. Two are equal if their values are."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A relation of both, as SQL. ``why_not``: why it is not compared. ``errors``: those of its
    build, in dbt and here."""

    unique_id: str
    name: str
    theirs: str = ""
    ours: str = ""
    why_not: str = ""
    errors: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class RelationResult:
    """``rows``: how many dbt's has, and ours; ``only``: how many of them are in one alone.
    ``columns``: those whose values differ. ``notes``: what else differs, and why."""

    unique_id: str
    name: str
    state: RelationState
    rows: tuple[int, int] = (0, 0)
    only: tuple[int, int] = (0, 0)
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rows_that_differ(self) -> str:
        if not any(self.only):
            return ""
        return f"{self.only[0]} rows only in dbt, {self.only[1]} only here"

    @property
    def columns_that_differ(self) -> str:
        return f"values differ in {', '.join(self.columns)}" if self.columns else ""


@dataclass(slots=True)
class _Count:
    rows: list[int]
    only: list[int]

    @property
    def differs(self) -> bool:
        return any(self.only)


def compared_rows(theirs: Iterable[str], ours: Iterable[str]) -> _Count:
    """Two streams of sorted texts, as multisets."""
    count = _Count([0, 0], [0, 0])
    sides = [iter(theirs), iter(ours)]
    heads = [next(it, None) for it in sides]

    def take(side: int) -> None:
        count.rows[side] += 1
        heads[side] = next(sides[side], None)

    while heads != [None, None]:
        one, other = heads
        if one == other:
            take(0)
            take(1)
            continue
        side = 0 if other is None or (one is not None and one < other) else 1
        count.only[side] += 1
        take(side)
    return count


def compared(
    pair: Pair, theirs: Side, ours: Side, again: Callable[[], Side | None]
) -> RelationResult:
    """*again*: the database of a second run of dbt, which is asked for only if rows differ."""
    if pair.why_not:
        return RelationResult(
            pair.unique_id, pair.name, RelationState.NOT_COMPARED, notes=(pair.why_not,)
        )
    # What was not built may still be there, as the copies had it before.
    of_dbt = pair.errors[0] or theirs.columns(pair.theirs)
    of_us = pair.errors[1] or ours.columns(pair.ours)
    if isinstance(of_dbt, str) or isinstance(of_us, str):
        return _missing(pair, of_dbt, of_us)
    notes = list(_differences(of_dbt, of_us))
    shared = _shared(of_dbt, of_us)
    count = _rows(pair, shared, theirs, ours)
    state = RelationState.DIFFERS if notes or count.differs else RelationState.EQUAL
    changed: tuple[str, ...] = ()
    if count.differs:
        changed = tuple(it for it in shared if _rows(pair, [it], theirs, ours).differs)
        second = None if notes else again()
        if second is not None and _is_moment(pair, changed, shared, (theirs, ours, second)):
            state = RelationState.MOMENT
        if not changed:
            notes.append("each column has the same values, in other rows")
    return RelationResult(
        pair.unique_id,
        pair.name,
        state,
        (count.rows[0], count.rows[1]),
        (count.only[0], count.only[1]),
        changed,
        tuple(notes),
    )


def _is_moment(
    pair: Pair, changed: Sequence[str], shared: Sequence[str], sides: tuple[Side, Side, Side]
) -> bool:
    """Whether dbt differs from itself in these columns, and we do not from dbt in the others."""
    theirs, ours, second = sides
    asked = [[it] for it in changed] or [list(shared)]
    pairs = ((theirs.texts(pair.theirs, it), second.texts(pair.theirs, it)) for it in asked)
    if not all(compared_rows(*it).differs for it in pairs):
        return False
    others = [it for it in shared if it not in changed]
    return not changed or not _rows(pair, others, theirs, ours).differs


def _rows(pair: Pair, columns: Sequence[str], theirs: Side, ours: Side) -> _Count:
    if not columns:
        return _Count([0, 0], [0, 0])
    return compared_rows(theirs.texts(pair.theirs, columns), ours.texts(pair.ours, columns))


def _missing(pair: Pair, theirs: Columns | str, ours: Columns | str) -> RelationResult:
    """A relation that one of both, or neither, has."""
    if isinstance(theirs, str) and isinstance(ours, str):
        note = f"neither has built it; dbt: {theirs}; here: {ours}"
        return RelationResult(pair.unique_id, pair.name, RelationState.NOT_COMPARED, notes=(note,))
    if isinstance(theirs, str):
        note = f"dbt has not built it: {theirs}"
    else:
        note = f"it was not built here: {ours}"
    return RelationResult(pair.unique_id, pair.name, RelationState.DIFFERS, notes=(note,))


def _shared(theirs: Columns, ours: Columns) -> list[str]:
    """Names as dbt has them. Each warehouse finds them whatever their case is."""
    known = {name.lower() for name, _ in ours}
    return [name for name, _ in theirs if name.lower() in known]


def _differences(theirs: Columns, ours: Columns) -> Iterator[str]:
    """What differs in the columns, without their values."""
    one, other = ({name.lower(): type_ for name, type_ in of} for of in (theirs, ours))
    if missing := [name for name in one if name not in other]:
        yield f"columns that are missing here: {', '.join(missing)}"
    if more := [name for name in other if name not in one]:
        yield f"columns that dbt does not have: {', '.join(more)}"
    if not missing and not more and list(one) != list(other):
        yield f"the order of columns: {', '.join(one)} in dbt, {', '.join(other)} here"
    for name in one:
        if name in other and one[name] != other[name]:
            yield f"the type of {name}: {one[name]} in dbt, {other[name]} here"
