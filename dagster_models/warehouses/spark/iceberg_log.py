"""The log of an Iceberg table: its snapshots, as the catalog names them.

    <location>/<schema>/<name>/metadata/00007-<uuid>.metadata.json   counts if the catalog names it
                              /stage-<id>/part-*.parquet             rows that Spark wrote
                              /shown-<uuid>/metadata/<one file>      what Spark reads

A commit is one row of the catalog, which then names another metadata file: its last snapshot has
the new files, and the proof in its summary. The catalog takes a commit only if it still names the
file that the commit began with, and the branch `main` its snapshot.

The stage is a Delta table here, too, so its files have no ids of columns: the table's name mapping
finds columns by their names.

Sail 0.7 reads the newest metadata file that it finds in a folder, also one that the catalog does
not name: one of a process that was killed on its way to the catalog, or that came second. So Spark
is shown a folder that has nothing but one more name of the file that the catalog names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster_models.core.commit import Commit
from dagster_models.core.extras import NO_EXTRAS, Extras
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark import iceberg_schema
from dagster_models.warehouses.spark.files import TableRows, delta_rows, foreign_files
from dagster_models.warehouses.spark.iceberg_errors import is_unanswered, translated
from dagster_models.warehouses.spark.iceberg_schema import MARKED
from dagster_models.warehouses.spark.proofs import Kind, Proof, proof_text, read_proof, written
from dagster_models.warehouses.spark.table_log import Shown, TableLog

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.iceberg_catalog import IcebergCatalog

#: Keys in the summary of a snapshot: the proof, and the folder of the stage.
_PROOF, _STAGE = "dagster_models", "dagster_models_stage"
#: pyiceberg would commit again, on top of what somebody else has committed meanwhile.
_NO_RETRY = ("commit.retry.num-retries", "0")
_SHOWN = "shown-"
#: How long a folder that Spark was shown stays: somebody may be reading the table still.
_SHOWN_SECONDS = 24 * 60 * 60


class IcebergLog(TableLog):
    """The version of a commit is the sequence number of its snapshot."""

    def __init__(self, relation: Relation, folder: str, catalog: IcebergCatalog) -> None:
        super().__init__(relation, folder)
        self._catalog = catalog
        self._read: dict[int, Proof] = {}
        #: Nobody has said whether the last commit was made.
        self._is_in_doubt = False

    def table(self) -> Any:
        """The table as the catalog has it; None where it has none."""
        with translated(self.relation):
            return self._catalog.table(self.relation)

    # Reading

    def proofs(self) -> Iterator[Proof]:
        for snapshot in _history(self.table()):
            if snapshot.snapshot_id not in self._read:
                said = str(_said(snapshot).get(_PROOF) or "")
                self._read[snapshot.snapshot_id] = read_proof(snapshot.sequence_number, said)
            yield self._read[snapshot.snapshot_id]

    def version(self) -> int:
        return _version(self.table())

    def shown(self) -> Shown:
        if (table := self.table()) is None:
            what = f"the Iceberg catalog has no table {self.relation}"
            raise WarehouseError(ErrorKind.MISSING_RELATION, what)
        mark = _mark(table)
        folder = self.folder_of(f"{_SHOWN}{mark}")
        with translated(self.relation):
            if not os.path.exists(folder):
                self._show(table, folder)
        return Shown("iceberg", folder, _in_a_name(mark))

    def marks(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            names = [it.name for it in os.scandir(self.folder)]
            return [_in_a_name(it[len(_SHOWN) :]) for it in names if it.startswith(_SHOWN)]
        return []

    def _show(self, table: Any, folder: str) -> None:
        """Let the folder have the table's metadata alone, and remove those that nobody reads."""
        part = f"{folder}-{os.urandom(4).hex()}"  # another process may do the same
        os.makedirs(os.path.join(part, "metadata"))
        try:
            name = f"00000-{table.metadata.table_uuid}.metadata.json"
            self._catalog.write_metadata(table, os.path.join(part, "metadata", name))
            with contextlib.suppress(OSError):
                os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for it in os.scandir(self.folder):
            if it.name.startswith(_SHOWN) and it.stat().st_mtime < time.time() - _SHOWN_SECONDS:
                shutil.rmtree(it.path, ignore_errors=True)

    def rows(self, version: int | None) -> TableRows:
        with translated(self.relation):
            table = self.table()
            if version is not None and _version(table) != version:
                self.refuse_overtaken(version, _version(table))
            fields, tasks = iceberg_schema.delta_fields(table.schema()), _tasks(table)
            if any(it.delete_files for it in tasks):
                raise foreign_files(self.folder, "rows of its files are deleted by delete files")
            return TableRows(self.folder, fields, [self._action(it) for it in tasks])

    def _action(self, task: Any) -> Mapping[str, Any]:
        path = _path(task.file.file_path)
        return {
            "path": os.path.relpath(path, self.folder),
            "size": task.file.file_size_in_bytes,
            "modificationTime": int(os.stat(path).st_mtime * 1000),
            "stats": f'{{"numRecords": {task.file.record_count}}}',
        }

    def has_mark(self, column: str) -> bool:
        fields = self.table().schema().fields
        return any(it.name == column and it.doc == MARKED for it in fields)

    def has_files_of(self, stage: str) -> bool:
        table = self.table()
        return table is not None and any(
            _said(it).get(_STAGE) == stage for it in table.metadata.snapshots
        )

    def size(self) -> int:
        table = self.table()
        return 0 if table is None else sum(it.file.file_size_in_bytes for it in _tasks(table))

    # Writing

    def publish(
        self,
        stage: str,
        commits: Sequence[Commit],
        session: str,
        kind: Kind = "table",
        definition: str = "",
        base: int | None = None,
        docs: Extras = NO_EXTRAS,
    ) -> None:
        with translated(self.relation):
            table = self.table()
            version = _version(table)
            self.refuse_overtaken(base, version)
            self.refuse_second(version, commits, session)
            said = proof_text(kind, definition, commits, _next_version(table), docs)
            self._commit(table, delta_rows(self.folder_of(stage)), said, stage=stage)

    def of(self, key: AttemptId) -> list[Commit]:
        """A commit whose answer was lost may still reach the catalog. It is refused once there is
        another one, so one without rows comes first."""
        if self._is_in_doubt:
            try:
                self.fence(f"a commit of {key}")
            except WarehouseError as error:
                if error.kind is not ErrorKind.CONFLICT:  # then there is another one
                    raise
            self._is_in_doubt = False
        return super().of(key)

    def drop(self, version: int) -> None:
        table = self.table()
        if table is None or _version(table) != version:
            what = f"{self.relation} was written at the same moment"
            raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
        with translated(self.relation):
            self._commit(table, None, written("dropped"))
            names = {_said(it).get(_STAGE) for it in table.metadata.snapshots} | {"data"}
            for name in filter(None, names):
                shutil.rmtree(self.folder_of(name), ignore_errors=True)
            known = [it.path for it in os.scandir(self.folder_of("metadata"))]
            if self._catalog.forget(self.relation, table.metadata_location):
                self._remove(known)

    def _remove(self, metadata: Sequence[str]) -> None:
        """Remove the files of a table that the catalog has forgotten. Whoever builds the relation
        now writes others."""
        for path in metadata:
            with contextlib.suppress(OSError):
                os.remove(path)
        for it in os.scandir(self.folder):
            if it.name.startswith(_SHOWN):
                shutil.rmtree(it.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder_of("metadata"))
            os.rmdir(self.folder)

    def fence(self, session: str) -> None:
        with translated(self.relation):
            if (table := self.table()) is None:
                self._commit(None, None, written("dropped", fenced=session))
                return
            transaction = self._transaction(table)
            said = {_PROOF: written("table", fenced=session)}
            with transaction.update_snapshot(snapshot_properties=said).fast_append():
                pass  # a snapshot with the files that are there
            self._finish(transaction)

    def load(self, table: Any, *, append: bool) -> None:
        from deltalake import write_deltalake

        stage = f"stage-{os.urandom(8).hex()}"
        with translated(self.relation):
            write_deltalake(self.folder_of(stage), table, mode="error")
            rows, there = delta_rows(self.folder_of(stage)), self.table()
            if append and there is not None:
                iceberg_schema.refuse_others(self.relation, there.schema(), rows.fields)
            self._commit(there, rows, written("table"), stage=stage, keeps=append)
            shutil.rmtree(os.path.join(self.folder_of(stage), "_delta_log"), ignore_errors=True)

    def _commit(
        self, table: Any, rows: TableRows | None, said: str, *, stage: str = "", keeps: bool = False
    ) -> None:
        """Commit these rows in place of all others, or besides them; None for no rows. Raises
        errors of pyiceberg."""
        from pyiceberg.io.pyarrow import parquet_file_to_data_file

        fields = rows.fields if rows is not None else []
        if table is None:
            schema = iceberg_schema.of_delta(fields)
            properties = dict([_NO_RETRY])
            transaction = self._catalog.begin(self.relation, schema, self.folder, properties)
        else:
            transaction = self._transaction(table)
            if rows is not None and not keeps:
                iceberg_schema.replace(transaction, fields)
        mapping = iceberg_schema.name_mapping(transaction.table_metadata)
        transaction.set_properties(**{"schema.name-mapping.default": mapping})
        summary = {_PROOF: said, **({_STAGE: stage} if stage else {})}
        files = rows.files if rows is not None else []
        io = self._catalog.io
        with transaction.update_snapshot(snapshot_properties=summary).overwrite() as snapshot:
            for task in _tasks(table) if table is not None and not keeps else ():
                snapshot.delete_data_file(task.file)
            for it in files:
                path = f"file://{os.path.join(self.folder, stage, it['path'])}"
                metadata = transaction.table_metadata
                snapshot.append_data_file(parquet_file_to_data_file(io, metadata, path))
        self._finish(transaction)

    def _finish(self, transaction: Any) -> None:
        try:
            self._catalog.committed(self.relation, transaction.commit_transaction())
        except Exception as error:
            self._is_in_doubt = is_unanswered(error)
            raise

    def _transaction(self, table: Any) -> Any:
        """Begin to change the table, so that what others commit meanwhile is a conflict."""
        if not table.spec().is_unpartitioned() or table.metadata.format_version < 2:
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"{self.relation} is a table that somebody else has partitioned, or of format"
                " version 1. Nothing was changed: drop or rename it by hand",
                name="ForeignTable",
            )
        key, value = _NO_RETRY
        if table.properties.get(key) != value:
            change = table.transaction()
            change.set_properties(**{key: value})
            version, table = _version(table), change.commit_transaction()
            self.refuse_overtaken(version, _version(table))
        return table.transaction()


def _history(table: Any) -> Iterator[Any]:
    """The snapshots of the branch `main`, the last one first."""
    if table is None:
        return
    known = {it.snapshot_id: it for it in table.metadata.snapshots}
    snapshot = table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        snapshot = known.get(snapshot.parent_snapshot_id)


def _said(snapshot: Any) -> Mapping[str, str]:
    found: Mapping[str, str] = snapshot.summary.additional_properties if snapshot.summary else {}
    return found


def _version(table: Any) -> int:
    """-1 for no table, and 0 for one without a snapshot."""
    if table is None:
        return -1
    snapshot = table.current_snapshot()
    return 0 if snapshot is None else int(snapshot.sequence_number)


def _next_version(table: Any) -> int:
    return 1 if table is None else int(table.metadata.last_sequence_number) + 1


def _tasks(table: Any) -> list[Any]:
    """What the files of the newest version are, and the files that delete some of their rows."""
    return list(table.scan().plan_files())


def _mark(table: Any) -> str:
    """A name for this metadata: that of its file may be one that a table had before."""
    stem = os.path.basename(table.metadata_location).removesuffix(".metadata.json")
    return f"{table.metadata.table_uuid}-{stem}"


def _in_a_name(mark: str) -> str:
    return f"_{mark.replace('-', '')}"


def _path(location: str) -> str:
    return location.removeprefix("file://")
