"""The nearest names are those of difflib, which takes longer to find them."""

from __future__ import annotations

import difflib
import random

import pytest

from dagster_models.util.nearest import nearest

WORDS = [
    *(
        "stg_orders",
        "stg_order",
        "stg_orders_2",
        "orders",
        "order_items",
        "fct_orders",
        "customers",
    ),
    *("stg_customers", "dim_customer", "dim_customers", "events", "stg_events", "x"),
]


@pytest.mark.parametrize("count", [1, 3])
def test_they_are_those_of_difflib(count: int) -> None:
    chance = random.Random(7)
    known = [*WORDS, *("".join(chance.choices("abcs_", k=6)) for _ in range(60))]
    for word in [*WORDS, "stg_ordrs", "custmers", "abcabc", "s_s_s_", "zzz"]:
        others = [it for it in known if it != word]
        assert nearest(word, others, count) == difflib.get_close_matches(
            word, sorted(others), count, 0.6
        )
