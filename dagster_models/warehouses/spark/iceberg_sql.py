"""A catalog of Iceberg tables in a database.

It is that of pyiceberg and of Iceberg's JDBC catalog: the table ``iceberg_tables`` of a SQLite or
PostgreSQL database has a row for each table, with the place of its metadata file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Mapping
from copy import copy
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.iceberg_catalog import IcebergCatalog
from dagster_models.warehouses.spark.iceberg_errors import translated
from dagster_models.warehouses.spark.location import is_name

#: How long somebody else's commit in a SQLite file is waited for.
_LOCK_SECONDS = 30
#: How long a server that does not answer is waited for; libpq by itself waits for ever.
_CONNECT_SECONDS = 10


class SqlCatalogFolder(IcebergCatalog):
    """A SQL catalog of that name. Raises WarehouseError where it cannot be reached."""

    def __init__(self, folder: str, url: str, name: str) -> None:
        from pyiceberg.catalog.sql import SqlCatalog
        from sqlalchemy.exc import SQLAlchemyError

        super().__init__(folder)
        self._tables: dict[tuple[str, str], Any] = {}
        self._turn = threading.Lock()
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

    def stamp(self, relation: Relation) -> object:
        with translated(relation):
            return self._place(relation) or None

    def _place(self, relation: Relation) -> str:
        from pyiceberg.catalog.sql import IcebergTables as Row
        from sqlalchemy import select

        key = relation.schema.lower(), relation.name.lower()
        asked = select(Row.metadata_location).where(*self._row(key))
        with self._catalog.engine.connect() as database:
            place: str | None = database.execute(asked).scalar()
        return place or ""

    def table(self, relation: Relation) -> Any:
        key, place = (relation.schema.lower(), relation.name.lower()), self._place(relation)
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
        key = relation.schema.lower(), relation.name.lower()
        self._catalog.create_namespace_if_not_exists(key[0])
        return self._catalog.create_table_transaction(
            key, schema, location=f"file://{folder}", properties=properties
        )

    def committed(self, relation: Relation, table: Any) -> None:
        """Its row says so."""

    def forget(self, relation: Relation, place: str) -> bool:
        from pyiceberg.catalog.sql import IcebergTables as Row
        from sqlalchemy import delete

        key = relation.schema.lower(), relation.name.lower()
        gone = delete(Row).where(*self._row(key), Row.metadata_location == place)
        with self._catalog.engine.begin() as database:
            return bool(database.execute(gone).rowcount)

    def write_metadata(self, table: Any, path: str) -> None:
        """As one more name of its file, or a copy."""
        place = table.metadata_location.removeprefix("file://")
        try:
            os.link(place, path)
        except OSError:
            shutil.copyfile(place, path)

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
