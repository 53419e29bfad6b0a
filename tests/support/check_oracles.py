"""Random declarations of checks, each with what Python counts: the oracle of tests of their SQL."""

from __future__ import annotations

import datetime as dt
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

Row = dict[str, Any]

TYPES = {
    "id": "bigint",
    "g": "integer",
    "n": "integer",
    "amount": "decimal(9,2)",
    "f": "double precision",
    "s": "varchar",
    "day": "date",
    "at": "timestamp",
}
_TEXTS = ["", "a", "AB", "x\ny", "  b ", "é", "01", "b1", "O'x"]
_DAY = dt.date(2024, 2, 27)


def random_rows(rng: random.Random) -> list[Row]:
    """Rows in which each value may be NULL, and occurs more than once."""
    often = rng.choice([0.1, 0.2, 0.5])

    def maybe(value: Any) -> Any:
        return None if rng.random() < often else value

    return [
        {
            "id": maybe(rng.choice([number, rng.randint(1, 9)])),
            "g": maybe(rng.randint(0, 2)),
            "n": maybe(rng.randint(-4, 4)),
            "amount": maybe(Decimal(rng.randint(-300, 300)) / 100),
            "f": maybe(rng.randint(-16, 16) / 8),
            "s": maybe(rng.choice(_TEXTS)),
            "day": maybe(_DAY + dt.timedelta(days=rng.randint(0, 5))),
            "at": maybe(dt.datetime(2024, 2, 28, rng.randint(0, 23), rng.choice([0, 30]))),
        }
        for number in range(1, rng.choice([1, 12, 40, 40]) + 1)
    ]


def literal(value: Any) -> str:
    """The value as a text, which the column of a table takes for what it is."""
    return "null" if value is None else "'{}'".format(str(value).replace("'", "''"))


def rows_sql(rows: Sequence[Row]) -> str:
    """The rows, each in parentheses, in the order of TYPES."""
    return ", ".join(f"({', '.join(literal(row[column]) for column in TYPES)})" for row in rows)


@dataclass(frozen=True)
class Declared:
    """A check as YAML has it, and the failures that Python counts in the rows in scope, and the
    rows of the other relation."""

    kind: str
    arguments: dict[str, Any]
    failures: Callable[[list[Row], list[Row]], int]


def _of_rows(kind: str, arguments: dict[str, Any], offends: Callable[[Row], bool]) -> Declared:
    return Declared(kind, arguments, lambda rows, _: sum(map(offends, rows)))


def _outside(value: Any, low: Any, high: Any, inclusive: bool = True) -> bool:
    if value is None:
        return False
    if not inclusive and value in (low, high):
        return True
    return (low is not None and value < low) or (high is not None and value > high)


def _bounds(rng: random.Random, least: Any, most: Any) -> dict[str, Any]:
    which = rng.choice(["min", "max", "both"])
    found = {"min": least} if which != "max" else {}
    return found | ({"max": most} if which != "min" else {})


def not_null(rng: random.Random) -> Declared:
    column = rng.choice([*TYPES])
    return _of_rows("not_null", {"column": column}, lambda row: row[column] is None)


def values(rng: random.Random) -> Declared:
    kind = rng.choice(["accepted_values", "rejected_values"])
    column, listed = rng.choice(
        [
            ("n", [0, 1, 2.0, "3", -4]),
            ("amount", [1, "0.50", -0.25, 2.5]),
            ("f", [0, 0.125, "1.5"]),
            ("s", ["a", 1, "01", "O'x", "é"]),
            ("day", [_DAY, "2024-02-29"]),
            ("at", ["2024-02-28 10:00:00", "2024-02-28T10:30"]),
        ]
    )
    chosen = rng.sample(listed, rng.randint(1, len(listed)))

    def same(value: Any, item: Any) -> bool:
        if isinstance(value, dt.date):
            moment = value.isoformat(" ") if isinstance(value, dt.datetime) else f"{value} 00:00:00"
            written = str(item).replace("T", " ")
            return moment == written + {10: " 00:00:00", 16: ":00"}.get(len(written), "")
        if isinstance(value, str):
            return value == str(item)
        return Fraction(value) == Fraction(str(item))

    def offends(row: Row) -> bool:
        value = row[column]
        listed = any(same(value, item) for item in chosen) if value is not None else False
        return value is not None and listed is (kind == "rejected_values")

    return _of_rows(kind, {"column": column, "values": chosen}, offends)


def range_(rng: random.Random) -> Declared:
    column, least, most = rng.choice(
        [
            ("n", -2, 2),
            ("n", -1.5, 2.5),
            ("amount", -1.25, 1.5),
            ("f", -0.5, 1),
            ("day", dt.date(2024, 2, 28), dt.date(2024, 3, 1)),
            ("at", dt.datetime(2024, 2, 28, 6), dt.datetime(2024, 2, 28, 12, 30)),
            ("at", dt.date(2024, 2, 28), dt.datetime(2024, 2, 28, 12)),
        ]
    )
    given = _bounds(rng, least, most)
    inclusive = rng.random() < 0.7
    plain = {k: Fraction(str(v)) if isinstance(v, (int, float)) else v for k, v in given.items()}
    if column == "at":
        plain = {
            k: v if isinstance(v, dt.datetime) else dt.datetime(v.year, v.month, v.day)
            for k, v in given.items()
        }

    def offends(row: Row) -> bool:
        return _outside(row[column], plain.get("min"), plain.get("max"), inclusive)

    extra = {} if inclusive else {"inclusive": False}
    return _of_rows("range", {"column": column, **given, **extra}, offends)


def length(rng: random.Random) -> Declared:
    given = rng.choice([_bounds(rng, 1, 2), {"equals": 2}])
    trims = rng.random() < 0.5

    def offends(row: Row) -> bool:
        if row["s"] is None:
            return False
        size = len(row["s"].strip(" ") if trims else row["s"])
        if "equals" in given:
            return size != given["equals"]
        return _outside(size, given.get("min"), given.get("max"))

    return _of_rows("length", {"column": "s", **given, "trim": trims}, offends)


def regex(rng: random.Random) -> Declared:
    pattern = rng.choice(
        ["^[A-Z]+$", "b", "^x.y$", r"^\s*[a-z]\s*$", "^(a|01)$", r"^[^'\n]*$", "^$"]
    )
    word = rng.choice(["matches", "not_matches"])

    def offends(row: Row) -> bool:
        if row["s"] is None:
            return False
        found = re.search(pattern, row["s"], re.DOTALL) is not None
        return found is (word == "not_matches")

    return _of_rows("regex", {"column": "s", word: pattern}, offends)


def expression(rng: random.Random) -> Declared:
    text, holds = rng.choice(
        [
            ("n >= 0 -- not below", lambda r: None if r["n"] is None else r["n"] >= 0),
            ("s is null or n is not null", lambda r: r["s"] is None or r["n"] is not None),
            (
                "n < g",
                lambda r: None if r["n"] is None or r["g"] is None else r["n"] < r["g"],
            ),
        ]
    )
    return _of_rows("expression", {"sql": text}, lambda row: holds(row) is False)


def unique(rng: random.Random) -> Declared:
    columns = rng.choice([["id"], ["g", "n"], ["s", "g", "day"]])
    how = rng.choice(["", "any_value_is_missing", "all_values_are_missing", "never"])

    def failures(rows: list[Row], _: list[Row]) -> int:
        keys = [tuple(row[column] for column in columns) for row in rows]
        if how in ("", "any_value_is_missing"):
            keys = [key for key in keys if None not in key]
        elif how == "all_values_are_missing":
            keys = [key for key in keys if any(value is not None for value in key)]
        return sum(count > 1 for count in Counter(keys).values())

    extra = {"ignore_row_if": how} if how else {}
    return Declared("unique", {"columns": columns, **extra}, failures)


def relationships(rng: random.Random) -> Declared:
    column, field = rng.choice([("n", "n"), ("n", "id"), ("s", "s"), ("day", "day"), ("n", "f")])
    where = rng.random() < 0.5

    def failures(rows: list[Row], others: list[Row]) -> int:
        kept = [row for row in others if not where or (row["g"] is not None and row["g"] > 0)]
        parents = {row[field] for row in kept}
        return sum(row[column] is not None and row[column] not in parents for row in rows)

    extra = {"to_where": "g > 0"} if where else {}
    return Declared(
        "relationships", {"column": column, "to": "others", "field": field, **extra}, failures
    )


def sequential(rng: random.Random) -> Declared:
    column, interval, step = rng.choice(
        [
            ("id", 1, 1),
            ("n", 2, 2),
            ("day", "1 day", dt.timedelta(days=1)),
            ("at", "30m", dt.timedelta(minutes=30)),
        ]
    )
    groups = rng.choice([[], ["g"]])

    def failures(rows: list[Row], _: list[Row]) -> int:
        by_group: dict[Any, list[Any]] = {}
        for row in rows:
            if row[column] is not None:
                by_group.setdefault(tuple(row[g] for g in groups), []).append(row[column])
        ordered = [sorted(found) for found in by_group.values()]
        return sum(b != a + step for found in ordered for a, b in pairwise(found))

    extra = {"group_by": groups} if groups else {}
    return Declared("sequential", {"column": column, "interval": interval, **extra}, failures)


def row_count(rng: random.Random) -> Declared:
    given = rng.choice(
        [_bounds(rng, 5, 20), {"equals": 8}, {"equal_to": "others"}, {"fewer_than": "others"}]
    )
    other = "equal_to" in given or "fewer_than" in given
    if other and rng.random() < 0.5:
        given["other_where"] = "n > 0"

    def failures(rows: list[Row], others: list[Row]) -> int:
        count = len(rows)
        if "other_where" in given:
            others = [row for row in others if row["n"] is not None and row["n"] > 0]
        if "equals" in given:
            return int(count != given["equals"])
        if "equal_to" in given:
            return int(count != len(others))
        if "fewer_than" in given:
            return int(count >= len(others))
        return int(_outside(count, given.get("min"), given.get("max")))

    return Declared("row_count", dict(given), failures)


def _quantile(found: list[Any], at: float, interpolate: bool) -> Any:
    found = sorted(found)
    if not interpolate:
        return found[max(math.ceil(Fraction(str(at)) * len(found)), 1) - 1]
    place = Fraction(str(at)) * (len(found) - 1)
    low = math.floor(place)
    high = min(low + 1, len(found) - 1)
    return Fraction(found[low]) + (place - low) * (Fraction(found[high]) - Fraction(found[low]))


def total(rng: random.Random, kind: str) -> Declared:
    column = rng.choice(["n", "amount", "f"])
    given: dict[str, Any] = _bounds(rng, rng.choice([-1, 0, 1, 3]), rng.choice([3, 4.25]))
    if kind == "distinct_count":
        given = rng.choice([_bounds(rng, 2, 6), {"equals": 5}])
    at, interpolate = rng.choice([0, 0.25, 0.5, 0.9, 1]), rng.random() < 0.3

    def failures(rows: list[Row], _: list[Row]) -> int:
        found = [Fraction(row[column]) for row in rows if row[column] is not None]
        if kind == "distinct_count":
            number: Any = len(set(found))
            if "equals" in given:
                return int(number != given["equals"])
        elif not found:
            return 0
        else:
            number = {
                "mean": lambda: sum(found) / len(found),
                "sum": lambda: sum(found),
                "minimum": lambda: min(found),
                "maximum": lambda: max(found),
                "quantile": lambda: _quantile(found, at, interpolate),
            }[kind]()
        low, high = (given.get(name) for name in ("min", "max"))
        bounds = [None if it is None else Fraction(str(it)) for it in (low, high)]
        return int(_outside(number, *bounds))

    extra = {"at": at, "interpolate": interpolate} if kind == "quantile" else {}
    return Declared(kind, {"column": column, **given, **extra}, failures)


def equality(rng: random.Random) -> Declared:
    given = rng.choice([{}, {"columns": ["g", "n"]}, {"except": ["f", "at", "day", "s", "id"]}])
    left_out = given.get("except", ())
    columns = given.get("columns") or [name for name in TYPES if name not in left_out]

    def failures(rows: list[Row], others: list[Row]) -> int:
        mine, theirs = (
            Counter(tuple(row[column] for column in columns) for row in each)
            for each in (rows, others)
        )
        return sum(((mine - theirs) + (theirs - mine)).values())

    return Declared("equality", {"to": "others", **given}, failures)


MAKERS: Sequence[Callable[[random.Random], Declared]] = (
    not_null,
    values,
    range_,
    length,
    regex,
    expression,
    unique,
    relationships,
    sequential,
    row_count,
    *(
        partial(total, kind=kind)
        for kind in ("mean", "sum", "minimum", "maximum", "quantile", "distinct_count")
    ),
    equality,
)
