"""Publishing in a transaction: what DuckDB and PostgreSQL share.

    BEGIN -> build -> (checks) -> commit record -> COMMIT

So a reader sees either the old relation or the new one, and the commit record is there if and only
if the new one is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Content
from dagster_models.warehouses.base import Staged, WarehouseSession, quoted
from dagster_models.warehouses.materializations import incremental, table
from dagster_models.warehouses.materializations.hooks import RelationKind


class TransactionalSession(WarehouseSession):
    """A session whose transactions may contain DDL, and changes of several tables."""

    def build(self, task: BuildTask) -> Staged:
        self.begin()
        return table.build(self, task.relation, task.materialization, task.content)

    def read_before(self, relation: Relation, how: Incremental) -> Reading:
        self.begin()
        return incremental.read(self, relation, how)

    def name_of(self, staged: Staged) -> str:
        return quoted(staged.relation)

    def publish(self, staged: Staged, commit: Commit) -> None:
        self.write_record(commit)
        self.commit()

    def discard(self) -> None:
        self.rollback()

    # What materializations need

    @abstractmethod
    def replace_table(self, relation: Relation, content: Content) -> int:
        """Put a table in place of whatever has its name; return the number of its rows.

        This, or ``replace_view``, is the first statement of its transaction. ``line`` of an error
        counts in the query or in the CSV file.
        """

    @abstractmethod
    def replace_view(self, relation: Relation, sql: str) -> None:
        """Put a view of the user's query in place of whatever has its name."""

    #: Where ``stage`` puts rows.
    staging: ClassVar[Relation]

    @abstractmethod
    def take_turn(self, relation: Relation) -> RelationKind | None:
        """Be the only writer of a relation until the end of the transaction; return what it is.

        What is read of it from here on is what the last writer has committed. Raises WarehouseError
        for what no model builds.
        """

    @abstractmethod
    def stage(self, content: Content) -> int:
        """Put rows into a temporary table, ``staging``; return their number. ``line`` of an error
        counts in the query."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of one query of our own."""

    @abstractmethod
    def change(self, sql: str, lines_before: int = 0) -> int:
        """Run one statement of our own; return how many rows it has changed. ``lines_before``: its
        lines before those of the user's text, if it holds some."""

    def row_count(self, relation: Relation) -> int | None:
        """Return how many rows a table has; None where all of it would have to be read for that."""
        return None

    def refuse_deletion(self, relation: Relation) -> None:
        """Raise WarehouseError if deleting rows of the table would change others, too."""

    @abstractmethod
    def differs(self, columns: Sequence[str]) -> str:
        """Return the condition that some of these columns (quoted) differ between the rows t and n,
        in which NULL is a value like any other."""

    def folded(self, name: str) -> str:
        """Return a column's name such that two names are one column exactly if these are equal."""
        return name

    @abstractmethod
    def write_record(self, commit: Commit) -> None:
        """Write the commit record in the open transaction."""
