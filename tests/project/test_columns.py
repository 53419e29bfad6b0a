"""Columns of whole projects: what is known before a run, and what Dagster shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from dagster_models import load_project
from dagster_models.compilation.checks.task import check_task
from dagster_models.core.model import Key, Project
from dagster_models.core.stand_ins import OWN_COLUMN
from dagster_models.core.traced import Trace, TracedColumn
from dagster_models.definitions.translator import column_lineage
from dagster_models.errors import ProjectError
from dagster_models.project.built_schemas import BuiltSchema, remember
from project_cases import load, write_project
from running import make_project

SOURCES = """
sources:
  - name: raw
    tables:
      - name: orders
        columns: {id: {type: bigint}, amount: {type: "decimal(10, 2)", description: in EUR}}
"""


def make(root: Path, files: Mapping[str, str]) -> Project:
    return load(write_project(root, dict(files)), environ={})


def columns(project: Project, key: str) -> list[str]:
    schema, name = key.split(".")
    trace = project.steps[Key(schema, name)].trace
    return [f"{column.name} {column.type}".strip() for column in trace.columns]


def test_columns_pass_from_model_to_model(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": "name: p\nseeds: {rates: {column_types: {rate: double}}}\n",
        "models/sources.yaml": SOURCES,
        "seeds/rates.csv": "currency,rate\nEUR,1\n",
        "models/a.sql": "select * from raw.orders",
        "models/b.sql": "select *, amount * rate as total from a join rates on true",
        "models/c.py": "def sql(vars):\n    return 'select id, total from b'\n",
    }
    project = make(tmp_path, files)
    assert columns(project, "seeds.rates") == ["currency", "rate DOUBLE"]
    assert columns(project, "main.a") == ["id BIGINT", "amount DECIMAL(10,2)"]
    expected = ["id BIGINT", "amount DECIMAL(10,2)", "currency", "rate DOUBLE", "total DOUBLE"]
    assert columns(project, "main.b") == expected
    assert columns(project, "main.c") == ["id BIGINT", "total DOUBLE"]
    last = project.steps[Key("main", "c")].trace.columns[1]
    assert last.sources == ((("main", "b"), "total"),)


def test_what_python_models_declare(tmp_path: Path) -> None:
    code = (
        '"""\n@model\ncolumns: {x: {type: int}, y: {type: text}}\n"""\ndef model(warehouse): ...\n'
    )
    files = {"models/a.py": code, "models/b.sql": "select * from a where z > 1"}
    project = make(tmp_path, files)
    assert columns(project, "main.b") == ["x INTEGER", "y VARCHAR"]
    # Its code may give more: that is worth a warning, and no error.
    (warning,) = project.warnings
    assert (warning.line, warning.column, warning.severity) == (1, 23, "warning")
    assert warning.what == "there is no column `z`"


def test_declared_notes_are_not_a_schema(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, tables: [{name: o, columns: {id: {description: x}}}]}]"
    files = {"models/sources.yaml": sources, "models/a.sql": "select id, other from raw.o"}
    project = make(tmp_path, files)
    assert not project.warnings
    (_, other) = project.steps[Key("main", "a")].trace.columns
    assert other.sources == ((("raw", "o"), "other"),)


@pytest.mark.parametrize(
    ("setting", "severity"),
    [("", "error"), ("unknown_columns: warn", "warning"), ("unknown_columns: ignore", "")],
)
def test_the_setting(tmp_path: Path, setting: str, severity: str) -> None:
    files = {
        "dagster_models.yaml": f"name: p\n{setting}\n",
        "models/a.sql": "select 1 as x",
        "models/b.sql": "select y from a",
    }
    try:
        problems = make(tmp_path, files).warnings
    except ProjectError as error:
        problems = error.problems
    assert [problem.severity for problem in problems] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("dialect", "severity"),
    [
        *((name, "error") for name in ("duckdb", "postgres", "mysql", "tsql", "bigquery")),
        *((name, "error") for name in ("snowflake", "spark", "databricks", "redshift", "trino")),
        ("clickhouse", ""),
    ],
)
@pytest.mark.parametrize(
    "query",
    ["with o as (select 1 as a) select o.a from t as x", "select x.a, u.a from t as x"],
)
def test_a_prefix_that_no_from_has_is_an_error_in_each_dialect(
    tmp_path: Path, dialect: str, severity: str, query: str
) -> None:
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}\n",
        "models/t.sql": "select 1 as a",
        "models/b.sql": query,
    }
    try:
        problems = make(tmp_path, files).warnings
    except ProjectError as error:
        problems = error.problems
    found = [it.severity for it in problems if "in this FROM, and no column" in it.what]
    if severity:
        assert found == [severity]
    else:  # a CTE of ClickHouse may be a value, so that `o.a` is one of its fields
        assert "error" not in found


@pytest.mark.parametrize("name", ["seq.nextval", "seq.currval"])
def test_a_sequence_is_not_a_table_that_is_missing(tmp_path: Path, name: str) -> None:
    files = {
        "dagster_models.yaml": "name: p\ndialect: snowflake\n",
        "models/t.sql": "select 1 as a",
        "models/b.sql": f"select a, {name} as id from t",
    }
    assert not [it for it in make(tmp_path, files).warnings if it.severity == "error"]


def test_other_dialects_only_warn(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": "name: p\ndialect: snowflake\n",
        "models/a.sql": "select 1 as x",
        "models/b.sql": "select y from a",
    }
    (warning,) = make(tmp_path, files).warnings
    assert warning.severity == "warning"


def test_what_the_last_build_left(tmp_path: Path) -> None:
    files = {"models/a.py": "def model(warehouse): ...\n", "models/b.sql": "select *, now() from a"}
    project = make(tmp_path, files)
    assert columns(project, "main.b") == ["TIMESTAMP WITH TIME ZONE"]
    version = project.steps[Key("main", "a")].code_version
    remember(
        project.target_path, {"main.a": BuiltSchema(version, (("x", "INTEGER"), ("y", "UUID")))}
    )
    remember(project.target_path, {"main.other": BuiltSchema("", (("z", "INTEGER"),))})
    known = ["x INTEGER", "y UUID", "TIMESTAMP WITH TIME ZONE"]
    assert columns(make(tmp_path, files), "main.b") == known
    # Other code may give other columns.
    changed = {**files, "models/a.py": "def model(warehouse): return []\n"}
    assert columns(make(tmp_path, changed), "main.b") == ["TIMESTAMP WITH TIME ZONE"]
    for damaged in ("", "[]", '{"main.a": 1}', '{"main.a": ["' + version + '", [1]]}'):
        (tmp_path / "target/schemas.json").write_text(damaged)
        assert columns(make(tmp_path, files), "main.b") == ["TIMESTAMP WITH TIME ZONE"]


def test_what_cannot_be_read_is_no_failure(tmp_path: Path) -> None:
    files = {
        "models/a.sql": "pivot b on x using count(*)",
        "models/b.sql": "select 1 as x",
        "models/c.sql": "select anything, a.x from a",
    }
    project = make(tmp_path, files)
    trace = project.steps[Key("main", "a")].trace
    assert (trace.closed, trace.reason) == (
        False,
        "the columns that a PIVOT makes are not traced",
    )
    assert not project.warnings


FILES = {
    "models/sources.yaml": SOURCES,
    "models/staging/orders.sql": "/* @model\ncolumns: {amount: {description: in EUR}}\n*/\n"
    "select 1::bigint as id, 1.5::decimal(10, 2) as amount",
    "models/marts/totals.sql": "select amount, sum(id) as total from staging.orders group by all",
    "models/marts/python.py": '"""\n@model\ncolumns: {n: {type: integer}}\n"""\n'
    "def model(warehouse):\n    return warehouse.sql('select 1 as n')\n",
}


def lineage_of(metadata: Mapping[str, object]) -> dict[str, list[tuple[str, str]]]:
    lineage = metadata["dagster/column_lineage"]
    lineage = getattr(lineage, "value", lineage)
    assert isinstance(lineage, dg.TableColumnLineage)
    return {
        column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }


def schema_of(metadata: Mapping[str, object]) -> list[tuple[str, str, str | None]]:
    schema = metadata["dagster/column_schema"]
    schema = getattr(schema, "value", schema)
    assert isinstance(schema, dg.TableSchema)
    return [(column.name, column.type, column.description) for column in schema.columns]


def test_declared_and_made_of(tmp_path: Path) -> None:
    text = FILES["models/marts/totals.sql"]
    header = "/* @model columns: {total: {description: Sum of ids.}} */ "
    many = ", ".join(f"{n} as c{n}" for n in range(9))
    wide = " + ".join(f"c{n}" for n in range(9))
    files = {
        "models/marts/totals.sql": header + text,
        "models/staging/many.sql": f"select {many}",
        "models/marts/wide.sql": f"select {wide} as w from many",
    }
    project = make_project(tmp_path, {**FILES, **files})
    every = load_project(project.root).resolve_all_asset_specs()
    specs = {spec.key.to_user_string(): spec for spec in every}
    (_, (_, _, total)) = schema_of(specs["marts/totals"].metadata)
    assert total == "Sum of ids.\n\nFrom `staging.orders.id`"
    ((_, _, w),) = schema_of(specs["marts/wide"].metadata)
    assert w is not None
    assert w.endswith("`staging.many.c4`, 4 more")


def test_a_model_is_not_upstream_of_itself(tmp_path: Path) -> None:
    project = make(tmp_path, {"models/a.sql": "select 1 as x", "models/b.sql": "select x from a"})
    sources = ((("main", "a"), "x"), (("main", "b"), "x"))
    trace = Trace((TracedColumn("x", sources=sources), TracedColumn("y", sources=sources[1:])))
    step = replace(project.steps[Key("main", "b")], trace=trace)
    assert lineage_of(column_lineage(project, step)) == {"x": [("main/a", "x")]}


TOTALS = {
    "amount": [("staging/orders", "amount")],
    "total": [("staging/orders", "id")],
}


def test_dagster_knows_columns_before_any_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    specs = {
        spec.key.to_user_string(): spec
        for spec in load_project(project.root).resolve_all_asset_specs()
    }
    assert lineage_of(specs["marts/totals"].metadata) == TOTALS
    assert schema_of(specs["marts/totals"].metadata) == [
        ("amount", "DECIMAL(10,2)", "From `staging.orders.amount`"),
        ("total", "HUGEINT", "From `staging.orders.id`"),
    ]
    described = [("id", "BIGINT", None), ("amount", "DECIMAL(10,2)", "in EUR")]
    assert schema_of(specs["staging/orders"].metadata) == described
    assert "dagster/column_lineage" not in specs["staging/orders"].metadata
    assert schema_of(specs["marts/python"].metadata) == [("n", "integer", None)]


@pytest.mark.slow
def test_a_materialization_shows_lineage_and_leaves_its_columns(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    assert project.run().code == 0
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["marts", "totals"]))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert lineage_of(metadata) == TOTALS
        assert schema_of(metadata)[1] == ("total", "HUGEINT", "From `staging.orders.id`")
    left = json.loads((project.root / "target" / "schemas.json").read_text())
    assert left["marts.python"][1] == [["n", "INTEGER"]]
    assert left["marts.totals"][1] == [["amount", "DECIMAL(10,2)"], ["total", "HUGEINT"]]


def test_a_check_of_a_relationship_names_the_seeds_column_as_the_seed_has_it(
    tmp_path: Path,
) -> None:
    files = {
        "dagster_models.yaml": "name: p\ntargets:\n  pg: {type: postgres, dsn: 'postgresql://h/d'}\n",
        "seeds/people.csv": "Id,FullName\n1,Ann\n",
        "models/m/a.sql": (
            "/* @model\ncolumns:\n"
            "  person: {checks: [{relationships: {to: people, field: id}}]}\n"
            "*/\nselect 1 as person"
        ),
    }
    found = load(write_project(tmp_path, files))
    step = found.steps[Key("m", "a")]
    task = check_task(found, step, step.checks[0], found.targets["pg"])
    (people,) = task.others
    columns = [f'"{name}"' for name in people.columns_in(["FullName", "Id"])]
    assert "child." + OWN_COLUMN + ' = parent."Id"' in task.with_others(columns).sql
    assert (task.columns, people.relation) == (("person",), '"seeds"."people"')
