"""What the index holds of an asset's last materialisation, without serialising its event twice.

Dagster stores a materialisation's event as text twice: in the run's file, and within a record in
the asset's row of the index. Making that text is a third of the time of storing a step's events, so
the text of the first is put into the record of the second. That rests on how Dagster serialises a
record, so the first row of each kind is also made Dagster's way, and is compared: if they differ in
anything, Dagster makes this row and all that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from dagster import EventLogEntry, EventLogRecord, serialize_value


class AssetRows:
    """The values of the assets' rows for one storage, equal to those that Dagster makes."""

    def __init__(self) -> None:
        self._written: tuple[EventLogEntry | None, str] = (None, "")
        self._agree: dict[bool, bool] = {}  #: with timestamp or not -> whether ours equal Dagster's

    def written(self, event: EventLogEntry, text: str) -> None:
        """Remember the text of an event, which was just made for the run's file."""
        self._written = event, text

    def values(
        self,
        event: EventLogEntry,
        event_id: int,
        with_timestamp: bool,
        stock: Callable[[EventLogEntry, int, bool], dict[str, Any]],
    ) -> dict[str, Any]:
        """What *stock*, Dagster's own method, returns for the event."""
        written, text = self._written
        if written is not event or not event.get_dagster_event().is_step_materialization:
            return stock(event, event_id, with_timestamp)  # `written` may be another thread's
        agree = self._agree.get(with_timestamp)
        if agree:
            return _values(event, text, event_id, with_timestamp)
        values = stock(event, event_id, with_timestamp)
        if agree is None:
            self._agree[with_timestamp] = _equal(values, event, text, event_id, with_timestamp)
        return values


def _values(event: EventLogEntry, text: str, event_id: int, with_timestamp: bool) -> dict[str, Any]:
    record = serialize_value(
        EventLogRecord(storage_id=event_id, event_log_entry=None)  # type: ignore[arg-type]
    )
    values: dict[str, Any] = {
        "last_materialization": record.replace("null", text, 1),
        "last_run_id": event.run_id,
    }
    if with_timestamp:
        values["last_materialization_timestamp"] = datetime.fromtimestamp(
            event.timestamp, tz=timezone.utc
        )
    return values


def _equal(values: dict[str, Any], *of_event: Any) -> bool:
    try:
        # As text: two times can be equal in different zones, which SQLite stores differently.
        return sorted(map(str, _values(*of_event).items())) == sorted(map(str, values.items()))
    except Exception:  # e.g. a Dagster that refuses a record without an event
        return False
