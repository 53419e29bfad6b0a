"""docs/partitions.md is true: its blocks are loaded, and its tables have all keys."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagster_models import load_project
from dagster_models.core.model import Key, Project
from dagster_models.project import partitions
from pages import Page
from project_cases import load, write_project

PAGE = Page.of("partitions.md")
FLEET = "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: since}\n*/\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that is made of all blocks of the page."""
    sets, sources, jobs, automation = PAGE.blocks("yaml")
    model, upstream = PAGE.blocks("sql")
    files = {
        "dagster_models.yaml": sets + jobs + automation + "  staging: {materialized: view}\n",
        "models/sources.yaml": sources,
        "models/staging/stg_flights.sql": "select * from raw.flights",
        "models/staging/fleet.sql": f"{FLEET}select date '2024-01-01' as since, 1 as planes, "
        "'AA' as carrier",
        "models/marts/daily_flights.sql": model,
        "models/late/planes.sql": upstream,
        "models/reports/report.sql": "select 1 as n",
    }
    return write_project(tmp_path, files)


def steps(project: Project) -> dict[str, object]:
    return {key.name: step.partitions for key, step in project.steps.items()}


def test_every_block_is_used_here() -> None:
    assert PAGE.count("\n```") == 2 * (4 + 2 + 1)


def test_the_blocks_are_a_project(root: Path) -> None:
    project = load(root, environ={})
    assert project.warnings == ()
    flights = project.steps[Key("marts", "daily_flights")].partitions
    planes = project.steps[Key("late", "planes")].partitions
    assert flights is not None
    assert planes is not None
    assert (flights.by, flights.of.name) == ("flight_date", "daily")
    assert planes.upstream == {Key("staging", "fleet"): "last"}
    definitions = load_project(root)
    dg.Definitions.validate_loadable(definitions)
    conditions = {
        spec.key.path[-1]: spec.automation_condition.get_label()
        for spec in definitions.resolve_all_asset_specs()
        if spec.automation_condition is not None
    }
    assert conditions.pop("daily_flights") == "eager"
    assert conditions.pop("report") == "on_cron(0 6 * * *, America/New_York)"
    assert [*conditions] == ["planes"]
    assert definitions.resolve_schedule_def("nightly").cron_schedule == "0 0 * * *"


def test_the_tables_have_every_key() -> None:
    told = {key for cell in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
            for key in re.findall(r"`(\w+)", cell)}  # fmt: skip
    keys = {*partitions.SET_KEYS, *partitions.MODEL_KEYS}
    assert keys <= told
    assert told - keys == {"eager", "on_missing", "on_cron"}
    for key in partitions.AUTOMATION_KEYS:
        assert re.search(rf"\b{key}\b", PAGE[PAGE.index("## Automation") :]), key


def test_the_keys_of_the_schedule() -> None:
    (_, _, jobs, _) = PAGE.blocks("yaml")
    assert set(yaml.safe_load(jobs)["schedules"]["nightly"]) == {"job", "partition", "lookback"}
