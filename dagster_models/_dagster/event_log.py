"""What the event log that this Dagster uses can do for a run."""

from __future__ import annotations

import contextlib

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from dagster_models._dagster.types import PlanExecutionContext, PlanOrchestrationContext


def one_commit(context: PlanExecutionContext) -> contextlib.AbstractContextManager[None]:
    """A block whose events of the run, if this thread stores them, are committed together.

    Only our own storage can do this (storage.py), and the stock one inside of ``open_event_log``:
    it waits for the disk once instead of once for each event. With any other storage the block does
    nothing.
    """
    begin = getattr(context.instance.event_log_storage, "one_commit", None)
    return begin(context.run_id) if begin is not None else contextlib.nullcontext()


def has_stock_event_log(context: PlanOrchestrationContext) -> bool:
    """Whether this Dagster stores events by its own SQLite class, and not by a derived one."""
    return type(context.instance.event_log_storage) is SqliteEventLogStorage


def open_event_log(context: PlanOrchestrationContext) -> contextlib.AbstractContextManager[None]:
    """A block in which Dagster's stock event log keeps its connections open, as our storage does.

    With any other storage the block does nothing.
    """
    storage = context.instance.event_log_storage
    if type(storage) is SqliteEventLogStorage or PooledSqliteEventLogStorage.is_in_place(storage):
        return PooledSqliteEventLogStorage.in_place_of(storage)
    return contextlib.nullcontext()
