"""The records of assets that were stored or read last, by the texts that the index has of them."""

from __future__ import annotations

import threading
from collections import OrderedDict

from dagster import EventLogRecord, deserialize_value

#: Each takes some KiB. A run asks for the upstreams of its next steps.
_MOST = 256


class KnownRecords:
    """EventLogRecords by their texts. Any thread may use it.

    A text says all that its record holds, so whoever stored it last, the record is the right one.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._records: OrderedDict[str, EventLogRecord] = OrderedDict()

    def remember(self, text: str, record: EventLogRecord) -> None:
        with self._lock:
            self._records[text] = record
            self._records.move_to_end(text)
            if len(self._records) > self._most:
                self._records.popitem(last=False)

    def record_of(self, text: str | None) -> EventLogRecord | None:
        """The record of the *text* in an asset's row; None if the text is something else."""
        if not text:
            return None
        with self._lock:
            record = self._records.get(text)
        if record is None:
            read = deserialize_value(text)
            if not isinstance(read, EventLogRecord):
                return None
            record = read
        self.remember(text, record)
        return record


#: Of this process, whichever storage asks.
known_records = KnownRecords()
