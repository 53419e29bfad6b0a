"""Ephemeral models when the project is loaded: readers, versions, lineage, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.definitions.column_metadata import column_lineage
from dagster_models.project.compare import compare
from dagster_models.project.targets import usable_target
from project_cases import make, report_of, upstream, write_project

HEAD = "/* @model\nmaterialized: ephemeral\n*/\n"
RAW = "select 1 as id, 'x' as city, 2.5 as price"
FILES = {
    "models/raw_orders.sql": RAW,
    "models/cleaned.sql": HEAD + "select id, upper(city) as town, price from raw_orders -- all\n",
    "models/dear.sql": HEAD + "select id, town from cleaned where price > $least;\n",
    "models/report.sql": "select dear.town, count(*) as n from dear group by dear.town",
    "dagster_models.yaml": "name: p\nvars: {least: 2}\n",
}


def version(project: Project, name: str) -> str:
    return project.steps[Key("main", name)].code_version


def changed(folder: Path, **files: str) -> Project:
    """The project of FILES with other models."""
    return make(folder, {**FILES, **{f"models/{name}.sql": text for name, text in files.items()}})


def test_it_is_no_step_and_its_readers_depend_on_what_it_reads(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    assert project.warnings == ()
    assert [key.name for key in project.steps] == ["raw_orders", "report"]
    assert [key.name for key in project.ephemerals] == ["cleaned", "dear"]
    assert upstream(project, "main.report") == ["main.raw_orders"]


def test_it_stands_where_its_name_stood_and_the_rest_is_byte_for_byte(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    sent = compile_step(project, project.steps[Key("main", "report")], usable_target(project))
    assert sent == (
        "select dear.town, count(*) as n from (\n"
        f"{HEAD}select id, town from (\n"
        f'{HEAD}select id, upper(city) as town, price from "main"."raw_orders" -- all\n'
        '\n) AS "cleaned" where price > 2\n'
        '\n) AS "dear" group by dear.town'
    )


def test_its_text_and_its_variables_are_part_of_the_version_of_its_readers(tmp_path: Path) -> None:
    before = version(make(tmp_path / "a", FILES), "report")
    other = HEAD + "select id, lower(city) as town, price from raw_orders"
    assert version(changed(tmp_path / "b", cleaned=other), "report") != before
    vars_ = {"dagster_models.yaml": "name: p\nvars: {least: 3}\n"}
    assert version(make(tmp_path / "c", {**FILES, **vars_}), "report") != before
    comment = FILES["models/cleaned.sql"].replace("-- all", "-- every one")
    assert version(changed(tmp_path / "d", cleaned=comment), "report") == before
    assert version(make(tmp_path / "e", FILES), "raw_orders") == version(
        changed(tmp_path / "f", cleaned=other), "raw_orders"
    )


def test_lineage_leads_through_it(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    deps = column_lineage(project, project.steps[Key("main", "report")])
    (dep,) = deps["dagster/column_lineage"].deps_by_column["town"]
    assert (dep.asset_key.path, dep.column_name) == (["main", "raw_orders"], "city")
    report = project.steps[Key("main", "report")]
    assert {column.name: column.type for column in report.trace.columns}["town"] == "VARCHAR"
    assert (("main", "raw_orders"), "price") in report.trace.row_sources


def test_a_column_that_it_does_not_have_is_an_error_of_the_reader(tmp_path: Path) -> None:
    files = {**FILES, "models/report.sql": "select dear.city from dear"}
    report = report_of(write_project(tmp_path, files))
    assert "models/report.sql:1:13: error: `dear` has no column `city`" in report
    files = {**FILES, "models/cleaned.sql": HEAD + "select nothing, price from raw_orders"}
    assert "models/cleaned.sql:4:8" in report_of(write_project(tmp_path, files))


def test_what_its_change_touches(tmp_path: Path) -> None:
    old = make(tmp_path / "old", FILES)
    text = lambda project, step: (Path(project.root) / step.location.path).read_text()  # noqa: E731
    other = HEAD + "select id, lower(city) as town, price from raw_orders"
    (change,) = compare(old, changed(tmp_path / "a", cleaned=other), text).changes
    assert (str(change.key), [c.name for c in change.columns]) == ("main.report", ["town"])
    other = HEAD + "select id, upper(city) as town, price from raw_orders where id > 0"
    (change,) = compare(old, changed(tmp_path / "b", cleaned=other), text).changes
    assert change.rows or change.whole


def test_a_python_model_reads_it_in_its_sql(tmp_path: Path) -> None:
    code = 'def model(warehouse):\n    return warehouse.sql("select * from dear where id > 0")\n'
    project = make(
        tmp_path,
        {**FILES, "models/report.sql": "", "models/made.py": code}
        | {"models/report.sql": "select 1 as x"},
    )
    assert project.warnings == ()
    assert upstream(project, "main.made") == ["main.raw_orders"]
    before = version(project, "made")
    other = HEAD + "select id, lower(city) as town, price from raw_orders"
    again = make(tmp_path / "b", {**FILES, "models/made.py": code, "models/cleaned.sql": other})
    assert version(again, "made") != before


REFUSED = {
    "a check of a column": (
        {
            "models/e.sql": HEAD.replace("*/", "columns: {x: {checks: [unique]}}\n*/")
            + "select 1 as x"
        },
        "models/e.sql:3",
        "the check `unique_x` needs a relation",
    ),
    "a check of it": (
        {
            "models/e.sql": HEAD + "select 1 as x",
            "checks/c.sql": "/* @check\nmodel: e\n*/\nselect * from e where x > 1",
        },
        "checks/c.sql:2",
        "the check `c` needs a relation",
    ),
    "a check that reads nothing else": (
        {"models/e.sql": HEAD + "select 1 as x", "checks/c.sql": "select * from e where x > 1"},
        "checks/c.sql:1",
        "Name its model",
    ),
    "by a text": (
        {
            "models/e.sql": HEAD + "select 1 as x",
            "models/p.py": 'def model(warehouse):\n    return warehouse.table("e")\n',
        },
        "models/p.py:2",
        "`e` is ephemeral, so no relation has this name",
    ),
    "written": (
        {
            "models/e.sql": HEAD + "select 1 as x",
            "scripts/s.py": "from dagster_models import warehouse\n"
            'warehouse.execute("delete from e")\n',
        },
        "scripts/s.py:2",
        "is written to, but it is ephemeral",
    ),
    "itself": ({"models/e.sql": HEAD + "select * from e"}, "models/e.sql:4", "reads itself"),
    "a name that only its reader decides": (
        {"models/e.sql": HEAD + "select * from unknown"},
        "models/e.sql:4",
        "`unknown` may mean something else in the queries that read main.e",
    ),
    "TABLE": (
        {"models/e.sql": HEAD + "select 1 as x", "models/r.sql": "table e"},
        "models/r.sql:1",
        "takes no query in place of the name",
    ),
    "in Python": (
        {
            "models/e.py": '"""\n@model\nmaterialized: ephemeral\n"""\n'
            "def model(warehouse):\n    return []\n"
        },
        "models/e.py:3",
        "a Python model is always a table",
    ),
    "without effect": (
        {"models/e.sql": "/* @model\nmaterialized: ephemeral\npool: slow\n*/\nselect 1 as x"},
        "models/e.sql:3",
        "`pool` has no effect on `materialized: ephemeral`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    files, place, what = REFUSED[name]
    report = report_of(write_project(tmp_path, dict(files)))
    assert place in report
    assert what in report


def test_a_cycle_through_it(tmp_path: Path) -> None:
    files = {"models/e.sql": HEAD + "select * from m", "models/m.sql": "select * from e"}
    assert "a cycle: main.e -> main.m -> main.e" in report_of(write_project(tmp_path, files))


def test_a_model_may_have_its_name_in_another_schema_or_as_an_alias(tmp_path: Path) -> None:
    files = {
        "models/a/orders.sql": HEAD + "select 1 as x",
        "models/b/orders.sql": "select orders.x from a.orders",
        "models/b/other.sql": "/* @model\nschema: a\nalias: orders\n*/\nselect 2 as x",
    }
    project = make(tmp_path, files)
    sent = compile_step(project, project.steps[Key("b", "orders")], usable_target(project))
    assert sent == f'select orders.x from (\n{HEAD}select 1 as x\n) AS "orders"'
