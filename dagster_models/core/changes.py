"""What a build has done to a relation that it does not replace as a whole each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that a build has written, as the warehouse counted them.

    ``kind`` is "whole" for a first build or a full refresh of an incremental model, "delta" for any
    other build of one, and "snapshot" for a snapshot, whose counts are rows of the query that were
    new, that had changed, and that were gone. ``since`` is the value of `$since` as SQL, None where
    the model has none. A count is None where nobody counted: the rows that a full refresh has
    replaced.
    """

    kind: str
    since: str | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None

    @property
    def counts(self) -> Mapping[str, int | None]:
        """Each count under the word that a reader knows it by."""
        inserted, updated, deleted = self.inserted, self.updated, self.deleted
        if self.kind == "snapshot":
            return {"new": inserted, "changed": updated, "gone": deleted}
        return {"inserted": inserted, "updated": updated, "deleted": deleted}
