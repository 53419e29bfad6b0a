"""What a build of partitions has replaced, by window: what all warehouses report alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.materializations import Partitioned
from dagster_models.core.model import Relation
from dagster_models.core.parts import windows_of
from dagster_models.core.windows import Window, covers
from dagster_models.warehouses.base import Replaced, Staged


def windows_apart(how: Partitioned) -> tuple[Window, ...]:
    """The windows of the partitions of a build, each once, as ``widen`` gives several partitions
    the same one."""
    return tuple(dict.fromkeys(it.window for it in how.partitions))


def staged_windows(
    relation: Relation,
    rows: int | None,
    inserted: Mapping[int, int],
    deleted: Mapping[int, int],
    left_out: tuple[int | None, int | None],
    how: Partitioned,
) -> Staged:
    """``inserted``, ``deleted``: the rows of each window by its number in ``windows_apart``; one
    that is missing is 0. ``left_out``: the rows that were returned and are outside of all of them,
    and those without a value; None where nobody looked."""
    counts = {
        window: (inserted.get(number, 0), deleted.get(number, 0))
        for number, window in enumerate(windows_apart(how))
    }
    replaced = []
    for whole in windows_of(how.partitions):  # neighbours are one
        parts = [each for window, each in counts.items() if covers([whole], window)]
        replaced.append(Replaced(whole, *map(sum, zip(*parts, strict=True))))
    keys = Counter(it.window for it in how.partitions)
    by_partition = tuple(
        PartitionRows(it.key, *counts[it.window]) for it in how.partitions if keys[it.window] == 1
    )
    changes = Changes("window", None, sum(inserted.values()), 0, sum(deleted.values()), *left_out)
    return Staged(relation, rows, changes, tuple(replaced), partition_rows=by_partition)
