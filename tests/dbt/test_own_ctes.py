"""A CTE that has the name of the relation which it reads. The oracle is the parser, whose scopes
say what the bare name means in each place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.text import placeholders as module
from dagster_models.dbt.text.placeholders import Placeholders
from dbt_cases import manifest_of, step

DIALECTS = ("duckdb", "postgres", "snowflake", "bigquery", "clickhouse", "trino", "spark", "tsql")
ORDERS = "{orders}"
#: Texts in which each place is the only one that the name is read in, and within its own CTE.
OWN = (
    "with orders as (select * from {orders}) select * from orders",
    "with a as (select 1 as n), orders as (\n select o.id from {orders} as o where o.id in"
    " (select id from {orders})) select * from orders join a on true",
    "with orders as (select * from x join {orders} using (id)) select * from orders",
    "with orders as (select *, (select max(id) from x) as m from {orders}) select * from orders",
    "/* {orders} */ with orders as (select * from {orders}) select * from orders -- {orders}",
)
#: Texts in which somebody has to look: the name is hidden, or is no table's.
OTHERS = (
    "with orders as (select 1 as id) select * from orders join {orders} using (id)",
    "with orders as (select * from {orders}), b as (select * from {orders}) select * from b",
    "with b as (select * from {orders}), orders as (select * from b) select * from orders",
    "with recursive orders as (select id from {orders} union all select id + 1 from orders"
    " where id < 3) select * from orders",
    "with recursive orders as (select id from x union all select id from {orders}) select 1 as n",
    "with orders as (select id from x union all select id from {orders}) select * from orders",
    "with orders as (select {orders}.id from {orders}) select * from orders",
    "with orders as (select extract(year from {orders}) from x) select * from orders",
    "with orders as (select 1 as n from x where n is distinct from {orders}) select * from orders",
    "with orders(id) as (select id from {orders}) select * from orders",
    "with orders as (with orders as (select 1 as id) select * from {orders}) select * from orders",
    "with a as (with orders as (select 1 as id) select * from orders),"
    " orders as (select * from {orders}) select * from orders",
    "with orders (select * from {orders}) select * from orders",
    "select * from (with orders as (select 1 as id) select * from orders) as a, {orders}",
)


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Placeholders:
    manifest = manifest_of(tmp_path, step("orders"))
    return Placeholders(manifest, NodeNames(manifest), request.param)


def named(shop: Placeholders, text: str) -> str:
    return shop.named(text.replace(ORDERS, shop.written("model.shop.orders"))).text


@pytest.mark.parametrize("shop", DIALECTS, indirect=True)
@pytest.mark.parametrize("text", [*OWN, *OTHERS])
def test_it_is_named_as_the_parser_says(
    shop: Placeholders, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = named(shop, text)
    monkeypatch.setattr(module, "read_in_own_cte", lambda *_: set())
    assert found == named(shop, text)


@pytest.mark.parametrize("shop", ["duckdb", "postgres", "snowflake", "trino"], indirect=True)
@pytest.mark.parametrize("text", OWN)
def test_most_texts_need_no_parser(
    shop: Placeholders, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(module, "parse_sql", refuse)
    assert named(shop, text) == text.replace(ORDERS, "orders")


@pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
def test_a_name_that_the_cte_hides_is_qualified(shop: Placeholders) -> None:
    assert named(shop, OTHERS[0]) == OTHERS[0].replace(ORDERS, "marts.orders")
