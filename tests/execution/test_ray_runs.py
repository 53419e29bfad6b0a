"""Whole runs whose Python steps are on a Ray cluster: Dagster's status is that of the server."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from on_postgres import WAIT_SECONDS, postgres_project
from ray_cluster import QUIET, RayClusterProcess, needs_ray, start_ray
from running import finish, until_gone

pytestmark = [pytest.mark.nightly, needs_ray, pytest.mark.timeout(300)]

RAY = '"""\n@model\nrunner: {{ray: {{cpus: 0.1}}}}\n{more}\n"""\n'
FOREVER = """
def model(warehouse):
    import os, pathlib, time
    pathlib.Path({seen!r}).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def cluster(
    postgres_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RayClusterProcess]:
    made = start_ray(tmp_path_factory.mktemp("r"), DATABASE_URL=postgres_of_module)
    yield made
    made.stop()


@pytest.fixture
def dsn(
    cluster: RayClusterProcess, postgres_of_module: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    for name, text in {**QUIET, "DATABASE_URL": postgres_of_module}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with psycopg.connect(postgres_of_module, autocommit=True) as server:
        server.execute("drop schema if exists marts cascade")
    return postgres_of_module


def model(text: str, more: str = "") -> str:
    return RAY.format(more=more) + text


def committed(dsn: str) -> set[str]:
    """The steps that the server has published in the last run."""
    with psycopg.connect(dsn) as server:
        last = "select run_id from dagster_models.commits order by committed_at desc limit 1"
        sql = f"select step from dagster_models.commits where run_id = ({last})"
        return {str(step) for (step,) in server.execute(sql.encode()).fetchall()}


def wait_for(path: Path) -> int:
    end = time.monotonic() + WAIT_SECONDS
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end, "the step does not begin"
        time.sleep(0.02)
    return int(path.read_text())


def test_sql_and_python_build_on_each_other(tmp_path: Path, dsn: str) -> None:
    """SQL in the warehouse, a model and a script on nodes, all in one run."""
    files = {
        "models/marts/a.sql": "select 20 as n",
        "models/marts/b.py": model(
            "def model(warehouse):\n"
            "    print('on a node')\n"
            "    ((n,),) = warehouse.sql('select n from a').fetchall()\n"
            "    return [{'n': n + 1}]\n"
        ),
        "models/marts/c.sql": "select 2 * n as n from b",
        "scripts/s.py": model(
            "from dagster_models import warehouse\n"
            "print('found', warehouse.sql('select n from c').fetchall())\n"
        ),
    }
    project = postgres_project(tmp_path, files)
    report = project.run()
    assert report.code == 0, report.stdout + report.stderr
    assert set(report.states().values()) == {"succeeded"}
    assert "found [(42,)]" in report.stdout
    assert committed(dsn) == {"marts.a", "marts.b", "marts.c"}


def test_a_failure_stops_what_is_on_a_node(tmp_path: Path, dsn: str) -> None:
    """With fail_fast, and with a model that is tried twice before."""
    seen, tries = tmp_path / "seen", tmp_path / "tries"
    text = (
        "def model(warehouse):\n"
        "    import pathlib, time\n"
        f"    with open({str(tries)!r}, 'a') as file:\n"
        "        file.write('x')\n"
        f"    while not pathlib.Path({str(seen)!r}).exists():\n"
        "        time.sleep(0.02)\n"
        "    raise ValueError('no')\n"
    )
    files = {
        "models/marts/endless.py": model(FOREVER.format(seen=str(seen))),
        "models/marts/wrong.py": model(text, "retries: 1"),
        "models/marts/below.sql": "select * from wrong",
    }
    project = postgres_project(tmp_path, files)
    report = project.run({"fail_fast": True})
    assert report.code != 0
    assert report.states() == {
        "marts.endless": "canceled",
        "marts.wrong": "failed",
        "marts.below": "skipped",
    }
    assert tries.read_text() == "xx"
    until_gone(int(seen.read_text()))
    with psycopg.connect(dsn) as server:
        assert server.execute(b"select to_regclass('marts.endless')").fetchone() == (None,)


def test_a_timeout_stops_it(tmp_path: Path, dsn: str) -> None:
    seen = tmp_path / "seen"
    files = {"models/marts/endless.py": model(FOREVER.format(seen=str(seen)), "timeout: 20s")}
    project = postgres_project(tmp_path, files)
    report = project.run()
    assert report.code != 0
    assert report.states() == {"marts.endless": "failed"}
    until_gone(wait_for(seen))


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_or_killed(tmp_path: Path, dsn: str, by: signal.Signals) -> None:
    """Nothing is left running, and what was built before stays and is all that is published."""
    seen = tmp_path / "seen"
    files = {
        "models/marts/first.py": model("def model(warehouse):\n    return [{'n': 1}]\n"),
        "models/marts/endless.py": model(FOREVER.format(seen=str(seen)), "upstream: [marts.first]"),
    }
    project = postgres_project(tmp_path, files)
    process = project.start()
    step = wait_for(seen)
    process.send_signal(by)
    report = finish(project, process)
    until_gone(step)
    assert committed(dsn) == {"marts.first"}
    if by is signal.SIGTERM:
        assert report.states() == {"marts.first": "succeeded", "marts.endless": "canceled"}
