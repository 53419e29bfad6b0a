"""DuckLake: DuckDB's SQL on tables whose catalog and files several machines share.

Each process has a DuckDB of its own, in memory, to which the lake is attached, so nothing is shared
by a lock file. What was measured and is relied on here (1.5.5):

- A transaction reads one snapshot, and its COMMIT makes the next one, in one transaction of the
  catalog's database, whose key is the number of the snapshot.
- Of two transactions that alter one relation (a comment is enough), replace it or create it, the
  one that commits last fails with a conflict. Each publication sets its relation's comment.
- Two that only insert into a table do not conflict: so a record never keeps another one waiting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.target_types import DUCKLAKE
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.base import Capabilities, Staged, literal, quote
from dagster_models.warehouses.duckdb.cursor import BEGIN
from dagster_models.warehouses.duckdb.environment import config_of
from dagster_models.warehouses.duckdb.session import DuckDB, DuckDBSession
from dagster_models.warehouses.ducklake import records
from dagster_models.warehouses.ducklake.attach import attach
from dagster_models.warehouses.ducklake.turns import Turn

CAPABILITIES = Capabilities(
    "ducklake",
    shared_fate=True,
    lacks={
        "grants": "DuckLake has no grants, and CREATE OR REPLACE drops comments",
        "indexes": "DuckLake has no indexes",
        "size": "its files are compressed, and shared by snapshots",
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
    connection = duckdb.connect(config=config_of(settings))
    try:
        attach(connection, settings)
        return DuckLake(connection, str(settings.get("sqlite") or ""), {})
    except BaseException:
        connection.close()
        raise


class DuckLake(DuckDB):
    """One lake, attached to a DuckDB of this process."""

    capabilities = CAPABILITIES

    def is_replaced(self) -> bool:
        return bool(self._path) and super().is_replaced()

    def _session_on(self, cursor: Any) -> DuckLakeSession:
        cursor.execute(f"USE {quote(self._catalog)}")
        session = DuckLakeSession(cursor, self._catalog, self._refuse_if_replaced, self._attached)
        session.turn = Turn(self._path)
        return session


class DuckLakeSession(DuckDBSession):
    """One cursor of that DuckDB. It has its own transactions in the lake."""

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
        self.turn.take()
        try:
            return super().execute(sql)
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

    def fence(self, name: str, timeout_seconds: float) -> bool:
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
