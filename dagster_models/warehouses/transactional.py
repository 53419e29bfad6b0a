"""Publishing in a transaction: what DuckDB and PostgreSQL share.

    BEGIN -> build -> (checks) -> commit record -> COMMIT

So a reader sees either the old relation or the new one, and the commit record is there if and only
if the new one is.
"""

from __future__ import annotations

from abc import abstractmethod

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Content
from dagster_models.warehouses.base import Staged, WarehouseSession, quoted
from dagster_models.warehouses.materializations import table


class TransactionalSession(WarehouseSession):
    """A session whose transactions may contain DDL, and changes of several tables."""

    def build(self, task: BuildTask) -> Staged:
        self.begin()
        rows = table.build(self, task.relation, task.materialization, task.content)
        return Staged(task.relation, rows)

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

    @abstractmethod
    def write_record(self, commit: Commit) -> None:
        """Write the commit record in the open transaction."""
