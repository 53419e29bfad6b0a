"""What the event log that this Dagster uses can do for a run."""

from __future__ import annotations

import contextlib

from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)

from dagster_models._dagster.types import PlanExecutionContext, PlanOrchestrationContext


def one_commit(context: PlanExecutionContext) -> contextlib.AbstractContextManager[None]:
    """A block whose events of the run, if this thread stores them, are committed together.

    Only our own storage can do this (storage.py): it waits for the disk once instead of once for
    each event. With any other storage the block does nothing.
    """
    begin = getattr(context.instance.event_log_storage, "one_commit", None)
    return begin(context.run_id) if begin is not None else contextlib.nullcontext()


def event_log_files(context: PlanOrchestrationContext) -> list[str]:
    """The files that Dagster's own SQLite event log writes for a run, the run's own first.

    Empty for every other storage, also for one that is derived from it.
    """
    storage = context.instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        return []
    return [storage.path_for_shard(shard) for shard in (context.run_id, INDEX_SHARD_NAME)]
