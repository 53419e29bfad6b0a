"""`import-dbt --verify-tables`: dbt and what was imported, both really run on copies of a database.

It runs if DAGSTER_MODELS_DBT is a Python that has dbt-core, dbt-duckdb and dbt-postgres.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dbt_profiles import dbt_profile, sql, write_shop
from pages import Page
from real_dbt import PYTHON, needs_dbt
from systems import System

PAGE = Page.of("import_dbt.md")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(900),
    needs_dbt,
]

FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\n",
    "seeds/raw_orders.csv": "id,day,amount\n1,2024-01-01,10\n2,2024-01-02,\n3,2024-01-02,7.5\n",
    "models/orders.sql": "select * from {{ ref('raw_orders') }}",
    "models/daily.sql": """
{{ config(materialized='incremental', unique_key='day') }}
select day, count(*) as n, sum(amount) as amount from {{ ref('orders') }}
{% if is_incremental() %} where day >= (select max(day) from {{ this }}) {% endif %}
group by day
""",
    "models/moments.sql": (
        "{{ config(materialized='table') }}"
        " select id, current_timestamp as at, random() as lot from {{ ref('orders') }}"
    ),
    "models/broken.sql": "select 1 / amount as ratio, nothing from {{ ref('orders') }}",
    "snapshots/kept.sql": """
{% snapshot kept %}
{{ config(target_schema=target.schema, unique_key='id', strategy='check', check_cols=['amount']) }}
select * from {{ ref('raw_orders') }}
{% endsnapshot %}
""",
    "models/schema.yml": """
models:
  - name: orders
    columns:
      - name: id
        data_tests: [unique, not_null]
      - name: amount
        data_tests:
          - not_null
          - not_null: {name: amount_is_there, config: {severity: warn}}
""",
    "tests/no_large_amount.sql": "select * from {{ ref('orders') }} where amount > 9",
}


@pytest.fixture
def shop(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project with its manifest, and a database which has a table of somebody else."""
    return shop_of(FILES, system, tmp_path, monkeypatch)


def shop_of(
    files: Mapping[str, str], system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "shop"
    write_shop(folder, dbt_profile(system, "public"), monkeypatch, files)
    program = tmp_path / "dbt"
    program.write_text(f'#!/bin/sh\nexec {PYTHON} -m dbt.cli.main "$@"\n')
    program.chmod(0o755)
    sql(system, "create schema other")
    sql(system, "create table other.t as select 1 as a")
    call = [str(program), "parse", "--profiles-dir", "."]
    subprocess.run(call, cwd=folder, capture_output=True, check=True)
    return folder


#: dbt-duckdb's own words of a merge that are imported.
MERGES = {
    "using": "merge_on_using_columns=['id']",
    "using_before_key": "unique_key='a', merge_on_using_columns=['id', 'n']",
    "by_name": "unique_key='id', merge_clauses={'when_matched': [{'action': 'update',"
    " 'mode': 'by_name'}], 'when_not_matched': [{'action': 'insert', 'mode': 'by_name'}]}",
    "include": "unique_key='id', merge_clauses={'when_matched': [{'action': 'update',"
    " 'mode': 'explicit', 'update': {'include': ['a']}}]}",
    "exclude": "unique_key='id', merge_clauses={'when_matched': [{'action': 'update',"
    " 'mode': 'explicit', 'update': {'exclude': ['a']}}]}",
    "all_columns": "unique_key='id', merge_clauses={'when_matched': [{'action': 'update',"
    " 'mode': 'explicit'}]}",
    "nothing": "unique_key='id', merge_clauses={'when_matched': [{'action': 'do_nothing'}]}",
    "of_target": "unique_key='id', merge_clauses={'when_not_matched': [{'action': 'insert',"
    " 'mode': 'by_name', 'by': 'target'}]}",
    "returning": "unique_key='id', merge_returning_columns=['id']",
    "updated_if": "unique_key='id', merge_update_condition='DBT_INTERNAL_SOURCE.n < 1'",
    "added_if": "unique_key='id', merge_insert_condition='n < 40'",
    "clauses_if": "unique_key='id', merge_clauses={'when_matched': [{'action': 'update', 'mode':"
    " 'explicit', 'update': {'include': ['a']}, 'condition': ['DBT_INTERNAL_DEST.n < 10',"
    " 'DBT_INTERNAL_SOURCE.n > 5']}], 'when_not_matched': [{'action': 'insert', 'mode': 'by_name',"
    " 'condition': 'DBT_INTERNAL_SOURCE.n > 40'}]}",
}
MERGED = """{{{{ config(materialized='incremental', incremental_strategy='merge', {}) }}}}
{{% if is_incremental() %}} select 1 as id, 'x' as a, 10 as n union all select 4, 'd', 40
{{% else %}} select 1 as id, 'a' as a, 1 as n union all select 2, 'b', 2 {{% endif %}}
"""


def state(folder: Path, system: System) -> dict[str, Any]:
    """All files of the dbt project and the database, so that a change is seen."""
    files = [*folder.rglob("*"), *folder.parent.glob("*.duckdb*")]
    found: dict[str, Any] = {
        str(it): hashlib.sha256(it.read_bytes()).hexdigest() for it in files if it.is_file()
    }
    if system.name != "duckdb":
        tables = "select table_schema, table_name from information_schema.tables order by 1, 2"
        found["tables"] = sql(system, tables)
        found["databases"] = sql(system, "select datname from pg_database order by 1")
    return found


def verified(shop: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    options = ["--verify-tables", "--dbt", str(shop.parent / "dbt"), "--json"]
    code = main(["import-dbt", str(shop), *options])
    printed = capsys.readouterr()
    assert printed.out, printed.err
    found: dict[str, Any] = json.loads(printed.out)["verification"]
    return code, found


@pytest.mark.parametrize("system", ["duckdb"], indirect=True)
def test_the_merges_of_dbt_duckdb_that_are_imported_write_the_same(
    system: System,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both sides build all twice."""
    files = {f"models/{name}.sql": MERGED.format(config) for name, config in MERGES.items()}
    files["dbt_project.yml"] = FILES["dbt_project.yml"]
    code, found = verified(shop_of(files, system, tmp_path, monkeypatch), capsys)
    assert code == 0, found
    states = {it["unique_id"].rpartition(".")[2]: it["state"] for it in found["relations"]}
    assert states == dict.fromkeys(MERGES, "equal")


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_both_are_run_on_copies_and_all_is_equal_but_the_clock_and_random_numbers(
    system: System, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(shop, system)
    code, found = verified(shop, capsys)
    assert state(shop, system) == before
    states = {it["unique_id"].rpartition(".")[2]: it for it in found["relations"]}
    assert {name: it["state"] for name, it in states.items()} == {
        **dict.fromkeys(("raw_orders", "orders", "daily"), "equal"),
        **dict.fromkeys(("moments", "kept"), "differs between two runs of dbt, too"),
        "broken": "not compared",
    }
    assert states["moments"]["columns"] == ["at", "lot"]
    assert "neither has built it" in states["broken"]["notes"][0]
    # Its hash is of the moment, too.
    assert states["kept"]["columns"] == ["dbt_scd_id", "dbt_updated_at", "dbt_valid_from"]
    tests = {it["name"]: (it["state"], it["dbt"], it["here"]) for it in found["tests"]}
    assert tests == {
        "unique_orders_id": ("equal", "pass", "pass"),
        "not_null_orders_id": ("equal", "pass", "pass"),
        "not_null_orders_amount": ("equal", "fail (1)", "fail (1)"),
        "amount_is_there": ("equal", "warn (1)", "warn (1)"),
        "no_large_amount": ("equal", "fail (1)", "fail (1)"),
    }
    assert (code, found["differs"]) == (0, False)


@pytest.mark.parametrize("system", ["duckdb"], indirect=True)
def test_the_commands_of_the_page(
    system: System,
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = shop.parent / "venv/bin/dbt"
    program.parent.mkdir(parents=True)
    (shop.parent / "dbt").rename(program)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(shop.parent)
    build = [str(program), "build", "--project-dir", "shop", "--profiles-dir", "shop"]
    subprocess.run(build, capture_output=True, check=False)
    Path("target").mkdir()
    Path(system.settings["path"]).rename("target/shop.duckdb")
    for line in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)[0].splitlines():
        main(shlex.split(line)[1:])
        shown = capsys.readouterr().out
        assert "Relations beside those of dbt: 3 equal" in shown
        assert "Tests beside those of dbt: 5 equal" in shown


@pytest.mark.parametrize("system", ["duckdb"], indirect=True)
def test_another_row_or_type_is_a_difference(
    system: System, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-dbt", str(shop)]) == 0
    file = next(shop.with_name("shop_models").glob("models/**/orders.sql"))
    text = file.read_text()
    file.write_text(
        text.replace("select *", "select * replace (id + id // 3 as id), 1::tinyint as more")
    )
    capsys.readouterr()
    code, found = verified(shop, capsys)
    states = {it["unique_id"].rpartition(".")[2]: it for it in found["relations"]}
    orders = states["orders"]
    assert (code, orders["state"], states["raw_orders"]["state"]) == (1, "differs", "equal")
    assert (orders["only"], orders["columns"]) == ({"dbt": 1, "here": 1}, ["id"])
    assert orders["notes"] == ["columns that dbt does not have: more"]
