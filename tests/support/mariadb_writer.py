"""Processes that publish one relation again and again, for tests that kill them.

This one forks another for each line of its input, [settings, acked, first, dies], and prints the
pid. That appends the number of each attempt to the file *acked* once its outcome says that it is
published. The rows hold the number too, so whoever reads the relation knows which attempt made it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

from dagster_models.core.materializations import Replace, View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.mariadb import session as mariadb
from dagster_models.warehouses.mariadb import staging

ROWS = 2_000
T = Relation("s", "t")


def task(attempt: int) -> BuildTask:
    """Other columns each time, and a view in place of each third table."""
    sql = f"select {attempt} as n, seq, concat(seq) as s{attempt % 2} from s.seq_1_to_{ROWS}"
    how = View() if attempt % 3 == 0 else Replace()
    return BuildTask("killed", "s.t", attempt, T, Query(sql), how)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(settings: dict[str, Any], acked: str, first: int, dies: str) -> None:
    swap = staging.swap

    def swap_and_die(*arguments: Any) -> None:
        if dies == "before_swap":
            _die()
        swap(*arguments)
        _die()

    if dies:
        staging.swap = swap_and_die
    session = mariadb.connect(settings).session(f"writer-{first}")
    session.prepare(["s"])
    attempt = first
    with open(acked, "a", buffering=1) as told:
        print("ready", file=told)
        while True:
            if run(session, task(attempt), Stop()).verdict is Verdict.COMMITTED:
                print(attempt, file=told)
            attempt += 1


def main() -> None:
    for name in ("pymysql", "pyarrow"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            write(*json.loads(line))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
