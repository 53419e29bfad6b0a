"""Statements, indexes and exports in real runs, of SQL and Python models and of seeds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

from followed import Shop, shop_of

pytestmark = pytest.mark.slow

HEADER = """post_statements: insert into raw.log select '{0}', count(*) from $this
indexes: [{{columns: a, name: {0}_index}}]
export: exports/{0}
"""
PYTHON = '''"""
@model
{0}"""
def model(warehouse):
    return warehouse.sql("select 1 as a union all select 2").arrow()
'''
FILES = {
    "models/one.sql": f"/* @model\nmaterialized: table\n{HEADER.format('one')}*/\nselect 1 as a",
    "models/py.py": PYTHON.format(HEADER.format("py")),
    "models/last.sql": "select * from one, raw.missing",
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: log}, {name: missing}]}]\n",
    "seeds/s.csv": "a\n1\n2\n3\n",
    "dagster_models.yaml": "",
}
SEEDS = "seeds:\n  s:\n    " + HEADER.format("s").replace("\n", "\n    ").strip() + "\n"


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    files = {name: text for name, text in FILES.items() if text}
    shop = shop_of(request, tmp_path, monkeypatch, files)
    settings = shop.project.root / "dagster_models.yaml"
    settings.write_text(settings.read_text() + SEEDS)
    shop.execute("create table raw.log (what varchar, n bigint)")
    return shop


def exported(shop: Shop, name: str) -> list[tuple[Any, ...]]:
    path = shop.project.root / "exports" / name / "*.parquet"
    return sorted(duckdb.sql(f"from read_parquet('{path}')").fetchall())


@pytest.mark.nightly_for("postgres")
def test_a_run_and_its_re_execution(shop: Shop) -> None:
    ran = shop.project.run()
    assert ran.code != 0  # the last one reads what is not there
    assert sorted(shop.rows("select what, n from raw.log")) == [("one", 1), ("py", 2), ("s", 3)]
    assert exported(shop, "one") == [(1,)]
    assert exported(shop, "py") == [(1,), (2,)]
    assert exported(shop, "s") == [(1,), (2,), (3,)]
    found = shop.metadata()["main.py"]
    assert (found["export_rows"], found["export_files"]) == (2, 1)
    assert found["export"] == str(shop.project.root / "exports" / "py")
    # As if the run had been killed after a COMMIT: the next one switches the link, and builds none.
    os.unlink(shop.project.root / "exports" / "one")
    shop.execute("create table raw.missing as select 1 as b")
    ran = shop.project.run_again_from_failure()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert exported(shop, "one") == [(1,)]
    assert sorted(shop.rows("select what, n from raw.log")) == [("one", 1), ("py", 2), ("s", 3)]


def test_an_error_of_a_statement_is_shown_with_its_line(shop: Shop) -> None:
    shop.execute("drop table raw.log")
    ran = shop.project.run()
    assert ran.code != 0
    for place in ("models/one.sql:3", "models/py.py:3"):
        assert f"{place}: post_statements: " in ran.stdout, ran.stdout
    line = (shop.project.root / "dagster_models.yaml").read_text().split("\n").index("  s:") + 2
    assert f"dagster_models.yaml:{line}: post_statements: " in ran.stdout


def test_compile_shows_the_statements(shop: Shop) -> None:
    printed = shop.project.dagster_models("compile", "one").stdout
    sent = 'select 1 as a;\ninsert into "raw"."log" select \'one\', count(*) from "main"."one"'
    assert printed.rstrip().endswith(sent)
