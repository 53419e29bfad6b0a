"""Functions and ephemeral models in real runs, and in a run that goes on from a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from followed import Shop, shop_of

pytestmark = pytest.mark.slow

FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]\n",
    "models/tens.sql": "/* @model\nmaterialized: function\narguments: {n: integer}\n"
    "returns: bigint\n*/\nselect $n * 10",
    "models/open_orders.sql": "/* @model\nmaterialized: ephemeral\n*/\n"
    "select order_id\nfrom raw.orders where status = 'open'",
    "models/report.sql": "select tens(order_id) as t from open_orders",
    "models/made.py": "def model(warehouse):\n"
    '    return warehouse.sql("select tens(order_id) as t from open_orders").arrow()\n',
    "checks/tens.sql": "/* @check\nmodel: tens\n*/\nselect 1 where tens(2) <> 20",
}


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return shop_of(request, tmp_path, monkeypatch, FILES)


@pytest.mark.nightly_for("postgres")
def test_a_run_and_a_run_from_its_failure(shop: Shop) -> None:
    for number in (1, 2):
        shop.order(number, "open", number)
    shop.order(3, "paid", 3)
    broken = "select max(tens(order_id)) as t,\nno_such_function() from open_orders"
    shop.project.write({"models/broken.sql": broken})
    ran = shop.project.run()
    assert ran.code != 0
    states = ran.states()
    assert states.pop("main.broken") == "failed"
    assert set(states) == {"main.tens", "main.report", "main.made"}
    assert set(states.values()) == {"succeeded"}
    assert "models/broken.sql:2" in ran.stdout
    for table in ("report", "made"):
        assert shop.rows(f"select t from main.{table} order by t") == [(10,), (20,)]
    shop.project.write({"models/broken.sql": FILES["models/report.sql"]})
    again = shop.project.run_again_from_failure()
    assert again.code == 0, again.stdout + again.stderr
    records = "select step, count(*) from dagster_models.commits group by step order by 1"
    assert shop.rows(records) == [
        (f"main.{name}", 1) for name in ("broken", "made", "report", "tens")
    ]
    hidden = FILES["models/open_orders.sql"].replace(
        "order_id\n", "order_id,\nno_such_function() as x\n"
    )
    shop.project.write({"models/open_orders.sql": hidden})
    ran = shop.project.run()
    assert ran.stdout.count("models/open_orders.sql:5") >= 2
