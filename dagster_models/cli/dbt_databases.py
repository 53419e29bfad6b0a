"""Copies of the database of a dbt project: of a file, or of a database on a server."""

from __future__ import annotations

import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.model import Project, Target
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.dbt.verification.relations import Columns
from dagster_models.dbt.verification.statements import (
    MAINTENANCE,
    copy_statement,
    digests_query,
    drop_statement,
)
from dagster_models.errors import DagsterModelsError, WarehouseError
from dagster_models.processes.client.session import Session, connect
from dagster_models.util.environment import filled

_BATCH = 10_000  #: rows whose texts are in memory


class Copies(ABC):
    """Makes copies of one database. ``setting``: the key of a target that names the database."""

    setting: str

    @abstractmethod
    def copy(self, name: str) -> str:
        """Copy the database; return what the setting, and dbt's, is for the copy."""

    def is_missing(self, copy: str) -> bool:
        """Whether the first who connects to *copy* makes it."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Remove what is outside of the folder."""


@dataclass
class FileCopies(Copies):
    """``source``: the file, which may be missing: then a copy is empty. ``name`` is that of a copy:
    the one in dbt's profile, as that is the name of the database in texts."""

    source: Path
    folder: Path
    name: str
    setting: str = "path"

    def copy(self, name: str) -> str:
        into = self.folder / name / self.name
        into.parent.mkdir()
        if self.source.is_file():
            _copy_unless_written(self.source, into)
        return str(into)

    def is_missing(self, copy: str) -> bool:
        return not Path(copy).is_file()

    def close(self) -> None:
        """The folder is all."""


def _copy_unless_written(source: Path, into: Path) -> None:
    import fcntl

    with source.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # the database's own lock
        except OSError:
            raise DagsterModelsError(
                f"{source} is open in another program, which may write to it: close that first"
            ) from None
        with into.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        log = source.with_name(f"{source.name}.wal")
        if log.is_file():
            shutil.copyfile(log, into.with_name(f"{into.name}.wal"))


@dataclass
class ServerCopies(Copies):
    """``address`` is that of the database to copy."""

    address: WarehouseAddress
    setting: str = "dbname"
    made: list[str] = field(default_factory=list)

    def copy(self, name: str) -> str:
        source = filled(str(self.address.settings.get("dbname") or ""), os.environ)
        copy = f"{source[:40]}_{name}_{secrets.token_hex(4)}"
        sql = copy_statement(source, copy, self.address.type)
        try:
            with connect(self._on(MAINTENANCE)) as session:
                session.execute(sql)
        except WarehouseError as error:
            raise DagsterModelsError(
                f"the database {source} cannot be copied: {error}. Its user needs the right to"
                " create databases, and nobody may be connected to it meanwhile"
            ) from error
        self.made.append(copy)
        return copy

    def close(self) -> None:
        if not self.made:
            return
        with connect(self._on(MAINTENANCE)) as session:
            for name in self.made:
                session.execute(drop_statement(name, self.address.type))

    def _on(self, database: str) -> WarehouseAddress:
        return address_on(self.address, "dbname", database)


def address_on(address: WarehouseAddress, setting: str, database: str) -> WarehouseAddress:
    return address.with_settings(**{setting: database})


def copies_of(
    project: Project,
    target: Target,
    path: str,
    root: Path,
    folder: Path,
    against: str | None,
) -> Copies:
    """*path*: that of the file in dbt's profile; *folder* is for copies of files. *against*:
    another database than the profile's."""
    if target.type.file_setting:
        path = filled(path, os.environ)
        source = Path(os.path.expanduser(path))
        file_name = source.name
        if against is not None:
            source = Path(against).resolve()
            if not source.is_file():
                raise DagsterModelsError(f"there is no database {source}")
        if "{{" in path or "${" in path or ":" in str(source)[:8] or not source.name:
            raise DagsterModelsError(
                f"the path {str(source)!r} of dbt's profile is no file that can be copied: name a"
                " profile with a file by --profiles and --target"
            )
        return FileCopies(root / source, folder, file_name)
    address = warehouse_address(project, target)
    if against is not None:
        address = address_on(address, "dbname", against)
    return ServerCopies(address)


@dataclass
class SessionSide:
    """A ``Side`` that asks a warehouse process."""

    session: Session
    target: Target

    def columns(self, relation: str) -> Columns | str:
        self.session.begin(reading=True)
        try:
            sql = f"select * from {relation}"
            found = self.session.request({"op": "query_columns", "sql": sql})["columns"]
        except WarehouseError as error:
            return " ".join(str(error).split())[:200]
        finally:
            self.session.rollback()
        return [(str(name), str(type_)) for name, type_ in found]

    def texts(self, relation: str, columns: Sequence[str]) -> Iterator[str]:
        sql = digests_query(relation, columns, self.target.type)
        self.session.begin(reading=True)
        try:
            found = self.session.export(sql)
        finally:
            self.session.rollback()
        for start in range(0, found.num_rows, _BATCH):
            yield from found.column(0).slice(start, _BATCH).to_pylist()
