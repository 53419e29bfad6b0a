"""Runs whose Dagster keeps its own runs, events and schedules in PostgreSQL (dagster-postgres).

What we do for SQLite's files (storage.py, event_log.py) must not affect them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dagster import DagsterInstance

from dagster_models._dagster.event_log import has_stock_event_log, one_commit, open_event_log
from running import ENDLESS, Project, make_project

pytestmark = pytest.mark.slow

STORED = """\
telemetry: {enabled: false}
storage: {postgres: {postgres_url: {env: DAGSTER_STORAGE_URL}}}
"""

FILES = {
    "models/good.sql": "select 1 as n",
    "models/bad.sql": "select error('no') as n from good",
    "models/below.sql": "select n from bad",
    "models/beside.sql": ENDLESS,
}


@pytest.fixture
def project(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    # SQLAlchemy 2.1 takes psycopg 3 for a plain postgresql://, and dagster-postgres 0.29 then fails
    # ("syntax error at or near "$1"": it gives NOTIFY a parameter).
    url = urlsplit(postgres_dsn)._replace(scheme="postgresql+psycopg2").geturl()
    monkeypatch.setenv("DAGSTER_STORAGE_URL", url)
    project = make_project(tmp_path, FILES)
    shutil.rmtree(project.home)  # it has SQLite's tables
    project.home.mkdir()
    (project.home / "dagster.yaml").write_text(STORED)
    return project


def test_a_run_that_fails_fast_and_is_resumed(project: Project) -> None:
    ran = project.run({"max_concurrent": 2, "fail_fast": True})
    assert ran.journal is not None, ran.stderr
    states = {
        "main.good": "succeeded",
        "main.bad": "failed",
        "main.below": "skipped",
        "main.beside": "canceled",
    }
    assert ran.states() == states
    assert ran.of_type("STEP_SUCCESS") == ran.of_type("ASSET_MATERIALIZATION") == {"main__good"}
    assert ran.of_type("STEP_FAILURE") == {"main__bad", "main__beside"}
    assert ran.of_type("STEP_SKIPPED") == set()
    assert any(step == "main__below" and "Skipped" in text for step, _, text in ran.events)
    assert project.status() == "FAILURE"
    assert not list(project.home.rglob("*.db")), "Dagster wrote to SQLite"

    project.write({"models/bad.sql": "select n from good", "models/beside.sql": "select 1 as n"})
    again = project.run_again_from_failure()
    assert again.code == 0, again.stdout + again.stderr
    assert again.states() == dict.fromkeys(("main.bad", "main.below", "main.beside"), "succeeded")
    assert project.status() == "SUCCESS"


def test_nothing_of_ours_touches_its_storage(project: Project) -> None:
    class Context:
        run_id = "run"
        instance = DagsterInstance.from_config(str(project.home))

    assert not has_stock_event_log(Context())  # type: ignore[arg-type]
    with Context.instance, open_event_log(Context()), one_commit(Context()):  # type: ignore[arg-type]
        assert type(Context.instance.event_log_storage).__module__.startswith("dagster_postgres")
