"""The log of a table: what publishes a relation, and what proves that it was published.

Spark writes the rows of a build as a Delta table of their own, the stage, in the folder
``stage-<id>`` beside the files of the relation. No commit of the relation names these files, so no
reader sees them. ``publish`` makes one commit: the new files come, the old ones go, and the proof
is in the commit. Whatever Spark still does for a client that is gone can therefore never publish
anything.

A view is the same: its rows are its definition, and the proof says that it is a view.

Two formats have such a log: ``delta_log`` and ``iceberg_log``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dagster_models.core.commit import Commit
from dagster_models.core.extras import NO_EXTRAS, Extras
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.files import TableRows
from dagster_models.warehouses.spark.proofs import Kind, Proof


class Shown(NamedTuple):
    """What Spark reads as the table: ``CREATE TABLE ... USING format LOCATION folder``. ``mark`` is
    another one if the table must be created anew to show what is published now."""

    format: str
    folder: str
    mark: str = ""


class TableLog(ABC):
    """The log of one relation. Each method may raise WarehouseError."""

    def __init__(self, relation: Relation, folder: str) -> None:
        self.relation, self.folder = relation, folder

    # Reading

    @abstractmethod
    def proofs(self) -> Iterator[Proof]:
        """What the commits say, the last one first."""

    @abstractmethod
    def version(self) -> int:
        """The version of the last commit; -1 where there is none."""

    @abstractmethod
    def shown(self) -> Shown:
        """What Spark is to read."""

    def marks(self) -> list[str]:
        """The marks of all that Spark may be reading still."""
        return [""]

    @abstractmethod
    def rows(self, version: int | None) -> TableRows:
        """The fields and files of that version, by default the newest one."""

    @abstractmethod
    def has_mark(self, column: str) -> bool:
        """Whether a column is one of the *marks* of ``cloning.clone``."""

    @abstractmethod
    def has_files_of(self, stage: str) -> bool:
        """Whether a commit has published the stage in the folder of that name."""

    @abstractmethod
    def size(self) -> int:
        """The bytes of the files of the newest version."""

    def state(self) -> Proof | None:
        """The last commit that says what the relation is: a table, a view or gone."""
        return next((it for it in self.proofs() if it.says_kind), None)

    def last(self) -> Proof | None:
        """The last publication of what is there."""
        for proof in self.proofs():
            if proof.commits or proof.kind == "dropped":
                return proof if proof.commits else None
        return None

    def of(self, key: AttemptId) -> list[Commit]:
        """The commit records of an attempt."""
        for proof in self.proofs():
            found = [commit for commit in proof.commits if commit.id == key]
            if found:
                return found
        return []

    # Writing

    @abstractmethod
    def publish(
        self,
        stage: str,
        commits: Sequence[Commit],
        session: str,
        kind: Kind = "table",
        definition: str = "",
        base: int | None = None,
        docs: Extras = NO_EXTRAS,
    ) -> None:
        """Commit the files of a stage in place of all others. ``kind``: what there is from here on,
        with its ``definition``. ``base``: the version whose rows the stage began with, -1 for no
        table. ``docs`` has the comments. After a WarehouseError only ``of`` says what is true."""

    @abstractmethod
    def drop(self, version: int) -> None:
        """Commit that the relation is gone, if *version* is still the last one, and remove what was
        published. The log stays if there are other files: somebody builds the relation, perhaps."""

    @abstractmethod
    def fence(self, session: str) -> None:
        """Commit that this session must not publish any more. Where there is no log, it begins with
        that, and with the relation as one that is gone."""

    @abstractmethod
    def load(self, table: Any, *, append: bool) -> None:
        """Write an Arrow table without a proof, in place of all rows or besides them."""

    def refuse_overtaken(self, base: int | None, version: int) -> None:
        """Raise WarehouseError if the stage began with another version than the last one."""
        if base is not None and base != version:
            what = f"{self.relation} was written while this build read it"
            raise WarehouseError(ErrorKind.CONFLICT, what, name="Overtaken", transient=True)

    def refuse_second(self, version: int, commits: Sequence[Commit], session: str) -> None:
        """Raise WarehouseError if the attempt has published by *version*, or is fenced. What is
        committed after it is a conflict."""
        ids = {commit.id for commit in commits}
        parts = {commit.part for commit in commits}
        for proof in self.proofs():
            if proof.version > version:
                continue
            if proof.fenced and proof.fenced == session:
                raise WarehouseError(
                    ErrorKind.LOST,
                    f"{self.relation}: this session was given up by another process, which has"
                    " reported its step as not published",
                    name="Fenced",
                )
            if any(it.id in ids and it.part in parts for it in proof.commits):
                raise WarehouseError(
                    ErrorKind.CONSTRAINT,
                    f"{self.relation}: this attempt of the run has published already, in version"
                    f" {proof.version}",
                    name="PublishedBefore",
                )

    def folder_of(self, stage: str) -> str:
        return os.path.join(self.folder, stage)
