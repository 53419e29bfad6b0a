"""Freshness as Dagster sees it: the policies of assets, and schedules that wait for a source."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import (
    create_test_daemon_workspace_context,
    freeze_time,
    instance_for_test,
    load_remote_repo,
)
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._scheduler.scheduler import launch_scheduled_runs

from dagster_models import load_project
from dagster_models.errors import WarehouseError
from running import Project, make_project

# --- models ---------------------------------------------------------------------------------------

WORDS = {
    "ours": "freshness: {warn: 12h, fail: 24h}",
    "dbt": "freshness: {warn_after: {count: 12, period: hour},"
    " error_after: {count: 1, period: day}}",
}


@pytest.mark.parametrize("words", WORDS)
def test_dagster_calls_a_model_stale_when_its_time_has_passed(tmp_path: Path, words: str) -> None:
    header = f"/* @model\n{WORDS[words]}\n*/\n"
    files = {"models/a.sql": f"{header}select 1 as n", "models/b.sql": "select n from a"}
    project = make_project(tmp_path, files)
    graph = load_project(project.root).resolve_asset_graph()
    key = dg.AssetKey(["main", "a"])
    assert graph.get(dg.AssetKey(["main", "b"])).freshness_policy is None
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key))
        built = instance.get_latest_materialization_event(key)
        assert built is not None
        found = {}
        for hours in (1, 11.9, 12.1, 23.9, 24.1):
            with freeze_time(built.timestamp + hours * 3600):
                asked = TimeWindowFreshnessPolicyEvaluator().evaluate_freshness(
                    LoadingContextForTest(instance), graph.get(key)
                )
                found[hours] = asyncio.run(asked).value
    assert found == {1: "PASS", 11.9: "PASS", 12.1: "WARN", 23.9: "WARN", 24.1: "FAIL"}


def test_one_limit_is_enough_and_changes_no_code_version(tmp_path: Path) -> None:
    node, other = (
        load_project(make_project(tmp_path / name, {"models/a.sql": f"{header}select 1 as n"}).root)
        .resolve_asset_graph()
        .get(dg.AssetKey(["main", "a"]))
        for name, header in {"with": "/* @model freshness: {fail: 90m} */\n", "without": ""}.items()
    )
    assert node.code_version == other.code_version
    policy = node.freshness_policy
    assert policy is not None
    assert policy.fail_window.to_timedelta().total_seconds() == 5400  # type: ignore[attr-defined]


# --- schedules ------------------------------------------------------------------------------------

SOURCES = """
sources:
  - name: raw
    loaded_at: at_time
    freshness: {warn: 1h, fail: 12h}
    tables: [orders, {name: people, freshness: {fail: null}}, {name: plain, freshness: null}]
"""
SCHEDULE = "schedules: {{nightly: {{job: test, cron: '0 6 * * *', {waits}}}}}\n"
DAILY = "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: day}\n*/\n"


def project_of(folder: Path, waits: str, model: str = "", settings: str = "") -> Project:
    text = f"{model}select cast(at_time as date) as day from raw.orders"
    files = {"models/sources.yaml": SOURCES, "models/a.sql": text}
    return make_project(folder, files, settings + SCHEDULE.format(waits=waits))


def fill(project: Project, table: str, hours: float) -> None:
    at = dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=hours)
    with project.warehouse() as session:
        session.execute("create schema if not exists raw")
        session.execute(
            f"create or replace table raw.{table} as select '{at}'::timestamptz at_time"
        )


def evaluated(project: Project) -> dg.RunRequest | str:
    """What a tick asks for, or why it is skipped."""
    schedule = load_project(project.root).resolve_schedule_def("nightly")
    with dg.DagsterInstance.ephemeral() as instance:
        at = dt.datetime(2024, 2, 1, 6, tzinfo=dt.timezone.utc)
        found = schedule.evaluate_tick(dg.build_schedule_context(instance, at))
    assert (found.skip_message is None) is bool(found.run_requests)
    return found.skip_message or (found.run_requests or [])[0]


def test_a_tick_waits_for_each_source(tmp_path: Path) -> None:
    project = project_of(tmp_path, "wait_for_fresh: [raw.orders, RAW.People]")
    fill(project, "people", 0.5)
    for hours in (11.9, 12.1):
        fill(project, "orders", hours)
        found = evaluated(project)
        if hours < 12:  # older than `warn`, which is no reason to wait
            assert isinstance(found, dg.RunRequest)
            continue
        assert isinstance(found, str)
        assert found.startswith("raw.orders is stale: the newest row is 435")
        assert found.endswith(", and 12 h are allowed")
    fill(project, "people", 1.1)  # has nothing but `warn`
    assert "\nraw.people is stale: " in str(evaluated(project))
    with project.warehouse() as session:
        session.execute("delete from raw.orders; delete from raw.people")
    assert str(evaluated(project)).startswith("raw.orders is stale: there is no row")


def test_the_runs_of_a_schedule_of_partitions_have_their_partition(tmp_path: Path) -> None:
    settings = "partitions: {daily: {every: day, start: 2024-01-01, end: 2024-03-01}}\n"
    waits = "partition: last, wait_for_fresh: raw.orders"
    project = project_of(tmp_path, waits, DAILY, settings)
    fill(project, "orders", 13)
    assert isinstance(evaluated(project), str)
    fill(project, "orders", 1)
    found = evaluated(project)
    assert isinstance(found, dg.RunRequest)
    assert "2024-01-31" in found.tags.values()


def test_a_warehouse_that_cannot_be_asked_fails_the_tick(tmp_path: Path) -> None:
    project = project_of(tmp_path, "wait_for_fresh: [raw.orders]")
    with pytest.raises(WarehouseError, match=r"the freshness of raw.orders: .*does not exist"):
        evaluated(project)


def test_a_real_scheduler_shows_why_it_has_skipped_a_tick(tmp_path: Path) -> None:
    project = project_of(tmp_path, "wait_for_fresh: [raw.orders]")
    target = PythonFileTarget(str(project.root / "definitions.py"), None, str(project.root), None)
    launcher = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    with (
        instance_for_test({"run_launcher": launcher}) as instance,
        create_test_daemon_workspace_context(target, instance) as context,
    ):
        (schedule,) = load_remote_repo(context, "__repository__").get_schedules()
        start = dt.datetime(2030, 1, 1, 5, tzinfo=dt.timezone.utc)
        with freeze_time(start):
            instance.start_schedule(schedule)

        def tick(day: int) -> InstigatorTick:
            with freeze_time(now := start + dt.timedelta(days=day, hours=2)):
                list(launch_scheduled_runs(context, logging.getLogger(), now, {}))
            return instance.get_ticks(schedule.get_remote_origin_id(), schedule.selector_id)[0]

        fill(project, "orders", 13)
        skipped = tick(0)
        assert (skipped.status, instance.get_runs_count()) == (TickStatus.SKIPPED, 0)
        assert "raw.orders is stale: the newest row is 468" in str(skipped.skip_reason)
        fill(project, "orders", 1)
        launched = tick(1)
        assert (launched.status, instance.get_runs_count()) == (TickStatus.SUCCESS, 1)
