"""What headers, folders and schedules say to Dagster: kinds, tags, links to code, runs' tags."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import load_project
from project_cases import without_kinds, write_project

KINDS = {
    "models/a.sql": "/* @model\nmaterialized: view\n*/\nselect 1 as n",
    "models/b.sql": "/* @model\nmaterialized: incremental\nkinds: [gold]\n*/\nselect 1 as n",
    "models/c.py": "def model(warehouse):\n    return warehouse.sql('select 1 as n')\n",
    "scripts/d.py": "print(1)\n",
    "seeds/e.csv": "n\n1\n",
}


def loaded_from(folder: Path, files: Mapping[str, str], settings: str) -> dg.Definitions:
    return load_project(
        write_project(folder, {"dagster_models.yaml": f"name: test\n{settings}", **files})
    )


def node(tmp_path: Path, key: str, files: Mapping[str, str], settings: str = "") -> Any:
    loaded = loaded_from(tmp_path, files, settings)
    return loaded.resolve_asset_graph().get(dg.AssetKey(key.split("/")))


def test_kinds_are_of_the_file_and_the_header_and_the_folder(tmp_path: Path) -> None:
    settings = "models: {kinds: marts, c: {kinds: slow}}\n"
    graph = loaded_from(tmp_path, KINDS, settings).resolve_asset_graph()
    kinds = {key.path[-1]: graph.get(key).kinds for key in graph.get_all_asset_keys()}
    assert kinds == {
        "a": {"sql", "duckdb", "view", "marts"},
        "b": {"sql", "duckdb", "incremental", "marts", "gold"},
        "c": {"python", "duckdb", "table", "marts", "slow"},
        "d": {"python", "duckdb"},
        "e": {"csv", "duckdb"},
    }


def test_tags_have_values_and_the_nearest_one_counts(tmp_path: Path) -> None:
    header = "/* @model\ntags: {tier: gold, cost: 3, nightly: }\n*/\nselect 1 as n"
    settings = "models: {marts: {tags: {tier: silver}}, tags: {tier: gold, daily: }}\n"
    settings += "jobs: {gold: {selection: 'tag:tier=gold'}}\n"
    files = {"models/marts/a.sql": header, "models/marts/b.sql": "select 1 as n"}
    loaded = loaded_from(tmp_path, files, settings)
    graph = loaded.resolve_asset_graph()
    a, b = (without_kinds(graph.get(dg.AssetKey(["marts", name])).tags) for name in "ab")
    assert a == {"daily": "", "tier": "gold", "cost": "3", "nightly": ""}
    assert b == {"daily": "", "tier": "silver"}
    job = loaded.resolve_job_def("gold")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {"a"}
    assert job.get_node_named("marts__a").definition.tags["tier"] == "gold"


def test_the_link_to_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"models/marts/a.sql": "\nselect 1 as n"}
    settings = "code_url: https://git.example.com/dwh/blob/${REVISION}/models_project/\n"

    def reference(folder: str) -> Any:
        metadata = node(tmp_path / folder, "marts/a", files, settings).metadata
        (found,) = metadata["dagster/code_references"].code_references
        return found

    monkeypatch.delenv("REVISION", raising=False)
    assert reference("local").file_path.endswith("models/marts/a.sql")
    monkeypatch.setenv("REVISION", "4f2a")
    assert reference("web").url == (
        "https://git.example.com/dwh/blob/4f2a/models_project/models/marts/a.sql#L1"
    )


def test_a_schedule_is_running_and_its_runs_have_its_tags(tmp_path: Path) -> None:
    daily = "{every: day, start: 2024-01-01}"
    incremental = "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: d}\n*/\n"
    files = {
        "models/a.sql": "select 1 as n",
        "models/days.sql": f"{incremental}select date '2024-01-01' as d",
    }
    settings = f"""
partitions: {{daily: {daily}}}
jobs:
  all: {{selection: main.a, tags: {{team: data}}}}
  days: {{selection: main.days}}
schedules:
  nightly:
    job: all
    cron: "0 6 * * *"
    execution_timezone: Europe/Berlin
    status: running
    tags: {{dagster_models/target: dev, dagster/priority: 3}}
    description: Before the office opens.
  each_day: {{job: days, partition: last, tags: {{why: late rows}}}}
"""
    loaded = loaded_from(tmp_path, files, settings)
    nightly, days = loaded.resolve_schedule_def("nightly"), loaded.resolve_schedule_def("each_day")
    assert nightly.default_status is dg.DefaultScheduleStatus.RUNNING
    assert days.default_status is dg.DefaultScheduleStatus.STOPPED
    assert nightly.execution_timezone == "Europe/Berlin"
    assert nightly.description == "Before the office opens."
    at = dt.datetime(2024, 3, 1, 5, tzinfo=dt.timezone.utc)
    with dg.DagsterInstance.ephemeral() as instance:
        repository = loaded.get_repository_def()
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=at, repository_def=repository
        )
        (run,) = nightly.evaluate_tick(context).run_requests or ()
        assert run.tags.items() >= {"dagster_models/target": "dev", "dagster/priority": "3"}.items()
        (run,) = days.evaluate_tick(context).run_requests or ()
        assert run.tags.items() >= {"why": "late rows", "dagster/partition": "2024-02-29"}.items()
