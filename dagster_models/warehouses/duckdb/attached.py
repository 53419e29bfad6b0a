"""What a DuckDB target attaches, read-only: DuckDB files, folders of files, PostgreSQL databases.

A folder becomes a database of views, one for each of its files and subfolders, in a file of its own
in the folder for temporary files: so it is read-only, too. Before each transaction it is looked
whether something else stands there now, and then that is attached instead. What a transaction has
begun to read it goes on reading.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.dsn import SECRET_KEYWORDS, dsn_parameters
from dagster_models.util.environment import filled_settings
from dagster_models.util.literal_paths import plain_folder, plain_path
from dagster_models.util.runtime_files import temp_folder
from dagster_models.util.secrets import without
from dagster_models.warehouses.base import literal, quote
from dagster_models.warehouses.duckdb.environment import path_of_database
from dagster_models.warehouses.duckdb.errors import convert, held_by

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}
#: Characters that DuckDB takes for a pattern in the name of a file to read.
_PATTERN = re.compile(r"[*?\[\]{}]")

_Stamp = tuple[Any, ...]
"""What differs if something else is attached now."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Files that are one table: ``place``, or those below it. ``stamps``: the inode, size and time
    of each."""

    name: str
    format: str
    place: str
    files: tuple[str, ...]
    stamps: tuple[tuple[int, int, int], ...]


class AttachedDatabases:
    """The databases that one open database has attached. ``asked``: name -> the target's setting,
    with variables that are not filled in yet.

    Making it attaches them. Raises WarehouseError.
    """

    def __init__(self, connection: Any, asked: Mapping[str, Mapping[str, str]]) -> None:
        self._connection = connection
        self._asked = {name: filled_settings(entry, os.environ) for name, entry in asked.items()}
        self._stamps: dict[str, _Stamp] = {}
        self._turn = threading.Lock()
        self.refresh()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(map(str.lower, self._asked))

    def refresh(self) -> None:
        """Attach what is not attached yet, or is another file by now."""
        if self._asked:
            with self._turn:
                self._refresh()

    @contextlib.contextmanager
    def kept(self, cursor: Any) -> Iterator[None]:
        """The same, for the transaction that the block begins on *cursor*: nobody replaces a
        database before the transaction has it, and then it keeps it."""
        if not self._asked:
            yield
            return
        with self._turn:
            self._refresh()
            yield
            cursor.execute("SELECT count(*) FROM duckdb_schemas()").fetchall()  # of each of them

    def _refresh(self) -> None:
        for name, entry in self._asked.items():
            with _named(name):
                self._attach(name, entry)

    def _attach(self, name: str, entry: Mapping[str, str]) -> None:
        before, stamp = self._stamps.get(name), _stamp_of(entry)
        if stamp == before:
            return
        if "duckdb" in entry:
            self._replace(name, path_of_database(entry["duckdb"]), again=before is not None)
        elif "files" in entry:
            with _catalog_of(stamp, entry) as file:  # the stamp of files is their tables
                self._replace(name, file, again=False)
        else:
            self._attach_postgres(name, entry["postgres"])
        self._stamps[name] = stamp

    def _replace(self, name: str, path: str, *, again: bool) -> None:
        """``again``: another file has the path that is attached by this name. DuckDB takes it for
        the one that it has open, so that goes first."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            if again:
                cursor.execute(f"DETACH {quote(name)}")
                del self._stamps[name]
            attach = f"{literal(path)} AS {quote(name)} (READ_ONLY)"
            cursor.execute(f"ATTACH OR REPLACE {attach}")

    def _attach_postgres(self, name: str, dsn: str) -> None:
        with contextlib.closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute("LOAD postgres")
            except duckdb.Error as error:
                raise WarehouseError(
                    ErrorKind.INVALID_SETTINGS,
                    "DuckDB's extension postgres is not installed for this user and this version"
                    f" of DuckDB ({duckdb.__version__}), and nothing is installed without being"
                    " asked for: run `INSTALL postgres` once in DuckDB, or make that database a"
                    " target of its own and read it by models with `materialized: copy`",
                    name="ExtensionMissing",
                ) from error
            try:
                cursor.execute(f"ATTACH {literal(dsn)} AS {quote(name)} (TYPE postgres, READ_ONLY)")
            except duckdb.Error as error:
                raise _without_secrets(error, dsn) from None


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors that say which entry of ``attach:`` they are about."""
    try:
        yield
    except WarehouseError as error:
        raise _with(f"`attach: {name}`", error) from error
    except (duckdb.Error, OSError) as error:
        found = held_by(error) if isinstance(error, duckdb.Error) else None
        if found is not None:
            program, pid = found
            raise WarehouseError(
                ErrorKind.IN_USE,
                f"`attach: {name}`: the process with pid {pid} ({program}) writes this DuckDB"
                " file, and nobody can read it meanwhile: wait until it has closed the database,"
                " or attach a copy of the file",
            ) from error
        raise _with(f"`attach: {name}`", convert(error)) from error


def _with(prefix: str, error: WarehouseError) -> WarehouseError:
    return WarehouseError(error.kind, f"{prefix}: {error.message}", name=error.name)


def _stamp_of(entry: Mapping[str, str]) -> _Stamp:
    """The stamp of what is there now. Raises WarehouseError if there is nothing to attach."""
    if "duckdb" in entry:
        return _identity(entry["duckdb"])
    return tuple(_tables(entry["files"])) if "files" in entry else ()


def _identity(path: str) -> _Stamp:
    """Which file it is. Raises WarehouseError if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise _missing(f"there is no file {path}", "correct the path, or make the file") from None
    if os.path.isdir(path):
        raise _missing(f"{path} is a folder", "write `{files: ...}` for a folder of files")
    return (found.st_dev, found.st_ino)


def _missing(what: str, fix: str) -> WarehouseError:
    return WarehouseError(ErrorKind.INVALID_SETTINGS, f"{what}: {fix}", name="NothingToAttach")


# Folders ------------------------------------------------------------------------------------------


def _tables(path: str) -> list[_Table]:
    """The tables of a folder, or of what a pattern finds: each file and each folder of files."""
    if os.path.isdir(path):
        found = [os.path.join(path, name) for name in os.listdir(path)]
    elif glob.has_magic(path):
        found = glob.glob(path)
    else:
        raise _missing(f"there is no folder {path}", "make it, or correct the path")
    tables: dict[str, tuple[str, _Table]] = {}
    for place in sorted(found):
        table = _table(place)
        if table is None:
            continue
        other = tables.setdefault(table.name.lower(), (place, table))
        if other[0] != place:
            raise WarehouseError(
                ErrorKind.INVALID_SETTINGS,
                f"{other[0]} and {place} are both the table {table.name}: rename one of them",
                name="SameName",
            )
    return [table for _, table in tables.values()]


def _table(place: str) -> _Table | None:
    """What a file or a folder holds, None if that is no data."""
    name = os.path.basename(place)
    if name.startswith((".", "_")):  # as other programs name what is not finished
        return None
    if not os.path.isdir(place):
        kind = _format(name)
        return _of_files(name[: -len(kind[0])], kind[1], place, [place]) if kind else None
    files: dict[str, list[str]] = {}
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "_")))
        for each in sorted(names):
            kind = _format(each)
            if kind is not None and not each.startswith((".", "_")):
                files.setdefault(kind[1], []).append(os.path.join(folder, each))
    if len(files) > 1:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"{place} has files of {' and '.join(sorted(files))}: a folder is one table of one"
            " format",
            name="SeveralFormats",
        )
    return next((_of_files(name, kind, place, found) for kind, found in files.items()), None)


def _format(name: str) -> tuple[str, str] | None:
    """(ending, format) of a file that can be read."""
    return next(((it, _FORMATS[it]) for it in _FORMATS if name.lower().endswith(it)), None)


def _of_files(name: str, format_: str, place: str, files: Sequence[str]) -> _Table:
    stats = [os.stat(file) for file in files]
    stamps = tuple((it.st_ino, it.st_size, it.st_mtime_ns) for it in stats)
    return _Table(name, format_, place, tuple(files), stamps)


@contextlib.contextmanager
def _catalog_of(tables: Sequence[_Table], entry: Mapping[str, str]) -> Iterator[str]:
    """A database file with a view of each table, which is removed as soon as it is attached."""
    path = os.path.join(temp_folder(), f"dagster-models-{os.getpid()}-{os.urandom(6).hex()}.db")
    try:
        with contextlib.closing(duckdb.connect(path)) as connection:
            for table in tables:
                view = f"CREATE VIEW {quote(table.name)} AS {_reading(table, entry)}"
                try:
                    connection.execute(view)
                except duckdb.Error as error:
                    raise _with(f"{table.place} cannot be read", convert(error)) from error
        yield path
    finally:
        for each in (path, f"{path}.wal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each)


def _reading(table: _Table, entry: Mapping[str, str]) -> str:
    """Columns by their names, in whatever order a file has them; one that a file lacks is NULL."""
    files = ", ".join(literal(_literal_path(table.place, file)) for file in table.files)
    options = ["union_by_name = true"] if len(table.files) > 1 else []
    if table.format == "csv" and entry.get("csv") == "text":
        options.append("all_varchar = true")
    return f"FROM read_{table.format}({', '.join([f'[{files}]', *options])})"


def _literal_path(place: str, file: str) -> str:
    """The path of a file of the table at *place*, as DuckDB takes it literally: but for folders
    below that place, whose names such as `day=2026-01-01` are columns."""
    below = os.path.relpath(file, place) if file != place else ""
    if _PATTERN.search(below or os.path.basename(place)):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the name of {file} has one of * ? [ ] {{ }}, which DuckDB takes for a pattern: rename"
            " it",
            name="NotAPlainName",
        )
    return os.path.join(plain_folder(place), below) if below else plain_path(place)


def _without_secrets(error: duckdb.Error, dsn: str) -> WarehouseError:
    """DuckDB quotes the connection string in its errors."""
    converted = convert(error)
    hidden = {dsn}
    with contextlib.suppress(WarehouseError):
        found = dsn_parameters(dsn)
        hidden |= {found[name] for name in SECRET_KEYWORDS if found.get(name)}
    converted.message = without(converted.message, hidden)
    return converted
