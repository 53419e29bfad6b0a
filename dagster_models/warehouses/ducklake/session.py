"""DuckLake: DuckDB's SQL on tables whose catalog and files several machines share.

Each session has a DuckDB of its own, in memory, to which the lake is attached, so nothing is shared
by a lock file. What was measured and is relied on here (1.5.5):

- A transaction reads one snapshot, and its COMMIT makes the next one, in one transaction of the
  catalog's database, whose key is the number of the snapshot.
- Of two transactions that alter one relation (a comment is enough), replace it or create it, the
  one that commits last fails with a conflict. Each publication sets its relation's comment.
- Two that only insert into a table do not conflict: so a record never keeps another one waiting.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.util.environment import filled_settings
from dagster_models.warehouses.base import (
    Capabilities,
    OpenWarehouse,
    Staged,
    literal,
    quote,
    quoted,
)
from dagster_models.warehouses.duckdb.attached import AttachedDatabases
from dagster_models.warehouses.duckdb.cursor import BEGIN
from dagster_models.warehouses.duckdb.environment import config_of, set_up
from dagster_models.warehouses.duckdb.errors import replaced, translated
from dagster_models.warehouses.duckdb.session import DuckDBSession
from dagster_models.warehouses.ducklake import records
from dagster_models.warehouses.ducklake.attach import attach
from dagster_models.warehouses.ducklake.target import DUCKLAKE
from dagster_models.warehouses.ducklake.turns import Turn

CAPABILITIES = Capabilities(
    "ducklake",
    shared_fate=True,
    lacks={
        "grants": "DuckLake has no grants, and CREATE OR REPLACE drops comments",
        "indexes": "DuckLake has no indexes",
        "size": "the catalog says it once a table is published, and not before",
        "decimal_nan": "DECIMAL has no NaN",
        "savepoints": "it has none, and an error may end the transaction: all is built once more",
    },
)

#: Statements that write nothing to the lake.
_READS = frozenset(
    (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.SET)
)

#: How long a COMMIT whose answer was lost is waited for.
_DOUBT_SECONDS = 10.0
_RETRY_SECONDS = 0.05


def connect(settings: Mapping[str, Any]) -> DuckLake:
    """Open the lake of the catalog ``postgres`` or ``sqlite`` whose files are in ``data``.

    Raises WarehouseError; if DuckDB's extensions are not installed, it says what to do.
    """
    return DuckLake(filled_settings(settings, os.environ))


class DuckLake(OpenWarehouse):
    """One lake. Each session has a DuckDB of its own that the lake is attached to: the extension
    does not stand several threads that use one attached lake (it ends the process, or reads numbers
    that nobody wrote)."""

    capabilities = CAPABILITIES

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._path = str(settings.get("sqlite") or "")
        self._first: Any = self._opened()
        self._file = os.stat(self._path) if self._path else None

    def _opened(self) -> Any:
        connection = duckdb.connect(config=config_of(self._settings))
        try:
            attach(connection, self._settings)
        except BaseException:
            connection.close()
            raise
        return connection

    def is_replaced(self) -> bool:
        try:
            return self._file is not None and not os.path.samestat(self._file, os.stat(self._path))
        except FileNotFoundError:
            return True

    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> DuckLakeSession:
        connection, self._first = self._first or self._opened(), None
        with translated():
            set_up(connection, request)
        nothing = AttachedDatabases(connection, {})
        session = DuckLakeSession(connection, DUCKLAKE.catalog, self._refuse_if_replaced, nothing)
        session.turn = Turn(self._path)
        return session

    def _refuse_if_replaced(self) -> None:
        if self.is_replaced():
            raise replaced(self._path)

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
            self._first = None


class DuckLakeSession(DuckDBSession):
    """The one connection of a DuckDB, and its transactions in the lake."""

    databases = DUCKLAKE.databases
    turn: Turn
    #: A COMMIT was sent, and its answer was no answer: the catalog's server may still carry it out.
    _in_doubt = False

    def _another_cursor(self) -> Any:
        cursor = super()._another_cursor()
        cursor.execute(f"USE {quote(self._catalog)}")
        return cursor

    # Turns

    def _begin(self, sql: str) -> None:
        if sql == BEGIN:
            self.turn.take()
        super()._begin(sql)

    def rollback(self) -> None:
        super().rollback()
        self.turn.give()

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        if self.in_transaction or not self._may_write(sql):
            return super().execute(sql)
        with self._in_turn():
            return super().execute(sql)

    def load(self, path: str, relation: str, mode: str) -> int:
        if self.in_transaction:
            return super().load(path, relation, mode)
        with self._in_turn():
            return super().load(path, relation, mode)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """The turn of what is a transaction by itself, or begins one."""
        self.turn.take()
        try:
            yield
        finally:
            if not self.in_transaction:
                self.turn.give()

    def _may_write(self, sql: str) -> bool:
        with self._watched():
            statements = self._cursor.extract_statements(sql)
        return any(statement.type not in _READS for statement in statements)

    def interrupt(self) -> None:
        self.turn.interrupt()
        super().interrupt()

    # Columns

    def add_column(self, relation: Relation, column: str, type_: str, value: str) -> None:
        # A default is a number or a text: `false` is a cast, as DuckDB reads it.
        ((text,),) = self.rows(f"SELECT CAST({value} AS VARCHAR)")
        default = "" if text is None else f" DEFAULT {literal(text)}"
        self.change(f"ALTER TABLE {quoted(relation)} ADD COLUMN {column} {type_}{default}")

    def fill_column(self, relation: Relation, column: str, type_: str, value: str) -> None:
        # It ignores USING in a change of a type.
        self.change(f"UPDATE {quoted(relation)} SET {column} = {value}")

    def alter(self, relation: Relation, added: Sequence[str], others: Sequence[str]) -> None:
        try:
            super().alter(relation, added, others)
        except WarehouseError as error:
            if "only widening type promotions" in error.message:
                error.message = (
                    f"{error.message.partition(': ')[0]}: DuckLake only widens the type of a"
                    " column. Nothing was changed: cast it in the query, or build the model once in"
                    " full (`full_refresh`)"
                )
            raise

    # Commit records

    def prepare(self, schemas: Sequence[str]) -> None:
        if records.are_prepared(self._run, self._catalog, schemas):
            return
        if self.in_transaction:
            records.prepare(self._run, self._catalog, schemas)
            return
        self.begin()  # one snapshot, instead of one for each statement
        try:
            records.prepare(self._run, self._catalog, schemas)
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        self._run(f"CALL {quote(self._catalog)}.set_commit_message({_message(commits[-1])})")
        super().publish(staged, commits)

    def write_record(self, commit: Commit) -> None:
        # DuckLake has no keys. Another process that publishes the same attempt at the same moment
        # publishes the same relation: one of the two conflicts.
        attempt = AttemptId(commit.run_id, commit.step, commit.attempt)
        if any(it.part == commit.part for it in super().find_proofs(None, attempt)):
            raise WarehouseError(
                ErrorKind.CONSTRAINT,
                f"attempt {commit.attempt} of {commit.step} in run {commit.run_id} was published"
                " before: another process runs the same attempt",
                name="ConstraintException",
            )
        super().write_record(commit)

    def commit(self) -> None:
        try:
            super().commit()
        except WarehouseError as error:
            self._in_doubt = error.kind is not ErrorKind.CONFLICT
            raise
        finally:
            if not self.in_transaction:
                self.turn.give()

    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        if self._in_doubt and not self.fence("", _DOUBT_SECONDS):
            raise WarehouseLost(
                ErrorKind.LOST, "the catalog does not say whether the last COMMIT took place"
            )
        self._in_doubt = False
        return super().find_proofs(relation, attempt)

    def fence(self, name: str, timeout_seconds: float, relation: Relation | None = None) -> bool:
        """A server may still carry out the COMMIT of a process that is gone. So make a snapshot:
        its number is the next one, and what has not got one by then cannot get one any more, as
        nobody tries again for it."""
        if self.turn.is_needed:
            return True  # nobody but the process itself writes to a file
        mark = f"the session {name or 'of an unanswered COMMIT'} was over at {time.time()}"
        end = time.monotonic() + timeout_seconds
        while True:
            try:
                records.make_snapshot(self._run, self._catalog, mark)
                return True
            except WarehouseError as error:
                if error.kind is ErrorKind.MISSING_RELATION:
                    return True  # nobody has prepared the lake, so nothing was published
                if time.monotonic() > end:
                    return False
            time.sleep(_RETRY_SECONDS)


def _message(commit: Commit) -> str:
    what = f"{commit.step}, attempt {commit.attempt} of run {commit.run_id}"
    extra = {
        "run": commit.run_id,
        "step": commit.step,
        "attempt": commit.attempt,
        "code_version": commit.code_version,
    }
    texts = literal("dagster-models"), literal(what), literal(json.dumps(extra))
    return "{}, {}, extra_info => {}".format(*texts)
