"""The index's row of a materialised asset is as Dagster writes it, whatever Dagster writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetMaterialization,
    DagsterEvent,
    DagsterEventType,
    EventLogEntry,
    EventLogRecord,
    serialize_value,
)
from dagster._core.events import StepMaterializationData
from dagster._core.storage.event_log import sql_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster import asset_rows
from dagster_models._dagster.storage import PooledSqliteEventLogStorage


def materialization(number: int, description: str = "") -> EventLogEntry:
    data = StepMaterializationData(
        AssetMaterialization(
            "alpha",
            description=description,
            metadata={"rows": number, "note": 'null, and "null" again: ü'},
            tags={"dagster/data_version": str(number)},
        )
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id="run",
        timestamp=1_700_000_000.25 + number,
        step_key="alpha",
        job_name="job",
        dagster_event=DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name="job",
            step_key="alpha",
            event_specific_data=data,
        ),
    )


EVENTS = [materialization(1), materialization(2, "null"), materialization(3)]


def row_after(storage: SqliteEventLogStorage, event: EventLogEntry, folder: Path) -> dict[str, Any]:
    """The asset's row, once the event is stored, but for the database's own clock."""
    storage.store_event(event)
    with closing(sqlite3.connect(folder / "index.db")) as db:
        db.row_factory = sqlite3.Row
        (row,) = db.execute("select * from asset_keys").fetchall()
    return {key: row[key] for key in row.keys() if key != "create_timestamp"}  # noqa: SIM118


def rows_of_both(tmp_path: Path) -> list[dict[str, Any]]:
    """The asset's row after each event, as both storages write it; fails where they differ."""
    stock = SqliteEventLogStorage(str(tmp_path / "stock"))
    pooled = PooledSqliteEventLogStorage(str(tmp_path / "pooled"))
    found = []
    for event in EVENTS:
        expected = row_after(stock, event, tmp_path / "stock")
        assert row_after(pooled, event, tmp_path / "pooled") == expected
        found.append(expected)
    pooled.dispose()
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each row was made; a row of ours is made of a record without an event."""
    ways: list[str] = []

    def of_ours(value: Any) -> str:
        ways.append("ours")
        return serialize_value(value)

    def of_stock(value: Any) -> str:
        if isinstance(value, EventLogRecord):
            ways.append("stock")
        return serialize_value(value)

    monkeypatch.setattr(asset_rows, "serialize_value", of_ours)
    monkeypatch.setattr(sql_event_log, "serialize_value", of_stock)
    return ways


def test_the_first_row_is_compared_with_dagsters_and_the_others_are_ours(
    tmp_path: Path, made: list[str]
) -> None:
    storage = PooledSqliteEventLogStorage(str(tmp_path))
    for event in EVENTS:
        storage.store_event(event)
    storage.dispose()
    assert made == ["stock", "ours", "ours", "ours"]  # of the first row, both


def test_the_rows_are_those_of_the_stock_storage(tmp_path: Path) -> None:
    rows = rows_of_both(tmp_path)
    assert [json.loads(row["last_materialization"])["storage_id"] for row in rows] == [1, 2, 3]


def other_order(text: str) -> str:
    return json.dumps(dict(reversed(json.loads(text).items())))


def other_name(text: str) -> str:
    return text.replace("event_log_entry", "entry", 1)


def with_a_null_before(text: str) -> str:
    return text.replace("{", '{"__class__": "EventLogRecord", "cursor": null, ', 1)


@pytest.mark.parametrize("change", [other_order, other_name, with_a_null_before])
def test_where_dagster_serialises_records_otherwise_the_rows_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]
) -> None:
    def serialize(value: Any) -> str:
        text = serialize_value(value)
        return change(text) if isinstance(value, EventLogRecord) else text

    monkeypatch.setattr(sql_event_log, "serialize_value", serialize)
    rows = rows_of_both(tmp_path)
    assert rows[-1]["last_materialization"] == change(json_of(3))


def json_of(number: int) -> str:
    return serialize_value(EventLogRecord(number, EVENTS[number - 1]))


def test_where_dagster_serialises_a_record_of_ours_otherwise_the_rows_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here both ways to make a row are of the changed Dagster, as after an upgrade."""

    def serialize(value: Any) -> str:
        text = serialize_value(value)
        return with_a_null_before(text) if isinstance(value, EventLogRecord) else text

    monkeypatch.setattr(sql_event_log, "serialize_value", serialize)
    monkeypatch.setattr(asset_rows, "serialize_value", serialize)
    assert rows_of_both(tmp_path)[-1]["last_materialization"] == with_a_null_before(json_of(3))


def test_where_dagster_stores_more_in_the_row_it_makes_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = sql_event_log.SqlEventLogStorage._get_asset_entry_values

    def with_status(storage: Any, event: Any, event_id: int, *more: Any) -> dict[str, Any]:
        return {**stock(storage, event, event_id, *more), "cached_status_data": f"{event_id}"}

    monkeypatch.setattr(sql_event_log.SqlEventLogStorage, "_get_asset_entry_values", with_status)
    rows = rows_of_both(tmp_path)
    assert [row["cached_status_data"] for row in rows] == ["1", "2", "3"]


def test_where_dagster_refuses_a_record_without_an_event_it_makes_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**values: Any) -> None:
        raise TypeError("event_log_entry must not be None")

    monkeypatch.setattr(asset_rows, "EventLogRecord", refuse)
    assert rows_of_both(tmp_path)


def test_an_event_that_was_not_just_written_is_dagsters(made: list[str]) -> None:
    rows = asset_rows.AssetRows()
    rows.written(EVENTS[0], "the text of another event")
    assert rows.values(EVENTS[1], 2, True, lambda *_: {"of": "stock"}) == {"of": "stock"}
    assert made == []
