"""The proof that an attempt was published, as the warehouse keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.tasks import AttemptId


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit record: written with the publication or not at all.

    ``rows`` is None where nobody counted (a view); ``committed_at`` is ISO 8601 in UTC, set by the
    warehouse when the record is written.
    """

    run_id: str
    step: str
    attempt: int
    relation: str
    code_version: str
    input_versions: Mapping[str, str]
    rows: int | None = None
    committed_at: str = ""

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Commit:
        """The record whose fields *row* has in their order; input versions and time are text."""
        run_id, step, attempt, relation, code_version, inputs, rows, committed_at = row
        versions = json.loads(inputs or "{}")
        return cls(run_id, step, attempt, relation, code_version, versions, rows, committed_at)
