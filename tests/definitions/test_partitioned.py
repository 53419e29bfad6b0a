"""Partitioned models as Dagster sees them: definitions, mappings, jobs, schedules, automation."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from dagster_models import ProjectError, load_project
from running import make_project

SETTINGS = """
partitions:
  daily: {every: day, start: 2024-01-01, end: 2024-03-01, timezone: America/New_York}
  weekly: {every: week, start: 2024-01-01, end: 2024-03-04, timezone: America/New_York}
  regions: [emea, apac]
jobs:
  daily: {selection: 'tag:"dagster_models/partitions"="daily"'}
"""


def model(header: str, sql: str) -> str:
    return f"/* @model\nmaterialized: incremental\n{header}\n*/\n{sql}"


FLIGHTS = model("partitions: {of: daily, by: day}", "select day, carrier from raw.events")
FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [events, planes]}]\n",
    "models/flights.sql": FLIGHTS,
    "models/daily.sql": model(
        "partitions: daily", "select day, count(*) as n from flights group by 1"
    ),
    "models/trend.sql": model(
        "partitions: {of: daily, read: [-6, 0]}",
        "select day, n from daily",
    ),
    "models/carriers.sql": "select carrier from raw.planes",
    "models/dim.sql": model(
        "partitions: {of: daily, by: since}\nupstream: {flights: {partitions: last}}",
        "select date '2024-01-01' as since from flights join carriers using (carrier)",
    ),
    "models/total.sql": "select sum(n) as n from daily",
}


def loaded(tmp_path: Path, files: dict[str, str], settings: str = SETTINGS, **options: Any) -> Any:
    return load_project(make_project(tmp_path, files, settings).root, **options)


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["main", name])


def refused(tmp_path: Path, files: dict[str, str], settings: str = SETTINGS, **options: Any) -> str:
    with pytest.raises(ProjectError) as raised:
        loaded(tmp_path, files, f"{settings}load: strict\n", **options)
    return str(raised.value)


def test_the_definitions_and_mappings(tmp_path: Path) -> None:
    definitions = loaded(tmp_path, FILES)
    dg.Definitions.validate_loadable(definitions)
    every = definitions.resolve_all_asset_specs()
    specs = {spec.key.path[-1]: spec for spec in every if spec.key.path[0] == "main"}
    daily = specs["flights"].partitions_def
    assert daily == dg.DailyPartitionsDefinition(
        "2024-01-01", "2024-03-01", timezone="America/New_York"
    )
    for name in ("flights", "daily", "trend", "dim"):
        assert specs[name].partitions_def is daily, "one instance, so that a backfill is one run"
        assert specs[name].tags["dagster_models/partitions"] == "daily"
    plain = {name for name, spec in specs.items() if spec.partitions_def is None}
    assert plain == {"carriers", "total"}
    mappings = {
        name: {dep.asset_key.path[-1]: dep.partition_mapping for dep in specs[name].deps}
        for name in ("daily", "trend", "dim", "total")
    }
    assert mappings["daily"] == {"flights": None}, "Dagster's default: the same partitions"
    read = mappings["trend"]["daily"]
    assert (read.start_offset, read.end_offset) == (-6, 0)
    assert isinstance(mappings["dim"]["flights"], dg.LastPartitionMapping)
    assert mappings["dim"]["carriers"] is None
    assert mappings["total"] == {"daily": None}
    assets = [it for it in definitions.assets if isinstance(it, dg.AssetsDefinition)]
    policies = {asset.backfill_policy for asset in assets}
    assert policies == {dg.BackfillPolicy.single_run()}
    (job,) = [it for it in definitions.resolve_all_job_defs() if it.name == "daily"]
    assert job.partitions_def == daily


def test_a_cron_and_a_value_that_dagster_refuses(tmp_path: Path) -> None:
    settings = "partitions: {odd: {cron: '0 25 * * *', start: 2024-01-01}, dots: ['a...b']}\n"
    files = {
        "models/a.sql": model("partitions: {of: odd, by: d}", "select now() as d"),
        "models/b.sql": model("partitions: {of: dots, by: d}", "select 'a' as d"),
    }
    report = refused(tmp_path, files, settings)
    assert re.search(r"^ *dagster_models.yaml:4:26: error: .* `odd`.*0 25 \* \* \*", report, re.M)
    assert re.search(r"^ *dagster_models.yaml:4:66: error: .* `dots`.*\.\.\.", report, re.M)
    assert "2 problems" in report


# --- jobs and schedules ---------------------------------------------------------------------------

WEEKS = model("partitions: weekly", "select date_trunc('week', day) as week from flights")


def test_two_definitions_in_one_job_are_refused_by_name(tmp_path: Path) -> None:
    files = {**FILES, "models/weeks.sql": WEEKS}
    report = refused(tmp_path, files, SETTINGS + "  all: {selection: '*'}\n")
    assert "dagster_models.yaml:" in report
    assert "job all selects assets of several kinds of partitions" in report
    assert "main/weeks by `weekly`" in report
    for name in ("daily", "weekly"):
        assert f'`selection: tag:"dagster_models/partitions"="{name}"`' in report
    assert "job daily" not in report
    both = SETTINGS + '  weekly: {selection: \'tag:"dagster_models/partitions"="weekly"\'}\n'
    definitions = loaded(tmp_path / "again", files, both)
    assert {job.name for job in definitions.resolve_all_job_defs()} >= {"daily", "weekly"}


def test_two_definitions_without_jobs_are_refused_with_those_to_write(tmp_path: Path) -> None:
    files, settings = {**FILES, "models/weeks.sql": WEEKS}, SETTINGS.partition("jobs:")[0]
    report = refused(tmp_path, files, settings)
    assert "dagster_models.yaml:1:1: error: the project names no `jobs:`" in report
    assert "main/daily, main/dim, 2 more by `daily`, and main/weeks by `weekly`" in report
    entries = re.findall(r"`(\w+: \{selection: .*?\})`", report)
    jobs = "".join(f"  {entry}\n" for entry in entries)
    definitions = loaded(tmp_path / "again", files, f"{settings}jobs:\n{jobs}")
    assert {job.name for job in definitions.resolve_all_job_defs()} >= {"daily", "weekly"}


def tick(definitions: Any, name: str, at: datetime) -> Any:
    schedule = definitions.resolve_schedule_def(name)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=at)
        return schedule, schedule.evaluate_tick(context)


def test_a_schedule_of_the_last_partition(tmp_path: Path) -> None:
    settings = SETTINGS + (
        "schedules:\n"
        "  nightly: {job: daily, partition: last, lookback: 2}\n"
        "  morning: {job: daily, partition: last, cron: '0 6 * * *', timezone: Europe/Berlin}\n"
    )
    definitions = loaded(tmp_path, FILES, settings)
    zone = ZoneInfo("America/New_York")
    schedule, found = tick(definitions, "nightly", datetime(2024, 2, 1, 0, 0, tzinfo=zone))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 0 * * *", zone.key)
    (request,) = found.run_requests
    tags = {
        name: request.tags[f"dagster/asset_partition_range_{name}"] for name in ("start", "end")
    }
    assert tags == {"start": "2024-01-29", "end": "2024-01-31"}
    schedule, found = tick(definitions, "morning", datetime(2024, 2, 1, 0, 0, tzinfo=zone))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    assert found.run_requests[0].tags["dagster/partition"] == "2024-01-31"
    _, found = tick(definitions, "nightly", datetime(2024, 1, 1, 23, 0, tzinfo=zone))
    assert (found.run_requests, found.skip_message) == ([], "No partition is complete yet.")


@pytest.mark.parametrize(
    ("schedule", "what"),
    [
        ("{job: daily, cron: '0 0 * * *'}", "job daily builds partitions of `daily`, and it names"),
        ("{job: plain, partition: last}", "no asset of job plain is partitioned"),
        ("{job: regions, partition: last}", "none of the partitions of `regions` is the last one"),
        ("{job: plain, cron: '0 0 * * *', lookback: 3}", "there is no `partition`"),
        ("{job: daily, partition: first}", "`partition`: the text 'first' is not allowed"),
    ],
)
def test_schedules_that_cannot_be(tmp_path: Path, schedule: str, what: str) -> None:
    files = {
        **FILES,
        "models/r.sql": model("partitions: {of: regions, by: r}", "select 'emea' as r"),
    }
    settings = SETTINGS + (
        "  plain: {selection: 'key:\"main/carriers\"'}\n"
        "  regions: {selection: 'key:\"main/r\"'}\n"
        f"schedules: {{s: {schedule}}}\n"
    )
    report = refused(tmp_path, files, settings)
    assert what in report
    assert "1 problem" in report


# --- assets of others -----------------------------------------------------------------------------


def theirs(zone: str = "America/New_York") -> dg.AssetSpec:
    return dg.AssetSpec(
        ["loader", "events"],
        metadata={"dagster/table_name": "raw.events"},
        partitions_def=dg.DailyPartitionsDefinition("2020-01-01", timezone=zone),
    )


def test_partitions_of_others_correspond_only_where_that_is_known(tmp_path: Path) -> None:
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: events, "
        "columns: {day: {type: date}}, partitions: {by: day}}]}]\n",
        "models/flights.sql": model("partitions: daily", "select day from raw.events"),
        "models/other.sql": model(
            "partitions: {of: daily, by: d}", "select day + 1 as d from raw.events"
        ),
    }
    report = refused(tmp_path, files, assets=[theirs()])
    assert "models/other.sql:1:1: error: main.other reads the asset loader/events" in report
    assert "upstream: {raw.events: {partitions: last}}" in report
    assert "1 problem" in report
    assert "models/flights.sql" in refused(tmp_path / "zone", files, assets=[theirs("UTC")])
    files["models/other.sql"] = model(
        "partitions: {of: daily, by: d}\nupstream: {raw.events: {partitions: all}}",
        "select day + 1 as d from raw.events",
    )
    dg.Definitions.validate_loadable(loaded(tmp_path / "asked", files, assets=[theirs()]))


# --- automation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("automation", "asked_for"),
    [
        ("eager", {"2024-02-02"}),
        ("{condition: eager, lookback: 2}", {"2024-02-01", "2024-02-02"}),
        ("on_missing", {"2024-02-02"}),
        ("{condition: on_missing, lookback: 1}", {"2024-02-01", "2024-02-02"}),
        ("on_cron('0 1 * * *')", {"2024-02-02"}),
        ("{condition: \"on_cron('0 1 * * *')\", lookback: 1}", {"2024-02-01", "2024-02-02"}),
    ],
)
def test_the_partitions_that_automation_asks_for(
    tmp_path: Path, automation: str, asked_for: set[str]
) -> None:
    files = {
        "models/flights.sql": model(
            "partitions: {of: daily, by: day}", "select date '2024-01-05' as day"
        ),
        "models/daily.sql": model(
            f"partitions: daily\nautomation: {automation}", "select day, 1 as n from flights"
        ),
    }
    definitions = loaded(tmp_path, files)
    zone, cursor, found = ZoneInfo("America/New_York"), None, set()
    with dg.DagsterInstance.ephemeral() as instance:
        for day in (1, 2, 3):
            for partition in ("2024-01-30", "2024-02-01", "2024-02-02") if day == 3 else ():
                event = dg.AssetMaterialization(key("flights"), partition=partition)
                instance.report_runless_asset_event(event)
            result = dg.evaluate_automation_conditions(
                definitions,
                instance,
                dg.AssetSelection.assets(key("flights"), key("daily")),
                cursor=cursor,
                evaluation_time=datetime(2024, 2, day, 12, tzinfo=zone),
            )
            cursor, found = result.cursor, result.get_requested_partitions(key("daily"))
            assert day == 3 or not found, "what it reads is not there"
    assert found == asked_for


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("automation: on_cron('0 25 * * *')", "0 25 * * *"),
        ("automation: {condition: eager, lookback: 3}", "counts partitions of an hour, day"),
    ],
)
def test_automation_that_cannot_be(tmp_path: Path, header: str, what: str) -> None:
    files = {"models/a.sql": f"/* @model\n{header}\n*/\nselect 1 as n"}
    report = refused(tmp_path, files)
    assert "models/a.sql:1:1" in report
    assert what in report
