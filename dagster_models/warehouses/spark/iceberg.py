"""Which catalog of Iceberg tables a target has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.iceberg_catalog import IcebergCatalog

_DATABASES = ("sqlite:", "postgresql:", "postgresql+psycopg:")
_SERVERS = ("https:", "http:")


def open_catalog(folder: str, settings: Mapping[str, Any]) -> IcebergCatalog:
    """The catalog of a target. Raises WarehouseError where it cannot be reached."""
    url = str(settings.get("catalog") or "")
    try:
        if url.startswith(_SERVERS):
            from dagster_models.warehouses.spark.iceberg_rest import RestCatalogFolder

            return RestCatalogFolder(folder, url, settings)
        if url.startswith(_DATABASES):
            from dagster_models.warehouses.spark.iceberg_sql import SqlCatalogFolder

            name = str(settings.get("catalog_name") or "default")
            return SqlCatalogFolder(folder, url, name)
    except ImportError as error:
        what = f"`format: iceberg` needs pip install 'dagster-models[iceberg]' ({error})"
        raise WarehouseError(ErrorKind.INVALID_SETTINGS, what, name="NotInstalled") from error
    raise WarehouseError(
        ErrorKind.INVALID_SETTINGS,
        "`format: iceberg` needs `catalog`: the URL of a SQLite or PostgreSQL database, such as"
        " sqlite:////mnt/lake/catalog.db or postgresql://etl@db.internal/lake, or that of a REST"
        " catalog, such as https://catalog.internal/api/catalog",
    )
