"""The warehouse of the running step: scripts say ``from dagster_models import warehouse``."""

from dagster_models.processes.client.warehouse import (
    Result,
    Warehouse,
    execute,
    load,
    sql,
    table,
)

__all__ = ["Result", "Warehouse", "execute", "load", "sql", "table"]
