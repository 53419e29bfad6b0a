"""`sql` reads, and what its query calls cannot write."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_cases import run
from project_cases import write_project
from session_runs import Runs, target_of
from systems import System

FUNCTION = (
    "create table s.w (x int); create function s.f() returns int language sql"
    " as 'insert into s.w values (1) returning x'"
)


def test_what_a_query_calls_cannot_write(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", system.settings.get("dsn", ""))
    settings = f"name: p\ndialect: {system.name}\ntargets: {{dev: {target_of(system)}}}\n"
    files = {"dagster_models.yaml": settings, "models/s/a.sql": "select 1 as n"}
    root = write_project(tmp_path / "p", files)
    runs = Runs(root)
    runs.run()
    with runs.connect() as session:
        session.execute("create sequence s.q")
        if system.name == "postgres":
            session.execute(FUNCTION)
    assert run(root, "sql", "select n + 1 as m from a") == 0
    assert "2" in capsys.readouterr().out
    writing = ["select nextval('s.q')"] + ["select s.f()"] * (system.name == "postgres")
    for query in writing:
        assert run(root, "sql", query) == 1
        assert "read-only" in capsys.readouterr().err.lower().replace("read only", "read-only")
    with runs.connect() as session:
        assert session.query("select nextval('s.q')") == [(1,)]
        if system.name == "postgres":
            assert session.query("select count(*) from s.w") == [(0,)]
    with pytest.raises(SystemExit):
        run(root, "sql", "select 1", "--limit", "-1")
