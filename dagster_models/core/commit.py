"""The commit record: the proof, kept in the warehouse, that an attempt was published."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.changes import Changes
from dagster_models.core.tasks import AttemptId


def publication(run_id: str, attempt: int, part: int = 0) -> str:
    """``<run>/<attempt>``, with the part where an attempt has several: no other publication of a
    relation has the same."""
    return f"{run_id}/{attempt}/{part}" if part else f"{run_id}/{attempt}"


#: How the code version begins in the record of a table that has the rows which fail a check. They
#: are made by no code that has a version; the rest is what ``contents`` says of them.
STORED = "stored "

#: The attempt in the record of a relation that somebody else has built, and that was taken over:
#: the attempts of a run begin at 1. Its run ID names the moment.
ADOPTED = 0


#: The kind in the record of such a table if nobody knows which rows it should have: of its
#: partitions, none counts as built.
ADOPTED_TABLE = "adopted"

#: The kind in the record of such a relation if its rows are those that a build would leave, as the
#: user said when it was taken over.
CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit record, which is written together with the publication or not at all.

    ``rows`` is None where they were not counted (a view). ``committed_at`` is ISO 8601 in UTC; the
    warehouse sets it when it writes the record.

    ``kind`` is "whole" where all rows were replaced, and ``ADOPTED_TABLE`` or ``CURRENT`` where the
    rows of a table that is no snapshot are somebody else's; else it, ``since`` and the counts are
    those of ``Changes``. ``part`` counts the records of one attempt, and the window says which rows
    this one is about: from its start up to its end, or, where there is no end, the values of a JSON
    list.
    ``input_versions`` says what was read: see ``compilation.inputs``.

    ``builder`` says who builds the relation: a project, and the schema prefix of its target.
    ``identity`` tells the relation that was published from any other that may come to have its
    name; the warehouse sets it. Records of older versions have neither.
    """

    run_id: str
    step: str
    attempt: int
    relation: str
    code_version: str
    input_versions: Mapping[str, str]
    rows: int | None = None
    committed_at: str = ""
    part: int = 0
    kind: str = "whole"
    window_start: str | None = None
    window_end: str | None = None
    since: str | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None
    builder: str | None = None
    identity: str | None = None

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)

    @property
    def is_adopted(self) -> bool:
        """Whether nobody has built the relation for this record."""
        return self.attempt == ADOPTED

    @property
    def publication(self) -> str:
        """Which publication of the relation this is, for ``compilation.inputs``."""
        return publication(self.run_id, self.attempt, self.part)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def contents(self) -> str:
        """What tells the rows that were published from others; "" where nobody has read them."""
        return self.code_version.partition(STORED)[2]

    @property
    def changes(self) -> Changes | None:
        """What the attempt has changed; None for a relation that is replaced each time."""
        if self.inserted is None:
            return None
        return Changes(self.kind, self.since, self.inserted, self.updated, self.deleted)

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Commit:
        """The record of a *row* that has its fields in order, input versions and time as text."""
        run_id, step, attempt, relation, code_version, inputs, *rest = row
        return cls(run_id, step, attempt, relation, code_version, json.loads(inputs or "{}"), *rest)
