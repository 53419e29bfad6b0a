"""Names that a warehouse refuses or would cut are problems of the load, on the project's target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.model import Project
from dagster_models.errors import Problem, ProjectError
from dagster_models.project.targets import usable_target
from project_cases import load, write_project

TARGETS = """name: p
dialect: {dialect}
target: {target}
targets:
  duckdb: {{type: duckdb, path: target/w.duckdb}}
  postgres: {{type: postgres, host: localhost, schema_prefix: "{prefix}"}}
  mariadb: {{type: mariadb, host: localhost}}
  spark: {{type: spark, host: localhost, location: /lake}}
"""
DIALECTS = {"mariadb": "mysql"}
#: 64 bytes: for PostgreSQL one too many.
LONG = "n" * 64
UMLAUTS = "ü" * 32


def problems(
    tmp_path: Path, target: str, files: dict[str, str], prefix: str = ""
) -> Sequence[Problem]:
    text = TARGETS.format(target=target, prefix=prefix, dialect=DIALECTS.get(target, target))
    return _load(tmp_path, {"dagster_models.yaml": text, **files}).warnings


def _load(tmp_path: Path, files: dict[str, str]) -> Project:
    return load(write_project(tmp_path, files), whole=False)


@pytest.mark.parametrize("name", [LONG, UMLAUTS, "n" * 61 + "üü"])
def test_all_that_postgres_would_cut_is_reported(tmp_path: Path, name: str) -> None:
    files = {
        "models/m/a.sql": f"/* @model\nalias: {LONG}\n*/ select 1 as a",
        "models/m/b.sql": f"/* @model\nschema: {LONG}\n*/ select 1 as a",
        "models/m/c.sql": f"select\n1 as {name}",
        "models/m/d.sql": f"select * from (select\n1 as a,\n2 as {name}) q",
        "seeds/e.csv": f"a,{name}\n1,2\n",
    }
    found = problems(tmp_path, "postgres", files)
    assert {it.severity for it in found} == {"error"}
    assert sorted((it.path, it.line) for it in found) == [
        ("models/m/a.sql", 2),
        ("models/m/b.sql", 2),
        ("models/m/c.sql", 2),
        ("models/m/d.sql", 3),
        ("seeds/e.csv", 1),
    ]
    what = f"`({LONG}|{name})` cannot be the name of a (schema|relation|column) on the target"
    assert all(re.match(what, it.what) for it in found)


def test_one_byte_less_is_taken_and_the_prefix_counts(tmp_path: Path) -> None:
    name = LONG[:-1]
    files = {f"models/{name}/{name}.sql": f"select 1 as {name}"}
    assert problems(tmp_path / "without", "postgres", files) == ()
    (found,) = problems(tmp_path / "with", "postgres", files, "x")
    assert found.what == (
        f"`x{name}` cannot be the name of a schema on the target `postgres`: it has 64 bytes,"
        " PostgreSQL would cut it after 63"
    )


def test_a_column_that_only_the_yaml_of_a_source_has_is_not_the_models(tmp_path: Path) -> None:
    """The model can be built: the source has no such column, whatever its YAML says."""
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: t,"
        f" columns: [{{name: {LONG}}}, {{name: b}}]}}]}}]",
        "models/m/a.sql": "select * from raw.t",
        "models/m/b.sql": f"select *,\nb as {LONG.upper()}x from raw.t",
    }
    (found,) = problems(tmp_path, "postgres", files)
    assert (found.path, found.line) == ("models/m/b.sql", 2)
    assert f"`{LONG}x` cannot be" in found.what


def test_the_table_of_a_check_is_a_warning(tmp_path: Path) -> None:
    """Its rows are not stored, and what it finds counts. Beside a source nothing is stored."""
    name = "c" * 55  # failures_ has nine
    check = f"not_null: {{name: {name}, store_failures: true, severity: warn}}"
    files = {
        "models/m/a.sql": f"/* @model\ncolumns: {{a: {{checks: [{{{check}}}]}}}}\n*/ select 1 as a",
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: t, columns: [{name: a,"
        f" checks: [{{{check}}}]}}]}}]}}]",
    }
    (found,) = problems(tmp_path, "postgres", files)
    assert (found.severity, found.path, found.line) == ("warning", "models/m/a.sql", 2)
    assert f"`failures_{name}` cannot be the name of a relation" in found.what


@pytest.mark.parametrize(
    ("target", "alias", "column", "reasons"),
    [
        ("duckdb", "n" * 129, "𐎠" * 65, []),
        ("postgres", "n" * 63, "𐎠" * 16, ["column 64 bytes"]),
        ("mariadb", "n" * 65, "𐎠", ["relation 65 characters", "column four bytes"]),
        ("mariadb", "n" * 64, "ü" * 64, []),
        ("spark", "n" * 129, "𐎠" * 65, ["relation a folder"]),
        ("spark", "n" * 128, "a", []),
    ],
)
def test_each_warehouse_has_rules_of_its_own(
    tmp_path: Path, target: str, alias: str, column: str, reasons: list[str]
) -> None:
    model = f'/* @model\nalias: {alias}\n*/ select 1 as "{column}"'
    if target in ("mariadb", "spark"):
        model = model.replace('"', "`")
    found = problems(tmp_path, target, {"models/m/a.sql": model})
    assert len(found) == len(reasons), found
    for reason in reasons:
        of, _, why = reason.partition(" ")
        assert any(f"a {of} on" in it.what and why in it.what for it in found), reason


def test_a_run_on_another_target_refuses_them_too(tmp_path: Path) -> None:
    text = TARGETS.format(target="duckdb", prefix="", dialect="duckdb")
    files = {"dagster_models.yaml": text, "models/m/a.sql": f"select 1 as {LONG}"}
    project = _load(tmp_path, files)
    assert project.warnings == ()
    (step,) = project.steps.values()
    it = TargetStep(project, step, usable_target(project))
    with pytest.raises(ProjectError, match="would cut it after 63"):
        it.on("postgres")
