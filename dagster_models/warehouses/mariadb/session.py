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
from dagster_models.core.materializations import (
    AddedTo,
    Custom,
    Incremental,
    Materialization,
    Reading,
    Replace,
    Snapshot,
)
from dagster_models.core.materializations import View as ViewKind
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId, BuildTask, Query
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.base import Capabilities, OpenWarehouse, Staged
from dagster_models.warehouses.mariadb import (
    contents,
    incremental,
    records,
    refusals,
    snapshot,
    staging,
)
from dagster_models.warehouses.mariadb.connect import MariaConnector
from dagster_models.warehouses.mariadb.stages import MariaStages
from dagster_models.warehouses.mariadb.staging import MARK
from dagster_models.warehouses.mariadb.target import MARIADB
from dagster_models.warehouses.mariadb.text import one_query, refuse_pipes
from dagster_models.warehouses.materializations.snapshot_columns import (
    history_in_the_way,
    no_snapshot_yet,
)
from dagster_models.warehouses.refusals import refuse_extras, refuse_kind

_KINDS = (Replace, ViewKind, Incremental, Snapshot)

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


class MariaSession(MariaStages):
    """One connection: what builds and publishes."""

    def build(self, task: BuildTask, first: Callable[[], None] | None = None) -> Staged:
        self.discard()
        self.wake()
        how, relation = task.materialization, task.relation
        refuse_kind(MARIADB, how, _KINDS)
        refuse_extras(MARIADB, task.extras)
        refusals.refuse_name(self, relation)
        if isinstance(how, (Incremental, Snapshot)):
            self.take_turn(relation)
            staging.end_others(self, task.id)
        self._refuse_history(relation, how)
        if first is not None:
            first()
        staging.make_schema(self, relation.schema)
        if isinstance(how, ViewKind):
            staged = self._view(task)
        elif isinstance(how, Incremental):
            staged = incremental.build(self, task, how)
        elif isinstance(how, Snapshot):
            staged = snapshot.build(self, task, how)
        else:
            stage = self.begin_stage(relation)
            staged = Staged(relation, self.fill(stage.name, task.content))
            self.complete_stage(task.extras)
        if task.contract is not None:
            own = how.own_columns if isinstance(how, Snapshot) else ()
            contents.refuse_breach(self, relation, task.contract, own)
        return staged

    def _refuse_history(self, relation: Relation, how: Materialization) -> None:
        """Raise WarehouseError if the build would end a history, or begin one in a table that a
        build of another kind has made: its columns may have the names of a snapshot's."""
        if staging.kind_of(self, relation) != "table":
            return
        last = next(iter(records.last(self, [relation])), None)
        if last is None or (last.kind == "snapshot") == isinstance(how, Snapshot):
            return
        if last.kind == "snapshot":
            raise history_in_the_way(relation)
        if last.identity is not None and last.identity == staging.mark_of(self, relation):
            raise no_snapshot_yet(relation)

    def _view(self, task: BuildTask) -> Staged:
        if not isinstance(task.content, Query):
            what = f"the view {task.relation} needs a query"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what)
        stage = self.begin_stage(task.relation)
        stage.is_view = True
        query = refuse_pipes(one_query(task.content.sql))
        self.change(f"CREATE VIEW {quoted(stage.built)} AS\n{query}\n", 1)
        # Checks read it by the relation's name.
        self.change(f"CREATE VIEW {quoted(stage.name)} AS SELECT * FROM {quoted(stage.built)}")
        return Staged(task.relation, None)

    def read_before(self, relation: Relation, how: AddedTo | Custom) -> Reading:
        refuse_kind(MARIADB, how, _KINDS)
        self.wake()
        self.take_turn(relation)
        if isinstance(how, Snapshot):
            return snapshot.read(self, relation, how)
        assert isinstance(how, Incremental)
        return incremental.read(self, relation, how)

    def begin_rehearsal(self) -> None:
        raise refusals.no_transactions("a unit test builds relations that are rolled back")

    def rehearse(self, task: BuildTask) -> Staged:
        raise refusals.no_transactions("a unit test builds relations that are rolled back")

    def name_of(self, staged: Staged) -> str:
        return quoted(self.staged_name(staged.relation))

    def window_of(self, staged: Staged) -> str:
        return staged.written or self.name_of(staged)

    def widen(self, staged: Staged) -> None:
        # It hides the table of the new rows. A view would commit what is open.
        self.change(f"CREATE TEMPORARY TABLE {staged.written} AS {staged.written_by_now}")

    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        stage = self.stage
        assert stage is not None
        if stage.in_place:
            mark = staging.mark_of(self, stage.relation)
            staging.publish_in_place(self, stage, _marked(commits, mark))
        else:
            self.rollback()  # of a check in Python, which only reads
            if not self._connection.open:
                raise self.gone()
            identity = MARK + stage.id
            if stage.is_view:
                identity = self.identity_of(stage.built, is_view=True)
            staging.publish(self, stage, _marked(commits, identity))
        self.discard()

    def discard(self) -> None:
        self.rollback()
        stages = [it for it in (self.stage, self.given) if it is not None]
        self.stage = self.given = None
        for stage in stages:
            self.tidy(stage)
        self.give_turn()

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


def _marked(commits: Sequence[Commit], identity: str | None) -> list[Commit]:
    return [replace(it, identity=identity if it.builder else None) for it in commits]
