"""docs/references.md is true: every code block in it is loaded here."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.errors import ProjectError
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import load, write_project

PAGE = Page.of("references.md")
SOURCES = "sources: [{name: raw, tables: [orders, payments]}]"


def project(root: Path, files: dict[str, str]) -> Project:
    return load(write_project(root, {"models/sources.yaml": SOURCES, **files}), environ={})


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 10


def test_what_is_sent(tmp_path: Path) -> None:
    written, sent = PAGE.section("How a name is resolved").blocks("sql")
    files = {
        "dagster_models.yaml": "name: p\n"
        "targets: {dev: {type: duckdb, path: x.duckdb, schema_prefix: dev_}}\n",
        "models/staging/orders.sql": "select 1 as id, 2 as total",
        "models/marts/m.sql": written,
    }
    found = project(tmp_path, files)
    step = found.steps[Key("marts", "m")]
    assert compile_step(found, step, usable_target(found)) == sent
    assert step.upstream == (Key("raw", "orders"), Key("staging", "orders"))


def test_variables_that_an_editor_can_run(tmp_path: Path) -> None:
    written, sent = PAGE.section("Variables that an editor can run").blocks("sql")
    settings = PAGE.section("Variables that an editor can run").block("yaml")
    targets = "targets: {dev: {type: duckdb, path: x.duckdb}}\n"
    files = {
        "dagster_models.yaml": f"name: p\n{targets}{settings}",
        "models/m.sql": written,
    }
    found = project(tmp_path, files)
    assert compile_step(found, found.steps[Key("main", "m")], usable_target(found)) == sent


def test_an_unknown_reference_as_an_error(tmp_path: Path) -> None:
    settings = PAGE.section("How a name is resolved").block("yaml")
    files = {"dagster_models.yaml": settings, "models/a.sql": "select * from nowhere"}
    with pytest.raises(ProjectError, match=r"models/a.sql:1:15: error: `nowhere` is not a model"):
        project(tmp_path, files)


def test_a_table_that_reads_itself(tmp_path: Path) -> None:
    text = PAGE.section("A table that reads itself").block("sql")
    found = project(tmp_path, {"models/marts/balances.sql": text})
    assert found.steps[Key("marts", "balances")].upstream == (Key("raw", "payments"),)
    assert found.warnings == ()


def test_python(tmp_path: Path) -> None:
    code = PAGE.section("Python").block("python")
    files = {"models/staging/stg_customers.sql": "select 1 as id, 'Oslo' as city"}
    found = project(tmp_path, {**files, "models/marts/m.py": code})
    reads = {Key("staging", "stg_customers"), Key("raw", "orders")}
    assert set(found.steps[Key("marts", "m")].upstream) == reads
    assert found.warnings == ()
    silent = code.replace("upstream: [raw.orders]\n", "")
    (warning,) = project(tmp_path, {**files, "models/marts/m.py": silent}).warnings
    assert (warning.path, warning.line) == ("models/marts/m.py", 11)
    assert "passed to fetch(...)" in warning.what
    assert "`upstream:`" in warning.fix


def test_sql_that_the_parser_does_not_know(tmp_path: Path) -> None:
    title = "SQL that the parser does not know"
    (settings,), (text,) = PAGE.section(title).blocks("yaml"), PAGE.section(title).blocks("sql")
    files = {
        "dagster_models.yaml": settings,
        "models/stg_trials.sql": "select 1 as value",
        "models/m.sql": text,
    }
    found = project(tmp_path, files)
    assert found.steps[Key("main", "m")].upstream == (Key("main", "stg_trials"),)
    assert ["cannot be read" in warning.what for warning in found.warnings] == [True]
    without = {**files, "dagster_models.yaml": settings.replace("unreadable_sql: warn\n", "")}
    with pytest.raises(ProjectError, match="unreadable_sql: warn"):
        project(tmp_path, without)
