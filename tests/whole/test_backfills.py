"""A backfill as the daemon runs it: one run for a chain of models, and three accounts of it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.backfill import execute_backfill_iteration

from dagster_models import load_project
from running import DEFINITIONS, Project, make_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Function `AssetSelection:DeprecationWarning"),  # its own
]

SETTINGS = "partitions: {daily: {every: day, start: 2024-01-01, end: 2024-03-01}}\n"
HEADER = "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: day}\n"
CHAIN = {
    "flights": f"{HEADER}*/\nselect cast(day as date) as day, i from range(timestamp '2024-01-01', "
    "timestamp '2024-03-01', interval 1 day) as d(day), range(3) as r(i)",
    "counts": f"{HEADER}*/\nselect day, count(*) as n from flights group by day",
    "in_batches": f"{HEADER}batch: 7\n*/\nselect day, n from counts",
    "last": f"{HEADER}*/\nselect day, n from in_batches",
}
FILES = {
    **{f"models/{name}.sql": text for name, text in CHAIN.items()},
    "definitions.py": DEFINITIONS
    + "import dagster as dg\nfrom dagster_models import models_executor\n"
    "defs = dg.Definitions.merge(defs, dg.Definitions(executor=models_executor))\n",
}
COORDINATOR = """telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""


def requested(instance: dg.DagsterInstance, root: Path, keys: list[str]) -> PartitionBackfill:
    graph = load_project(root).resolve_asset_graph()
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="backfill",
        asset_graph=graph,
        partition_names=keys,
        asset_selection=[dg.AssetKey(["main", name]) for name in CHAIN],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill


def carried_out(instance: dg.DagsterInstance, project: Project) -> BulkActionStatus:
    """Let the daemon's own loop work on the backfill until it is over."""
    target = PythonFileTarget(str(project.root / "definitions.py"), None, str(project.root), None)
    deadline = time.monotonic() + 120
    with WorkspaceProcessContext(instance, target) as workspace:
        while time.monotonic() < deadline:
            list(execute_backfill_iteration(workspace, logging.getLogger("test")))
            found = instance.get_backfill("backfill")
            assert found is not None
            if found.status is not BulkActionStatus.REQUESTED:
                return found.status
            time.sleep(0.2)  # the run is in a process of its own
    pytest.fail("the backfill never ended")


def accounts(project: Project, instance: dg.DagsterInstance, name: str) -> tuple[Any, ...]:
    """How often each partition was materialized; the days in the table; those of the ledger."""
    key = dg.AssetKey(["main", name])
    found = instance.fetch_materializations(key, limit=1000).records
    rows = project.rows(f"select distinct day from main.{name}")
    windows = project.rows(
        "select window_start[:10]::date, window_end[:10]::date from dagster_models.commits "
        f"where step = 'main.{name}'"
    )
    ledger = [
        str(start + timedelta(days=i)) for start, end in windows for i in range((end - start).days)
    ]
    return (
        Counter(it.partition_key for it in found),
        {str(day) for (day,) in rows},
        Counter(ledger),
    )


def test_a_backfill_of_a_chain_is_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, FILES, SETTINGS)
    (project.home / "dagster.yaml").write_text(COORDINATOR)
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    days = [str(date(2024, 1, 15) + timedelta(days=i)) for i in range(30)]
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        requested(instance, project.root, days)
        assert carried_out(instance, project) is BulkActionStatus.COMPLETED_SUCCESS
        (run,) = instance.get_runs()
        ends = {run.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")}
        assert ends == {days[0], days[-1]}
        once = Counter(days)
        for name in CHAIN:
            assert accounts(project, instance, name) == (once, set(days), once), name
