"""What the names in files mean, and what is said of names that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import (
    compile_text,
    relation_for,
)
from dagster_models.core.model import (
    Key,
    Location,
    Relation,
    Source,
)
from dagster_models.project.targets import usable_target
from project_cases import make, upstream

A = {"models/staging/a.sql": "select 1 as x"}


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select * from a", ["staging.a"]),
        ("select * from A, Staging.A", ["staging.a"]),
        ('select * from "a"', ["staging.a"]),
        ("select * from memory.staging.a", []),  # a model of another catalog is another relation
        ("select * from till", ["raw.sales"]),
        ("select * from sales", ["raw.sales"]),
        ("select * from raw.sales", ["raw.sales"]),
        ("select * from shop.raw_prod.till", ["raw.sales"]),
        ("select * from lake.raw_prod.till", ["raw.sales"]),
        ("with a as (select 1 as x) select * from a", []),
        ("with a as (select * from a) select * from a", ["staging.a"]),
        ("select * from 'a.parquet'", []),
    ],
)
def test_what_a_name_means(sql: str, reads: list[str], tmp_path: Path) -> None:
    sources = (
        "sources: [{name: raw, schema: raw_prod, database: shop, tables:"
        " [{name: sales, identifier: till}]}]"
    )
    project = make(
        tmp_path,
        {**A, "models/sources.yaml": sources, "models/m.sql": sql},
    )
    assert upstream(project, "main.m") == reads
    assert relation_for(project, Key("raw", "sales"), usable_target(project)) == Relation(
        "raw_prod", "till", "shop"
    )


def test_other_assets_are_joined_by_table_name(tmp_path: Path) -> None:
    def offered(schema: str, name: str) -> Source:
        key = Key(schema, name)
        return Source(key, Relation(schema, name), Location(""), asset_key=("lake", name))

    files = {
        **A,
        "models/sources.yaml": "sources: [{name: raw, tables: [sales]}]",
        "models/m.sql": "select * from a, sales, events",
    }
    sources = (offered("raw", "sales"), offered("x", "a"), offered("x", "events"))
    project = make(tmp_path, files, sources)
    # A model goes before an asset elsewhere; a declared source is the same thing as the asset.
    assert upstream(project, "main.m") == ["staging.a", "raw.sales", "x.events"]
    assert {str(k): s.asset_key for k, s in project.sources.items()} == {
        "raw.sales": ("lake", "sales"),
        "x.events": ("lake", "events"),
    }
    assert project.sources[Key("raw", "sales")].location.path == "models/sources.yaml"


def test_an_unknown_table_is_a_warning_by_default(tmp_path: Path) -> None:
    files = {"models/m.sql": "select * from nothing, nothing as again"}
    (warning,) = make(tmp_path, files).warnings
    assert (warning.severity, warning.line, warning.column) == ("warning", 1, 15)
    ignoring = {**files, "dagster_models.yaml": "name: p\nunknown_references: ignore\n"}
    assert make(tmp_path, ignoring).warnings == ()


def test_a_disabled_model_makes_room_for_another_of_its_name(tmp_path: Path) -> None:
    disabled = "/* @model\nenabled: false\n*/\nselect 1 as x"
    project = make(
        tmp_path,
        {**A, "models/old/a.sql": disabled, "models/m.sql": "select * from a"},
    )
    assert upstream(project, "main.m") == ["staging.a"]
    assert Key("old", "a") not in project.steps


def test_a_yaml_file_that_is_ignored_is_reported(tmp_path: Path) -> None:
    (warning,) = make(tmp_path, {**A, "models/schema.yml": "region: emea"}).warnings
    assert (warning.path, warning.what) == ("models/schema.yml", "this file is ignored")


def test_code_whose_tables_are_unknown_is_reported(tmp_path: Path) -> None:
    code = "def model(warehouse):\n    return warehouse.sql(f'from {name()}')\n"
    (warning,) = make(tmp_path, {**A, "models/m.py": code}).warnings
    assert (warning.path, warning.line, warning.severity) == ("models/m.py", 2, "warning")
    named = f'"""@model\nupstream: a\n"""\n{code}'
    project = make(tmp_path, {"models/m.py": named})
    assert project.warnings == ()
    assert upstream(project, "main.m") == ["staging.a"]


def test_a_project_full_of_unknown_names_gets_few_suggestions(tmp_path: Path) -> None:
    """Each suggestion compares with all names: without a limit this is quadratic."""
    files = {f"models/model_{i}.sql": f"select * from modle_{i}" for i in range(400)}
    warnings = make(tmp_path, files).warnings
    assert len(warnings) == 400
    assert 0 < len([w for w in warnings if not w.fix.startswith("Declare")]) <= 125


def test_a_check_goes_to_the_most_downstream_of_what_it_reads(tmp_path: Path) -> None:
    files = {
        "models/c.sql": "select 1 as x",
        "models/b.sql": "select * from c",
        "models/a.sql": "select * from b",
        "models/z.sql": "select 1 as x",
        "checks/same.sql": "select * from c except select * from a",
        "checks/of_all.sql": "/* @check\nmodel: a\n*/\nselect * from a, z, c",
    }
    project = make(tmp_path, files)
    a = project.steps[Key("main", "a")]
    assert [check.name for check in a.checks] == ["of_all", "same"]
    # z must be built before the check runs; c already is, as b reads it: no edge is added.
    assert upstream(project, "main.a") == ["main.b", "main.z"]


def test_what_a_script_writes_is_not_upstream_of_it(tmp_path: Path) -> None:
    code = "from dagster_models import warehouse\nwarehouse.execute('insert into a from b')\n"
    files = {"models/a.sql": "select 1 as x", "models/b.sql": "select 2 as x"}
    project = make(tmp_path, {**files, "scripts/s.py": code})
    script = project.steps[Key("scripts", "s")]
    assert upstream(project, "scripts.s") == ["main.b"]
    compiled = compile_text(project, script, next(iter(script.queries)), usable_target(project))
    assert compiled == 'insert into "main"."a" from "main"."b"'


def test_a_name_after_in_that_means_nothing_is_a_column(tmp_path: Path) -> None:
    yaml = "name: p\ndialect: clickhouse\n"
    files = {
        "models/b.sql": "select 1 as x, [2] as ids",
        "models/a.sql": "select x in ids, x in b from b",
    }
    project = make(tmp_path, {"dagster_models.yaml": yaml, **files})
    assert project.warnings == ()
    assert upstream(project, "main.a") == ["main.b"]
