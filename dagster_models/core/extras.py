"""What a build does in its transaction besides the rows of its relation.

Statements run before and after it; grants, indexes and comments are as the project says when it is
published.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UserStatement:
    """A statement of the user's. ``key`` is the one that it is written under, and its text begins
    in ``line`` of ``path``, which is "" for the step's own file when it is sent."""

    sql: str
    key: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table. ``type`` is a word of the warehouse, "" for its default; ``name`` is ""
    for one that is made of the columns."""

    columns: tuple[str, ...]
    unique: bool = False
    type: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Files with the rows of a relation: one if ``path`` ends as files of its ``format`` do, else a
    folder of them. ``keep``: those of how many builds stay.

    In a task ``path`` is absolute, and ``owner`` says in words whose files these are.
    """

    path: str
    format: str = "parquet"
    partition_by: tuple[str, ...] = ()
    keep: int = 2
    owner: str = ""

    @property
    def file(self) -> str:
        """The name of the one file in the folder of a build; "" if that may have several."""
        ending = os.path.splitext(self.path)[1].lower()
        return f"data{ending}" if ending == f".{self.format}" else ""


@dataclass(frozen=True, slots=True)
class Extras:
    """``grants``: privilege -> the roles that are to have it; other privileges are left alone.
    ``comment`` and ``column_comments``: what is to be the relation's comment, and that of each
    column that has one; None leaves them alone."""

    before: tuple[UserStatement, ...] = ()
    after: tuple[UserStatement, ...] = ()
    grants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    column_comments: Mapping[str, str] | None = None
    export: Export | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Extras:
        statements = {
            name: tuple(UserStatement(**it) for it in values[name]) for name in ("before", "after")
        }
        grants = {privilege: tuple(roles) for privilege, roles in values["grants"].items()}
        indexes = tuple(
            Index(**{**it, "columns": tuple(it["columns"])}) for it in values["indexes"]
        )
        export = values["export"] and Export(
            **{**values["export"], "partition_by": tuple(values["export"]["partition_by"])}
        )
        read = {**statements, "grants": grants, "indexes": indexes, "export": export}
        return cls(**{**values, **read})


NO_EXTRAS = Extras()
