"""Processes that publish one relation in MariaDB again and again: see killed_writers.py.

The rows hold the number of their attempt, so whoever reads the relation knows which one made it.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

from dagster_models.core.materializations import Incremental, Replace, Snapshot, View
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.mariadb import session as mariadb
from dagster_models.warehouses.mariadb import staging
from killed_writers import fork_for_each_line, publish_until_killed

ROWS = 2_000
#: Those of a snapshot, which keeps all that it had.
OPEN_VERSIONS = 100
T = Relation("s", "t")


def versioned(attempt: int) -> BuildTask:
    """Each build ends all open versions, and begins as many."""
    sql = f"select {attempt} as n, seq from s.seq_1_to_{OPEN_VERSIONS}"
    return BuildTask("killed", "s.t", attempt, T, Query(sql), Snapshot("check", ("seq",)))


def adding(strategy: str, attempt: int) -> BuildTask:
    """Each build replaces, or updates, all rows of the table in one transaction."""
    sql = f"select {attempt} as n, seq from s.seq_1_to_{ROWS}"
    how = Incremental(strategy, ("seq",))
    return BuildTask("killed", "s.t", attempt, T, Query(sql), how)


def task(attempt: int) -> BuildTask:
    """Other columns each time, and a view in place of each third table."""
    sql = f"select {attempt} as n, seq, concat(seq) as s{attempt % 2} from s.seq_1_to_{ROWS}"
    how = View() if attempt % 3 == 0 else Replace()
    return BuildTask("killed", "s.t", attempt, T, Query(sql), how)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(settings: dict[str, Any], acked: str, first: int, dies: str, strategy: str) -> None:
    """``strategy``: of an incremental model, or "snapshot"; "" for a table or view that is
    replaced."""
    swap = staging.swap

    def swap_and_die(*arguments: Any) -> None:
        if dies == "before_swap":
            _die()
        swap(*arguments)
        _die()

    if dies:
        staging.swap = swap_and_die
    session = mariadb.connect(settings).session(f"writer-{first}")
    made = partial(adding, strategy) if strategy else task
    publish_until_killed(session, acked, first, versioned if strategy == "snapshot" else made)


if __name__ == "__main__":
    fork_for_each_line(write, "pymysql", "pyarrow")
