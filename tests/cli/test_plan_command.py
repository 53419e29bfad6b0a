"""`dagster-models plan`: what a run would build and why, on both warehouses; it builds nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from cli_cases import run
from dagster_models.cli.main import COMMANDS
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.results import RunHeader, StepResult
from running import make_project
from session_runs import Runs
from systems import System

B = "select k, v + 1 as v, k as extra from a"


@pytest.fixture
def runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs(tmp_path / "project")
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: one, columns:"
        " {k: {type: int}, v: {type: int}}}]}]",
        "models/m/a.sql": "select k, v from raw.one",
        "models/m/b.sql": B,
        "models/m/c.sql": "select k, v, extra from b",
        "models/m/d.sql": "select k from b",
    }
    runs.write_on(system, monkeypatch, files, "models: {materialized: table}\n")
    with runs.connect() as session:
        session.execute("create schema raw")
        session.execute("create table raw.one as select 1 as k, 10 as v")
    return runs


def planned(
    runs: Runs, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0
) -> dict[str, Any]:
    before = runs.contents() if code == 0 else None
    assert run(runs.root, "plan", "--json", *options) == code, capsys.readouterr().err
    if before is not None:
        assert runs.contents() == before
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plan


def why(plan: dict[str, Any]) -> dict[str, str]:
    return {it["step"]: it["why"] for it in plan["builds"]}


def test_why_each_step_is_built(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert why(planned(runs, capsys)) == dict.fromkeys(("m.a", "m.b", "m.c", "m.d"), "new")
    runs.run(only_changed=True)
    assert set(why(planned(runs, capsys)).values()) == {"asked"}
    plan = planned(runs, capsys, "--only-changed")
    assert (plan["builds"], plan["left_alone"]) == ([], ["m.a", "m.b", "m.c", "m.d"])

    with runs.connect() as session:
        session.execute("insert into raw.one select 2, 20")
    assert why(planned(runs, capsys)) == {
        "m.a": "data",
        "m.b": "upstream",
        "m.c": "upstream",
        "m.d": "upstream",
    }
    assert why(planned(runs, capsys, "b+", "--exclude", "d")) == {"m.b": "asked", "m.c": "asked"}
    runs.write({"models/m/c.sql": "select k, v, extra from b where k > 0"})
    plan = planned(runs, capsys)
    assert why(plan)["m.c"] == "code", "its own code goes before what it reads"
    assert all(it["columns"] == [] for it in plan["builds"])


def test_what_cannot_be_built_is_not_counted(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.write({"models/m/d.sql": "select k from a"})
    for state in ("new", "asked"):
        runs.write({"models/m/b.sql": "select k, v from a where"})
        plan = planned(runs, capsys, code=1)
        assert why(plan) == {"m.a": state, "m.d": state}
        broken, skipped = plan["cannot_build"]
        assert (broken["step"], broken["why"]) == ("m.b", "broken")
        assert broken["because"].startswith("models/m/b.sql:1:")
        assert (skipped["step"], skipped["why"]) == ("m.c", "skipped")
        assert run(runs.root, "plan") == 1
        assert "builds 2 of 4 steps." in capsys.readouterr().out
        runs.write({"models/m/b.sql": B})
        runs.run(only_changed=True)


def test_which_columns_change_for_whom(
    runs: Runs, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.run()
    text = "select k, cast(v as varchar(9)) as v, k as extra, 7 as more from a"
    runs.write({"models/m/b.sql": text})
    plan = planned(runs, capsys, "b")
    found = {it["name"]: (it["change"], it["read_by"]) for it in plan["builds"][0]["columns"]}
    assert found == {"v": ("type", ["m.c"]), "more": ("added", [])}
    assert why(plan) == {"m.b": "code"}, "columns change for steps that the run leaves out, too"

    runs.write({"models/m/b.sql": "select k, v + 1 as v from a"})
    # On PostgreSQL the columns of a query are not certain, so the file of `c` is not wrong.
    plan = planned(runs, capsys, "b", code=int(system.name == "duckdb"))
    (gone,) = plan["builds"][0]["columns"]
    assert (gone["name"], gone["change"], gone["read_by"]) == ("extra", "removed", ["m.c"])

    runs.write(
        {
            "models/m/b.sql": B,
            "models/m/c.sql": "select * from b",
            "models/m/a.sql": "select k, v from raw.one",
        }
    )
    runs.run()
    runs.write({"models/m/b.sql": "select k, v + 1 as v from a"})
    plan = planned(runs, capsys)
    found = {it["step"]: [c["read_by"] for c in it["columns"]] for it in plan["builds"]}
    assert found == {"m.a": [], "m.b": [["m.c"]], "m.c": [[]], "m.d": []}


def test_how_long_it_takes_by_history(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs.root, "plan", "b+") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A run of p on target dev builds 3 of 3 steps."
    assert lines[1] == "  new  table  m.b  it is not there"
    assert lines[-1] == "How long it takes is not known: no run has built any of it yet."
    project = runs.load()
    steps = [str(key) for key in project.steps]
    header = RunHeader("r", "p", "dev", 100.0, tuple(steps), "1", 2)
    with Journal(project.target_path, header) as journal:
        for step, seconds in {"m.a": 1, "m.b": 20, "m.c": 90}.items():
            took = {"started_at": 101.0, "ready_at": 101.0, "ended_at": 101.0 + seconds}
            journal.step(StepResult(step, "sql", "table", "succeeded", **took))  # type: ignore[arg-type]
    assert run(runs.root, "plan", "b+", "--threads", "1") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "By history it takes about 2m 45s with 1 slot, if 1 step of unknown time take the mean:",
        "  +0s      m.b  20s",
        "  +1m 50s  m.d  55s  after waiting 1m 30s for a slot",
    ]


DAYS = """/* @model
materialized: incremental
partitions: {by: day, of: days}
*/
select date '2024-01-01' as day"""


def test_partitions_and_a_database_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"models/daily.sql": DAYS, "models/a.sql": "select 1 as id"}
    settings = "partitions: {days: {every: day, start: 2024-01-01, end: 2024-01-04}}\n"
    project = make_project(tmp_path, files, settings)
    assert run(project.root, "plan") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  new  table  main.a  there is no database yet"
    left_out = "Left out without --partition: main.daily (0 built, 0 stale, 3 missing)"
    assert left_out in lines
    assert not project.database.exists(), "looking makes no database"
    assert run(project.root, "plan", "nope") == 2
    assert "`nope` matches nothing" in capsys.readouterr().err


def test_plan_takes_what_run_takes() -> None:
    def options(command: str) -> dict[str, Any]:
        given = argparse.ArgumentParser()
        COMMANDS[command].add_arguments(given)
        return {it.dest: (it.option_strings, it.type, it.choices) for it in given._actions}

    assert options("plan") == {"json": options("plan")["json"]} | options("run")


JOBS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project

@dg.asset
def theirs(): ...

those = [dg.define_asset_job("few", ["main/a", "theirs"], tags={"dagster_models/checks": "none"})]
defs = dg.Definitions.merge(
    load_project(Path(__file__).parent), dg.Definitions(assets=[theirs], jobs=those)
)
"""


def test_a_job_of_the_code_location(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `run --job` takes it: jobs that others make of the project's assets."""
    monkeypatch.chdir(tmp_path)
    checked = "/* @model\ncolumns: {id: {checks: [unique]}}\n*/ select 1 as id"
    project = make_project(tmp_path, {"models/a.sql": checked, "models/b.sql": "select 1 as id"})
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    (project.root / "definitions.py").write_text(JOBS)
    assert run(project.root, "plan", "--job", "few", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (why(plan), plan["checks"]["count"]) == ({"main.a": "new"}, 0)
    assert Path.cwd() == tmp_path
    assert run(project.root, "plan", "--job", "fewer") == 2
    assert "And there is no job 'fewer' in the code location: few, " in capsys.readouterr().err


ADDED = "/* @model\nmaterialized: incremental\nunique_key: k\n*/\nselect k, v from raw.one"
KEPT = "/* @model\nmaterialized: snapshot\nunique_key: k\nstrategy: check\n*/\nselect k from b"
CHECKED = "/* @model\ncolumns: {k: {checks: [not_null, unique]}}\n*/\nselect k from b"


def test_a_full_refresh_checks_and_another_target(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    runs = Runs(tmp_path / "project", "prod")
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [one]}]",
        "models/m/a.sql": ADDED,
        "models/m/b.sql": "select k from a",
        "models/m/kept.sql": KEPT,
        "models/m/seen.sql": CHECKED,
    }
    settings = (
        "target: prod\njobs: {few: {selection: +seen, tags: {dagster_models/checks: after}}}\n"
    )
    targets = {"prod": "", "dev": "dev_"}
    runs.write_on(system, monkeypatch, files, settings, targets)
    with runs.connect() as session:
        session.execute("create schema raw")
        session.execute("create table raw.one as select 1 as k, 10 as v")
    runs.run()

    def full(plan: dict[str, Any]) -> list[str]:
        return [it["step"] for it in plan["builds"] if it["in_full"]]

    plan = planned(runs, capsys)
    assert (full(plan), plan["notes"]) == ([], [])
    assert plan["checks"] == {"count": 2, "when": "each"}
    plan = planned(runs, capsys, "--full-refresh", "--checks", "none", "--fail-fast")
    assert full(plan) == ["m.a"]
    assert plan["checks"]["count"] == 0
    (note,) = plan["notes"]
    assert note.startswith("m.kept is not built in full, as it ")
    plan = planned(runs, capsys, "--only-changed", "--full-refresh", "a")
    assert why(plan) == {"m.a": "always"}

    plan = planned(runs, capsys, "--job", "few")
    assert why(plan).keys() == {"m.a", "m.b", "m.seen"}
    assert plan["checks"] == {"count": 2, "when": "after"}
    assert run(runs.root, "plan", "--job", "fewer") == 2
    assert "has no job 'fewer'. Did you mean `few`?" in capsys.readouterr().err

    plan = planned(runs, capsys, "seen", "--target", "dev", "--defer", "prod")
    assert plan["deferred"] == {"m.b": "m.b"}
    plan = planned(runs, capsys, "seen", "--target", "dev")
    assert plan["deferred"] == {}
    assert run(runs.root, "plan", "seen", "--target", "dev", "--defer", "prod") == 0
    said = capsys.readouterr().out
    assert "Deferred: 1 model read from another target\n    m.b is read from m.b\n" in said
    assert "2 checks run, each before its model is published." in said


def test_the_partitions_that_a_run_is_asked_for(tmp_path: Path, capsys: Any) -> None:
    files = {"models/daily.sql": DAYS, "models/a.sql": "select 1 as id"}
    settings = "partitions: {days: {every: day, start: 2024-01-01, end: 2024-01-04}}\n"
    project = make_project(tmp_path, files, settings)
    for asked, said in {
        "2024-01-02": "partition 2024-01-02",
        "2024-01-01..2024-01-02": "partitions 2024-01-01..2024-01-02",
        "last": "partition 2024-01-03",
    }.items():
        assert run(project.root, "plan", "--partition", asked) == 0
        out = capsys.readouterr().out
        assert f"main.daily  there is no database yet; {said}\n" in out
        assert "Left out" not in out
    assert run(project.root, "plan", "--partition", "2024-01-09") == 2
    assert "there is no partition 2024-01-09" in capsys.readouterr().err
    assert run(project.root, "plan", "a", "--partition", "last") == 2
    assert "nothing that is selected has partitions" in capsys.readouterr().err
