"""Iceberg tables: a folder with their files, and a catalog, which names them.

Two kinds of catalogs: in a database (``iceberg_sql``), and behind a REST API (``iceberg_rest``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.warehouses.spark.iceberg_log import IcebergLog
from dagster_models.warehouses.spark.location import RelationFolder
from dagster_models.warehouses.spark.table_log import TableLog


class IcebergCatalog(RelationFolder):
    """Tables of any location are seen; those that are built are kept in the folder. Each method
    raises errors of pyiceberg."""

    def __init__(self, folder: str) -> None:
        from pyiceberg.io import load_file_io

        super().__init__(folder, integer_bits=32)
        self.io = load_file_io({}, f"file://{folder}")

    def _log(self, relation: Relation, folder: str) -> TableLog:
        return IcebergLog(relation, folder, self)

    @abstractmethod
    def table(self, relation: Relation) -> Any:
        """The table as the catalog has it now, an object that nobody else has; None for none."""

    @abstractmethod
    def begin(
        self, relation: Relation, schema: Any, folder: str, properties: Mapping[str, str]
    ) -> Any:
        """Begin to create a table, which is there once it is committed."""

    @abstractmethod
    def committed(self, relation: Relation, table: Any) -> None:
        """This process has committed: the table is now this one."""

    @abstractmethod
    def forget(self, relation: Relation, place: str) -> bool:
        """Let the catalog forget the table, if it still names that metadata file. Whether it has
        done so."""

    @abstractmethod
    def write_metadata(self, table: Any, path: str) -> None:
        """Let a new file have the metadata of the table, for Spark to read."""
