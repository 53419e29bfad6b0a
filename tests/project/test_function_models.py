"""Functions when the project is loaded: who calls whom, versions, lineage, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.definitions.column_metadata import column_lineage
from dagster_models.definitions.translator import ModelsTranslator
from dagster_models.project.targets import usable_target
from project_cases import make, report_of, upstream, write_project


def function(header: str, sql: str) -> str:
    return f"/* @model\nmaterialized: function\n{header}\n*/\n{sql}"


CENTS = function(
    "arguments: {amount: 'decimal(18, 2)'}\nreturns: bigint", "select round(/*$amount*/ 1.5 * 100)"
)
OVER = function(
    "arguments: {least: integer}\nreturns: {id: bigint, price: double}",
    "select orders.amount as price, id from orders where amount > $least",
)
FILES = {
    "models/orders.sql": "select 1 as id, 2.5 as amount",
    "models/cents.sql": CENTS,
    "models/orders_over.sql": OVER,
    "models/report.sql": "select id, CENTS(amount) as c, main.cents(1) as d from orders",
    "models/dear.sql": "select price, o.id from orders_over(3) as o",
}


def sent(project: Project, name: str) -> str:
    return compile_step(project, project.steps[Key("main", name)], usable_target(project))


def version(project: Project, name: str) -> str:
    return project.steps[Key("main", name)].code_version


def test_who_calls_it_depends_on_it(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    assert project.warnings == ()
    assert upstream(project, "main.report") == ["main.orders", "main.cents"]
    assert upstream(project, "main.dear") == ["main.orders_over"]
    assert upstream(project, "main.orders_over") == ["main.orders"]
    assert sent(project, "report") == (
        'select id, "main"."cents"(amount) as c, "main"."cents"(1) as d from "main"."orders"'
    )


def test_a_function_of_the_warehouse_is_left_alone(tmp_path: Path) -> None:
    text = "select list_sum([id]) as a, round(amount) as b, no_such(1), x.cents() from orders as x"
    project = make(tmp_path, {**FILES, "models/report.sql": text})
    assert upstream(project, "main.report") == ["main.orders"]
    assert sent(project, "report") == text.replace("orders", '"main"."orders"')


def test_a_table_may_have_its_name_in_another_schema(tmp_path: Path) -> None:
    files = {
        **FILES,
        "models/other/cents.sql": "select 3 as n",
        "models/report.sql": "select cents(cents.n) as c from other.cents",
    }
    project = make(tmp_path, files)
    assert upstream(project, "main.report") == ["other.cents", "main.cents"]
    assert sent(project, "report") == 'select "main"."cents"(cents.n) as c from "other"."cents"'


def test_its_code_is_part_of_the_version_of_its_callers(tmp_path: Path) -> None:
    project = make(tmp_path / "a", FILES)
    other = make(tmp_path / "b", {**FILES, "models/cents.sql": CENTS.replace("100", "1000")})
    assert version(project, "report") != version(other, "report")
    assert version(project, "dear") == version(other, "dear")
    returns = {**FILES, "models/cents.sql": CENTS.replace("bigint", "integer")}
    assert version(make(tmp_path / "c", returns), "cents") != version(project, "cents")


def test_python_and_checks_call_it(tmp_path: Path) -> None:
    code = 'def model(warehouse):\n    return warehouse.sql("select cents(2) as c")\n'
    files = {
        **FILES,
        "models/made.py": code,
        "checks/cents_are_exact.sql": "/* @check\nmodel: cents\n*/\nselect 1 where cents(1) <> 100",
        "checks/of_orders.sql": "select * from orders where cents(amount) < 0",
    }
    project = make(tmp_path, files)
    assert project.warnings == ()
    assert upstream(project, "main.made") == ["main.cents"]
    assert list(project.steps[Key("main", "made")].queries) == ["select cents(2) as c"]
    checks = {name: project.steps[Key("main", name)].checks for name in ("cents", "orders")}
    assert [check.name for check in checks["cents"]] == ["cents_are_exact"]
    assert [check.name for check in checks["orders"]] == ["of_orders"]
    assert upstream(project, "main.orders") == ["main.cents"]


def test_it_is_an_asset_and_no_table(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    metadata = {
        name: ModelsTranslator().get_asset_spec(step, project, step.relation).metadata
        for name in ("cents", "report")
        for step in (project.steps[Key("main", name)],)
    }
    assert "dagster/table_name" in metadata["report"]
    assert "dagster/table_name" not in metadata["cents"]


def test_lineage_of_what_it_returns(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    deps = column_lineage(project, project.steps[Key("main", "report")])
    (dep,) = deps["dagster/column_lineage"].deps_by_column["c"]
    assert (dep.asset_key.path, dep.column_name) == (["main", "orders"], "amount")
    dear = project.steps[Key("main", "dear")].trace
    assert [(column.name, column.type) for column in dear.columns] == [
        ("price", "DOUBLE"),
        ("id", "BIGINT"),
    ]
    deps = column_lineage(project, project.steps[Key("main", "dear")])
    (dep,) = deps["dagster/column_lineage"].deps_by_column["price"]
    assert (dep.asset_key.path, dep.column_name) == (["main", "orders_over"], "price")
    report = report_of(
        write_project(tmp_path, {"models/dear.sql": "select amount from orders_over(3) as o"})
    )
    assert "models/dear.sql:1:8: error: there is no column `amount`" in report


REFUSED = {
    "no returns": (function("arguments: {a: integer}", "select $a"), 2, "needs `returns`"),
    "a built-in": (None, 1, "`round` is a function or a word of duckdb"),
    "overloads": (
        function("arguments: [{a: integer}, {a: text}]\nreturns: integer", "select 1"),
        3,
        "a function has one list of arguments",
    ),
    "a table without columns": (function("returns: table", "select 1 as x"), 3, "columns"),
    "no type": (function("returns: 'int; drop table x'", "select 1"), 3, "is no type"),
    "no name": (
        function("arguments: {'a b': integer}\nreturns: integer", "select 1"),
        3,
        "cannot be an argument's or a column's name",
    ),
    "an unknown variable": (
        function("arguments: {a: integer}\nreturns: integer", "select $a + $b"),
        6,
        "the variable `b` has no value",
    ),
    "a variable": (
        function("vars: {a: 1}\narguments: {a: integer}\nreturns: integer", "select $a"),
        4,
        "`a` is both an argument and a variable",
    ),
    "unused": (
        function("arguments: {a: integer}\nreturns: integer", "select 1"),
        1,
        "the argument `a` is not used",
    ),
    "a check of a column": (
        function("returns: integer\ncolumns: {x: {checks: [unique]}}", "select 1"),
        4,
        "is a function, and the check `unique_x` needs a relation",
    ),
    "itself": (function("returns: integer", "select f()"), 5, "is a function that reads itself"),
    "another kind": (
        "/* @model\nreturns: integer\n*/\nselect 1 as x",
        2,
        "`returns` has no effect on `materialized: view`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    text, line, what = REFUSED[name]
    file = "round" if text is None else "f"
    text = text or function("arguments: {a: integer}\nreturns: integer", "select $a")
    report = report_of(write_project(tmp_path, {f"models/{file}.sql": text}))
    assert f"models/{file}.sql:{line}:" in report
    assert what in report


def test_a_function_is_called_and_not_read(tmp_path: Path) -> None:
    report = report_of(write_project(tmp_path, {**FILES, "models/dear.sql": "select * from cents"}))
    assert "models/dear.sql:1:15: error: `cents` is a function" in report
    assert "Call it: `cents(...)`" in report


def test_two_functions_of_one_name_need_their_schema(tmp_path: Path) -> None:
    files = {**FILES, "models/other/cents.sql": CENTS}
    assert "`CENTS` is ambiguous" in report_of(write_project(tmp_path, files)).replace(
        "`cents`", "`CENTS`"
    )
