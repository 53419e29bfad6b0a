"""Declared checks of a project, as its builds run them: the scope, and the tables of their rows."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dagster_models.compilation.leftovers import leftovers
from dagster_models.compilation.tasks import builder_of, task_for
from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import BuildTask
from session_runs import Runs
from systems import System

_runs = count(1)

MODEL = """/* @model
materialized: incremental
columns:
  k:
    checks:
      - not_null: {severity: warn, store_failures: true}
      - unique: {scope: window, severity: warn}
checks:
  - unique: {columns: [k, v], scope: window, ignore_row_if: never, severity: warn, name: pairs}
  - unique: {columns: [k, v], scope: window, where: "v > 0", severity: warn, name: some}
  - unique: {columns: [k], severity: warn, name: everywhere}
*/
select k, v from raw.one
"""


@pytest.fixture
def runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs(tmp_path / "project")
    sources = "sources: [{name: raw, tables: [one]}]"
    runs.write_on(system, monkeypatch, {"models/sources.yaml": sources, "models/m/t.sql": MODEL})
    with runs.connect() as session:
        session.execute("create schema raw")
        session.execute("create table raw.one (k int, v int)")
    return runs


def build(runs: Runs, *rows: str) -> Outcome:
    """Build m.t from these rows of its source."""
    it = runs.steps(runs.load())["m.t"]
    task = task_for(it, f"run{next(_runs)}", 1)
    assert isinstance(task, BuildTask)
    with runs.connect() as session:
        session.prepare(["m"])
        session.execute("delete from raw.one")
        for row in rows:
            session.execute(f"insert into raw.one values ({row})")
        outcome = session.run(task)
    assert outcome.succeeded, outcome
    assert [it.error for it in outcome.checks] == [None] * len(outcome.checks)
    return outcome


def failures(outcome: Outcome) -> dict[str, int]:
    return {it.name: it.failures for it in outcome.checks}


def test_unique_in_a_window_looks_for_the_new_keys_in_all_of_the_table(runs: Runs) -> None:
    first = build(runs, "1, 1", "1, 1", "2, null", "2, null")
    assert failures(first) == {
        "not_null_k": 0,
        "unique_k": 2,
        "pairs": 2,
        "some": 1,
        "everywhere": 2,
    }
    old_ones_are_left = build(runs, "3, 3", "null, null")
    assert failures(old_ones_are_left) == {
        "not_null_k": 1,
        "unique_k": 0,
        "pairs": 0,
        "some": 0,
        "everywhere": 2,
    }
    meets_an_old_one = build(runs, "3, 3", "null, null", "2, -1", "4, -4", "4, -4")
    assert failures(meets_an_old_one) == {
        "not_null_k": 1,
        "unique_k": 3,
        "pairs": 3,
        "some": 1,
        "everywhere": 4,
    }


def test_the_rows_of_a_declared_check_are_stored(runs: Runs) -> None:
    def stored() -> Any:
        with runs.connect() as session:
            return session.query("select * from m.failures_not_null_k")

    (check, *_) = build(runs, "null, 7").checks
    assert (check.failures, check.rows, check.stored) == (1, 1, "m.failures_not_null_k")
    assert check.sample == ((None, "7"),)
    assert stored() == [(None, 7)]
    build(runs, "1, 1")
    assert stored() == []
    project = runs.load()
    target = runs.steps(project)["m.t"].target
    with runs.connect() as session:
        built = session.built_by(builder_of(project, target))
    assert {str(it.relation) for it in built} == {"m.t", "m.failures_not_null_k"}
    assert leftovers(project, target, built) == []
    runs.write({"models/m/t.sql": MODEL.replace(", store_failures: true", "")})
    (left,) = leftovers(runs.load(), target, built)
    assert (str(left.relation), left.kept) == ("m.failures_not_null_k", "")


def test_checks_alone_store_rows_if_they_are_asked_to(runs: Runs) -> None:
    """A build and a command replace each other's table, and each call is a run of its own."""

    with runs.connect() as session:  # which keeps the warehouse process for all of them

        def stored(*words: str) -> Any:
            assert main(["--project", str(runs.root), "checks", "t.not_null_k", *words]) == 0
            return session.query("select v from m.failures_not_null_k order by v")

        build(runs, "null, 7")
        session.execute("insert into m.t values (null, 8)")
        assert stored("--store-failures") == [(7,), (8,)]
        session.execute("delete from m.t where v = 7")
        assert stored("--store-failures") == [(8,)]
        build(runs, "null, 9")
        assert stored() == [(9,)]


def test_checks_alone_say_which_rows_they_do_not_keep(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the check finds counts all the same."""
    with runs.connect() as session:
        build(runs, "null, 7")
        session.execute("drop table m.failures_not_null_k")
        session.execute("create table m.failures_not_null_k as select 'mine' as v")
        call = ["--project", str(runs.root), "checks", "t.not_null_k", "--store-failures"]
        assert main(call) == 0
        assert session.query("select v from m.failures_not_null_k") == [("mine",)]
    text = capsys.readouterr().out
    (note,) = [line for line in text.splitlines() if "WARNING: the rows of not_null_k are" in line]
    assert "m.t: " in note
    assert "m.failures_not_null_k is kept" in note
    assert "WARN=1" in text
