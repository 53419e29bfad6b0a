"""Statements and transactions of one cursor of DuckDB, a connection of its own to the database."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal
from dagster_models.warehouses.duckdb.attached import AttachedDatabases
from dagster_models.warehouses.duckdb.errors import translated
from dagster_models.warehouses.transactional import TransactionalSession

_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)


#: Of a transaction that may write.
BEGIN = "BEGIN TRANSACTION"


class DuckDBCursor(TransactionalSession):
    """Statements and transactions; ``DuckDBSession`` adds relations, bulk data and proofs."""

    def __init__(
        self,
        cursor: Any,
        catalog: str,
        refuse_if_replaced: Callable[[], None],
        attached: AttachedDatabases,
    ) -> None:
        self._cursor, self._catalog, self._attached = cursor, catalog, attached
        #: A commit to a file that has no name any more succeeds, and nobody will ever see it.
        self._refuse_if_replaced = refuse_if_replaced
        self._in_transaction = False
        self._failed = False
        self._reading = False  # the transaction cannot write
        self._input: Any = None  # the Arrow table that is seen as _INPUT

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        with self._watched():
            statements = self._cursor.extract_statements(sql)
        transactional = duckdb.StatementType.TRANSACTION
        if all(statement.type != transactional for statement in statements):
            # The text as it is: errors name its lines.
            found: list[tuple[Any, ...]] = self._run(sql) if statements else []
            self._refuse_if_replaced()
            return found
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            move = self._move(statement.query) if statement.type == transactional else None
            rows = []
            if move:
                move()
            else:
                rows = self._run(statement)
        return rows

    def _move(self, text: str) -> Callable[[], None]:
        """BEGIN, COMMIT and ROLLBACK as the methods that know what they mean."""
        word = _COMMENTS.sub("", text).split(None, 1)[0].rstrip(";").lower()
        if word in ("commit", "end"):
            return self.commit
        return self.begin if word in ("begin", "start") else self.rollback

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with self._watched():
            self._one_statement(sql)
            self._cursor.execute(sql)
            names = [column[0] for column in self._cursor.description or ()]
            return names, self._cursor.fetchall()

    def read(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        return self.query(sql)

    def _run(self, statement: Any, parameters: Sequence[Any] | None = None) -> Any:
        """Execute and fetch: an answer that is not fetched blocks the cursor in DuckDB 2."""
        with self._watched():
            if parameters is None:
                self._cursor.execute(statement)
            else:
                self._cursor.execute(statement, parameters)
            return self._cursor.fetchall()

    @contextlib.contextmanager
    def _watched(self, lines_before: int = 0) -> Iterator[None]:
        try:
            with translated(lines_before):
                yield
        except WarehouseError:
            self._failed = self._in_transaction
            raise

    @property
    def in_transaction(self) -> bool:
        return self._in_transaction

    def begin(self) -> None:
        self._begin(BEGIN)

    def begin_reading(self) -> None:
        self._begin("BEGIN TRANSACTION READ ONLY")
        self._reading = True

    def savepoint(self) -> bool:
        return self._reading  # nothing is lost with such a transaction

    def back_to_savepoint(self) -> None:
        self.rollback()
        self.begin_reading()

    def only_read(self, sql: str) -> None:
        if not self._reading and (self.subquery(sql) is None or self._writes_in_with(sql)):
            what = "a check only reads, and this is no query that could stand in parentheses"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what, name="CheckWrites")

    def _writes_in_with(self, sql: str) -> bool:
        """DuckDB 2 has DELETE and its like in WITH, and counts that as a query."""
        tree = self._run(f"SELECT json_serialize_sql({literal(sql)})")[0][0]
        return re.search(r'"type":"\w+_QUERY_NODE"', str(tree)) is not None

    def _begin(self, sql: str) -> None:
        self._refuse_if_replaced()
        try:
            with translated(), self._attached.kept(self._cursor):
                self._cursor.execute(sql).fetchall()
        except BaseException:
            self.rollback()
            raise
        self._in_transaction, self._failed = True, False

    def commit(self) -> None:
        # Only some errors abort a transaction, and after one that did COMMIT silently succeeds and
        # rolls back. Any other statement raises then, so run one.
        if self._failed:
            try:
                self._run("SELECT 1")
            except WarehouseError as error:
                self.rollback()
                raise WarehouseError(
                    ErrorKind.TRANSACTION_FAILED,
                    "nothing was committed: a statement of this transaction had failed,"
                    f" and it is rolled back ({error.message})",
                    name="TransactionException",
                ) from error
        try:
            self._refuse_if_replaced()
        except WarehouseError:
            self.rollback()
            raise
        with self._watched():
            self._cursor.execute("COMMIT").fetchall()
        self._in_transaction = self._failed = False
        self._refuse_if_replaced()  # it may have gone meanwhile: then the record is in no file

    def rollback(self) -> None:
        # A late interrupt may hit the ROLLBACK itself. "No transaction is active" is the
        # proof that it is done; a database that is broken has nothing to roll back.
        for _ in range(5):
            try:
                self._cursor.execute("ROLLBACK").fetchall()
            except duckdb.InterruptException:
                continue
            except duckdb.Error:
                pass
            break
        self._in_transaction = self._failed = self._reading = False

    def interrupt(self) -> None:
        self._cursor.interrupt()

    def close(self) -> None:
        self.rollback()
        with contextlib.suppress(duckdb.Error):
            self._cursor.close()

    def count(self, sql: str) -> int:
        text = f"SELECT count(*) FROM (\n{self._subquery(sql)}\n)"
        with self._watched(lines_before=1):
            return int(self._cursor.execute(text).fetchall()[0][0])

    def subquery(self, sql: str) -> str | None:
        with self._watched():
            self._one_statement(sql)
            parts = self._cursor.extract_statements(sql)
            # A PIVOT that first looks for its columns: several statements, or one in DuckDB 2.
            if len(parts) > 1 or parts[0].type == duckdb.StatementType.MULTI:
                return None
        found = self._subquery(sql)
        return found if self._parses(f"SELECT count(*) FROM (\n{found}\n)") else None

    def _subquery(self, sql: str) -> str:
        """Return one query without its semicolon, even if a comment follows it."""
        self.one_statement(sql)
        end = len(sql)
        while end > 0:
            if self._parses(f"SELECT count(*) FROM (\n{sql[:end]}\n)"):
                return sql[:end]
            end = sql.rfind(";", 0, end)
        return sql  # no subquery: running it shows why

    def _parses(self, sql: str) -> bool:
        """Whether it parses. Nothing runs, as in DuckDB 2 any error would end the transaction."""
        try:
            self._one_statement(sql)
        except duckdb.ParserException:
            return False
        return True

    def one_statement(self, sql: str, lines_before: int = 0) -> None:
        """Refuse a text of several statements, and one that does not parse."""
        with self._watched(lines_before):
            self._one_statement(sql)

    def _one_statement(self, sql: str) -> None:
        """Refuse a text of several statements, of which one could be a COMMIT."""
        statements = self._cursor.extract_statements(sql)
        # One PIVOT parses as several statements, without a text but for one.
        count = sum(1 for statement in statements if statement.query.strip())
        transactional = duckdb.StatementType.TRANSACTION
        if not statements or count > 1 or any(s.type == transactional for s in statements):
            what = f"the text holds {len(statements)} statements"
            if len(statements) == 1:
                what = "the statement begins, changes or ends a transaction"
            raise WarehouseError(
                ErrorKind.SYNTAX, f"{what}, where one query is expected", name="ParserException"
            )
