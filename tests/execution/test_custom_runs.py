"""A kind of the project's own in real runs: one transaction with its record, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from followed import Shop, shop_of

pytestmark = pytest.mark.slow

KIND = """import os, signal; from dagster_models.kinds import Kind

class Log(Kind):
    def build(self, warehouse, model):
        assert model.name == "main.log", model
        if model.there is None:
            warehouse.execute(f"create table {model.relation} as select 0 as n, '' as said")
        held = warehouse.sql(f"select count(*) from {model.relation}").fetchone()[0]
        warehouse.execute(
            f"insert into {model.relation} select {held}, q.status from ({model.query}) as q"
        )
        act = warehouse.sql("select act from raw.acts").fetchone()[0]
        if act == "raise":
            raise ValueError("as the test wants")
        if act == "commit":
            warehouse.execute("commit")
        if act == "sql":
            warehouse.execute("select * from no_such_table")
        if act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "drop":
            warehouse.execute(f"drop table {model.relation}")
"""
FILES = {
    "kinds/log.py": KIND,
    "models/log.sql": "/* @model\nmaterialized: kinds.log.Log\n"
    "columns: {n: {checks: [unique]}}\n*/\nselect status from raw.orders",
    "models/after.sql": "select count(*) as held from log",
    "models/sources.yaml": "sources: [{name: raw, tables: [orders, acts]}]\n",
}


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = shop_of(request, tmp_path, monkeypatch, FILES)
    made.execute("create table raw.acts as select 'none' as act")
    made.order(1, "open", 1)
    return made


@pytest.mark.nightly_for("postgres")
def test_one_transaction(shop: Shop) -> None:
    log = "select n, said from main.log order by n"
    ran = shop.project.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    first = [(0, ""), (1, "open")]
    assert shop.rows(log) == first
    assert shop.rows("select held from main.after") == [(2,)]
    records = "select count(*) from dagster_models.commits where step = 'main.log'"
    for act, said in {
        "raise": "kinds/log.py:14",
        "commit": "COMMIT is refused",
        "sql": "kinds/log.py:18",
        "die": "was ended by SIGKILL",
        "drop": "has made no table or view",
    }.items():
        shop.execute(f"update raw.acts set act = '{act}'")
        ran = shop.project.run()
        assert ran.code != 0
        assert said in ran.stdout + ran.stderr
        assert (shop.rows(log), shop.rows(records)) == (first, [(1,)]), act
    shop.execute("update raw.acts set act = 'none'")
    shop.order(2, "paid", 1)  # twice the same n: the check refuses it
    ran = shop.project.run()
    assert ran.code != 0
    assert (shop.rows(log), shop.rows(records)) == (first, [(1,)])
