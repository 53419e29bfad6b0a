"""The run worker of a history: forked from a process that has Dagster imported, then one job.

Importing Dagster takes 2 s, so multiprocessing's fork server does it once (it has no other thread,
and never imports a driver). Each child then is what ``dagster job execute`` is: the same command,
in a session and process group of its own, with its own standard streams.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from dagster import DagsterInstance
from dagster._cli import create_dagster_cli

from alembic_once import read_revisions_once

read_revisions_once()
for dialect in ("duckdb", "postgres"):
    importlib.import_module(f"sqlglot.dialects.{dialect}")
with tempfile.TemporaryDirectory() as home:  # an instance imports as much again
    Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with DagsterInstance.from_config(home) as instance:
        instance.get_runs(limit=1)

HOOK = Path(__file__).with_name("truth_hook")


def execute(
    folder: str, env: Mapping[str, str], arguments: Sequence[str], stdout: Connection
) -> None:
    """Be ``dagster <arguments>`` in *folder*."""
    assert threading.active_count() == 1, "forked from a process with threads"
    drivers = {"duckdb", "psycopg"} & set(sys.modules)
    assert not drivers, f"forked from a process with {drivers}"
    os.setsid()
    os.chdir(folder)
    os.environ.update(env)
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    errors = os.open("../stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    sys.path.insert(0, str(HOOK))
    import truth_points

    truth_points.watch_the_journal()
    warnings.simplefilter("ignore")
    create_dagster_cli()(list(arguments), prog_name="dagster")
