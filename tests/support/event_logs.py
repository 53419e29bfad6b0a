"""Events, event logs and assets with which the event log storages are compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    EventLogEntry,
    MaterializeResult,
    asset,
)
from dagster._core.events import StepMaterializationData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

STOCK_YAML = "telemetry: {enabled: false}\n"


POOLED_YAML = f"""{STOCK_YAML}event_log_storage:
  module: dagster_models.storage
  class: PooledSqliteEventLogStorage
"""


def event(run_id: str, number: int, asset_name: str = "") -> EventLogEntry:
    """Event ``number`` of a run: a log line, or the materialisation of an asset."""
    of_asset = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="job",
        step_key=asset_name,
        event_specific_data=StepMaterializationData(
            AssetMaterialization(asset_name, tags={"dagster/data_version": str(number)})
        ),
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message=str(number),
        run_id=run_id,
        timestamp=1_700_000_000.0 + number,
        step_key=asset_name or None,
        job_name="job",
        dagster_event=of_asset if asset_name else None,
    )


def numbers(storage: SqliteEventLogStorage, run_id: str) -> list[int]:
    return [int(entry.user_message) for entry in storage.get_logs_for_run(run_id)]


def materialized(storage: SqliteEventLogStorage, asset_name: str) -> list[int]:
    """The numbers of an asset's materialisations, as the index knows them."""
    result = storage.fetch_materializations(AssetKey(asset_name), limit=10_000, ascending=True)
    return [int(record.event_log_entry.user_message) for record in result.records]


def connect(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path))


#: Columns that the database fills in with its own clock.
CLOCKS = {"create_timestamp", "update_timestamp", "migration_completed"}


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of every shard, but for the database's own timestamps."""
    found = {}
    for path in sorted(folder.glob("*.db")):
        with connect(path) as db:
            names = [n for (n,) in db.execute("select name from sqlite_master where type='table'")]
            for name in sorted(names):
                columns = [row[1] for row in db.execute(f"pragma table_info({name})")]
                chosen = ", ".join(f'"{c}"' for c in columns if c not in CLOCKS)
                rows = db.execute(f"select {chosen} from {name} order by rowid").fetchall()
                found[f"{path.name}:{name}"] = rows
            found[f"{path.name}:schema"] = sorted(
                db.execute("select type, name, sql from sqlite_master").fetchall(), key=repr
            )
    return found


def stock(folder: str | Path) -> SqliteEventLogStorage:
    return SqliteEventLogStorage(str(folder))


def one_by_one(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for entry in events:
        storage.store_event(entry)


@asset(
    code_version="1",
    check_specs=[AssetCheckSpec("few", asset="alpha"), AssetCheckSpec("many", asset="alpha")],
)
def alpha(context) -> Any:  # type: ignore[no-untyped-def]
    context.log_event(AssetObservation("elsewhere", tags={"seen": "yes"}))
    yield MaterializeResult(metadata={"rows": 3}, tags={"kind": "test"})
    yield AssetCheckResult(check_name="few", passed=True)
    yield AssetCheckResult(check_name="many", passed=False, severity=AssetCheckSeverity.WARN)


@asset(deps=[alpha])
def beta() -> None:
    raise ValueError("beta has its reasons")


@asset(deps=[beta])
def gamma() -> None: ...
