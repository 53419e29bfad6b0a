"""Iceberg tables: a folder with their files, and a catalog in a database, which names them.

The catalog is that of pyiceberg and of Iceberg's JDBC catalog: the table ``iceberg_tables`` of a
SQLite or PostgreSQL database has a row for each table, with the place of its metadata file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from copy import copy
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.iceberg_log import IcebergLog, translated
from dagster_models.warehouses.spark.location import RelationFolder, is_name
from dagster_models.warehouses.spark.table_log import TableLog

_DATABASES = ("sqlite:", "postgresql:", "postgresql+psycopg:")
#: How long somebody else's commit in a SQLite file is waited for.
_LOCK_SECONDS = 30
#: How long a server that does not answer is waited for; libpq by itself waits for ever.
_CONNECT_SECONDS = 10


class IcebergCatalog(RelationFolder):
    """A SQL catalog of that name. Its tables of any location are seen; those that are built are
    kept in the folder. Raises WarehouseError where it cannot be reached."""

    def __init__(self, folder: str, url: str, name: str) -> None:
        super().__init__(folder, integer_bits=32)
        self._tables: dict[tuple[str, str], Any] = {}
        self._turn = threading.Lock()
        try:
            from pyiceberg.catalog.sql import SqlCatalog
            from pyiceberg.io import load_file_io
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as error:
            what = f"`format: iceberg` needs pip install 'dagster-models[iceberg]' ({error})"
            raise WarehouseError(ErrorKind.INVALID_SETTINGS, what, name="NotInstalled") from error
        database = _database(url)
        try:
            # A long build leaves its connection idle, and a server or firewall may have ended it.
            self._catalog = SqlCatalog(name, uri=database, pool_pre_ping="true")
        except ImportError as error:  # of the database's driver
            what = f"`catalog` needs pip install 'dagster-models[postgres]' ({error})"
            raise WarehouseError(ErrorKind.INVALID_SETTINGS, what, name="NotInstalled") from error
        except SQLAlchemyError as error:
            what = f"the Iceberg catalog cannot be reached: {error}"
            raise WarehouseError(
                ErrorKind.UNREACHABLE, what, name=type(error).__name__, transient=True
            ) from error
        self.io = load_file_io({}, f"file://{folder}")

    def _log(self, relation: Relation, folder: str) -> TableLog:
        return IcebergLog(relation, folder, self)

    def stamps(self) -> Mapping[tuple[str, str], object]:
        from pyiceberg.catalog.sql import IcebergTables as Row
        from sqlalchemy import select

        asked = select(Row.table_namespace, Row.table_name, Row.metadata_location)
        with (
            translated(Relation("iceberg_tables", "*")),
            self._catalog.engine.connect() as database,
        ):
            rows = database.execute(asked.where(Row.catalog_name == self._catalog.name)).all()
        return {
            (schema, name): place
            for schema, name, place in rows
            if is_name(schema) and is_name(name) and place
        }

    def table(self, relation: Relation) -> Any:
        """The table as the catalog has it now; None for none. Raises errors of pyiceberg."""
        from pyiceberg.catalog.sql import IcebergTables as Row
        from sqlalchemy import select

        key = relation.schema.lower(), relation.name.lower()
        asked = select(Row.metadata_location).where(*self._row(key))
        with self._catalog.engine.connect() as database:
            place = database.execute(asked).scalar()
        if not place:
            return None
        with self._turn:
            known = self._tables.get(key)
        if known is None or known.metadata_location != place:
            known = self._catalog.load_table(key)
            with self._turn:
                self._tables[key] = known
        # A commit changes the object: another session would go on from what it has not read.
        return copy(known)

    def begin(
        self, relation: Relation, schema: Any, folder: str, properties: Mapping[str, str]
    ) -> Any:
        """Begin to create a table, which is there once it is committed."""
        key = relation.schema.lower(), relation.name.lower()
        self._catalog.create_namespace_if_not_exists(key[0])
        return self._catalog.create_table_transaction(
            key, schema, location=f"file://{folder}", properties=properties
        )

    def forget(self, relation: Relation, place: str) -> bool:
        """Let the catalog forget the table, if it still names that metadata file."""
        from pyiceberg.catalog.sql import IcebergTables as Row
        from sqlalchemy import delete

        key = relation.schema.lower(), relation.name.lower()
        gone = delete(Row).where(*self._row(key), Row.metadata_location == place)
        with self._catalog.engine.begin() as database:
            return bool(database.execute(gone).rowcount)

    def _row(self, key: tuple[str, str]) -> tuple[Any, ...]:
        from pyiceberg.catalog.sql import IcebergTables as Row

        named = Row.catalog_name == self._catalog.name
        return named, Row.table_namespace == key[0], Row.table_name == key[1]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._catalog.engine.dispose()


def _database(url: str) -> str:
    """The URL as SQLAlchemy takes it, with psycopg 3."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not url.startswith(_DATABASES):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            "`format: iceberg` needs `catalog`: the URL of a SQLite or PostgreSQL database, such as"
            " sqlite:////mnt/lake/catalog.db or postgresql://etl@db.internal/lake",
        )
    try:
        make_url(url)
    except (ArgumentError, ValueError):  # not chained: it may show a part of the password
        what = "`catalog` is no URL: is the port a number, and is each @, / or # of a password"
        what += " written as %40, %2F or %23?"
        raise WarehouseError(ErrorKind.INVALID_SETTINGS, what) from None
    waits = f"timeout={_LOCK_SECONDS}"
    if not url.startswith("sqlite:"):
        waits = f"connect_timeout={_CONNECT_SECONDS}"
    if waits.partition("=")[0] not in url.partition("?")[2]:
        url += f"{'&' if '?' in url else '?'}{waits}"
    return url.replace("postgresql:", "postgresql+psycopg:", 1)
