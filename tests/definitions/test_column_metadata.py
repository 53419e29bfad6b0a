"""Columns in Dagster's values, made without its own checks: what those would make."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dagster_models import load_project
from dagster_models.definitions.column_metadata import unchecked
from running import make_project

FILES = {
    "models/staging/a.sql": "/* @model\ncolumns: {x: {description: the x}}\n*/\n"
    "select 1 as x, 'a' as y, 2.5 as z",
    "models/marts/b.sql": "select b.x + a.x + c.z as s, a.x, a.y from a join a as b on a.x = b.x"
    " join staging.a as c on true",
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: t, columns: [{name: q}]}]}]",
    "models/marts/c.sql": "select q from raw.t",
}


def test_they_are_what_dagster_would_make(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    metadata = {
        spec.key.to_user_string(): spec.metadata
        for spec in load_project(project.root).resolve_all_asset_specs()
    }
    made = metadata["marts/b"]["dagster/column_lineage"]
    a = dg.AssetKey(["staging", "a"])
    deps = {
        "s": [dg.TableColumnDep(a, "x"), dg.TableColumnDep(a, "z")],
        "x": [dg.TableColumnDep(a, "x")],
        "y": [dg.TableColumnDep(a, "y")],
    }
    assert made == dg.TableColumnLineage(deps)
    assert dg.serialize_value(made) == dg.serialize_value(dg.TableColumnLineage(deps))
    schema = metadata["staging/a"]["dagster/column_schema"]
    wanted = dg.TableSchema(
        [
            dg.TableColumn("x", "INTEGER", "the x"),
            dg.TableColumn("y", "VARCHAR"),
            dg.TableColumn("z", "DECIMAL(2,1)"),
        ]
    )
    assert schema == wanted
    assert dg.serialize_value(schema) == dg.serialize_value(wanted)
    declared = dg.TableSchema([dg.TableColumn("q", "?")])
    assert metadata["raw/t"]["dagster/column_schema"] == declared
    assert metadata["marts/b"]["dagster/column_schema"].columns[0].description == (
        "From `staging.a.x`, `staging.a.z`"
    )


def test_records_that_are_made_otherwise_go_through_their_constructor() -> None:
    dep = unchecked(dg.TableColumnDep, "asset_key", "column_name")
    assert dep((dg.AssetKey("a"), "x")) == dg.TableColumnDep(dg.AssetKey("a"), "x")

    class Dep:
        def __init__(self, asset_key: dg.AssetKey, column_name: str) -> None:
            self.both = asset_key, column_name

    made = unchecked(Dep, "asset_key", "column_name")((dg.AssetKey("a"), "x"))
    assert made.both == (dg.AssetKey("a"), "x")
    turned = unchecked(dg.TableColumnDep, "column_name", "asset_key")
    assert turned(("x", dg.AssetKey("a"))) == dg.TableColumnDep(dg.AssetKey("a"), "x")
