"""How the rows of a table differ from those that are expected, in whatever order both are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Row = tuple[Any, ...]

#: Of floats, relative and absolute. All other values are compared exactly.
TOLERANCE = 1e-9
#: So many comparisons are made to find the row that another one was meant to be.
_COMPARISONS = 100_000


@dataclass(frozen=True, slots=True)
class RowDifference:
    """``missing`` rows are expected and not there, ``extra`` ones are there and not expected;
    ``changed``: (expected, there) of rows that have one key, or most of their values in common."""

    columns: tuple[str, ...]
    missing: tuple[Row, ...]
    extra: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]


def row_difference(
    columns: Sequence[str], expected: Sequence[Row], there: Sequence[Row], key: Sequence[str] = ()
) -> RowDifference | None:
    """None if these are the same rows, each as often. ``key``: the columns that tell rows apart."""
    missing, extra = _unmatched(expected, there)
    if not missing and not extra:
        return None
    places = [at for at, name in enumerate(columns) if name.lower() in {k.lower() for k in key}]
    whole = len(places) == len(key)  # a part of a key does not tell rows apart
    missing, extra, changed = _by_key(missing, extra, places if whole else [])
    missing, extra, alike = _by_likeness(missing, extra)
    return RowDifference(tuple(columns), tuple(missing), tuple(extra), (*changed, *alike))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same: NULL is a value like any other, and so is NaN."""
    if isinstance(one, float) and isinstance(other, (float, int, Decimal)):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, float(other), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(other, float) and isinstance(one, (int, Decimal)):
        return same(other, one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return bool(one == other)


def _hashed(value: Any) -> Any:
    """What equal values have in common, and values that are not the same do not."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashed, value))
    if isinstance(value, Mapping):
        return frozenset((name, _hashed(item)) for name, item in value.items())
    if isinstance(value, bool):
        return ("boolean", value)
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def _unmatched(expected: Sequence[Row], there: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    left = Counter(map(_hashed, there))
    missing = []
    for row in expected:
        hashed = _hashed(row)
        if left[hashed]:
            left[hashed] -= 1
        else:
            missing.append(row)
    extra = []
    for row in there:
        hashed = _hashed(row)
        if left[hashed]:
            left[hashed] -= 1
            extra.append(row)
    # What is left may still be the same: floats are compared with a tolerance.
    for row in list(missing):
        for other in extra:
            if all(map(same, row, other)):
                missing.remove(row)
                extra.remove(other)
                break
    return missing, extra


def _by_key(
    missing: list[Row], extra: list[Row], key: Sequence[int]
) -> tuple[list[Row], list[Row], list[tuple[Row, Row]]]:
    if not key:
        return missing, extra, []
    found: dict[Any, list[Row]] = {}
    for row in extra:
        found.setdefault(_hashed([row[at] for at in key]), []).append(row)
    changed, left = [], []
    for row in missing:
        others = found.get(_hashed([row[at] for at in key]))
        if others:
            changed.append((row, others.pop(0)))
        else:
            left.append(row)
    taken = {id(other) for _, other in changed}
    return left, [row for row in extra if id(row) not in taken], changed


def _by_likeness(
    missing: list[Row], extra: list[Row]
) -> tuple[list[Row], list[Row], list[tuple[Row, Row]]]:
    """Pairs of rows that have at least half of their values in common, the most alike first."""
    if len(missing) * len(extra) > _COMPARISONS:
        return missing, extra, []
    alike = [
        (sum(map(same, row, other)), -at, -to)
        for at, row in enumerate(missing)
        for to, other in enumerate(extra)
    ]
    one, two, changed = set(range(len(missing))), set(range(len(extra))), []
    for count, at, to in sorted(alike, reverse=True):
        if -at in one and -to in two and 2 * count >= len(missing[-at]) > 1:
            one.discard(-at)
            two.discard(-to)
            changed.append((missing[-at], extra[-to]))
    left = [row for at, row in enumerate(missing) if at in one]
    return left, [row for at, row in enumerate(extra) if at in two], changed
