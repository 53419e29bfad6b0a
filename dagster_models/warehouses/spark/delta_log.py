"""The log of a Delta table.

    <location>/<schema>/<name>/_delta_log/00000000000000000007.json      one commit, made or not
                              /stage-<id>/part-*.parquet                 rows that Spark wrote

The proof is in the commit (``userMetadata``). A commit is one file that must not be there yet, so
it is made as a whole, by one writer only, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.extras import NO_EXTRAS, Extras
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.files import (
    COMMIT_FILE,
    MARK,
    TableRows,
    added_files,
    delta_rows,
    translated,
)
from dagster_models.warehouses.spark.proofs import Kind, Proof, proof_at, proof_text, written
from dagster_models.warehouses.spark.table_log import Shown, TableLog

#: Features of a stage that its rows do not need: of its log, and of files that ``delta_rows``
#: refuses. A server may have them in each new table.
_UNNEEDED = frozenset(
    {
        *("appendOnly", "invariants", "checkConstraints", "generatedColumns", "identityColumns"),
        *("allowColumnDefaults", "changeDataFeed", "inCommitTimestamp", "v2Checkpoint"),
        *("columnMapping", "deletionVectors", "rowTracking", "domainMetadata", "clustering"),
        "vacuumProtocolCheck",
    }
)
_REPLACE = {"mode": "overwrite", "schema_mode": "overwrite"}


class DeltaLog(TableLog):
    """A commit stays as it is, so it is read once: by its version and its time, as a table that was
    dropped and built again begins with the first version."""

    def __init__(self, relation: Relation, folder: str) -> None:
        super().__init__(relation, folder)
        self._read: dict[tuple[int, int], Proof] = {}

    @property
    def log_folder(self) -> str:
        return os.path.join(self.folder, "_delta_log")

    def versions(self) -> list[int]:
        """The versions whose commits are there, in order. Old ones go after a checkpoint."""
        try:
            return sorted(_versions(self.log_folder))
        except FileNotFoundError:
            return []

    def proofs(self) -> Iterator[Proof]:
        """What the commits say, the last one first."""
        for version in reversed(self.versions()):
            path = os.path.join(self.log_folder, f"{version:020d}.json")
            with translated(self.relation):
                key = version, os.stat(path).st_mtime_ns
                if key not in self._read:
                    self._read[key] = proof_at(path, version)
            yield self._read[key]

    def version(self) -> int:
        """The last version; -1 where there is none."""
        return max(self.versions(), default=-1)

    def shown(self) -> Shown:
        return Shown("delta", self.folder)

    def rows(self, version: int | None) -> TableRows:
        with translated(self.relation):
            return delta_rows(self.folder, version)

    def has_mark(self, column: str) -> bool:
        from deltalake import DeltaTable

        with translated(self.relation):
            fields = DeltaTable(self.folder).schema().fields
            return any(it.name == column and MARK in it.metadata for it in fields)

    def has_files_of(self, stage: str) -> bool:
        found = added_files(self.folder) if self.versions() else []
        return any(it["path"].startswith(f"{stage}/") for it in found)

    def size(self) -> int:
        table = self.table()
        if table is None:
            return 0
        return sum(map(int, table.get_add_actions()["size_bytes"].to_pylist()))

    # Writing

    def table(self) -> Any:
        """The newest version as delta-rs has it; None where there is none yet."""
        from deltalake import DeltaTable

        with translated(self.relation):
            return DeltaTable(self.folder) if self.versions() else None

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
        from deltalake import DeltaTable

        with translated(self.relation):
            staged = DeltaTable(self.folder_of(stage))
            table = self.table()
            version = 0 if table is None else int(table.version()) + 1
            self.refuse_overtaken(base, version - 1)
            self.refuse_second(version - 1, commits, session)
            if table is not None and _add_features(table, staged):
                # What others have committed since is a conflict.
                table.load_as_version(version)
                version += 1
            properties = _properties(proof_text(kind, definition, commits, version, docs))
            added, schema = _added(self.folder, stage), staged.schema()
            if table is None:
                self._begin(added, schema, properties)
            else:
                _overwrite(table, added, schema, properties)

    def drop(self, version: int) -> None:
        table = self.table()
        if table is None or int(table.version()) != version:
            what = f"{self.relation} was written at the same moment"
            raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
        with translated(self.relation):
            published = {it["path"].partition("/")[0] for it in added_files(self.folder)}
            _overwrite(table, [], table.schema(), _properties(written("dropped")))
        for name in published:
            path = os.path.join(self.folder, name)
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):  # a file that ``load`` has written
                os.remove(path)
        with contextlib.suppress(OSError):
            if os.listdir(self.folder) == [os.path.basename(self.log_folder)]:
                gone = f"{self.folder}/gone"  # nobody reads a part of a log
                os.rename(self.log_folder, gone)
                shutil.rmtree(gone)
                os.rmdir(self.folder)

    def fence(self, session: str) -> None:
        from deltalake import Field, Schema

        with translated(self.relation):
            if (table := self.table()) is None:
                said = _properties(written("dropped", fenced=session))
                self._begin([], Schema([Field("nothing_published", "string")]), said)
                return
            said = _properties(written("table", fenced=session))
            table.create_write_transaction(
                [], "append", table.schema(), partition_by=[], commit_properties=said
            )

    def _begin(self, added: list[Any], schema: Any, properties: Any) -> None:
        """Commit the first version. Raises an error of delta-rs."""
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import create_table_with_add_actions

        try:
            create_table_with_add_actions(
                self.folder, schema, added, "error", partition_by=[], commit_properties=properties
            )
        except DeltaError as error:
            if self.versions():  # somebody else was first
                raise CommitFailedError(str(error)) from error
            raise

    def load(self, table: Any, *, append: bool) -> None:
        from deltalake import write_deltalake

        how = {"mode": "append"} if append else _REPLACE
        said = _properties(written("table"))
        with translated(self.relation):
            write_deltalake(self.folder, table, **how, commit_properties=said)


def last_version(log_folder: str) -> int:
    """The last version whose commit is there; -1 without one. Raises FileNotFoundError."""
    return max(_versions(log_folder), default=-1)


def _versions(log_folder: str) -> Iterator[int]:
    found = (COMMIT_FILE.fullmatch(name) for name in os.listdir(log_folder))
    return (int(match[1]) for match in found if match)


def _properties(user_metadata: str) -> Any:
    from deltalake import CommitProperties

    # No retries: whatever was committed since the table was read is a conflict.
    return CommitProperties(custom_metadata={"userMetadata": user_metadata}, max_commit_retries=0)


def _overwrite(table: Any, added: list[Any], schema: Any, properties: Any) -> None:
    table.create_write_transaction(
        added, "overwrite", schema, partition_by=[], commit_properties=properties
    )


def _added(folder: str, stage: str) -> list[Any]:
    """The files of a stage, as seen from the folder of its relation."""
    from deltalake.transaction import AddAction

    return [
        AddAction(
            f"{stage}/{it['path']}",
            it["size"],
            {},
            it["modificationTime"],
            True,
            it.get("stats") or "",
        )
        for it in delta_rows(os.path.join(folder, stage)).files
    ]


def _add_features(table: Any, staged: Any) -> bool:
    """Let the table have what the types of the staged rows need, in a commit that changes no row;
    whether one was needed."""
    from deltalake.table import TableFeatures

    known = {
        "timestampNtz": TableFeatures.TimestampWithoutTimezone,
        "variantType": TableFeatures.VariantType,
    }
    here, there = (_features(it.protocol()) for it in (table, staged))
    missing = sorted(there - here - _UNNEEDED)
    if unknown := [name for name in missing if name not in known]:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"the rows need features of Delta that are not known here: {', '.join(unknown)}",
        )
    if missing:
        table.alter.add_feature(
            [known[name] for name in missing], allow_protocol_versions_increase=True
        )
    return bool(missing)


def _features(protocol: Any) -> frozenset[str]:
    return frozenset((*(protocol.reader_features or ()), *(protocol.writer_features or ())))
