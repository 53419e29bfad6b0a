"""Snapshots in real runs: what they write and report, two runs at once, a full refresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from followed import Shop, shop_of

pytestmark = pytest.mark.slow

BY_CHECK = """/* @model
materialized: snapshot
unique_key: order_id
strategy: check
hard_deletes: new_record
*/
select order_id, status from raw.orders
"""
BY_TIME = '''"""
@model
materialized: snapshot
unique_key: [order_id]
strategy: timestamp
updated_at: updated_at
hard_deletes: invalidate
columns: {order_id: {type: int}, status: {type: varchar}, updated_at: {type: timestamp}}
"""
def model(warehouse):
    assert not warehouse.is_incremental
    return warehouse.sql("select * from raw.orders").arrow()
'''
NOW = """select order_id, status, valid_from from by_check
where valid_to is null and not is_deleted
"""
FILES = {
    "models/by_check.sql": BY_CHECK,
    "models/in_python.py": BY_TIME,
    "models/now.sql": NOW,
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}]}]\n",
}
VERSIONS = "select order_id, status, valid_to is null from {} order by 1, valid_from"


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return shop_of(request, tmp_path, monkeypatch, FILES)


@pytest.mark.nightly_for("postgres")
def test_a_history(shop: Shop) -> None:
    for number in (1, 2):
        shop.order(number, "open", number)
    ran = shop.project.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("2 new") == 2
    shop.order(2, "paid", 3)
    shop.order(3, "open", 3)
    shop.execute("delete from raw.orders where order_id = 1")
    ran = shop.project.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("1 new, 1 changed, 1 gone") == 2
    found = shop.metadata()
    for step in ("main.by_check", "main.in_python"):
        counts = [found[step][f"rows_{word}"] for word in ("new", "changed", "gone")]
        assert (found[step]["build"], counts) == ("snapshot", [1, 1, 1])
    result = next(r for r in ran.results["results"] if r["unique_id"].endswith("by_check"))
    response = result["adapter_response"]
    counts = [response[f"rows_{word}"] for word in ("new", "changed", "gone")]
    assert (response["build"], response["rows_affected"], counts) == ("snapshot", 3, [1, 1, 1])
    gone = [(1, "open", False)]
    rest = [(2, "open", False), (2, "paid", True), (3, "open", True)]
    assert shop.rows(VERSIONS.format("main.by_check")) == [*gone, (1, "open", True), *rest]
    assert shop.rows(VERSIONS.format("main.in_python")) == [*gone, *rest]
    assert shop.rows("select order_id, status from main.now order by 1") == [
        (2, "paid"),
        (3, "open"),
    ]
    began = "select cast(valid_from as varchar) from main.in_python order by 1"
    assert [day[:10] for (day,) in shop.rows(began)] == [f"2026-01-0{d}" for d in (1, 2, 3, 3)]

    rows = shop.rows("select * from main.by_check order by order_id, valid_from")
    ran = shop.project.run({"full_refresh": True})  # all that can be; a history cannot
    assert ran.code == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("no changes") == 2
    assert "main.by_check is not built in full, as it is a snapshot: what rows were" in ran.stdout
    assert shop.rows("select * from main.by_check order by order_id, valid_from") == rows


@pytest.mark.nightly_for("postgres")
def test_a_full_refresh_of_a_snapshot_by_name_is_refused(shop: Shop) -> None:
    shop.order(1, "open", 1)
    assert shop.project.run().code == 0
    before = shop.rows("select * from main.by_check")
    for name in ("by_check", "main.by_check"):
        ran = shop.project.run({"full_refresh": [name]})
        assert ran.code != 0
        said = ran.stdout + ran.stderr
        assert "full_refresh: main.by_check is a snapshot" in said
        assert "drop or rename the table by hand" in said
    assert shop.rows("select * from main.by_check") == before


@pytest.mark.nightly_for("postgres")
def test_two_runs_at_once(shop: Shop) -> None:
    """The second one sees what the first has written, and doubles nothing."""
    for number in range(1, 9):
        shop.order(number, "open", 1)
    assert shop.project.run().code == 0
    shop.execute("update raw.orders set status = 'paid', updated_at = timestamp '2026-02-01'")
    runs = [shop.project.start() for _ in range(2)]
    said = [run.communicate(timeout=100) for run in runs]
    for (out, err), run in zip(said, runs, strict=True):
        # Only a Python model may have read before the other run wrote: it is refused, or fits.
        refused = "another run has written main.in_python since this model read it" in out + err
        assert run.returncode == 0 or refused, out + err
    for table in ("main.by_check", "main.in_python"):
        twice = [row for n in range(1, 9) for row in ((n, "open", False), (n, "paid", True))]
        assert shop.rows(VERSIONS.format(table)) == twice
