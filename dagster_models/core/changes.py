"""What a build has done to a relation that it does not replace as a whole each time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that an incremental build has written, as the warehouse counted them.

    ``kind`` is "whole" for a first build or a full refresh, and "delta" for any other build.
    ``since`` is the value of `$since` as SQL, None where the model has none. A count is None where
    nobody counted: the rows that a full refresh has replaced.
    """

    kind: str
    since: str | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None
