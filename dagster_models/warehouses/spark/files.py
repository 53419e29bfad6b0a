"""The files of a Delta table, as its log has them."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.errors import overtaken

COMMIT_FILE = re.compile(r"(\d{20})\.json")
#: A column's metadata has this key if the column is ours, and none that a query has returned.
MARK = "dagster_models"


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows of a table that a stage may begin with. ``fields``: its columns, as delta-rs has
    them; ``files``: add actions of Delta, whose paths begin at ``folder``."""

    folder: str
    fields: Sequence[Any]
    files: Sequence[Mapping[str, Any]]


def delta_rows(folder: str, version: int | None = None) -> TableRows:
    """Those of a Delta table, in the newest version or that one. Raises an error of delta-rs, and
    WarehouseError for files that would have other rows in the log of another table."""
    from deltalake import DeltaTable

    table = DeltaTable(folder, version=version)
    found = TableRows(folder, table.schema().fields, live_files(folder, version))
    why = ""
    if any(it.get("deletionVector") for it in found.files):
        why = "rows of its files are deleted by deletion vectors"
    elif table.metadata().partition_columns:
        why = "it is partitioned"
    elif table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        why = "its columns have other names in its files (column mapping)"
    if why:
        raise foreign_files(folder, why)
    return found


def foreign_files(folder: str, why: str) -> WarehouseError:
    """The error of files that have other rows in the log of another table."""
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{folder}: {why}, so no other table can have its files. If somebody else has written"
        " to it, build the model once in full (`full_refresh`)",
        name="ForeignFiles",
    )


def added_files(folder: str) -> list[dict[str, Any]]:
    """All add actions that are in a table's log."""
    return [it["add"] for it in _actions(folder) if "add" in it]


def live_files(folder: str, version: int | None = None) -> list[dict[str, Any]]:
    """The add actions of the files that a table has, in the newest version or that one."""
    log_folder = os.path.join(folder, "_delta_log")
    first = os.path.join(log_folder, f"{0:020d}.json")
    if os.path.exists(log_folder) and not os.path.exists(first):
        return _files_of_checkpoint(folder, version)
    found: dict[tuple[str, object], dict[str, Any]] = {}
    for action in _actions(folder, version):
        if "add" in action:
            found[_file(action["add"])] = action["add"]
        elif "remove" in action:
            found.pop(_file(action["remove"]), None)
    return list(found.values())


def _file(action: Mapping[str, Any]) -> tuple[str, object]:
    """What an action names: one commit may remove a file, and add it with a deletion vector."""
    vector = action.get("deletionVector") or {}
    return action["path"], (vector.get("pathOrInlineDv"), vector.get("offset"))


def _files_of_checkpoint(folder: str, version: int | None) -> list[dict[str, Any]]:
    """The same where the beginning of the log is gone, without what is known of their values."""
    import pyarrow as pa
    from deltalake import DeltaTable

    table = DeltaTable(folder, version=version)
    # No action of delta-rs says whether a file has one.
    vector = "deletionVectors" in (table.protocol().reader_features or ())
    rows = pa.table(table.get_add_actions()).to_pylist()
    return [
        {
            "deletionVector": vector,
            "path": it["path"],
            "size": it["size_bytes"],
            "modificationTime": it["modification_time"],
            "stats": json.dumps({"numRecords": it["num_records"]}),
        }
        for it in rows
    ]


def _actions(folder: str, version: int | None = None) -> Iterator[dict[str, Any]]:
    """What the commits up to a version have done, in order."""
    log_folder = os.path.join(folder, "_delta_log")
    try:
        names = sorted(os.listdir(log_folder))
    except FileNotFoundError as error:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the Spark server has written {folder}, which is not there on this machine: `location`"
            " must be a folder that both have at the same path",
            name="LocationNotShared",
        ) from error
    for name in names:
        match = COMMIT_FILE.fullmatch(name)
        if match and (version is None or int(match[1]) <= version):
            with open(os.path.join(log_folder, name), encoding="utf-8") as file:
                yield from map(json.loads, file)


@contextlib.contextmanager
def translated(relation: Relation) -> Iterator[None]:
    """Errors of delta-rs as ours."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise overtaken(relation, error) from error
    except (DeltaError, OSError) as error:
        name = type(error).__name__
        raise WarehouseError(ErrorKind.IO, f"{relation}: {error}", name=name) from error
