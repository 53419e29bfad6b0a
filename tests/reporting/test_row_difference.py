"""Rows are compared as multisets: the oracle is Python's Counter."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from dagster_models.reporting.row_difference import RowDifference, row_difference

NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1.0, 1.0 + 1e-10, True),
        (1.0, 1.0 + 1e-8, False),
        (1e20, 1e20 * (1 + 1e-10), True),
        (0.0, 1e-10, True),
        (NAN, float("nan"), True),
        (NAN, None, False),
        (Decimal("0.1"), Decimal("0.10"), True),
        (Decimal("0.1"), Decimal("0.1000000001"), False),
        (Decimal("0.1"), 0.1 + 1e-12, True),
        (1, Decimal("1.00"), True),
        (1, True, False),
        (None, None, True),
        (None, 0, False),
        ("a", "A", False),
        (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), False),
        ([1.0, None], [1.0 + 1e-12, None], True),
        ({"a": [1]}, {"a": [2]}, False),
    ],
)
def test_values(one: Any, other: Any, alike: bool) -> None:
    assert (row_difference(["x"], [(one,)], [(other,)]) is None) == alike
    assert (row_difference(["x"], [(other,)], [(one,)]) is None) == alike


def test_random_rows_against_a_counter() -> None:
    rng = random.Random(13)
    values = (None, 0, 1, "a", "b", Decimal("1.5"), dt.date(2024, 1, 1))
    same = 0
    for _ in range(2_000):
        expected = [(rng.choice(values), rng.choice(values)) for _ in range(rng.randrange(5))]
        there = rng.sample(expected, len(expected))
        if rng.random() < 0.7:
            there = [(rng.choice(values), rng.choice(values)) for _ in range(rng.randrange(5))]
        key = rng.choice([(), ("a",), ("a", "b")])
        found = row_difference(["a", "b"], expected, there, key)
        missing, extra = Counter(expected) - Counter(there), Counter(there) - Counter(expected)
        same += found is None
        if found is None:
            assert not missing
            assert not extra
            continue
        assert Counter([*found.missing, *(pair[0] for pair in found.changed)]) == missing
        assert Counter([*found.extra, *(pair[1] for pair in found.changed)]) == extra
        assert not Counter(found.missing) & Counter(found.extra)
    assert 500 < same < 1_500


def test_rows_of_one_key_are_a_pair_and_others_by_likeness() -> None:
    expected = [(1, "a", 5), (2, "b", 6)]
    there = [(2, "x", 7), (9, "a", 5)]
    by_key = row_difference(["id", "s", "n"], expected, there, ["ID"])
    pair = ((2, "b", 6), (2, "x", 7))
    like = ((1, "a", 5), (9, "a", 5))
    assert by_key == RowDifference(("id", "s", "n"), (), (), (pair, like))
    without = row_difference(["id", "s", "n"], expected, there)
    assert without == RowDifference(("id", "s", "n"), ((2, "b", 6),), ((2, "x", 7),), (like,))
