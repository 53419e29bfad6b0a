"""Snapshots when the project is loaded: the columns that they add, and the defaults of folders."""

from __future__ import annotations

from pathlib import Path

from dagster_models.core.materializations import KINDS, Incremental, Snapshot
from dagster_models.core.model import Key
from dagster_models.definitions.column_metadata import column_lineage, known_schema
from project_cases import make, report_of, write_project

RAW = "select 1 as id, 'x' as city, timestamp '2024-01-01' as changed"
BY_TIME = "materialized: snapshot\nunique_key: id\nstrategy: timestamp\nupdated_at: Changed"


def model(header: str, sql: str) -> str:
    return f"/* @model\n{header}\n*/\n{sql}"


def test_what_is_added_is_part_of_the_columns_and_the_lineage(tmp_path: Path) -> None:
    files = {
        "models/raw_customers.sql": RAW,
        "models/customers.sql": model(
            f"{BY_TIME}\nhard_deletes: new_record\ncolumns: {{valid_to: {{checks: [not_null]}}}}",
            "select * from raw_customers",
        ),
        "models/now.sql": "select id, valid_from, is_deleted from customers where valid_to is null",
    }
    project = make(tmp_path, files)
    assert project.warnings == ()
    step = project.steps[Key("main", "customers")]
    schema = known_schema(step)["dagster/column_schema"]
    assert [(column.name, column.type) for column in schema.columns][2:] == [
        ("changed", "TIMESTAMP"),
        ("valid_from", "TIMESTAMP"),
        ("valid_to", "TIMESTAMP"),
        ("is_deleted", "BOOLEAN"),
    ]
    lineage = column_lineage(project, step)["dagster/column_lineage"].deps_by_column
    for name in ("valid_from", "valid_to"):
        assert [dep.column_name for dep in lineage[name]] == ["changed"]
    lineage = column_lineage(project, project.steps[Key("main", "now")])
    (dep,) = lineage["dagster/column_lineage"].deps_by_column["valid_from"]
    assert (dep.asset_key.path, dep.column_name) == (["main", "customers"], "valid_from")


def test_a_column_that_a_snapshot_does_not_add_is_reported(tmp_path: Path) -> None:
    files = {
        "models/customers.sql": model(BY_TIME, RAW),
        "models/now.sql": "select id, is_deleted from customers",
    }
    assert "is_deleted" in report_of(write_project(tmp_path, files))


def test_declared_columns_of_a_python_model(tmp_path: Path) -> None:
    code = (
        f'"""\n@model\n{BY_TIME}\n'
        'columns: {id: {type: int}, changed: {type: timestamp}}\n"""\n'
        "def model(warehouse):\n    return warehouse.sql('select 1 as id')\n"
    )
    files = {"models/customers.py": code, "models/now.sql": "select id, valid_to from customers"}
    assert make(tmp_path, files).warnings == ()


def test_defaults_of_a_folder_reach_the_kinds_that_know_them(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": (
            "name: p\nmodels:\n  unique_key: id\n  strategy: merge\n  full_refresh: true\n"
            "  hard_deletes: invalidate\n  valid_to_current: '9999-12-31T00:00:00+00:00'\n"
        ),
        "models/a.sql": model("materialized: incremental", RAW),
        "models/b.sql": model("materialized: snapshot\nstrategy: check\ncheck_cols: all", RAW),
        "models/c.sql": RAW,
    }
    project = make(tmp_path, files)
    a, b, c = (project.steps[Key("main", name)].config for name in "abc")
    assert KINDS[a.materialized].of(a) == Incremental("merge", ("id",))
    assert KINDS[b.materialized].of(b) == Snapshot(
        "check", ("id",), hard_deletes="invalidate", open_end="9999-12-31 00:00:00"
    )
    assert (a.full_refresh, b.full_refresh) == (True, None)
    assert (c.unique_key, c.hard_deletes, c.strategy) == ((), "ignore", "")


def test_dbts_names_of_the_columns(tmp_path: Path) -> None:
    names = "snapshot_meta_column_names: {dbt_valid_from: a, valid_to: b}"
    project = make(tmp_path, {"models/a.sql": model(f"{BY_TIME}\n{names}", RAW)})
    assert project.steps[Key("main", "a")].trace.schema.columns[3:] == (
        ("a", "TIMESTAMP"),
        ("b", "TIMESTAMP"),
    )
