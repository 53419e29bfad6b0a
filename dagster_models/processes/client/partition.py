"""``warehouse.partition``: which rows a Python model is to return."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from dagster_models.core.parts import partitioned
from dagster_models.core.tasks import PythonTask
from dagster_models.core.windows import TimeWindow, span


@dataclass(frozen=True, slots=True)
class BuiltPartition:
    """The partitions of one build, which may be several neighbours.

    ``keys`` are Dagster's. ``start`` and ``end`` bound the time that is built, and ``read_start``
    and ``read_end`` what must be read for it: aware times, the ends excluded, in the zone of the
    partitions; None for partitions that are values.
    """

    keys: tuple[str, ...]
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    read_start: dt.datetime | None = None
    read_end: dt.datetime | None = None

    @property
    def key(self) -> str:
        """The only key. Raises ValueError if several partitions are built at once."""
        if len(self.keys) > 1:
            raise ValueError(
                f"{len(self.keys)} partitions are built at once: use `partition.keys`, or set"
                " `batch: 1` in the model's header"
            )
        return self.keys[0]


def partition_of(task: PythonTask) -> BuiltPartition | None:
    """What the task is to build; None for the whole table."""
    how = partitioned(task.materialization)
    if how is None:
        return None
    keys = tuple(partition.key for partition in how.partitions)
    built = [it.window for it in how.partitions if isinstance(it.window, TimeWindow)]
    read = [it.to_read for it in how.partitions if isinstance(it.to_read, TimeWindow)]
    if not built:
        return BuiltPartition(keys)
    whole, around = span(built), span(read)
    return BuiltPartition(keys, whole.start, whole.end, around.start, around.end)
