"""The name under which users' dagster.yaml finds the event log storage of _dagster/storage.py."""

from dagster_models._dagster.storage import PooledSqliteEventLogStorage

__all__ = ["PooledSqliteEventLogStorage"]
