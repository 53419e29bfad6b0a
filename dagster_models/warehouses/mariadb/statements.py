"""Statements of the user's, and transactions, which hold changes of rows only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses import backquotes
from dagster_models.warehouses.mariadb import refusals, text
from dagster_models.warehouses.mariadb.connection import MariaConnection, Row
from dagster_models.warehouses.mariadb.text import one_query, refuse_pipes, statements


class MariaStatements(MariaConnection):
    """Statements; ``MariaReading`` adds relations, and ``MariaSession`` what publishes."""

    text_type = "CHAR"

    def quote(self, name: str) -> str:
        return backquotes.quote(name)

    def execute(self, sql: str) -> list[Row]:
        self._touched = True
        rows: list[Row] = []
        for statement in statements(refuse_pipes(sql)):
            rows = []
            move = self._move(statement)
            if move is not None:
                move()
                continue
            if self.in_transaction and text.commits(statement):
                word = text.first_word(statement).upper()
                raise WarehouseError(
                    ErrorKind.OPEN_TRANSACTION,
                    f"{word} would commit the open transaction, as MariaDB does for statements that"
                    " make or change tables: commit or roll back first",
                    name="ImplicitCommit",
                )
            rows = self.run(statement, 0)[1]
        return rows

    def _move(self, statement: str) -> Callable[[], None] | None:
        """BEGIN, COMMIT and ROLLBACK as the methods that know what they mean."""
        words = tuple(word.lower() for _, word, _ in text.tokens(statement))
        if words in (("begin",), ("begin", "work"), ("start", "transaction")):
            return self.begin
        if words in (("commit",), ("commit", "work")):
            return self.commit
        return self.rollback if words in (("rollback",), ("rollback", "work")) else None

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        self._touched = True
        return self.read(refuse_pipes(sql))

    def read(self, sql: str) -> tuple[list[str], list[Row]]:
        query = one_query(sql)
        names, rows = self.run(query, 0)
        if not rows or not self.floats or text.is_shown(query):
            return names, rows
        if len({name.lower() for name in names}) < len(names):
            raise refusals.float_of_two()
        return self.run(text.floats_exact(query, names, self.floats), 1)

    def count(self, sql: str) -> int:
        sent = f"SELECT count(*) FROM (\n{one_query(sql)}\n) AS counted"
        return int(self.run(sent, 1)[1][0][0])

    def subquery(self, sql: str) -> str | None:
        query = one_query(sql)
        try:
            self.run(f"SELECT * FROM (\n{query}\n) AS asked LIMIT 0", 1)
        except WarehouseError as error:
            return None if error.kind is ErrorKind.SYNTAX else query  # running it shows why
        return query

    def only_read(self, sql: str) -> None:
        if self.subquery(sql) is None:
            what = "a check only reads, and this is no query that could stand in parentheses"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what, name="CheckWrites")
        if not self.in_transaction:  # a function of the user's could write
            self.begin_reading()

    # Transactions: of rows only

    def begin(self) -> None:
        self.wake()
        if self.in_transaction:  # the server would commit it
            what = "a transaction is open already: commit it or roll it back first"
            raise WarehouseError(ErrorKind.OPEN_TRANSACTION, what)
        self.change("START TRANSACTION READ WRITE")

    def begin_reading(self) -> None:
        self.wake()
        self.change("START TRANSACTION READ ONLY")

    def commit(self) -> None:
        if not self.in_transaction:
            what = "nothing was committed: no transaction is open, or an error has ended it"
            raise WarehouseError(ErrorKind.TRANSACTION_FAILED, what)
        self.change("COMMIT")

    def rollback(self) -> None:
        with contextlib.suppress(WarehouseError):
            if self.in_transaction:
                self.change("ROLLBACK")

    def savepoint(self) -> bool:
        self.change("SAVEPOINT dagster_models")
        return True

    def back_to_savepoint(self) -> None:
        self.change("ROLLBACK TO SAVEPOINT dagster_models")
