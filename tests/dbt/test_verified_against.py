"""`import-dbt --verify-tables --against`: a database that dbt has built, without dbt at hand.

The database is made by hand, as dbt leaves one behind: tables, a view, and the results of its last
run in target/run_results.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_models.cli.dbt_databases import FileCopies, copies_of
from dagster_models.cli.main import main
from dagster_models.dbt.verification.copies import DbtProfile
from dagster_models.errors import DagsterModelsError
from dagster_models.project.targets import usable_target
from dbt_cases import dbt_test, manifest_of, step
from dbt_profiles import dbt_profile, sql, write_shop
from newer_duckdb import write_newer_file
from project_cases import load, write_project
from systems import System

ORDERS = "select 1 as id, 10 as amount union all select 2, 20"
NOT_NULL = (
    "{% test not_null(model, column_name) %}"
    "select {{ column_name }} from {{ model }} where {{ column_name }} is null{% endtest %}"
)


def database_of(system: System) -> str:
    """What --against calls the database: a file, or its name on the server."""
    if system.name == "duckdb":
        return str(system.settings["path"])
    return str(sql(system, "select current_database()")[0][0])


@pytest.fixture
def shop(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project, and what its last run has built."""
    folder, test = tmp_path / "shop", dbt_test("model.shop.orders", "not_null", "amount")
    reads = {"raw_code": "select * from {{ ref('orders') }}"}
    manifest_of(
        folder,
        step("orders", raw_code=ORDERS, config={"materialized": "table"}),
        step("big", "model.shop.orders", raw_code=f"{reads['raw_code']} where amount > 15"),
        step("log", "model.shop.orders", config={"materialized": "incremental"}, **reads),
        test,
        adapter=system.name,
        macros={"macro.dbt.test_not_null": NOT_NULL},
    )
    profile = dbt_profile(system, "marts")
    # The database of the profile is another one, and is not there.
    another = {"path": str(tmp_path / "none/dev.duckdb")} if system.name == "duckdb" else {}
    profile["outputs"]["dev"] |= another or {"dbname": "not_there"}
    write_shop(folder, profile, monkeypatch)
    result = {"unique_id": test["unique_id"], "status": "pass", "failures": 0, "message": None}
    (folder / "target/run_results.json").write_text(json.dumps({"results": [result]}))
    sql(system, "create schema marts")
    sql(system, f"create table marts.orders as {ORDERS}")
    sql(system, "create view marts.big as select * from marts.orders where amount > 15")
    sql(system, "create table marts.log as select * from marts.orders")
    return folder


def verified(
    shop: Path, system: System, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any], list[Any]]:
    options = ["--verify-tables", "--against", database_of(system), "--json"]
    code = main(["import-dbt", str(shop), *options])
    printed = capsys.readouterr()
    assert printed.out, printed.err
    found = json.loads(printed.out)["verification"]
    states = {it["unique_id"].rpartition(".")[2]: it for it in found["relations"]}
    return code, states, [(it["name"], it["state"], it["dbt"], it["here"]) for it in found["tests"]]


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_our_run_goes_on_from_a_copy_of_the_named_database(
    system: System, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sql(system, "select * from marts.orders order by 1")
    code, states, tests = verified(shop, system, capsys)
    # An incremental model without a filter is appended to: our run has gone on from dbt's rows.
    assert {name: it["state"] for name, it in states.items()} == {
        "orders": "equal",
        "big": "equal",
        "log": "differs",
    }
    assert states["log"]["only"] == {"dbt": 0, "here": 2}
    assert tests == [("not_null_orders_amount", "equal", "pass", "pass")]
    assert code == 1
    assert sql(system, "select * from marts.orders order by 1") == before
    assert len(sql(system, "select * from marts.log")) == 2
    if system.name == "postgres":
        left = "select datname from pg_database where datname like current_database() || '@_%'"
        assert sql(system, left.replace("'@_%'", "'@_%' escape '@'")) == []


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_a_row_that_dbt_has_otherwise_is_a_difference(
    system: System, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(system, "update marts.orders set amount = 21 where id = 2")
    _, states, _ = verified(shop, system, capsys)
    assert (states["orders"]["state"], states["orders"]["columns"]) == ("differs", ["amount"])
    assert states["big"]["state"] == "differs"


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_a_database_that_is_not_there_is_named(
    system: System, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-dbt", str(shop), "--verify-tables", "--against", "nothing_here"]) == 1
    assert "nothing_here" in capsys.readouterr().err


def test_a_path_of_the_environment_is_copied_if_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile's `env_var` has a default, or the variable is set; else no file is known."""
    files = {"dagster_models.yaml": "name: p", "models/a.sql": "select 1 as n"}
    project = load(write_project(tmp_path, files))

    def copied(path: str) -> Path:
        profile = DbtProfile("shop", "dev", {"type": "duckdb", "path": path})
        target = usable_target(project)
        copies = copies_of(project, target, profile.path, tmp_path, tmp_path / "copies", None)
        assert isinstance(copies, FileCopies)
        return copies.source

    given = "{{ env_var('SHOP_DB', './x.duckdb') }}"
    assert copied(given) == tmp_path / "x.duckdb"
    monkeypatch.setenv("SHOP_DB", "/data/y.duckdb")
    assert copied(given) == Path("/data/y.duckdb")
    with pytest.raises(DagsterModelsError, match="is no file that can be copied"):
        copied("{{ env_var('UNKNOWN') }}")


@pytest.mark.parametrize("system", ["duckdb"], indirect=True)
def test_a_newer_duckdb_of_dbt_is_reported_before_dbt_builds_anything(
    system: System, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """dbt is a program that makes the file of its profile as its DuckDB would do. As dbt's own
    `debug` does, it refuses `--target-path`."""
    newer, calls, program = (tmp_path / it for it in ("newer.duckdb", "calls", "dbt"))
    write_newer_file(newer)
    into = '$(sed -n \'s/^ *path: //p\' "$(dirname "$PWD")/dbt_profile/profiles.yml")'
    program.write_text(
        f'#!/bin/sh\necho "$2" >> {calls}\n'
        f'case "$*" in *--target-path*) exit 2;; esac\ncp {newer} "{into}"\n'
    )
    program.chmod(0o755)
    assert main(["import-dbt", str(shop), "--verify-tables", "--dbt", str(program)]) == 1
    assert f"newer DuckDB than {duckdb.__version__}" in capsys.readouterr().err
    assert calls.read_text() == "debug\n"


@pytest.mark.parametrize("system", ["duckdb"], indirect=True)
def test_a_database_of_a_newer_duckdb_is_reported_before_our_run(
    system: System, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = tmp_path / "newer.duckdb"
    write_newer_file(newer)
    assert main(["import-dbt", str(shop), "--verify-tables", "--against", str(newer)]) == 1
    printed = capsys.readouterr().err
    assert f"newer DuckDB than {duckdb.__version__}" in printed
    assert "Verifying" not in printed
