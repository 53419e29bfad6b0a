"""The log of a Delta table: what publishes a relation, and what proves that it was published.

    <location>/<schema>/<name>/_delta_log/00000000000000000007.json      one commit, made or not
                              /stage-<id>/part-*.parquet                 rows that Spark wrote

Spark writes the rows of a build as a table of their own in the folder ``stage-<id>``. No commit of
the relation names these files, so no reader sees them. ``publish`` commits: the new files come, the
old ones go, and the proof is in the commit (``userMetadata``). A commit is one file that must not
be there yet, so it is made as a whole, by one writer only, or not at all. Whatever Spark still does
for a client that is gone can therefore never publish anything.

A view is the same: its rows are its definition, and the proof says that it is a view.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.extras import NO_EXTRAS, Extras
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.files import COMMIT_FILE, added_files, live_files
from dagster_models.warehouses.spark.proofs import Proof, proof_at, proof_text, written

#: What every table has, and names of features that no one has to ask for.
_LEGACY = frozenset({"appendOnly", "invariants"})


@dataclass(slots=True)
class TableLog:
    """The log of one relation. A commit stays as it is, so it is read once: by its version and its
    time, as a table that was dropped and built again begins with the first version."""

    relation: Relation
    folder: str
    _read: dict[tuple[int, int], Proof] = field(default_factory=dict)

    @property
    def log_folder(self) -> str:
        return os.path.join(self.folder, "_delta_log")

    def versions(self) -> list[int]:
        """The versions whose commits are there, in order. Old ones go after a checkpoint."""
        try:
            names = os.listdir(self.log_folder)
        except FileNotFoundError:
            return []
        found = (COMMIT_FILE.fullmatch(name) for name in names)
        return sorted(int(match[1]) for match in found if match)

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

    def state(self) -> Proof | None:
        """The last commit that says what the relation is: a table, a view or gone."""
        return next((it for it in self.proofs() if it.says_kind), None)

    def last(self) -> Proof | None:
        """The last publication of what is there."""
        for proof in self.proofs():
            if proof.commits or proof.kind == "dropped":
                return proof if proof.commits else None
        return None

    def of(self, key: AttemptId) -> list[Commit]:
        """The commit records of an attempt."""
        for proof in self.proofs():
            found = [commit for commit in proof.commits if commit.id == key]
            if found:
                return found
        return []

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
        view: str = "",
        base: int | None = None,
        docs: Extras = NO_EXTRAS,
    ) -> None:
        """Commit the files of a stage in place of all others. ``view``: the definition, if the
        relation becomes a view. ``base``: the version whose rows the stage began with, -1 for no
        table. ``docs`` has the comments. After a WarehouseError only ``of`` says what is true."""
        from deltalake import DeltaTable

        with translated(self.relation):
            staged = DeltaTable(os.path.join(self.folder, stage))
            table = self.table()
            version = 0 if table is None else int(table.version()) + 1
            if base is not None and base != version - 1:
                what = f"{self.relation} was written while this build read it"
                raise WarehouseError(ErrorKind.CONFLICT, what, name="Overtaken", transient=True)
            self._refuse_second(table, commits, session)
            if table is not None and _add_features(table, staged):
                # What others have committed since is a conflict.
                table.load_as_version(version)
                version += 1
            properties = _properties(proof_text(view, commits, version, docs))
            added, schema = _added(self.folder, stage), staged.schema()
            if table is None:
                self._begin(added, schema, properties)
            else:
                _overwrite(table, added, schema, properties)

    def drop(self, version: int) -> None:
        """Commit that the relation is gone, if *version* is still the last one, and remove what was
        published. The log stays if there are other files: somebody builds the relation, perhaps."""
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
        """Commit that this session must not publish any more. Where there is no log, it begins with
        that, and with the relation as one that is gone."""
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

    def _refuse_second(self, table: Any, commits: Sequence[Commit], session: str) -> None:
        """Raise WarehouseError if the attempt has published, or is fenced. What is committed after
        *table* was read is a conflict."""
        if table is None:
            return
        ids = {commit.id for commit in commits}
        parts = {commit.part for commit in commits}
        for proof in self.proofs():
            if proof.version > table.version():
                continue
            if proof.fenced and proof.fenced == session:
                raise WarehouseError(
                    ErrorKind.LOST,
                    f"{self.relation}: this session was given up by another process, which has"
                    " reported its step as not published",
                    name="Fenced",
                )
            if any(it.id in ids and it.part in parts for it in proof.commits):
                raise WarehouseError(
                    ErrorKind.CONSTRAINT,
                    f"{self.relation}: this attempt of the run has published already, in version"
                    f" {proof.version}",
                    name="PublishedBefore",
                )


def as_table() -> Any:
    """The properties of a commit that makes a relation a table, and is no publication."""
    return _properties(written("table"))


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
            it.get("partitionValues") or {},
            it["modificationTime"],
            True,
            it.get("stats") or "",
        )
        for it in live_files(os.path.join(folder, stage))
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
    missing = sorted(there - here - _LEGACY)
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


@contextlib.contextmanager
def translated(relation: Relation) -> Iterator[None]:
    """Errors of delta-rs as ours."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise WarehouseError(
            ErrorKind.CONFLICT,
            f"{relation} was written at the same moment: {error}",
            name="CommitFailed",
            transient=True,
        ) from error
    except (DeltaError, OSError) as error:
        name = type(error).__name__
        raise WarehouseError(ErrorKind.IO, f"{relation}: {error}", name=name) from error
