"""Real runs for tests: a project of a few files, run by the ``dagster`` command in a process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

import warm_python
from addresses import duckdb_at
from commands import DAGSTER, DAGSTER_MODELS
from dagster_models.processes.client.session import Session, connect
from dagster_models.reporting.journal import JournalContents, read_journal

#: Whether everything is tested that random runs and large tables of cases have, instead of a part.
EXHAUSTIVE = bool(os.environ.get("DAGSTER_MODELS_TEST_EXHAUSTIVE"))

#: Runs for many hours in little memory unless it is stopped; DuckDB answers an interrupt at once.
ENDLESS = "select sum(i) as n from range(100000000000000) t(i)"

DEFINITIONS = """
from pathlib import Path
from dagster_models import load_project
defs = load_project(Path(__file__).parent)
"""


REEXECUTE = """
import sys
from dagster import DagsterInstance, ReexecutionOptions, execute_job
from dagster._core.definitions.reconstruct import ReconstructableRepository

def main():
    with DagsterInstance.get() as instance:
        (run,) = instance.get_runs(limit=1)
        repository = ReconstructableRepository.for_file("definitions.py", "defs")
        job = repository.get_reconstructable_job("test")
        options = ReexecutionOptions.from_failure(run.run_id, instance)
        tags = {name: value for name, value in run.tags.items() if "partition" in name}
        tags["dagster/is_resume_retry"] = "true"  # as the UI and the daemon do
        result = execute_job(job, instance, tags=tags, reexecution_options=options)
        return result.success

if __name__ == "__main__":  # the processes of foreign steps import this file
    sys.exit(not main())
"""


@dataclass(frozen=True)
class Project:
    """A project folder for tests, with a Dagster home beside it."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root.parent / "home"

    @property
    def database(self) -> Path:
        return self.root / "target" / "test.duckdb"

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "DAGSTER_HOME": str(self.home), "NO_COLOR": "1"}

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def command(self, config: Mapping[str, Any] | None = None, job: str = "test") -> list[str]:
        command = [DAGSTER, "job", "execute", "-f", "definitions.py", "-j", job]
        if config is not None:
            path = self.root / "run_config.yaml"
            path.write_text(json.dumps({"execution": {"config": config}}))
            command += ["--config", str(path)]
        return command

    def start(
        self, config: Mapping[str, Any] | None = None, *, start_new_session: bool = False
    ) -> subprocess.Popen[str]:
        """``start_new_session``: in a process group of its own, as a terminal does it."""
        return subprocess.Popen(
            self.command(config),
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
        )

    def run(self, config: Mapping[str, Any] | None = None, job: str = "test") -> RunReport:
        done = warm_python.run(self.command(config, job), self.root, self.env, timeout_seconds=100)
        return self.report(done.returncode, done.stdout, done.stderr)

    def dagster_models(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, in the project's folder."""
        command = [DAGSTER_MODELS, *arguments]
        return warm_python.run(command, self.root, self.env, timeout_seconds=100)

    def run_again_from_failure(self) -> RunReport:
        """Re-execute the last run from its failure, as the UI's button does."""
        process = self.python(REEXECUTE)
        return self.report(process.returncode, process.stdout, process.stderr)

    def python(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program in the project's folder, from a file beside it."""
        path = self.root.parent / "program.py"
        path.write_text(program)
        return warm_python.run([str(path), *arguments], self.root, self.env, timeout_seconds=100)

    def report(self, code: int, stdout: str, stderr: str) -> RunReport:
        """What every place reports of the last run."""
        journals = sorted((self.root / "target" / "runs").glob("*.jsonl"), key=os.path.getmtime)
        results = self.root / "target" / "run_results.json"
        return RunReport(
            code=code,
            stdout=stdout,
            stderr=stderr,
            journal=read_journal(journals[-1]) if journals else None,
            results=json.loads(results.read_text()) if results.exists() else {},
            events=self.events(),
        )

    def events(self) -> list[tuple[str, str, str]]:
        """(step key, event type, message) of the last run in Dagster's event log."""
        with DagsterInstance.from_config(str(self.home)) as instance:
            (run,) = instance.get_runs(limit=1)
            return [
                (entry.step_key or "", entry.dagster_event_type.value, entry.user_message)
                for entry in instance.all_logs(run.run_id)
                if entry.dagster_event_type is not None
            ]

    def status(self) -> str:
        with DagsterInstance.from_config(str(self.home)) as instance:
            (run,) = instance.get_runs(limit=1)
            return run.status.value

    @contextmanager
    def warehouse(self) -> Iterator[Session]:
        with connect(duckdb_at(self.database)) as session:
            yield session

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as session:
            return session.query(sql)

    def tables(self) -> set[str]:
        found = self.rows(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema <> 'dagster_models'"
        )
        return {name for (name,) in found}

    def commits(self) -> set[str]:
        """The steps with a commit record of the last run."""
        found = self.rows(
            "select step from dagster_models.commits where run_id = "
            "(select arg_max(run_id, committed_at) from dagster_models.commits)"
        )
        return {name for (name,) in found}


@dataclass(frozen=True)
class RunReport:
    """What a run has reported, in every place."""

    code: int
    stdout: str
    stderr: str
    journal: JournalContents | None
    results: Mapping[str, Any]
    events: list[tuple[str, str, str]]

    def states(self) -> dict[str, str]:
        """By the journal: step -> state."""
        assert self.journal is not None
        return {step.step: step.state for step in self.journal.steps}

    def statuses(self) -> dict[str, str]:
        """By run_results.json: step name -> dbt's status."""
        return {
            result["unique_id"].split(".")[-1]: result["status"]
            for result in self.results["results"]
            if not result["unique_id"].startswith("test.")
        }

    def of_type(self, event_type: str) -> set[str]:
        """The steps that have such an event in Dagster's event log."""
        return {step for step, type_, _ in self.events if type_ == event_type}


def make_project(folder: Path, files: Mapping[str, str], settings: str = "") -> Project:
    """Write a project named ``test`` on DuckDB; ``files`` are paths below its root."""
    project = Project(folder / "project")
    project.write(
        {
            "dagster_models.yaml": "name: test\n"
            "targets: {dev: {type: duckdb, path: target/test.duckdb, threads: 2}}\n"
            "models: {materialized: table}\n" + settings,
            "definitions.py": DEFINITIONS,
            **files,
        }
    )
    shutil.copytree(_home_with_tables(), project.home, dirs_exist_ok=True)
    return project


@functools.cache
def _home_with_tables() -> str:
    """A Dagster home to be copied: to make its tables takes as long as a small run. Two processes
    that make them at the same time race in Dagster itself, which asks whether a table is there and
    then creates it ("table secondary_indexes already exists")."""
    home = tempfile.mkdtemp(prefix="dagster-models-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with DagsterInstance.from_config(home) as instance:
        instance.get_runs(limit=1)
        instance.event_log_storage.get_asset_records()
    return home


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the terminal until a line holds *text*; all that was read."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    pytest.fail(f"{text!r} never came:\n{read}\n{process.stderr.read() if process.stderr else ''}")


def finish(project: Project, process: subprocess.Popen[str]) -> RunReport:
    stdout, stderr = process.communicate(timeout=60)
    return project.report(process.returncode, stdout, stderr)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_gone(*pids: int) -> None:
    end = time.monotonic() + 120
    while still := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < end, f"{still} go on"
        time.sleep(0.02)


def logs_of(project: Project, step: str) -> tuple[str, str]:
    """What the UI's log tab shows for a step: (stdout, stderr)."""
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        for entry in instance.all_logs(run.run_id):
            event = entry.dagster_event
            if event is None or event.event_type_value != "LOGS_CAPTURED":
                continue
            captured = event.logs_captured_data
            if step in (captured.step_keys or []):
                key = instance.compute_log_manager.build_log_key_for_run(
                    run.run_id, captured.file_key
                )
                data = instance.compute_log_manager.get_log_data(key)
                return (data.stdout or b"").decode(), (data.stderr or b"").decode()
    pytest.fail(f"no log of {step}")


IN_PROCESS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project
defs = load_project(Path(__file__).parent)
defs = dg.Definitions(
    assets=defs.assets, executor=dg.in_process_executor, jobs=[dg.define_asset_job("test")]
)
"""
