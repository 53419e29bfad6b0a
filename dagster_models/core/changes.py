"""What a build has done to a relation that it does not replace as a whole each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that a build has written, as the warehouse counted them.

    ``kind`` is "whole" for a first build or a full refresh of an incremental model, "window" for
    one that has replaced the rows of its partitions, "delta" for any other build of one, and
    "snapshot" for a snapshot, whose counts are rows of the query that were new, that had changed,
    and that were gone. ``since`` is the value of `$since` as SQL, None where the model has none. A
    count is None where nobody counted: the rows that a full refresh has replaced.

    ``outside``: rows that were returned for no window of the build, and left out; of a whole table
    those that no partition of the set reaches. ``unplaced``: rows that are in no partition at all,
    as the column has NULL in them. Both are None where the warehouse did not look at such rows.
    """

    kind: str
    since: str | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None
    outside: int | None = None
    unplaced: int | None = None

    @classmethod
    def total(cls, each: Sequence[Changes]) -> Changes:
        """All of these together, of which there is at least one."""
        names = ("inserted", "updated", "deleted", "outside", "unplaced")
        counts = {name: [getattr(one, name) for one in each] for name in names}
        return cls(
            each[-1].kind,
            each[-1].since,
            **{name: None if None in found else sum(found) for name, found in counts.items()},
        )

    @property
    def counts(self) -> Mapping[str, int | None]:
        """Each count under the word that a reader knows it by."""
        inserted, updated, deleted = self.inserted, self.updated, self.deleted
        if self.kind == "snapshot":
            return {"new": inserted, "changed": updated, "gone": deleted}
        if self.kind == "window":
            return {"inserted": inserted, "deleted": deleted}
        return {"inserted": inserted, "updated": updated, "deleted": deleted}

    @property
    def left_out(self) -> Mapping[str, int | None]:
        """The same for rows of the model that are in no partition that was built."""
        return {"outside_window": self.outside, "without_partition": self.unplaced}


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """The rows of one partition that a build has replaced: how many there are now, and were
    before."""

    key: str
    inserted: int
    deleted: int
