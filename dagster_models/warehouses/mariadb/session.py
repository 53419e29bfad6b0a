"""MariaDB (10.6 or later): a server whose databases are the schemas, one connection per session.

What was measured and is relied on here: a statement that makes or changes tables commits what is
open; a RENAME of several tables and views takes place as a whole or not at all, also where the
server is killed; a statement goes on when its client is gone; KILL is answered before its target
has ended; a user's lock is free once its connection has ended, with what it was doing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.extras import Index
from dagster_models.core.materializations import AddedTo, Custom, Reading, Replace
from dagster_models.core.materializations import View as ViewKind
from dagster_models.core.model import Relation
from dagster_models.core.target_types import MARIADB
from dagster_models.core.tasks import ArrowFile, AttemptId, BuildTask, CsvFile, Query
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Capabilities, OpenWarehouse, Staged
from dagster_models.warehouses.mariadb import (
    contents,
    loading,
    records,
    refusals,
    staging,
    values,
)
from dagster_models.warehouses.mariadb.connect import MariaConnector
from dagster_models.warehouses.mariadb.reading import MariaReading
from dagster_models.warehouses.mariadb.staging import MARK, MariaStage
from dagster_models.warehouses.mariadb.text import literal, one_query, refuse_pipes
from dagster_models.warehouses.refusals import refuse_extras, refuse_kind

_KINDS = (Replace, ViewKind)

CAPABILITIES = Capabilities(
    "mariadb",
    shared_fate=False,
    publishing="swap",
    lacks={
        "transactions": "of rows only: a statement that makes or changes tables commits",
        "runtime_error_line": "the server gives a place only for errors in the text",
        "grants": "grants survive, and a comment does not: that of a table marks its publication",
        "indexes": "each build makes a new table, which has the indexes of its header",
        "snapshot_readers": "a rebuild waits for each transaction that has read the table",
        "local_files": "SQL runs on the server, which sees only its own files",
        "nested_types": "it has none; lists, structs and maps are refused",
        "interval_type": "it has none, so a column of one is refused",
        "decimal_nan": "DECIMAL has no NaN",
        "any_name": "names have at most 64 characters, each of at most three bytes",
    },
)


def connect(settings: Mapping[str, Any]) -> MariaDB:
    """The server of a target's settings. Raises WarehouseError for settings that contradict."""
    return MariaDB(settings)


class MariaDB(OpenWarehouse):
    """One server."""

    capabilities = CAPABILITIES

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        MariaConnector(settings, settings)  # for what it refuses

    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> MariaSession:
        own = self._settings if request is None else request.settings
        return MariaSession(MariaConnector(self._settings, own), name, given_up)

    def close(self) -> None:
        """Nothing is open but the sessions."""


class MariaSession(MariaReading):
    """One connection: what builds and publishes."""

    def build(self, task: BuildTask, first: Callable[[], None] | None = None) -> Staged:
        if self.stage is not None:
            self.discard()
        self.wake()
        if first is not None:
            first()
        how, relation = task.materialization, task.relation
        refuse_kind(MARIADB, how, _KINDS)
        refuse_extras(MARIADB, task.extras)
        refusals.refuse_name(self, relation)
        if staging.kind_of(self, relation) == "table":
            staging.refuse_losses(self, relation)
        stage = self.stage = MariaStage.of(self, relation)
        staging.make_schema(self, relation.schema)
        staging.make_stage(self, stage)
        build = self._view if isinstance(how, ViewKind) else self._table
        staged = build(task, stage)
        if task.contract is not None:
            contents.refuse_breach(self, relation, task.contract)
        return staged

    def _view(self, task: BuildTask, stage: MariaStage) -> Staged:
        if not isinstance(task.content, Query):
            what = f"the view {task.relation} needs a query"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what)
        stage.is_view = True
        query = refuse_pipes(one_query(task.content.sql))
        self.change(f"CREATE VIEW {quoted(stage.built)} AS\n{query}\n", 1)
        # Checks read it by the relation's name.
        self.change(f"CREATE VIEW {quoted(stage.name)} AS SELECT * FROM {quoted(stage.built)}")
        return Staged(task.relation, None)

    def _table(self, task: BuildTask, stage: MariaStage) -> Staged:
        content, name = task.content, quoted(stage.name)
        create = f"CREATE TABLE {name}"
        if isinstance(content, ArrowFile):
            with bulk.mapped(content.path) as given:
                table = values.storable(given)
                rows = loading.fill_from_arrow(self, name, table, create)
        elif isinstance(content, CsvFile):
            path, types = content.file.path, content.column_types
            rows = loading.fill_from_seed(self, name, path, types, create)
        else:
            query = refuse_pipes(one_query(content.sql))
            rows = self.change(f"{create} ENGINE = InnoDB AS\n{query}\n", 1)
        for index in task.extras.indexes:
            self._make_index(name, index)
        self.change(f"ALTER TABLE {name} COMMENT = {literal(MARK + stage.id)}")
        self.change(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {name}")
        return Staged(task.relation, rows)

    def _make_index(self, name: str, index: Index) -> None:
        word = "UNIQUE INDEX" if index.unique else "INDEX"
        called = index.name or "_".join(("on", *index.columns))[:64]
        listed = ", ".join(map(quote, index.columns))
        self.change(f"CREATE {word} {quote(called)} ON {name} ({listed})")

    def read_before(self, relation: Relation, how: AddedTo | Custom) -> Reading:
        refuse_kind(MARIADB, how, _KINDS)
        raise AssertionError("every kind that reads before is refused")

    def rehearse(self, task: BuildTask) -> Staged:
        raise refusals.no_transactions("a unit test builds relations that are rolled back")

    def name_of(self, staged: Staged) -> str:
        return quoted(self.staged_name(staged.relation))

    def window_of(self, staged: Staged) -> str:
        return self.name_of(staged)

    def widen(self, staged: Staged) -> None:
        raise AssertionError("a build has one transaction here")

    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        stage = self.stage
        assert stage is not None
        self.rollback()  # of a check in Python, which only reads
        if not self._connection.open:
            raise self.gone()
        identity = MARK + stage.id
        if stage.is_view:
            identity = self.identity_of(stage.built, is_view=True)
        marked = [replace(it, identity=identity if it.builder else None) for it in commits]
        staging.publish(self, stage, marked)
        self.discard()

    def discard(self) -> None:
        self.rollback()
        stage, self.stage = self.stage, None
        if stage is not None:
            self.tidy(stage)

    # Proofs

    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        self.reopen()
        return records.find(self, attempt or relation)

    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        self.reopen()
        return records.last(self, relations)

    def drop(self, relation: Relation, builder: str) -> None:
        if self.in_transaction:
            what = f"{relation} is kept: a transaction is open, which is not ours to end"
            raise WarehouseError(ErrorKind.OPEN_TRANSACTION, what)
        self.wake()
        with staging.turn(self, relation):
            found = next(iter(self.built_by(builder, [str(relation)])), None)
            if found is None or found.kept:
                why = found.kept if found else f"{builder} has not built it"
                raise WarehouseError(ErrorKind.NOT_KEPT, f"{relation} is kept: {why}")
            refusals.refuse_to_break_views(self, relation)
            self.change(f"DROP {'VIEW' if found.is_view else 'TABLE'} {quoted(relation)}")

    def prepare(self, schemas: Sequence[str]) -> None:
        self.wake()
        for schema in schemas:
            refusals.refuse_name(self, Relation(schema, "t"))
        records.prepare(self)
        staging.clean(self)
        for schema in schemas:
            staging.make_schema(self, schema)
