"""Where histories are played: two at a time, each on a warehouse of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dagster import DagsterInstance

from postgres_server import GIVEN, PostgresServer, start_server
from running import DEFINITIONS
from truth_evidence import Evidence, read
from truth_projects import CLEAN, NEW, History, files, old_relations, sparing_the_server
from truth_runs import Player, start_the_fork_server
from truth_warehouses import DuckDBTruth, Truth, postgres_truth

#: As many histories at once as most machines of CI have cores.
AT_ONCE = 2

POOLED = """\
telemetry: {{enabled: false}}
event_log_storage:
  module: dagster_models.storage
  class: PooledSqliteEventLogStorage
  config: {{base_dir: {folder}}}
"""


class Servers:
    """PostgreSQL servers: one for each history at a time, as a history may kill its own."""

    def __init__(self) -> None:
        self._given = os.environ.get(GIVEN)
        self._started: list[PostgresServer] = []
        self._free: queue.LifoQueue[str] = queue.LifoQueue()

    @property
    def ours(self) -> bool:
        return not self._given

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """The connection string of a server for one history alone, unless all use the given one."""
        if self._given:
            yield self._given
            return
        try:
            dsn = self._free.get_nowait()
        except queue.Empty:
            server = start_server()
            self._started.append(server)
            dsn = server.dsn
        try:
            yield dsn
        finally:
            self._free.put(dsn)

    def stop(self) -> None:
        for server in self._started:
            server.stop()


@dataclass
class Play:
    """One history in a folder of its own; the evidence of its runs so far."""

    history: History
    folder: Path
    truth: Truth
    evidence: list[Evidence] = field(default_factory=list)

    def run(self, heal: bool = False) -> Evidence:
        """``heal``: nothing goes wrong any more, and there is no interference."""
        root, home = self.folder / "project", self.folder / "home"
        if heal:
            shutil.rmtree(root / "checks", ignore_errors=True)  # they never end
        write(root, files(self.history, CLEAN if heal else NEW, heal))
        interferences = () if heal else self.history.interferences
        played = Player(root, home, self.truth, interferences).play(self.history.config)
        self.evidence.append(read(root, home, self.truth, played))
        return self.evidence[-1]


class Stage:
    """``open`` makes a project, as it is before a run."""

    def __init__(self, dagster_home: Path) -> None:
        self._home, self._servers = dagster_home, Servers()
        start_the_fork_server()
        # To be copied: to make its tables takes long.
        (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with DagsterInstance.from_config(str(dagster_home)) as instance:
            instance.get_runs(limit=1)

    @contextlib.contextmanager
    def open(self, history: History, folder: Path) -> Iterator[Play]:
        if not self._servers.ours:
            history = sparing_the_server(history)
        root, home = folder / "project", folder / "home"
        shutil.copytree(self._home, home)
        if history.pooled:
            write(home, {"dagster.yaml": POOLED.format(folder=home / "history" / "runs")})
        write(root, {"definitions.py": DEFINITIONS})
        with self._truth(history, root) as truth:
            truth.prepare(old_relations(history.nodes))
            yield Play(history, folder, truth)

    @contextlib.contextmanager
    def _truth(self, history: History, root: Path) -> Iterator[Truth]:
        if history.warehouse == "duckdb":
            yield DuckDBTruth(root)
            return
        name = f"truth_{os.getpid()}_{os.urandom(6).hex()}"
        with self._servers.one() as dsn, postgres_truth(dsn, name) as truth:
            yield truth

    def close(self) -> None:
        self._servers.stop()


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
