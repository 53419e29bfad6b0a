"""The folder that has the Delta tables, and which relations are there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.delta_log import TableLog

#: Folders of a location and of a schema: names that are the same to every catalog and file system.
_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")


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
