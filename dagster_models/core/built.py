"""Relations that a project has built, as its warehouse shows them now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation


@dataclass(frozen=True, slots=True)
class Built:
    """A relation that is there, with the record of its last publication.

    ``kept`` says why it must not be dropped as ours; "" for one that is as it was published.
    """

    relation: Relation
    is_view: bool
    commit: Commit
    kept: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Built:
        """The inverse of ``core.plain.plain``."""
        relation, commit = Relation(**data["relation"]), Commit(**data["commit"])
        return cls(relation, data["is_view"], commit, data["kept"])
