"""Scripts with packages of their own: real virtual environments, from wheels made here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from addresses import duckdb_at
from dagster_models.cli.main import main
from dagster_models.core.environments import Environment
from dagster_models.core.messages import Verdict
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.worker.environments import made
from project_cases import write_project
from wheels import make_wheel
from worker_driver import Driver

pytestmark = pytest.mark.slow

NAME = "tiny_packet-1.0-py3-none-any.whl"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Session]:
    with connect(duckdb_at(tmp_path / "w.duckdb", idle_seconds=1)) as session:
        session.prepare(["main"])
        yield session


@pytest.fixture
def worker(tmp_path: Path, db: Session) -> Iterator[Driver]:
    folder = tmp_path / "project"
    folder.mkdir()
    driver = Driver(folder, duckdb_at(tmp_path / "w.duckdb", idle_seconds=1))
    yield driver
    driver.close()


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """The requirement of a package that no project has."""
    return make_wheel(tmp_path, "tiny_packet", "WORD = 'tiny'\n")


def environment(tmp_path: Path, *dependencies: str) -> Environment:
    return Environment(dependencies, 2, str(tmp_path / "target" / "environments"))


SCRIPT = """
import importlib.util, sys
import tiny_packet
from dagster_models import warehouse
warehouse.load([{"word": tiny_packet.WORD}], "main.made")
assert warehouse.sql("select word from main.made").arrow().num_rows == 1
print("found", [name for name in ("polars", "dagster") if importlib.util.find_spec(name)])
"""


def test_a_script_runs_with_its_packages_and_without_the_projects(
    worker: Driver, db: Session, tmp_path: Path, wheel: str
) -> None:
    own = environment(tmp_path, wheel)
    assert worker.run("script", SCRIPT, environment=own).verdict is Verdict.DONE
    first = worker.out.take("found []")
    assert "Making the script's environment, once" in first
    assert "Environment: tiny_packet 1.0 (Python 3" in first
    assert db.query("select word from main.made") == [("tiny",)]
    assert worker.run("script", SCRIPT, environment=own).verdict is Verdict.DONE
    again = worker.out.take("found []")
    assert "Environment: tiny_packet 1.0" in again
    assert "Making" not in again


def test_its_errors_are_those_of_any_script(worker: Driver, tmp_path: Path) -> None:
    outcome = worker.run("script", "x = 1\n1 / 0\n", environment=environment(tmp_path))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.error is not None
    assert (outcome.error.message, outcome.error.line) == ("division by zero", 2)


def test_what_cannot_be_installed_fails_the_step_and_is_tried_again(
    worker: Driver, tmp_path: Path, wheel: str
) -> None:
    (tmp_path / NAME).rename(tmp_path / "away")
    own = environment(tmp_path, wheel)
    outcome = worker.run("script", SCRIPT, environment=own)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.line) == (ErrorKind.USER_CODE, 2)
    assert "packages could not be installed" in outcome.error.message
    (tmp_path / "away").rename(tmp_path / NAME)
    assert worker.run("script", SCRIPT, environment=own).verdict is Verdict.DONE


def test_a_cancel_stops_the_installation(worker: Driver, tmp_path: Path, wheel: str) -> None:
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    worker.start("script", SCRIPT, environment=environment(tmp_path, wheel))
    with open(tmp_path / NAME, "wb"):  # returns when the installer has opened it
        worker.cancel()
        assert worker.answer().verdict is Verdict.CANCELED


def test_two_steps_make_one_environment_once(
    tmp_path: Path, wheel: str, capfd: pytest.CaptureFixture[str]
) -> None:
    own, folders = environment(tmp_path, wheel), []
    threads = [threading.Thread(target=lambda: folders.append(made(own))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert len(folders) == 3
    assert capfd.readouterr().out.count("Making the script's environment") == 1


def test_the_command_runs_the_same_script_against_the_same_warehouse(
    tmp_path: Path, wheel: str, capfd: pytest.CaptureFixture[str]
) -> None:
    head = f'# /// script\n# dependencies = ["{wheel}"]\n# ///\n'
    settings = f"name: p\ntargets: {{dev: {{type: duckdb, path: {tmp_path / 'w.duckdb'}}}}}\n"
    files = {"scripts/report.py": head + SCRIPT, "scripts/bad.py": "1 / 0\n"}
    files["models/marts/a.sql"] = "select 1 as n"
    root = write_project(tmp_path / "p", {"dagster_models.yaml": settings, **files})
    assert main(["--project", str(root), "script", "report"]) == 0
    assert "found []" in capfd.readouterr().out
    with connect(duckdb_at(tmp_path / "w.duckdb")) as session:
        assert session.query("select word from main.made") == [("tiny",)]
    assert main(["--project", str(root), "script", str(root / "scripts" / "bad.py")]) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert main(["--project", str(root), "script", "reprot"]) == 1
    assert "there is no script 'reprot': did you mean scripts/report.py?" in capfd.readouterr().err
