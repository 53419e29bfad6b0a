"""Freshness as Dagster sees it: the policies of assets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time

from dagster_models import load_project
from running import make_project

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
