"""With which step a check runs: where all that it reads is there."""

from __future__ import annotations

from pathlib import Path

from dagster_models.compilation.checks.stored import stores
from dagster_models.compilation.checks.task import check_task
from dagster_models.core.check_tasks import OtherColumns
from dagster_models.core.model import Key, Project, Relation
from project_cases import make, report_of, write_project

ORDERS = "/* @model\ncolumns: {customer: {checks: [%s]}}\n*/\nselect 1 as customer"
REFERS = "{relationships: {to: customers, field: id}}"


def names(project: Project) -> dict[str, list[str]]:
    every = (*project.sources.values(), *project.steps.values())
    return {str(it.key): [check.name for check in it.checks] for it in every}


def test_a_check_that_reads_a_later_model_runs_with_the_later_one(tmp_path: Path) -> None:
    files = {
        "models/m/orders.sql": ORDERS % f"not_null, {REFERS}",
        "models/m/customers.sql": "select customer as id from orders",
        "models/m/last.sql": "select * from customers",
        "checks/adds_up.sql": "/* @check\nmodel: orders\n*/\nselect * from orders, last",
    }
    project = make(tmp_path, files)
    assert names(project) == {
        "m.orders": ["not_null_customer"],
        "m.customers": ["orders_relationships_customer"],
        "m.last": ["adds_up"],
    }
    step = project.steps[Key("m", "customers")]
    (check,) = step.checks
    says = "It is a check of m.orders, and runs with m.customers, which it reads."
    assert check.description == says
    assert step.upstream == (Key("m", "orders"),)
    assert project.steps[Key("m", "orders")].upstream == ()
    task = check_task(project, step, check, project.targets["dev"])
    sql = task.with_others(['"customer"', '"parent"']).sql
    assert 'from "m"."orders" as child\nleft join "m"."customers"' in sql
    assert task.others[0] == OtherColumns('"m"."orders"', ("customer",))
    assert 'child."customer"' in sql


def test_it_waits_for_all_that_it_reads(tmp_path: Path) -> None:
    """Also for what an ephemeral model in it reads, and never in a circle."""
    files = {
        "models/m/orders.sql": "select 1 as n",
        "models/m/left.sql": "select * from orders",
        "models/m/right.sql": "select * from orders",
        "models/m/inside.sql": "/* @model\nmaterialized: ephemeral\n*/\n"
        "select r.n from orders join right as r using (n)".replace("right as", "m.right as"),
        "checks/both.sql": "/* @check\nmodel: orders\n*/\n"
        "select * from m.left join m.inside using (n)",
    }
    project = make(tmp_path, files)
    (runs_with,) = [key for key, checks in names(project).items() if checks]
    assert runs_with in ("m.left", "m.right")
    other = {"m.left": "m.right", "m.right": "m.left"}[runs_with]
    step = next(it for it in project.steps.values() if str(it.key) == runs_with)
    assert {str(key) for key in step.upstream} == {"m.orders", other}


def test_a_check_of_an_ephemeral_model_of_its_own_stays(tmp_path: Path) -> None:
    files = {
        "models/m/orders.sql": "select 1 as n",
        "models/m/inside.sql": "/* @model\nmaterialized: ephemeral\n*/\nselect n from orders",
        "checks/both.sql": "/* @check\nmodel: orders\n*/\nselect * from m.inside where n > 1",
    }
    assert names(make(tmp_path, files))["m.orders"] == ["both"]


SOURCES = (
    "sources:\n- name: raw\n  tables:\n  - {name: orders, columns: {customer: {checks: [%s]}}}\n"
    "  - {name: people, columns: {id: {checks: [unique]}}}\n"
)


def test_checks_of_sources_run_alone_or_with_the_model_that_they_read(tmp_path: Path) -> None:
    files = {
        "models/sources.yaml": SOURCES % "not_null, {relationships: {to: raw.people, field: id}},"
        " {relationships: {to: m.customers, field: id, name: known}}",
        "models/m/customers.sql": "select customer as id from raw.orders",
        "checks/named.sql": "/* @check\nmodel: people\n*/\nselect * from raw.people where $n > 1",
        "checks/found.sql": "select * from raw.orders where customer > 1",
        "dagster_models.yaml": "name: p\nvars: {n: 0}\n",
    }
    project = make(tmp_path, files)
    assert names(project) == {
        "raw.orders": ["not_null_customer", "relationships_customer", "found"],
        "raw.people": ["unique_id", "named"],
        "m.customers": ["orders_known"],
    }
    assert project.sources[Key("raw", "people")].variables == {"n": 0}


def test_two_checks_of_a_source_with_one_name(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "models/sources.yaml": SOURCES % "not_null",
            "models/m.sql": "select 1 as n",
            "checks/not_null_customer.sql": "select * from raw.orders",
        },
    )
    assert "raw.orders has two checks named `not_null_customer`" in report_of(root)


def test_a_check_that_runs_elsewhere_stores_its_rows_beside_its_own_model(tmp_path: Path) -> None:
    """And that table is the one that the project knows as its own, and lets no model have."""
    refers = "{relationships: {to: customers, field: id, store_failures: true}}"
    files = {
        "models/sales/orders.sql": ORDERS % refers,
        "models/crm/customers.sql": "select customer as id from orders",
    }
    project = make(tmp_path, files)
    step, target = project.steps[Key("crm", "customers")], project.targets["dev"]
    (check,) = step.checks
    table = Relation("sales", "failures_orders_relationships_customer")
    assert check_task(project, step, check, target).store == table
    assert list(stores(project, target)) == [table]
    files[f"models/sales/{table.name}.sql"] = "select 1 as n"
    taken = write_project(tmp_path / "taken", files)
    assert f"stores rows in {table}, which is the table of {table}" in report_of(taken)


def test_a_check_that_runs_elsewhere_has_no_percentages(tmp_path: Path) -> None:
    refers = "{relationships: {to: customers, field: id, error_if: '> 1%'}}"
    root = write_project(
        tmp_path,
        {
            "models/orders.sql": ORDERS % refers,
            "models/customers.sql": "select customer as id from orders",
        },
    )
    report = report_of(root)
    assert "which it reads: a percentage would be one of its rows" in report or "error_if" in report
