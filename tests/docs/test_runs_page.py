"""docs/runs.md is true: each block of it is read by what it is for."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import yaml

from dagster_models.compilation.repeatable import repeatable
from dagster_models.compilation.sql_text import relation_for
from dagster_models.definitions.run_settings import run_settings
from dagster_models.execution.options import ONLY_CHANGED_TAG
from pages import Page
from paths import REPOSITORY
from project_cases import load, make, write_project

PAGE = Page.of("runs.md")


def config_of(block: str) -> dict[str, object]:
    """The run config of a block, each key of which the executor takes."""
    config: dict[str, object] = yaml.safe_load(block)["execution"]["config"]
    assert set(config) <= set(run_settings(None))
    return config


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 6


def test_only_what_has_changed(tmp_path: Path) -> None:
    block = PAGE.section("Only what has changed").block("yaml")
    assert config_of(block) == {"only_changed": True}
    assert f"`{ONLY_CHANGED_TAG}`" in PAGE
    text = PAGE.section("What another build may change").block("sql")
    sources = "sources: [{name: raw, tables: [flights]}]"
    project = make(tmp_path, {"models/m/a.sql": text, "models/sources.yaml": sources})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    assert repeatable(project, step).why_not == "" == "".join(repeatable(project, step).functions)


def test_variables(tmp_path: Path) -> None:
    declared, asked = PAGE.section("Variables").blocks("yaml")
    assert config_of(asked) == {"vars": {"late_minutes": 30}}
    files = {
        "dagster_models.yaml": declared,
        "models/a.sql": "select $late_minutes as n, $first_day as d, $regions as r, $api_key as k",
    }
    environ = {"FIRST_DAY": "2024-02-01", "API_KEY": "k", "TENANT": "007"}
    project = load(write_project(tmp_path, files), environ=environ)
    ((_, step),) = project.steps.items()
    assert step.variables == {
        "late_minutes": 15,
        "tenant": "007",
        "first_day": dt.date(2024, 2, 1),
        "regions": ["emea", "apac"],
        "api_key": "k",
    }


def test_a_schema_for_each_developer(tmp_path: Path) -> None:
    block = PAGE.section("A schema for each developer").block("yaml")
    files = {"dagster_models.yaml": block, "models/marts/delays.sql": "select 1 as n"}
    project = load(write_project(tmp_path, files), environ={"USER": "ann"})
    ((key, _),) = project.steps.items()
    assert str(key) == "marts.delays"
    assert str(relation_for(project, key, project.targets["dev"])) == "dev_ann_marts.delays"
    assert str(relation_for(project, key, project.targets["prod"])) == "marts.delays"


def test_reading_from_production() -> None:
    block = PAGE.section("Reading from production what is not built here").block("yaml")
    assert config_of(block) == {"defer": "prod"}


def test_the_example_has_one_location_however_it_is_opened() -> None:
    """`make run` belongs to that of pyproject.toml; a page of another name would not show it."""
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    ((served,),) = (it.values() for it in workspace["load_from"])
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (named,) = re.findall(r'^code_location_name = "(\w+)"', project, re.MULTILINE)
    assert served["location_name"] == named
