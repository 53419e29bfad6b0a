"""Incremental models in real runs: what they write, what every place reports, who asks for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from followed import Shop, shop_of

pytestmark = pytest.mark.slow

ORDERS = """/* @model
materialized: incremental
unique_key: order_id
since: updated_at
*/
select order_id, status, updated_at
from raw.orders
where updated_at >= $since
"""
PYTHON = '''"""
@model
materialized: incremental
unique_key: [order_id]
since: {column: updated_at, begin: 2000-01-01}
"""
def model(warehouse):
    assert (warehouse.since.year == 2000) == (not warehouse.is_incremental)
    return warehouse.sql("select * from raw.orders where updated_at >= $since").arrow()
'''
FILES = {
    "models/orders.sql": ORDERS,
    "models/in_python.py": PYTHON,
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}]}]\n",
}
STEPS = ("main.in_python", "main.orders")


def built(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    return {
        step: shop.rows(f"select order_id, status from {step} order by order_id") for step in STEPS
    }


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return shop_of(request, tmp_path, monkeypatch, FILES)


def both(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    return dict.fromkeys(STEPS, rows)


def test_a_table_that_grows(shop: Shop) -> None:
    for number in (1, 2):
        shop.order(number, "open", number)
    ran = shop.project.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert built(shop) == both([(1, "open"), (2, "open")])
    assert "2 rows (in full)" in ran.stdout
    assert {it["build"] for it in shop.metadata().values()} == {"in full"}

    shop.order(2, "paid", 3)
    shop.order(3, "open", 3)
    shop.execute("delete from raw.orders where order_id = 1")  # it is not read again
    ran = shop.project.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert built(shop) == both([(1, "open"), (2, "paid"), (3, "open")])
    assert ran.stdout.count("1 inserted, 1 updated") == 2
    for found in shop.metadata().values():
        counts = [found[f"rows_{word}"] for word in ("inserted", "updated", "deleted")]
        assert counts == [1, 1, 0]
        assert found["since"] == "TIMESTAMP '2026-01-02 00:00:00'"
    sql = shop.metadata()["main.orders"]["compiled_sql"]
    assert "where updated_at >= TIMESTAMP '2026-01-02 00:00:00'" in sql
    for result in ran.results["results"]:
        response = result["adapter_response"]
        assert (response["build"], response["rows_affected"]) == ("delta", 2)
    kept = shop.rows("select step, kind, inserted, updated from dagster_models.commits")
    assert sorted(kept) == sorted(
        (step, *counts) for step in STEPS for counts in (("whole", 2, 0), ("delta", 1, 1))
    )

    ran = shop.project.run()
    assert ran.stdout.count("1 updated") == ran.stdout.count("inserted") == 0
    assert ran.stdout.count("no changes") == 2


@pytest.mark.nightly_for("postgres")
def test_a_full_refresh(shop: Shop) -> None:
    shop.order(0, "open", 1)  # too old to be read again
    shop.order(1, "open", 2)
    assert shop.project.run().code == 0
    shop.execute("update raw.orders set status = 'changed'")  # silently
    shop.order(2, "open", 3)
    wrong = shop.project.run({"full_refresh": ["nowhere"]})
    assert wrong.code != 0
    assert "no model is named 'nowhere'" in wrong.stdout + wrong.stderr
    ran = shop.project.run({"full_refresh": ["in_python"]})
    assert ran.code == 0, ran.stdout + ran.stderr
    assert {step: it["build"] for step, it in shop.metadata().items()} == {
        "main.in_python": "in full",
        "main.orders": "incremental",
    }
    shop.project.write({"models/orders.sql": ORDERS.replace("*/", "full_refresh: false\n*/", 1)})
    shop.execute("update raw.orders set status = 'changed' where order_id = 2")
    ran = shop.project.run({"full_refresh": True})
    assert "main.orders is not built in full, as it says `full_refresh: false`" in ran.stdout
    assert {step: it["build"] for step, it in shop.metadata().items()} == {
        "main.in_python": "in full",
        "main.orders": "incremental",
    }
    assert built(shop) == {
        "main.in_python": [(0, "changed"), (1, "changed"), (2, "changed")],
        "main.orders": [(0, "open"), (1, "changed"), (2, "changed")],
    }


@pytest.mark.nightly_for("postgres")
def test_a_text_with_another_reading_for_a_build_in_full(shop: Shop) -> None:
    header = "/* @model\nmaterialized: incremental\nunique_key: order_id\n*/\n"
    text = (
        "select order_id, status, updated_at from raw.orders\n"
        "/* @incremental */ where order_id > (select max(order_id) from main.orders)\n"
        "/* @full where status <> 'old' */\n"
    )
    shop.project.write({"models/orders.sql": header + text})
    shop.order(1, "old", 1)
    shop.order(2, "open", 1)
    shop.order(3, "open", 1)
    assert shop.project.run().code == 0
    assert built(shop)["main.orders"] == [(2, "open"), (3, "open")]
    assert "status <> 'old'" in shop.metadata()["main.orders"]["compiled_sql"]
    shop.execute("update raw.orders set status = 'paid'")
    shop.order(4, "old", 2)
    assert shop.project.run().code == 0
    assert built(shop)["main.orders"] == [(2, "open"), (3, "open"), (4, "old")]
    assert "max(order_id)" in shop.metadata()["main.orders"]["compiled_sql"]
    assert shop.project.run({"full_refresh": True}).code == 0
    assert built(shop)["main.orders"] == [(1, "paid"), (2, "paid"), (3, "paid")]


@pytest.mark.nightly_for("postgres")
def test_a_python_model_may_return_an_empty_list(shop: Shop) -> None:
    as_rows = PYTHON.replace(".arrow()", ".arrow().to_pylist()").replace(">= $since", "> $since")
    shop.project.write({"models/in_python.py": as_rows})
    shop.order(1, "open", 1)
    for _ in range(2):
        ran = shop.project.run()
        assert ran.code == 0, ran.stdout + ran.stderr
        assert built(shop)["main.in_python"] == [(1, "open")]
    assert shop.metadata()["main.in_python"]["rows_inserted"] == 0
