"""tests/data/projects/shop, a project with one of everything: read, compiled, built on DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.sql_text import (
    compile_step,
    compile_tables,
    compile_text,
    relation_for,
    relation_sql,
)
from dagster_models.core.jobs import Job, Schedule
from dagster_models.core.model import (
    Key,
    Location,
    Project,
    Relation,
)
from dagster_models.core.retries import Retries
from dagster_models.errors import ProjectError, SqlSyntaxError
from dagster_models.project.targets import usable_target
from paths import DATA
from project_cases import load, upstream, write_project

SHOP = DATA / "projects" / "shop"


@pytest.fixture(scope="module")
def shop() -> Project:
    return load(SHOP, environ={"SHOP_THREADS": "7"})


def test_the_shop_is_read_whole(shop: Project) -> None:
    assert {str(key): step.kind for key, step in shop.steps.items()} == {
        "seeds.customers": "seed",
        "ref.countries": "seed",
        "scripts.import_orders": "script",
        "scripts.notify": "script",
        "staging.stg_orders": "sql",
        "staging.stg_payments": "sql",
        "marts.by_status": "sql",
        "marts.forecast": "python",
        "marts.revenue": "sql",
        "main.top": "sql",
    }
    assert (shop.name, shop.dialect, shop.default_target) == ("shop", "duckdb", "dev")
    assert shop.defaults["fail_fast"] == "drain"
    assert shop.defaults["max_concurrent"] == 3
    assert [str(warning) for warning in shop.warnings] == [
        "scripts/notify.py:9:1: warning: `finance_report` is not a model, seed or source of"
        " this project\n    Declare it in models/sources.yaml if this project only reads it."
    ]


def test_what_reads_what(shop: Project) -> None:
    assert {str(key): upstream(shop, str(key)) for key in shop.steps} == {
        "seeds.customers": [],
        "ref.countries": [],
        "scripts.import_orders": [],
        # from the text, from `downstream:` of the script, from its relationships check
        "staging.stg_orders": ["raw.orders", "scripts.import_orders", "seeds.customers"],
        # from the text, from the script, from a check of checks/
        "staging.stg_payments": ["raw.payments", "scripts.import_orders", "staging.stg_orders"],
        "marts.revenue": ["staging.stg_orders", "seeds.customers"],
        "marts.by_status": ["staging.stg_orders"],
        "marts.forecast": ["staging.stg_orders", "marts.revenue", "marts.by_status"],
        "main.top": ["marts.revenue"],
        "scripts.notify": ["main.top", "scripts.import_orders", "marts.revenue"],
    }


def test_steps_come_after_what_only_their_checks_read(tmp_path: Path) -> None:
    header = "/* @model\ncolumns: {n: {checks: [{relationships: {to: z, field: n}}]}}\n*/\n"
    files = {"models/a.sql": f"{header}select 1 as n", "models/z.sql": "select 1 as n"}
    loaded = load(write_project(tmp_path, files))
    assert [key.name for key in loaded.steps] == ["z", "a"]


def test_steps_come_after_what_they_read(shop: Project) -> None:
    order = list(shop.steps)
    for key, step in shop.steps.items():
        for read in step.upstream:
            if read in shop.steps:
                assert order.index(read) < order.index(key)


def test_defaults_by_folder_and_the_own_header(shop: Project) -> None:
    orders = shop.steps[Key("staging", "stg_orders")].config
    revenue = shop.steps[Key("marts", "revenue")].config
    forecast = shop.steps[Key("marts", "forecast")].config
    assert (orders.materialized, orders.owner, orders.tags) == (
        "view",
        ("staging@example.com",),
        ("all",),
    )
    assert (revenue.materialized, revenue.tags) == ("table", ("all", "mart"))
    assert revenue.meta == {"team": "data", "tier": 2}
    assert revenue.retries == Retries(2, 300.0, "exponential", "full")
    assert (revenue.timeout_seconds, revenue.on_error) == (7200.0, "continue")
    assert (forecast.materialized, forecast.timeout_seconds) == ("table", None)
    assert forecast.owner == ("a@example.com", "team:data")
    notify = shop.steps[Key("scripts", "notify")].config
    assert (notify.pool, notify.retries, notify.on_error) == ("ops", Retries(2), "abort")
    groups = {str(key): step.config.group for key, step in shop.steps.items()}
    assert groups["marts.revenue"] == "marts"
    assert groups["main.top"] == "main"
    seed = shop.steps[Key("seeds", "customers")].config
    assert seed.column_types == {"id": "integer", "name": "varchar"}


def test_columns_and_checks_of_the_shop(shop: Project) -> None:
    orders = shop.steps[Key("staging", "stg_orders")]
    assert orders.config.columns[0].description == "The order's number."
    assert [(c.name, c.severity, c.test, *c.columns) for c in orders.checks] == [
        ("unique_id", "error", "unique", "id"),
        ("not_null_id", "error", "not_null", "id"),
        ("accepted_values_status", "error", "accepted_values", "status"),
        ("status_is_known", "warn", "not_null", "status"),
        ("relationships_customer_id", "error", "relationships", "customer_id"),
    ]
    assert orders.checks[1].location == Location("models/staging/stg_orders.sql", 4, 74)
    # The most downstream of what the query reads, and the one that its header names.
    revenue = shop.steps[Key("marts", "revenue")].checks
    assert [(c.name, c.severity, c.model) for c in revenue] == [
        ("amounts_add_up", "warn", Key("marts", "revenue"))
    ]
    assert [c.name for c in shop.steps[Key("staging", "stg_payments")].checks] == ["paid"]


def test_jobs_and_schedules_of_the_shop(shop: Project) -> None:
    tags = {"team": "data", "paged": "true"}
    assert shop.jobs == (Job("nightly", 'group:"marts"', "All marts.", tags),)
    assert shop.schedules == (
        Schedule("nightly", "nightly", "0 3 * * *", "Europe/Berlin"),
        Schedule("hourly", "nightly", "0 * * * *", "UTC"),
    )


def test_targets_and_the_environment(shop: Project) -> None:
    dev = usable_target(shop)
    assert (dev.threads, dev.schema_prefix, dev.settings["memory_limit"]) == (7, "dev_", "1GB")
    assert dev.settings["path"] == str(SHOP / "target" / "shop.duckdb")
    with pytest.raises(ProjectError, match=r"needs the environment variable SHOP_WAREHOUSE"):
        usable_target(shop, "prod")
    with pytest.raises(ProjectError, match=r"no target `prd`\n +Did you mean `prod`"):
        usable_target(shop, "prd")
    other = load(SHOP, environ={"SHOP_WAREHOUSE": "/srv/data"})
    assert usable_target(other, "prod").settings["path"] == "/srv/data/shop.duckdb"
    with pytest.raises(ProjectError, match="SHOP_THREADS"):
        usable_target(other)


def test_relations_on_a_target(shop: Project) -> None:
    dev = usable_target(shop)
    revenue = relation_for(shop, Key("marts", "revenue"), dev)
    assert revenue == Relation("dev_finance", "revenue_by_customer")
    assert relation_for(shop, Key("raw", "orders"), dev) == Relation("raw_prod", "orders_v2")
    with pytest.raises(ValueError, match="is a script"):
        relation_for(shop, Key("scripts", "notify"), dev)
    with pytest.raises(KeyError):
        relation_for(shop, Key("raw", "nothing"), dev)
    assert compile_tables(shop, shop.steps[Key("scripts", "notify")], dev) == {
        "top": '"dev_main"."top"',
        "revenue": '"dev_finance"."revenue_by_customer"',
    }


def test_the_compiled_text_is_the_users_own(shop: Project) -> None:
    dev = usable_target(shop)
    orders = shop.steps[Key("staging", "stg_orders")]
    compiled = compile_step(shop, orders, dev)
    expected = orders.sql.replace("RAW.Orders", '"raw_prod"."orders_v2" AS "orders"')
    assert compiled == expected.replace("$least", "10")
    forecast = shop.steps[Key("marts", "forecast")]
    assert [compile_text(shop, forecast, query, dev) for query in forecast.queries] == [
        'create temp table recent as select * from "dev_staging"."stg_orders"',
        "select count(*) as orders from recent",
        'select name, amount from "dev_finance"."revenue_by_customer" AS "revenue"'
        " where amount > 10",
    ]
    with pytest.raises(ValueError, match="is a python"):
        compile_step(shop, forecast, dev)
    with pytest.raises(SqlSyntaxError):
        compile_text(shop, forecast, "select $unknown", dev)


def build(project: Project, connection: duckdb.DuckDBPyConnection) -> None:
    """Every SQL step and seed of *project*, as a worker would, in the project's order."""
    target = usable_target(project)
    for key, step in project.steps.items():
        if step.relation is None or step.kind == "python":
            continue
        relation = relation_for(project, key, target)
        connection.execute(f'create schema if not exists "{relation.schema}"')
        sql = f"from read_csv('{project.root}/{step.location.path}')"
        if step.kind == "sql":
            sql = compile_step(project, step, target)
        kind = step.config.materialized
        connection.execute(f'create {kind} "{relation.schema}"."{relation.name}" as\n{sql}')


def offending(project: Project, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Check -> how many rows it selects."""
    target = usable_target(project)
    found = {}
    for key, step in project.steps.items():
        for check in step.checks:
            task = check_task(project, step, check, target)
            name = relation_sql(project, key, target)
            others = [f'"{column}"' for it in task.others for column in it.columns]
            task = task.with_others(others)
            sql = task.sent(task.sql, name, [f'"{column}"' for column in task.columns])
            found[f"{key.name}.{check.name}"] = len(connection.sql(sql).fetchall())
    return found


def test_the_shop_runs_on_a_real_warehouse(shop: Project) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create schema raw_prod;"
            "create table raw_prod.orders_v2(id int, customer_id int, amount int, status text);"
            "insert into raw_prod.orders_v2 values"
            " (1, 1, 100, 'paid'), (2, 2, 50, 'sent'), (2, 9, 20, 'lost'), (null, null, 15, null),"
            " (7, 1, 3, 'lost');"  # less than $least
            "create table raw_prod.payments as select 1 as order_id, false as paid"
        )
        build(shop, connection)
        assert connection.sql("from dev_main.top").fetchall() == [("Ada", 100)]
        assert connection.sql("from dev_marts.by_status").fetchall() == [(1, 1, 1)]
        assert offending(shop, connection) == {
            "customers.unique_id": 0,
            "customers.not_null_id": 0,
            "stg_orders.unique_id": 1,
            "stg_orders.not_null_id": 1,
            "stg_orders.accepted_values_status": 1,
            "stg_orders.status_is_known": 1,
            "stg_orders.relationships_customer_id": 1,
            "revenue.amounts_add_up": 1,
            "stg_payments.paid": 1,
        }
        connection.execute(
            "delete from raw_prod.orders_v2 where id is null or customer_id = 9;"
            "update raw_prod.payments set paid = true;"
            "create or replace table dev_finance.revenue_by_customer as"
            " select 'x' as name, 150 as amount"
        )
        assert set(offending(shop, connection).values()) == {0}
