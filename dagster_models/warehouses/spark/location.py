"""Where the relations are: a folder with their files, and the log of each."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.delta_log import DeltaLog, last_version
from dagster_models.warehouses.spark.iceberg_schema import widened
from dagster_models.warehouses.spark.table_log import TableLog
from dagster_models.warehouses.spark.target import why_no_name

#: What every server takes as it is in the path of a folder. Sail 0.7 writes others as %20 and the
#: like, the log of a table as another folder than its files, and reads * and ? as patterns.
_PATH = re.compile(r"[A-Za-z0-9/_.,:;=@+!$&()'-]*")
#: More than the longest tick of a file system's clock: FAT has one of 2 s.
_TICK_SECONDS = 2.5


class RelationFolder(ABC):
    """A folder of relations, each in the folder of its name in that of its schema. Names are
    compared without case, as in Spark."""

    def __init__(self, folder: str, integer_bits: int = 8) -> None:
        #: ``integer_bits``: the smallest integers that its format has.
        self.folder, self.integer_bits = folder, integer_bits
        self._logs: dict[tuple[str, str], TableLog] = {}

    def log(self, relation: Relation) -> TableLog:
        """Raises WarehouseError for a name that no folder can have."""
        for part in (relation.schema, relation.name):
            refuse_name(part)
        key = relation.schema.lower(), relation.name.lower()
        if key not in self._logs:
            self._logs[key] = self._log(relation, os.path.join(self.folder, *key))
        return self._logs[key]

    @abstractmethod
    def _log(self, relation: Relation, folder: str) -> TableLog: ...

    def stored_type(self, type_: str) -> str:
        """A type of Spark as a table here has it."""
        return widened(type_) if self.integer_bits > 8 else type_

    @abstractmethod
    def stamps(self) -> Mapping[tuple[str, str], object]:
        """(schema, name) of each relation -> what changes with each of its commits."""

    @abstractmethod
    def stamp(self, relation: Relation) -> object:
        """That of one relation, to which this process has just committed. A commit that is read
        after it has this stamp or a later one. Raises WarehouseError."""

    @abstractmethod
    def close(self) -> None:
        """End what is open besides the server."""


class DeltaFolder(RelationFolder):
    """Delta tables: each folder has its own log."""

    def __init__(self, folder: str, integer_bits: int = 8) -> None:
        super().__init__(folder, integer_bits)
        self._seen: dict[tuple[str, str], _Seen] = {}

    def _log(self, relation: Relation, folder: str) -> TableLog:
        return DeltaLog(relation, folder)

    def stamps(self) -> Mapping[tuple[str, str], object]:
        keys = [
            (schema.name, name.name)
            for schema in _folders(self.folder)
            for name in _folders(schema.path)
        ]
        stamps = {key: self._stamp(key) for key in keys}
        return {key: stamp for key, stamp in stamps.items() if stamp is not None}

    def stamp(self, relation: Relation) -> object:
        return self._stamp((relation.schema.lower(), relation.name.lower()))

    def _stamp(self, key: tuple[str, str]) -> object:
        """The time of the log's folder, and the last version. None where there is no log.

        A commit changes the time, unless another one came in the same tick of the file system's
        clock. So the versions are listed until some have been listed after that tick.
        """
        log_folder = os.path.join(self.folder, *key, "_delta_log")
        now = monotonic()  # no clock of a server that has the files
        try:
            found = os.stat(log_folder)
            changed = found.st_ino, found.st_mtime_ns
            seen = self._seen.get(key)
            if seen is None or seen.changed != changed:
                seen = _Seen(changed, now)
            if not seen.is_settled:
                version = last_version(log_folder)
                is_settled = now - seen.first_at > _TICK_SECONDS
                seen = self._seen[key] = _Seen(changed, seen.first_at, version, is_settled)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return *seen.changed, seen.version

    def close(self) -> None:
        """Nothing is open: each commit opens its file."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of a log. ``changed``: the identity and the time of its folder, which were seen
    first at ``first_at``. ``is_settled``: no further commit can have this time."""

    changed: tuple[int, int]
    first_at: float
    version: int = -1
    is_settled: bool = False


def is_name(name: str) -> bool:
    return not why_no_name(name)


def refuse_name(name: str) -> None:
    if why := why_no_name(name):
        raise WarehouseError(
            ErrorKind.INVALID_NAME,
            f"{name!r} cannot be the name of a schema or relation here: {why}",
            name="NameRefused",
        )


def refuse_folder(path: str) -> None:
    """Raise WarehouseError for a folder that a server would take for another one."""
    wrong = _PATH.sub("", path)[:1]
    if wrong:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"location: {path!r} has {wrong!r}, which Spark servers write in another way, so that"
            " they would use another folder. Give the tables a folder whose path has letters of"
            " ASCII, digits and /_.,:;=@+!$&()'- only",
        )


def _folders(path: str) -> list[os.DirEntry[str]]:
    try:
        return [it for it in os.scandir(path) if is_name(it.name) and it.is_dir()]
    except FileNotFoundError:
        return []
