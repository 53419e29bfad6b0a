"""The records of assets that were stored or read last, by the texts that the index has of them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from dagster import EventLogRecord, deserialize_value

#: Each takes some KiB. A run asks for the upstreams of its next steps.
_MOST = 256


class KnownRecords:
    """EventLogRecords by their texts. Any thread may use it.

    A text says all that its record holds, so whoever stored it last, the record is the right one.
    Of the text, which takes some KiB too, a digest is kept.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._records: OrderedDict[bytes, EventLogRecord] = OrderedDict()

    def remember(self, text: str, record: EventLogRecord) -> None:
        self._remember(_digest(text), record)

    def _remember(self, digest: bytes, record: EventLogRecord) -> None:
        with self._lock:
            self._records[digest] = record
            self._records.move_to_end(digest)
            if len(self._records) > self._most:
                self._records.popitem(last=False)

    def record_of(self, text: str | None) -> EventLogRecord | None:
        """The record of the *text* in an asset's row; None if the text is something else."""
        if not text:
            return None
        digest = _digest(text)
        with self._lock:
            record = self._records.get(digest)
        if record is None:
            read = deserialize_value(text)
            if not isinstance(read, EventLogRecord):
                return None
            record = read
        self._remember(digest, record)
        return record


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


#: Of this process, whichever storage asks.
known_records = KnownRecords()
