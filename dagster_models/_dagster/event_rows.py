"""Stores the events that a run has most of, row for row as Dagster's own class does, and reads the
rows of the assets that each step asks for.

Dagster makes an SQLAlchemy statement of each row, with the values in it, and SQLAlchemy takes each
one apart again to find out whether it has compiled it before. For the events of a small step that
takes longer than all else that is done with them. So these events are written by statements of
SQLite's own, and Dagster writes all others; with the assets' rows it is alike.
tests/_dagster/test_storage.py compares the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, Protocol

from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    EventLogEntry,
    EventLogRecord,
    serialize_value,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from dagster_models._dagster.known_records import known_records

_EVENT = (
    "INSERT INTO event_logs"
    " (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_TAG = (
    "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)"
    " VALUES (?, ?, ?, ?, ?)"
)
_PLANNED = (
    "INSERT INTO asset_keys (asset_key, last_run_id, last_materialization_timestamp)"
    " VALUES (?, ?, ?) ON CONFLICT (asset_key) DO UPDATE SET last_run_id = excluded.last_run_id,"
    " last_materialization_timestamp = excluded.last_materialization_timestamp"
)
_MATERIALIZED = (
    "INSERT INTO asset_keys (asset_key, last_materialization, last_run_id,"
    " last_materialization_timestamp) VALUES (?, ?, ?, ?) ON CONFLICT (asset_key) DO UPDATE SET"
    " last_materialization = excluded.last_materialization, last_run_id = excluded.last_run_id,"
    " last_materialization_timestamp = excluded.last_materialization_timestamp"
)

#: Those that are not wiped, as Dagster asks for them where the columns of ``_MATERIALIZED`` are
#: filled.
_ASSETS = (
    "SELECT id, asset_key, last_materialization, last_run_id, asset_details, cached_status_data"
    " FROM asset_keys WHERE asset_key IN ({}) AND (wipe_timestamp IS NULL"
    " OR last_materialization_timestamp > wipe_timestamp) ORDER BY asset_key ASC"
)
_MOST_ASSETS = 100  #: at once; Dagster asks for no more, and SQLite has a limit of parameters

_OF_A_RUN_ALONE = frozenset(
    {DagsterEventType.STEP_START, DagsterEventType.STEP_OUTPUT, DagsterEventType.STEP_SUCCESS}
)
_OF_AN_ASSET = frozenset(
    {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION}
)


class Storage(Protocol):
    """The part of the storage that is needed here."""

    def run_connection(self, run_id: str | None = None) -> Any: ...

    def index_connection(self) -> AbstractContextManager[Connection]: ...

    def has_table(self, table_name: str) -> bool: ...

    def has_asset_key_index_cols(self) -> bool: ...

    def has_secondary_index(self, name: str) -> bool: ...

    def can_read_asset_status_cache(self) -> bool: ...

    def get_asset_tags_to_index(self, tag_keys: set[str]) -> Collection[str]: ...


def store(storage: Storage, entry: EventLogEntry, stock: Callable[[EventLogEntry], None]) -> None:
    """Store the event. *stock*, Dagster's own method, stores what is not stored here.

    Raises DBAPIError, as SQLAlchemy does.
    """
    event = entry.dagster_event
    if event is None or not _is_ours(storage, event):
        stock(entry)
        return
    try:
        _store(storage, entry, event)
    except sqlite3.Error as error:
        raise DBAPIError.instance(None, None, error, sqlite3.Error) from error


def _is_ours(storage: Storage, event: DagsterEvent) -> bool:
    if event.event_type in _OF_AN_ASSET:
        return event.asset_key is not None and storage.has_asset_key_index_cols()
    return event.event_type in _OF_A_RUN_ALONE


def _store(storage: Storage, entry: EventLogEntry, event: DagsterEvent) -> None:
    row = _row(entry, event)
    with storage.run_connection(entry.run_id) as connection:
        _sqlite(connection).execute(_EVENT, row)
    if event.event_type in _OF_AN_ASSET:
        with storage.index_connection() as connection:
            _store_asset(storage, _sqlite(connection), entry, event, row)


def _row(entry: EventLogEntry, event: DagsterEvent) -> tuple[Any, ...]:
    return (
        entry.run_id,
        serialize_value(entry),
        event.event_type_value,
        _time(entry),
        event.step_key,
        event.asset_key.to_string() if event.asset_key else None,
        event.partition or None,
    )


def _time(entry: EventLogEntry) -> str:
    """As SQLAlchemy writes it."""
    at = datetime.fromtimestamp(entry.timestamp, timezone.utc)
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _sqlite(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _store_asset(
    storage: Storage,
    sqlite: sqlite3.Connection,
    entry: EventLogEntry,
    event: DagsterEvent,
    row: tuple[Any, ...],
) -> None:
    """What the index has of the event: the event, its tags, and the last one of the asset."""
    run_id, text, _, time, _, key, _ = row
    event_id = sqlite.execute(_EVENT, row).lastrowid
    if event.event_type is not DagsterEventType.ASSET_MATERIALIZATION:
        sqlite.execute(_PLANNED, (key, run_id, time))
        return
    tags = event.step_materialization_data.materialization.tags or {}
    indexed = storage.get_asset_tags_to_index(set(tags))
    rows = [(event_id, key, name, tags[name], time) for name in tags if name in indexed]
    if rows and storage.has_table("asset_event_tags"):
        sqlite.executemany(_TAG, rows)
    of_asset = _record(event_id, text)
    sqlite.execute(_MATERIALIZED, (key, of_asset, run_id, time))
    # The steps downstream ask for it, and to read it from its text takes 5 % of a step.
    known_records.remember(of_asset, EventLogRecord(event_id or 0, entry))


def _record(event_id: int | None, text: str) -> str:
    """The text of an EventLogRecord, with the *text* of its event, which takes long to make."""
    nothing: Any = None
    record = serialize_value(EventLogRecord(storage_id=event_id or 0, event_log_entry=nothing))
    return record.replace("null", text, 1)


def asset_rows(
    storage: Storage, asset_keys: Sequence[AssetKey] | None
) -> list[dict[str, Any]] | None:
    """The rows of these assets that are there, in the order of their keys; None where Dagster has
    to read them: they are all assets, or very many, or the tables are of an old version.

    Raises DBAPIError, as SQLAlchemy does.
    """
    if not asset_keys or len(asset_keys) > _MOST_ASSETS:
        return None
    if not (
        storage.has_secondary_index("asset_key_index_columns")
        and storage.can_read_asset_status_cache()
    ):
        return None
    keys = [key.to_string() for key in asset_keys]
    with storage.index_connection() as connection:
        try:
            found = _sqlite(connection).execute(_ASSETS.format(", ".join("?" * len(keys))), keys)
            names = [column for column, *_ in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error
