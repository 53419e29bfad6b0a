"""How models are partitioned: the column that the lineage proves, and what they read of others."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.materializations import Incremental
from dagster_models.core.model import Key, Project
from dagster_models.core.partitions import Automation, PartitionSet, StepPartitions
from dagster_models.core.tasks import BuildTask, task_from_json, task_to_json
from dagster_models.project.targets import usable_target
from project_cases import make, report_of, write_project

SETTINGS = """name: p
partitions:
  daily: {every: day, start: 2024-01-01, timezone: America/New_York}
  weekly: {every: week, start: 2024-01-01, timezone: America/New_York}
  elsewhere: {every: week, start: 2024-01-01}
  hourly: {every: hour, start: 2024-01-01, timezone: America/New_York}
  fiscal: {cron: "30 5 * * *", start: 2024-01-01, end: 2025-01-01}
  regions: [emea, apac]
models: {materialized: incremental}
"""
SOURCES = """sources:
  - name: raw
    tables:
      - name: events
        columns: {day: {type: date}, at: {type: timestamp}, carrier: {type: varchar}}
        partitions: {by: at}
      - name: planes
        columns: {carrier: {type: varchar}, since: {type: date}}
"""


def of(name: str, header: str, sql: str) -> dict[str, str]:
    return {f"models/{name}.sql": f"/* @model\n{header}\n*/\n{sql}"}


def project_of(folder: Path, *models: dict[str, str]) -> Project:
    files = {"dagster_models.yaml": SETTINGS, "models/sources.yaml": SOURCES}
    for model in models:
        files |= model
    return make(folder, files)


def partitions(project: Project, name: str) -> StepPartitions:
    found = project.steps[Key("main", name)].partitions
    assert found is not None
    return found


FLIGHTS = of("flights", "partitions: daily", "select at, carrier from raw.events")
VIEW = of("view", "materialized: view", "select at as moment, carrier from flights")


def test_the_named_sets(tmp_path: Path) -> None:
    sets = project_of(tmp_path, FLIGHTS).partitions
    start = datetime.datetime(2024, 1, 1)
    assert sets["daily"] == PartitionSet("daily", "day", "", start, timezone="America/New_York")
    assert sets["fiscal"] == PartitionSet(
        "fiscal", "cron", "30 5 * * *", start, datetime.datetime(2025, 1, 1)
    )
    assert sets["regions"] == PartitionSet("regions", "values", values=("emea", "apac"))
    assert {name: it.ticks_within_days for name, it in sets.items() if it.is_timed} == {
        **dict.fromkeys(("daily", "weekly", "elsewhere"), False),
        **dict.fromkeys(("hourly", "fiscal"), True),
    }


def test_a_build_in_full_knows_what_the_set_reaches(tmp_path: Path) -> None:
    """Rows outside of it are in no partition, whatever is built."""
    cases = {"daily": "at", "fiscal": "at", "regions": "carrier", "weeks": "at"}
    models = [
        of(
            name,
            f"partitions: {{of: {'daily, widen: week' if name == 'weeks' else name}, by: {by}}}",
            "select at, carrier from raw.events",
        )
        for name, by in cases.items()
    ]
    project = project_of(tmp_path, *models)
    found = {}
    for name in cases:
        step = TargetStep(project, project.steps[Key("main", name)], usable_target(project))
        task = task_for(step, "r", 1)
        assert isinstance(task, BuildTask)
        again = task_from_json(json.loads(json.dumps(task_to_json(task))))
        assert again == task
        assert isinstance(task.materialization, Incremental)
        assert task.materialization.partitioned is not None
        found[name] = str(task.materialization.partitioned.reach)
    assert found == {
        "daily": "2024-01-01T00:00:00-05:00 to 9999-01-01T00:00:00-05:00",
        "fiscal": "2024-01-01T00:00:00+00:00 to 2025-01-01T00:00:00+00:00",
        "regions": "ValueWindow(values=('emea', 'apac'))",
        "weeks": "None",
    }


@pytest.mark.parametrize(
    ("header", "sql", "by"),
    [
        ("daily", "select at from flights", "at"),
        ("daily", "select cast(at as date) as d, carrier from flights", "d"),
        ("daily", "select date_trunc('day', at)::date as d from flights", "d"),
        (
            "daily",
            "select d, count(*) as n from (select at::date as d from flights) group by d",
            "d",
        ),
        (
            "daily",
            "select at as x, carrier from flights union all select at, carrier from flights",
            "x",
        ),
        (
            "daily",
            "select f.*, c.since from flights as f join raw.planes as c using (carrier)",
            "at",
        ),
        ("daily", "select moment::date as d from view", "d"),
        ("daily", "select at::date as d from raw.events", "d"),
        ("hourly", "select date_trunc('hour', at) as h from raw.events", "h"),
        ("weekly", "select date_trunc('week', at) as w from flights", "w"),
        ("{of: daily, widen: week}", "select date_trunc('week', at) as w from flights", "w"),
    ],
)
def test_the_column_is_found_in_the_lineage(tmp_path: Path, header: str, sql: str, by: str) -> None:
    project = project_of(tmp_path, FLIGHTS, VIEW, of("m", f"partitions: {header}", sql))
    assert project.warnings == ()
    assert partitions(project, "m").by == by


@pytest.mark.parametrize(
    "sql",
    [
        "select at + interval 1 day as at from flights",
        "select coalesce(at, now()) as at from flights",
        "select max(at) as at, carrier from flights group by carrier",
        "select since from raw.planes",
        "select at from flights union all select since from raw.planes",
        "select at from flights union all select now() as at",
        "select date_trunc('month', at) as at from flights",
        "select date_trunc('week', at) as at from view join flights using (carrier)",
        "select strftime(at, '%Y') as at from flights",
        "select carrier from flights",
        "select {'at': at}.at as at from flights",
    ],
)
def test_what_the_lineage_does_not_prove_is_asked_for(tmp_path: Path, sql: str) -> None:
    files = {"dagster_models.yaml": SETTINGS, "models/sources.yaml": SOURCES}
    root = write_project(
        tmp_path, {**files, **FLIGHTS, **VIEW, **of("m", "partitions: daily", sql)}
    )
    report = report_of(root)
    assert "models/m.sql:2:1: error: the column of the partitions of main.m is not known" in report
    assert "partitions: {of: daily, by: " in report


@pytest.mark.parametrize(
    ("header", "sql", "how"),
    [
        ("partitions: daily", "select at from flights", "same"),
        ("partitions: {of: daily, read: [-6, 0]}", "select at from flights", "read"),
        ("partitions: weekly", "select at from flights", "overlapping"),
        (
            "partitions: {of: daily, by: since}\nupstream: {flights: {partitions: last}}",
            "select since from raw.planes join flights using (carrier)",
            "last",
        ),
        (
            "partitions: {of: elsewhere, by: at}\nupstream: {flights: {partitions: all}}",
            "select at from flights",
            "all",
        ),
        (
            "partitions: {of: daily, by: since}\nupstream: {main.flights: {partitions: same}}",
            "select since from raw.planes join flights on since = at",
            "same",
        ),
    ],
)
def test_how_the_partitions_correspond(tmp_path: Path, header: str, sql: str, how: str) -> None:
    project = project_of(tmp_path, FLIGHTS, of("m", header, sql))
    assert partitions(project, "m").upstream[Key("main", "flights")] == how


def test_what_is_not_partitioned_needs_no_mapping(tmp_path: Path) -> None:
    project = project_of(
        tmp_path, FLIGHTS, VIEW, of("m", "partitions: daily", "select * from view")
    )
    assert partitions(project, "m").upstream == {}
    assert project.steps[Key("main", "view")].partitions is None


def test_another_zone_is_asked_for(tmp_path: Path) -> None:
    files = {"dagster_models.yaml": SETTINGS, "models/sources.yaml": SOURCES, **FLIGHTS}
    model = of("m", "partitions: elsewhere", "select at from flights")
    report = report_of(write_project(tmp_path, {**files, **model}))
    assert "main.m reads main.flights, whose partitions are `daily` and not `elsewhere`" in report
    assert "`upstream: {main.flights: {partitions: last}}` (or all, or same)" in report


def test_a_python_model_says_its_column(tmp_path: Path) -> None:
    header = "materialized: incremental\npartitions: {of: regions, by: region}"
    code = f'"""\n@model\n{header}\n"""\ndef model(warehouse):\n    return None\n'
    project = project_of(tmp_path, {"models/m.py": code})
    assert partitions(project, "m").by == "region"
    missing = code.replace("{of: regions, by: region}", "regions")
    assert "the column of the partitions of main.m is not known" in report_of(
        write_project(tmp_path, {"dagster_models.yaml": SETTINGS, "models/m.py": missing})
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("eager", Automation("eager")),
        ("on_missing", Automation("on_missing")),
        ('on_cron("0 6 * * *")', Automation("on_cron", "0 6 * * *")),
        ("{condition: eager, lookback: 3}", Automation("eager", lookback=3)),
        (
            "{condition: on_cron('0 6 * * *'), timezone: Europe/Berlin}",
            Automation("on_cron", "0 6 * * *", "Europe/Berlin"),
        ),
    ],
)
def test_automation(tmp_path: Path, written: str, meant: Automation) -> None:
    project = project_of(
        tmp_path, of("m", f"materialized: table\nautomation: {written}", "select 1 as n")
    )
    assert project.steps[Key("main", "m")].config.automation == meant


def test_only_what_decides_the_contents_is_in_the_code_version(tmp_path: Path) -> None:
    def version(header: str) -> str:
        project = project_of(tmp_path, of("m", header, "select at from raw.events"))
        return project.steps[Key("main", "m")].code_version

    before = version("partitions: daily")
    assert version("partitions: daily\nautomation: eager") == before
    assert version("partitions: {of: daily, by: at}") != version(
        "partitions: {of: daily, by: at, read: [-1, 0]}"
    )
