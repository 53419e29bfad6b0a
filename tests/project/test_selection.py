"""Selections: the words of dbt and the syntax of Dagster, with Dagster itself as the oracle."""

from __future__ import annotations

import os

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_models.definitions.selection import asset_nodes
from dagster_models.definitions.translator import beta_features
from dagster_models.errors import SelectionError
from dagster_models.project.selection import Facts, Node, select

#: raw.orders -> stg_orders -> orders -> late; raw.items -> orders, and alone.
NODES = [
    Node("raw.orders", ("orders", "raw/orders"), folder="raw", is_source=True),
    Node("raw.items", ("items",), path="models/raw/items.py", folder="raw", tags={"pii": "high"}),
    Node(
        "staging.stg_orders",
        ("stg_orders", "staging/stg_orders"),
        ("raw.orders",),
        "models/staging/stg_orders.sql",
        "staging",
        "clean",
        ("ann@x.org",),
        frozenset({"sql", "view"}),
        {"nightly": ""},
    ),
    Node(
        "marts.orders",
        ("orders", "marts/orders"),
        ("staging.stg_orders", "raw.items"),
        "models/marts/core/orders.sql",
        "marts",
        kinds=frozenset({"sql", "table"}),
        tags={"nightly": ""},
    ),
    Node("marts.late", ("late",), ("marts.orders",), "models/marts/late.sql", "marts"),
    Node("marts.alone", ("alone",), (), "models/marts/alone.sql", "marts"),
]
FACTS = Facts(lambda ref: ["marts.late"] if ref else ["raw.items"], lambda: ["marts.orders"])


def found(text: str, exclude: str = "", facts: Facts | None = FACTS) -> list[str]:
    return [name.rpartition(".")[2] for name in select(NODES, text, facts, exclude)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["orders", "items", "stg_orders", "orders", "late", "alone"]),
        ("stg_orders+", ["stg_orders", "orders", "late"]),
        ("STG_orders+1", ["stg_orders", "orders"]),
        ("2+late", ["items", "stg_orders", "orders", "late"]),
        ("+marts.orders+1", ["orders", "items", "stg_orders", "orders", "late"]),
        ("orders", ["orders", "orders"]),
        ("staging", ["stg_orders"]),
        ("*orders", ["orders", "stg_orders", "orders"]),
        ("models/marts/core", ["orders"]),
        ("./models/marts/late.sql", ["late"]),
        ("path:models/marts/", ["orders", "late", "alone"]),
        ("path:models/marts/*.sql", ["orders", "late", "alone"]),
        ("file:late.sql file:alone", ["late", "alone"]),
        ("tag:nightly", ["stg_orders", "orders"]),
        ('tag:"pii"="high"', ["items"]),
        ("owner:ann@x.org", ["stg_orders"]),
        ("group:clean+1", ["stg_orders", "orders"]),
        ("kind:view", ["stg_orders"]),
        ("source:raw+1", ["orders", "stg_orders"]),
        ("source:raw.orders", ["orders"]),
        ("source:orders", ["orders"]),
        ("tag:nightly,path:models/marts", ["orders"]),
        ("late tag:nightly,kind:view", ["stg_orders", "late"]),
        ('key:"marts/orders" or late and not alone', ["orders", "late"]),
        ("marts and not (late or alone)", ["orders"]),
        ("(stg_orders late)+1", ["stg_orders", "orders", "late"]),
        ("1+(late)", ["orders", "late"]),
        ("sinks(marts)", ["late", "alone"]),
        ("roots(+late)", ["orders", "items"]),
        ("sinks(raw late)", ["late"]),
        ("roots(raw late)", ["orders", "items"]),
        ("changed+1", ["items", "orders"]),
        ("changed:main", ["late"]),
        ("failed+", ["orders", "late"]),
    ],
)
def test_what_is_selected(text: str, names: list[str]) -> None:
    assert found(text) == names


def test_what_is_excluded() -> None:
    assert found("marts", "late+ tag:nightly") == ["alone"]
    assert found("", "+late") == ["alone"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("stg_order", "`stg_order` matches nothing; did you mean stg_orders"),
        ("late stg_order+", "`stg_order` matches nothing"),
        ("source:marts", "`source:marts` matches nothing"),
        ("tag:nightl", "did you mean tag:nightly?"),
        ("tag:x", "`tag:x` matches nothing; there are nightly, pii=high"),
        ("late,alone", "the selection `late,alone` matches nothing"),
        ("state:modified", "write changed"),
        ("colour:red", "`colour:` of `colour:red` is not known; there are key:, tag:"),
        ("@late", r"what that needs is `\+\(late\+\)`"),
        ("late and", "a name is missing at the end"),
        ("(late", "a parenthesis is not closed"),
        ("late)", r"`\)` is not expected"),
        ("a, or b", "a name is missing before `or`"),
        ("+", r"a name is missing beside `\+`"),
        ("leaves(late)", r"`leaves\(` is not known"),
        ('tag:"x', "a quote is not closed"),
    ],
)
def test_what_is_wrong(text: str, error: str) -> None:
    with pytest.raises(SelectionError, match=error):
        found(text)


def test_an_exclusion_that_matches_nothing_is_an_error_too() -> None:
    with pytest.raises(SelectionError, match="`lat` matches nothing; did you mean late"):
        found("marts", "lat")
    with pytest.raises(SelectionError, match="matches nothing that `marts` does not exclude"):
        found("late", "marts")


def test_nothing_may_have_changed() -> None:
    nothing = Facts(lambda ref: [], list)
    assert found("changed+ failed+", facts=nothing) == []
    with pytest.raises(SelectionError, match="known when a run begins"):
        found("changed", facts=None)


@dg.asset(tags={"a": "x", "b": "y"}, owners=["ann@x.org"], group_name="one", key_prefix="s")
def top() -> None: ...


@dg.asset(deps=[top], tags={"a": ""}, group_name="one", key_prefix="s")
def left() -> None: ...


@dg.asset(deps=[top], kinds={"sql"}, group_name="two", key_prefix="t")
def right() -> None: ...


@dg.asset(deps=[left, right], group_name="two", key_prefix="t")
def bottom() -> None: ...


ASSETS = [top, left, right, bottom]
_LEAVES = [
    *('key:"s/top"', 'key:"t/right"', 'key:"t/*"', "*", 'tag:"a"="x"', 'tag:"a"', "group:one"),
    *('group:"two"', 'owner:"ann@x.org"', "kind:sql", 'key:"s/left"', 'key:"t/bottom"'),
]


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ends = st.sampled_from(
        ["sinks({})", "roots({})", "not {}", "({})", "+({})", "({})+1", "1+({})"]
    )
    pairs = st.sampled_from(["{} and {}", "{} or {}", "({}) and not ({})", "{} or {} and {}"])
    one = st.builds(lambda form, of: form.format(of), ends, inner)
    two = st.builds(lambda form, a, b: form.format(a, b, a), pairs, inner, inner)
    return one | two


@example('sinks(key:"s/top" or key:"t/bottom")')
@example('roots(key:"s/top" or key:"t/bottom")')
@given(st.recursive(st.sampled_from(_LEAVES), combined, max_leaves=5))
@settings(max_examples=int(os.environ.get("SELECTIONS", "150")), deadline=None)
def test_dagster_selects_the_same(text: str) -> None:
    with beta_features():
        theirs = dg.AssetSelection.from_string(text).resolve(ASSETS)
    try:
        ours = select(asset_nodes(ASSETS), text, None)
    except SelectionError:  # of something that matches nothing, as a part or in all
        return
    assert set(ours) == {key.to_user_string() for key in theirs}
