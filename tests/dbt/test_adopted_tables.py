"""`import-dbt --adopt`: what dbt has built is taken over, and runs go on from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dagster_models.cli.adoption_lines import adoption_lines
from dagster_models.cli.main import main
from dagster_models.core.adopted import Adopted
from dagster_models.dbt.adoption import AdoptedNode
from dbt_cases import manifest_of, step
from dbt_profiles import dbt_profile, sql, write_shop
from real_dbt import PYTHON, needs_dbt
from systems import System, duckdb_system

SNAPSHOT = {"strategy": "check", "check_cols": ["amount"], "unique_key": "id"}


def adoption(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, str]]:
    """The exit code, and the state of each relation in the report."""
    code = main(["import-dbt", str(folder), "--adopt", "--json", *options])
    printed = capsys.readouterr()
    assert printed.out, printed.err
    found = json.loads(printed.out)["adoption"]
    written = folder.with_name(f"{folder.name}_models") / ".dagster_models_import"
    assert json.loads((written / "report.json").read_text())["adoption"] == found
    assert all(it["name"] in (written / "report.html").read_text() for it in found)
    return code, {it["name"]: f"{it['state']} {it['why']}".strip() for it in found}


def test_the_report_says_what_was_adopted_and_what_was_left_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shop"
    system = duckdb_system(str(folder / "dev.duckdb"))
    profile = dbt_profile(system, "marts")
    profile["outputs"]["dev"]["path"] = "dev.duckdb"  # dbt runs in the folder of its project
    query = "select 1 as id, 10 as amount"
    later = {"materialized": "incremental"}
    manifest_of(
        folder,
        step("orders", raw_code=query, config={"materialized": "table"}),
        step(
            "log", "model.shop.orders", raw_code="select * from {{ ref('orders') }}", config=later
        ),
        step("other", raw_code=f"{query}, 2 as more", config=later),
        step("new", raw_code=query, config=later),
        step("kept", kind="snapshot", raw_code=query, config=SNAPSHOT),
        step(
            "python",
            raw_code="def model(dbt, session):\n    return []\n",
            language="python",
            config=later,
        ),
    )
    write_shop(folder, profile, monkeypatch)
    assert main(["import-dbt", str(folder), "--adopt"]) == 1
    assert "has no database yet" in capsys.readouterr().err
    sql(system, "create schema marts")
    for name in ("orders", "log", "other"):
        sql(system, f"create table marts.{name} as {query}")
    columns = "now()::timestamp as dbt_valid_from, null::timestamp as dbt_valid_to"
    sql(system, f"create table marts.kept as {query}, {columns}")
    before = sql(system, "select * from marts.log, marts.other, marts.kept")
    code, found = adoption(folder, capsys)
    assert (code, found) == (
        1,
        {
            "marts.orders": "replaced",
            "marts.log": "adopted",
            "marts.other": "left the table does not have `more` (INTEGER)",
            "marts.new": "missing",
            "marts.kept": "adopted",
            "marts.python": "left it is a model in Python, whose columns nobody knows before it has"
            " run",
        },
    )
    assert sql(system, "select * from marts.log, marts.other, marts.kept") == before
    records = (
        "select relation, kind, run_id like 'adopted-%' from dagster_models.commits order by 1"
    )
    recorded = [("marts.kept", "snapshot", True), ("marts.log", "adopted", True)]
    assert sql(system, records) == recorded
    assert main(["import-dbt", str(folder), "--adopt"]) == 1
    shown = capsys.readouterr().out
    assert "     2  have a commit record already" in shown
    assert "left: marts.other: the table does not have `more` (INTEGER)" in shown
    assert sql(system, records) == recorded


FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\n",
    "seeds/raw.csv": "id,day,amount\n1,2024-01-01,10\n2,2024-01-02,\n3,2024-01-02,7.5\n",
    "models/daily.sql": """
{{ config(materialized='incremental', unique_key='day') }}
select day, count(*) as n, sum(amount) as amount from {{ ref('raw') }}
{% if is_incremental() %} where day >= (select max(day) from {{ this }}) {% endif %}
group by day
""",
    "models/log.sql": """
{{ config(materialized='incremental') }}
select id, amount, current_timestamp as at from {{ ref('raw') }}
{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}
""",
    "models/total.sql": "select sum(amount) as amount from {{ ref('daily') }}",
    "snapshots/kept.sql": """
{% snapshot kept %}
{{ config(target_schema=target.schema, unique_key='id', strategy='check', check_cols=['amount']) }}
select * from {{ ref('raw') }}
{% endsnapshot %}
""",
}


@pytest.mark.nightly
@pytest.mark.timeout(300)
@needs_dbt
@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_runs_go_on_from_what_dbt_itself_has_built(
    system: System,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "shop"
    write_shop(folder, dbt_profile(system, "public"), monkeypatch, FILES)
    build = [PYTHON, "-m", "dbt.cli.main", "build", "--profiles-dir", "."]
    subprocess.run(build, cwd=folder, capture_output=True, check=True)
    tables = ("daily", "log", "kept")
    before = {it: sql(system, f"select * from public.{it} order by 1") for it in tables}
    code, found = adoption(folder, capsys)
    assert (code, found) == (
        0,
        {
            **dict.fromkeys(("public.raw", "public.total"), "replaced"),
            **{f"public.{it}": "adopted" for it in tables},
        },
    )
    assert {it: sql(system, f"select * from public.{it} order by 1") for it in tables} == before
    # A new order, and another amount of an old one, which only the snapshot sees.
    place = tmp_path / "shop_models"
    seed = next(place.glob("seeds/**/raw.csv"))
    seed.write_text(seed.read_text().replace("1,2024-01-01,10", "1,2024-01-01,11"))
    seed.write_text(f"{seed.read_text()}4,2024-01-03,1\n")
    run = [sys.executable, "-m", "dagster_models.cli", "--project", str(place), "run"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = {it: sql(system, f"select * from public.{it} order by 1") for it in tables}
    assert after["daily"][:2] == before["daily"]
    assert [float(it[2]) for it in after["daily"]] == [10, 7.5, 1]
    assert after["log"][:3] == before["log"]
    assert len(after["log"]) == 4
    states = (
        "select id, cast(amount as integer), dbt_valid_to is null from public.kept order by 1, 3"
    )
    found_now = [(1, 10, False), (1, 11, True), (2, None, True), (3, 8, True), (4, 1, True)]
    assert sql(system, states) == found_now
    assert set(before["kept"][1:]) < set(after["kept"])


def test_the_summary_says_why_something_is_not_taken_over() -> None:
    found = {"a": Adopted("adopted"), "b": Adopted("left", "it is a view")}
    found |= {"c": Adopted("replaced"), "d": Adopted("replaced", "nobody knows what it reads")}
    lines = list(adoption_lines([AdoptedNode(f"model.shop.{k}", k, v) for k, v in found.items()]))
    assert lines[-2:] == ["  left: b: it is a view", "  replaced: d: nobody knows what it reads"]
    assert "  2  replaced by each run" in "".join(lines)


ORDERS = "select * from {{ ref('raw') }}"
SOURCE = {
    "unique_id": "source.shop.app.events",
    "resource_type": "source",
    "package_name": "shop",
    "source_name": "app",
    "name": "events",
    "identifier": "events",
    "database": "dev",
    "schema": "app",
    "relation_name": '"dev"."app"."events"',
    "original_file_path": "models/s.yml",
    "config": {},
    "columns": {},
}


def test_the_partitions_of_a_microbatch_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them counts as built, unless the user says that all do."""
    system = duckdb_system(str(tmp_path / "dev.duckdb"))
    folder, query = tmp_path / "shop", "select date '2024-01-05' as day, 10 as n"
    config = {"materialized": "incremental", "incremental_strategy": "microbatch"}
    config |= {"event_time": "day", "batch_size": "year", "begin": "2023-01-01"}
    manifest_of(folder, step("days", raw_code=query, config=config))
    write_shop(folder, dbt_profile(system, "marts"), monkeypatch)
    sql(system, "create schema marts")
    sql(system, f"create table marts.days as {query}")
    code, found = adoption(folder, capsys)
    assert (code, found["marts.days"].partition(" nobody")[0]) == (0, "adopted")
    assert "none counts as built" in found["marts.days"]
    windows = ["--project", str(tmp_path / "shop_models"), "windows", "days"]
    assert main(windows) == 0
    assert ": 0 built, 0 stale, " in capsys.readouterr().out
    assert adoption(folder, capsys, "--up-to-date") == (0, {"marts.days": "adopted"})
    assert main(windows) == 0
    assert ", 0 stale, 0 missing\n" in capsys.readouterr().out
    assert adoption(folder, capsys, "--up-to-date") == (0, {"marts.days": "recorded"})


def what_is_built(place: Path, system: System) -> list[str]:
    """The relations that a run with --only-changed builds."""
    ran = "select relation, run_id from dagster_models.commits"
    before = set(sql(system, ran))
    run = [sys.executable, "-m", "dagster_models.cli", "--project", str(place), "run"]
    done = subprocess.run([*run, "--only-changed"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(relation for relation, _ in set(sql(system, ran)) - before)


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
def test_nothing_is_rebuilt_that_is_up_to_date(
    system: System,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the user's word, --up-to-date, and where columns, and rows of seeds, are the same."""
    folder = tmp_path / "shop"
    table = {"materialized": "table"}
    seeds = {"seeds/raw.csv": "id,amount\n1,10\n2,20\n", "seeds/other.csv": "id\n1\n"}
    nodes = [
        {
            **step(name, kind="seed"),
            "original_file_path": f"seeds/{name}.csv",
            "path": f"{name}.csv",
            "config": {"materialized": "seed", "column_types": {"id": "integer"}},
        }
        for name in ("raw", "other")
    ]
    manifest_of(
        folder,
        *nodes,
        step("orders", "seed.shop.raw", raw_code=ORDERS, config=table),
        step("big", "model.shop.orders", raw_code="select id from {{ ref('orders') }}"),
        step("of_big", "model.shop.big", raw_code="select * from {{ ref('big') }}", config=table),
        step("of_other", "seed.shop.other", raw_code="select * from {{ ref('other') }}"),
        step(
            "log",
            "model.shop.orders",
            raw_code="select * from {{ ref('orders') }}",
            config={"materialized": "incremental"},
        ),
        step("of_log", "model.shop.log", raw_code="select id from {{ ref('log') }}", config=table),
        step(
            "of_source",
            SOURCE["unique_id"],
            raw_code="select id from {{ source('app', 'events') }}",
            config=table,
        ),
        adapter=system.name,
        sources={SOURCE["unique_id"]: SOURCE},
    )
    write_shop(folder, dbt_profile(system, "marts"), monkeypatch, seeds)
    for statement in (
        "create schema marts",
        "create schema app",
        "create table app.events as select 1 as id",
        "create table marts.raw (id integer, amount integer)",
        "insert into marts.raw values (2, 20), (1, 10)",
        "create table marts.other as select 2 as id",
        "create table marts.orders as select * from marts.raw",
        "create view marts.big as select id from marts.orders",
        "create table marts.of_big as select * from marts.big",
        "create view marts.of_other as select * from marts.other",
        "create table marts.log as select * from marts.orders",
        "create table marts.of_log as select id from marts.log",
        "create table marts.of_source as select id from app.events",
    ):
        sql(system, statement)
    assert main(["import-dbt", str(folder), "--up-to-date"]) == 2
    assert "give both" in capsys.readouterr().err
    code, found = adoption(folder, capsys, "--up-to-date")
    built = ("raw", "orders", "big", "of_big", "of_source", "log")
    assert found == {
        **{f"marts.{it}": "adopted" for it in built},
        "marts.other": "left its rows are not those of the file",
        "marts.of_other": "replaced nobody knows what seeds.other was built from",
        "marts.of_log": "replaced nobody knows what marts.log was built from",
    }
    assert code == 1
    _, again = adoption(folder, capsys, "--up-to-date")
    assert {again[f"marts.{it}"] for it in built} == {"recorded"}
    place = tmp_path / "shop_models"
    rest = [f"marts.{it}" for it in ("log", "of_log", "of_other", "other")]
    assert what_is_built(place, system) == rest
    # From now on a change is seen, and nobody drops the tables as ours.
    sql(system, "insert into app.events values (2)")
    sql(system, "insert into marts.of_big values (3)")
    seed = next(place.glob("seeds/**/other.csv"))
    seed.write_text(f"{seed.read_text()}5\n")
    changed = [f"marts.{it}" for it in ("of_big", "of_other", "of_source", "other")]
    assert what_is_built(place, system) == sorted([*changed, "marts.log", "marts.of_log"])
    assert len(sql(system, "select * from marts.of_source")) == 2
