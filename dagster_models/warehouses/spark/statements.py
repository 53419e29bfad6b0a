"""Statements of one session: they have its tag, by which anybody can stop them."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from dagster_models.core.extras import NO_EXTRAS
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses import backquotes
from dagster_models.warehouses.materializations.hooks import Asking
from dagster_models.warehouses.spark import writing
from dagster_models.warehouses.spark.catalog import Catalog, rows_of
from dagster_models.warehouses.spark.errors import NO_LINES
from dagster_models.warehouses.spark.location import RelationFolder
from dagster_models.warehouses.spark.server import Server
from dagster_models.warehouses.spark.text import one_query, statements


class SparkStatements(Asking):
    """Statements; ``SparkReading`` adds relations, and ``SparkSession`` what publishes."""

    text_type = "STRING"

    def __init__(
        self, server: Server, location: RelationFolder, catalog: Catalog, name: str
    ) -> None:
        self.server, self.location, self.catalog = server, location, catalog
        self.tag = self.tag_of(name or os.urandom(6).hex())
        self.stage: writing.Stage | None = None
        #: What the stage is made of, and then not needed any more.
        self.scratch: list[writing.Stage] = []
        #: The version of the relation's log that the stage began with, if only it may be changed.
        self.base: int | None = None
        self.only_reads = False
        #: The comments of the relation that is built.
        self.docs = NO_EXTRAS

    @staticmethod
    def tag_of(name: str) -> str:
        """The tag of all statements of the session of that name."""
        return f"dagster-models-{name}"

    def quote(self, name: str) -> str:
        return backquotes.quote(name)

    # Statements

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        self.catalog.refresh()
        rows: list[tuple[Any, ...]] = []
        for statement in statements(sql):
            if self.only_reads:
                self.only_read(statement)
            rows = rows_of(self.server.run(statement, self.tag))
        return rows

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        self.catalog.refresh()
        return self.read(sql)

    def read(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        found = self.server.run(one_query(sql), self.tag)
        return list(found.column_names), rows_of(found)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query of our own."""
        return rows_of(self.server.run(sql, self.tag, NO_LINES))

    def change(self, sql: str, lines_before: int = NO_LINES) -> None:
        """Run a statement of our own. ``lines_before``: its lines before those of the user's."""
        self.server.command(sql, self.tag, lines_before)

    def count(self, sql: str) -> int:
        counted = f"SELECT count(*) FROM (\n{one_query(sql)}\n) AS counted"
        return int(rows_of(self.server.run(counted, self.tag, 1))[0][0])

    def subquery(self, sql: str) -> str | None:
        query = one_query(sql)
        try:
            self.server.columns(f"SELECT * FROM (\n{query}\n) AS asked", self.tag, 1)
        except WarehouseError as error:
            if error.kind is not ErrorKind.SYNTAX:
                return query  # running it shows why
            return None
        return query

    def only_read(self, sql: str) -> None:
        if self.subquery(sql) is None:
            what = "a check only reads, and this is no query that could stand in parentheses"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what, name="CheckWrites")

    def interrupt(self) -> None:
        with contextlib.suppress(WarehouseError):
            self.server.interrupt(self.tag)

    def close(self) -> None:
        self.discard()

    # Transactions: there are none

    @property
    def in_transaction(self) -> bool:
        return False

    def begin(self) -> None:
        raise writing.no_transactions("BEGIN")

    def begin_reading(self) -> None:
        """No transaction of Spark could refuse to write, so the text of each statement is looked
        at until ``commit`` or ``rollback``."""
        self.catalog.refresh()
        self.only_reads = True

    def commit(self) -> None:
        if not self.only_reads:
            raise writing.no_transactions("COMMIT")
        self.only_reads = False

    def rollback(self) -> None:
        self.only_reads = False
        self.discard()
