"""Processes that publish one table in Spark again and again: see killed_writers.py.

The rows hold the number of their attempt, so whoever reads the table knows which one made it.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import warnings
from importlib.util import find_spec
from typing import Any

from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Snapshot,
)
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark.delta_log import DeltaLog
from dagster_models.warehouses.spark.iceberg_log import IcebergLog
from killed_writers import fork_for_each_line, publish_until_killed

#: What takes its time to import, where it is installed.
ICEBERG = ("pyiceberg.catalog.sql", "pyiceberg.io.pyarrow") if find_spec("pyiceberg") else ()
ROWS = 20_000
ROWS_ADDED = 1_000
T = Relation("s", "t")


def day(attempt: int) -> int:
    return 1 + attempt % 5


def added_to(attempt: int, kind: str) -> BuildTask:
    """What adds to the table, or replaces a part of it."""
    n, first = f"{attempt}L as n", attempt % 4 * (ROWS_ADDED // 4)
    how: Materialization
    if kind == "append":
        sql, how = f"select {n}, id from range({ROWS_ADDED})", Incremental("append")
    elif kind == "merge":
        sql = f"select {n}, id + {first} as id from range({ROWS_ADDED})"
        how = Incremental("merge", ("id",))
    elif kind == "window":
        start = dt.datetime(2024, 1, day(attempt), tzinfo=dt.timezone.utc)
        window = TimeWindow(start, start + dt.timedelta(days=1))
        sql = f"select {n}, id, date'{start.date()}' as d from range({ROWS_ADDED})"
        how = Incremental("replace", partitioned=Partitioned("d", (Partition("d", window),)))
    else:
        sql, how = f"select {n}, id from range({ROWS_ADDED})", Snapshot("check", ("id",))
    return BuildTask("killed", "s.t", attempt, T, Query(sql), how)


def task(attempt: int) -> BuildTask:
    # Other columns each time: the commit has to change the schema, too.
    sql = f"select {attempt}L as n, id, cast(id as string) as s{attempt % 2} from range({ROWS})"
    return BuildTask("killed", "s.t", attempt, T, Query(sql))


def write(settings: dict[str, Any], acked: str, first: int, dies: str, kind: str) -> None:
    if dies == "after_commit":
        log: Any = IcebergLog if settings.get("format") == "iceberg" else DeltaLog
        publish = log.publish

        def publish_and_die(*arguments: Any) -> None:
            publish(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        log.publish = publish_and_die
    session = spark.connect(settings).session(f"writer-{first}")

    def asked(attempt: int) -> BuildTask:
        return added_to(attempt, kind) if kind else task(attempt)

    publish_until_killed(session, acked, first, asked)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    fork_for_each_line(write, "deltalake", "pyspark.sql.connect.session", "pyarrow", *ICEBERG)
