"""Relations that a project has built, as its warehouse shows them now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_models.core.commit import CURRENT, Commit
from dagster_models.core.model import Relation

#: Why a relation that was taken over is not dropped as ours.
TAKEN_OVER = "it was adopted from dbt, and no run has built it since"


@dataclass(frozen=True, slots=True)
class Built:
    """A relation that is there, with the record of its last publication.

    ``kept`` says why it must not be dropped as ours; "" for one that is as it was published.
    """

    relation: Relation
    is_view: bool
    commit: Commit
    kept: str = ""

    @property
    def changed(self) -> str:
        """Why a build would not leave the same, as far as the relation itself shows; "" for one
        that is as its record says."""
        is_current = self.kept == TAKEN_OVER and self.commit.kind == CURRENT
        return "" if is_current else self.kept

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Built:
        """The inverse of ``core.plain.plain``."""
        relation, commit = Relation(**data["relation"]), Commit(**data["commit"])
        return cls(relation, data["is_view"], commit, data["kept"])
