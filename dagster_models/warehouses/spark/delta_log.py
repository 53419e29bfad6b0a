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
import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError

Kind: TypeAlias = Literal["table", "view", "dropped"]

#: The key of the proof in ``userMetadata``, with the number of its format.
_MARK, _FORMAT = "dagster_models", 1
_COMMIT_FILE = re.compile(r"(\d{20})\.json")
#: Folders of a location and of a schema: names that are the same to every catalog and file system.
_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")
#: What every table has, and names of features that no one has to ask for.
_LEGACY = frozenset({"appendOnly", "invariants"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What one commit of the log says. ``commits`` is empty where it is not one of ours.

    ``definition`` is the query of a view. ``fenced``: the session that must not commit any more.
    ``says_kind``: the commit says what the relation is from here on.
    """

    version: int
    commits: tuple[Commit, ...] = ()
    kind: Kind = "table"
    definition: str = ""
    fenced: str = ""
    says_kind: bool = False


@dataclass(slots=True)
class TableLog:
    """The log of one relation. What was read of it stays as it is, so it is read once."""

    relation: Relation
    folder: str
    _read: dict[int, Proof] = field(default_factory=dict)

    @property
    def log_folder(self) -> str:
        return os.path.join(self.folder, "_delta_log")

    def versions(self) -> list[int]:
        """The versions whose commits are there, in order. Old ones go after a checkpoint."""
        try:
            names = os.listdir(self.log_folder)
        except FileNotFoundError:
            return []
        found = (_COMMIT_FILE.fullmatch(name) for name in names)
        return sorted(int(match[1]) for match in found if match)

    def proofs(self) -> Iterator[Proof]:
        """What the commits say, the last one first."""
        for version in reversed(self.versions()):
            if version not in self._read:
                self._read[version] = self._proof(version)
            yield self._read[version]

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

    def _proof(self, version: int) -> Proof:
        path = os.path.join(self.log_folder, f"{version:020d}.json")
        with open(path, encoding="utf-8") as file:
            for line in file:
                if '"commitInfo"' in line and (info := json.loads(line).get("commitInfo")):
                    return _read_proof(version, str(info.get("userMetadata") or ""))
        return Proof(version)

    # Writing

    def table(self) -> Any:
        """The newest version as delta-rs has it; None where there is none yet."""
        from deltalake import DeltaTable

        return DeltaTable(self.folder) if self.versions() else None

    def publish(self, stage: str, commits: Sequence[Commit], session: str, view: str = "") -> None:
        """Commit the files of a stage in place of all others. ``view``: the definition, if the
        relation becomes a view. Raises WarehouseError; only ``of`` tells then what is true."""
        from deltalake import DeltaTable
        from deltalake.transaction import create_table_with_add_actions

        staged = DeltaTable(os.path.join(self.folder, stage))
        with translated(self.relation):
            table = self.table()
            if table is not None and _add_features(table, staged):
                table = self.table()
            self._refuse_second(table, commits, session)
            version = 0 if table is None else int(table.version()) + 1
            properties = _properties(_proof_text(view, commits, version))
            if table is None:
                create_table_with_add_actions(
                    self.folder,
                    staged.schema(),
                    _added(self.folder, stage),
                    "error",
                    partition_by=[],
                    commit_properties=properties,
                )
            else:
                _overwrite(table, _added(self.folder, stage), staged.schema(), properties)

    def drop(self, version: int) -> None:
        """Commit that the relation is gone, if *version* is still the last one, and remove its
        files."""
        table = self.table()
        if table is None or int(table.version()) != version:
            what = f"{self.relation} was written at the same moment"
            raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
        with translated(self.relation):
            _overwrite(table, [], table.schema(), _properties(_written("dropped")))
        shutil.rmtree(self.folder, ignore_errors=True)
        self._read.clear()

    def fence(self, session: str) -> None:
        """Commit that this session must not publish any more. Where nothing was ever published,
        there is no log, and nothing can be said in it."""
        if (table := self.table()) is None:
            return
        with translated(self.relation):
            said = _properties(_written("table", fenced=session))
            table.create_write_transaction(
                [], "append", table.schema(), partition_by=[], commit_properties=said
            )

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


class DeltaFolder:
    """A folder of relations, each in the folder of its name in that of its schema. Names are
    compared without case, as in Spark."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._logs: dict[tuple[str, str], TableLog] = {}

    def log(self, relation: Relation) -> TableLog:
        """Raises WarehouseError for a name that no folder can have."""
        for part in (relation.schema, relation.name):
            refuse_name(part)
        key = relation.schema.lower(), relation.name.lower()
        if key not in self._logs:
            self._logs[key] = TableLog(relation, os.path.join(self.folder, *key))
        return self._logs[key]

    def stamps(self) -> Mapping[tuple[str, str], int]:
        """(schema, name) of each relation -> what changes with each of its commits."""
        found = {}
        for schema in _folders(self.folder):
            for name in _folders(schema.path):
                try:
                    stamp = os.stat(os.path.join(name.path, "_delta_log")).st_mtime_ns
                except (FileNotFoundError, NotADirectoryError):
                    continue
                found[schema.name, name.name] = stamp
        return found


def refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise WarehouseError(
            ErrorKind.INVALID_NAME,
            f"{name!r} cannot be the name of a schema or relation here: it becomes a folder, and"
            " has letters of ASCII, digits and underscores only, 128 at most",
            name="NameRefused",
        )


def _folders(path: str) -> list[os.DirEntry[str]]:
    try:
        return [it for it in os.scandir(path) if _NAME.fullmatch(it.name) and it.is_dir()]
    except FileNotFoundError:
        return []


def _read_proof(version: int, text: str) -> Proof:
    if _MARK not in text:
        return Proof(version)
    try:
        said = json.loads(text)
    except ValueError:
        return Proof(version)  # somebody else's words
    if not isinstance(said, dict) or _MARK not in said:
        return Proof(version)
    if said[_MARK] > _FORMAT:
        raise WarehouseError(
            ErrorKind.VERSION_MISMATCH,
            f"the proofs of this location have format {said[_MARK]}, and this dagster-models knows"
            f" formats up to {_FORMAT}: a newer version has used it. Use that version here too",
        )
    known = Commit.__dataclass_fields__
    commits = tuple(
        Commit(**{name: value for name, value in it.items() if name in known})
        for it in said.get("commits", ())
    )
    kind, fenced = said.get("kind", "table"), said.get("fenced", "")
    return Proof(version, commits, kind, said.get("sql", ""), fenced, says_kind=not fenced)


def _proof_text(view: str, commits: Sequence[Commit], version: int) -> str:
    now = dt.datetime.now(dt.timezone.utc).isoformat()
    said = [replace(it, committed_at=now, identity=f"version {version}") for it in commits]
    return _written("view" if view else "table", said, view)


def _written(
    kind: Kind, commits: Sequence[Commit] = (), definition: str = "", fenced: str = ""
) -> str:
    """The inverse of ``_read_proof``."""
    said: dict[str, Any] = {_MARK: _FORMAT, "kind": kind}
    said |= {"commits": [it.to_json() for it in commits]} if commits else {}
    said |= {"sql": definition} if definition else {}
    said |= {"fenced": fenced} if fenced else {}
    return json.dumps(said, default=dict)


def as_table() -> Any:
    """The properties of a commit that makes a relation a table, and is no publication."""
    return _properties(_written("table"))


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
        for it in added_files(os.path.join(folder, stage))
    ]


def added_files(folder: str) -> list[dict[str, Any]]:
    """The add actions of a table that was written once, as a stage is."""
    found, log_folder = [], os.path.join(folder, "_delta_log")
    for name in sorted(os.listdir(log_folder)):
        if _COMMIT_FILE.fullmatch(name):
            with open(os.path.join(log_folder, name), encoding="utf-8") as file:
                found += [action["add"] for action in map(json.loads, file) if "add" in action]
    return found


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
