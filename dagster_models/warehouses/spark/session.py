"""Spark by Spark Connect: one server, one location of tables.

    build    Spark writes the rows into files that no commit of the relation names; checks read them
    publish  one commit in the log of the relation, by this process, with the proof in it

What was measured and is relied on here (Sail 0.7): a statement goes on when its client is gone, so
nothing that Spark does may publish; a view of a folder shows the newest commit, whoever made it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.materializations import (
    AddedTo,
    Custom,
    Function,
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
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Capabilities, OpenWarehouse, Staged
from dagster_models.warehouses.materializations.snapshot_columns import (
    history_in_the_way,
    no_snapshot_yet,
)
from dagster_models.warehouses.records import from_last_whole
from dagster_models.warehouses.refusals import refuse_extras, refuse_kind
from dagster_models.warehouses.spark import contents, functions, incremental, snapshot, writing
from dagster_models.warehouses.spark.catalog import Catalog
from dagster_models.warehouses.spark.location import DeltaFolder, RelationFolder, refuse_folder
from dagster_models.warehouses.spark.rehearsal import Rehearsal
from dagster_models.warehouses.spark.server import Server
from dagster_models.warehouses.spark.stages import SparkStages
from dagster_models.warehouses.spark.table_log import TableLog
from dagster_models.warehouses.spark.target import SPARK
from dagster_models.warehouses.spark.text import one_query

_KINDS = (Replace, ViewKind, Incremental, Snapshot, Function)

CAPABILITIES = Capabilities(
    "spark",
    shared_fate=False,
    publishing="commit",
    lacks={
        "transactions": "Spark has none over several statements: each one is by itself",
        "runtime_error_line": "a server like Sail gives no place for them",
        "grants": "the location is a folder, and whoever can read it can read all of it",
        "indexes": "Delta has none",
        "snapshot_readers": "each statement reads the newest version, as there are no transactions",
        "local_files": "SQL runs on the server, which sees its own files",
        "time_type": "Delta has no type for them: they are stored as text, e.g. 23:59:59.000001",
        "interval_type": "Delta has no type for them, so a column of one is refused",
        "unsigned_types": "they are stored in the next larger type",
        "decimal_nan": "DECIMAL has no NaN",
        "any_name": "names become folders: letters of ASCII, digits and underscores only",
    },
)


def connect(settings: Mapping[str, Any]) -> Spark:
    """Reach the server; ``location`` is a folder that it and this process have at the same path.

    Raises WarehouseError.
    """
    location = str(settings.get("location") or "").removeprefix("file://")
    if not os.path.isabs(location) or "://" in location:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"location: {settings.get('location')!r} is not the absolute path of a folder. The"
            " tables are kept in a folder that the Spark server and this machine have at the same"
            " path, such as a mounted disk; object stores are not supported yet",
        )
    folder = os.path.realpath(location)
    refuse_folder(folder)
    kept = _location(settings, folder)
    try:
        server = Server(settings)
        try:
            return Spark(server, kept)
        except BaseException:
            server.close()
            raise
    except BaseException:
        kept.close()
        raise


def _location(settings: Mapping[str, Any], folder: str) -> RelationFolder:
    format_ = str(settings.get("format") or "delta")
    if format_ == "delta":
        return DeltaFolder(folder)
    if format_ != "iceberg":
        what = f"format: {format_!r} is not known: write `delta` or `iceberg`"
        raise WarehouseError(ErrorKind.INVALID_SETTINGS, what)
    from dagster_models.warehouses.spark.iceberg import open_catalog  # takes 1 s

    return open_catalog(folder, settings)


class Spark(OpenWarehouse):
    """One Spark session, and one location."""

    capabilities = CAPABILITIES

    def __init__(self, server: Server, location: RelationFolder) -> None:
        self._server, self.location = server, location
        self._catalog = Catalog(server, location)
        self._catalog.refresh()

    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> SparkSession:
        return SparkSession(self._server, self.location, self._catalog, name)

    def close(self) -> None:
        self._server.close()
        self.location.close()


class SparkSession(SparkStages):
    """One client's statements, by their tag."""

    _window: Relation | None = None
    _rehearsal: Rehearsal | None = None

    def build(self, task: BuildTask, first: Callable[[], None] | None = None) -> Staged:
        self.discard()
        self.catalog.refresh()
        if first is not None:
            first()
        how, relation = task.materialization, task.relation
        refuse_kind(SPARK, how, _KINDS)
        refuse_extras(SPARK, task.extras)
        self.docs = task.extras
        self.catalog.refuse_foreign(relation)
        self._refuse_history(relation, how)
        if isinstance(how, ViewKind):
            staged = self._view(task)
        elif isinstance(how, Incremental):
            staged = incremental.build(self, task, how)
        elif isinstance(how, Snapshot):
            staged = snapshot.build(self, task, how)
        elif isinstance(how, Function):
            staged = functions.build(self, relation, how, task.content)
        else:
            staged = self._table(task)
        if task.contract is not None:
            own = how.own_columns if isinstance(how, Snapshot) else ()
            contents.refuse_breach(self, relation, task.contract, own)
        return staged

    def _refuse_history(self, relation: Relation, how: Materialization) -> None:
        """Raise WarehouseError if the build would end a history, or begin one in another table."""
        if self.kind_of(relation) != "table":
            return
        last = self.location.log(relation).last()
        kinds = [it.kind for it in last.commits] if last is not None else []
        if "snapshot" in kinds and not isinstance(how, Snapshot):
            raise history_in_the_way(relation)
        if kinds and "snapshot" not in kinds and isinstance(how, Snapshot):
            raise no_snapshot_yet(relation)

    def _view(self, task: BuildTask) -> Staged:
        if not isinstance(task.content, Query):
            what = f"the view {task.relation} needs a query"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what)
        stage = self.begin_stage(task.relation)
        stage.definition, stage.kind = one_query(task.content.sql), "view"
        self.refuse_lost_names(stage, stage.definition)
        self.change(f"CREATE VIEW {quoted(stage.name)} AS\n{stage.definition}\n", 1)
        return Staged(task.relation, None)

    def _table(self, task: BuildTask) -> Staged:
        return Staged(task.relation, self.fill(self.begin_stage(task.relation), task.content))

    def read_before(self, relation: Relation, how: AddedTo | Custom) -> Reading:
        refuse_kind(SPARK, how, _KINDS)
        self.discard()
        self.catalog.refresh()
        if isinstance(how, Snapshot):
            return snapshot.read(self, relation, how)
        assert isinstance(how, Incremental)
        return incremental.read(self, relation, how)

    # Rehearsals

    def begin_rehearsal(self) -> None:
        self.rollback()
        self.catalog.refresh()  # the tests' catalog may be the one that begins a forgotten session
        self._real = self.location, self.catalog
        self._rehearsal = Rehearsal(self.server, self.location)
        self.location, self.catalog = self._rehearsal.location, self._rehearsal.catalog

    @property
    def in_rehearsal(self) -> bool:
        return self._rehearsal is not None

    def rehearse(self, task: BuildTask) -> Staged:
        staged = self.build(task)
        self.publish(staged, ())
        return staged

    def complete(self, relation: Relation, added: Sequence[tuple[str, str]], mark: str) -> None:
        lacking = [f"CAST(NULL AS {type_}) AS {quote(name)}" for name, type_ in added]
        rows = self.begin_scratch(relation)
        self.fill(rows, Query(f"SELECT {', '.join(['*', *lacking])} FROM {quoted(relation)}"))
        self.copy_of(relation, rows.rows_of_table(), marks=[mark] if mark else [])
        self.publish(Staged(relation, None), ())

    def rollback(self) -> None:
        super().rollback()
        if self._rehearsal is not None:
            rehearsal, self._rehearsal = self._rehearsal, None
            self.location, self.catalog = self._real
            rehearsal.end()

    def close(self) -> None:
        self.rollback()

    def name_of(self, staged: Staged) -> str:
        return quoted(self.staged_name(staged.relation))

    def window_of(self, staged: Staged) -> str:
        if not staged.written:
            return self.name_of(staged)
        scratch = self.begin_scratch(staged.relation)
        self._window = scratch.name
        self.refuse_lost_names(scratch, staged.written)
        self.change(f"CREATE VIEW {quoted(self._window)} AS {staged.written}")
        return quoted(self._window)

    def widen(self, staged: Staged) -> None:
        assert self._window is not None
        window = quoted(self._window)
        self.change(f"CREATE OR REPLACE VIEW {window} AS {staged.written_by_now}")

    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        stage = self.stage
        assert stage is not None
        log = self.location.log(staged.relation)
        if stage.definition:
            writing.write_definition(stage)
        stage.is_published = True  # an error proves nothing, and what is published keeps its files
        try:
            of_kind = stage.kind, stage.definition
            log.publish(stage.folder_name, commits, self.tag, *of_kind, self.base, self.docs)
        except WarehouseError:
            with suppress(OSError):
                stage.is_published = log.has_files_of(stage.folder_name)
            raise
        self.discard()
        self.catalog.show_published(staged.relation)

    # Proofs

    def fence(self, name: str, timeout_seconds: float, relation: Relation | None = None) -> bool:
        """Its statements are stopped. They could publish nothing, and what could, a process of
        ours, ended before this one began, or reads the fence in the log."""
        tag = self.tag_of(name)
        with suppress(WarehouseError):
            self.server.interrupt(tag)
        return relation is None or writing.fence(self.location.log(relation), tag, timeout_seconds)

    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        logs = self._logs(None if relation is None else [relation])
        if attempt is not None:
            return [commit for log in logs for commit in log.of(attempt)]
        return [
            commit
            for log in logs
            for commit in from_last_whole(
                [it for proof in reversed([*log.proofs()]) for it in proof.commits]
            )
        ]

    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        found = (log.last() for log in self._logs(relations))
        return [it.commits[-1] for it in found if it is not None and it.commits]

    def _logs(self, relations: Collection[Relation] | None) -> list[TableLog]:
        if relations is None:
            return [self.location.log(Relation(*key)) for key in self.location.stamps()]
        return [self.location.log(relation) for relation in relations]
