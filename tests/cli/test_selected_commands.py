"""Selections of `lineage`, `explain`, `diff`, `windows` and `clean`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_cases import FILES, git, run
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.results import RunHeader, StepResult
from running import Project, make_project
from session_runs import Runs
from systems import System


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "repository", FILES)


def said(project: Project, capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    assert run(project.root, *words) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_lineage(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    def models(*words: str) -> list[str]:
        lines = said(project, capsys, 0, "lineage", *words).splitlines()
        return [line for line in lines if line and not line.startswith(" ")]

    assert models("+sums") == ["raw.orders", "staging.stg", "marts.sums"]
    assert models("marts", "--exclude", "sums+", "code") == ["marts.ids"]
    assert models("sums", "ids") == ["marts.ids", "marts.sums"]
    assert "`sumz` matches nothing; did you mean sums" in said(
        project, capsys, 2, "lineage", "sumz+"
    )


def test_diff(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("init", "--quiet"), ("add", "-A"), ("commit", "--quiet", "-m", "first")):
        git(project.root.parent, *arguments)
    project.write(
        {
            "models/staging/stg.sql": "select id, amount + 1 as amount, paid from raw.orders",
            "models/marts/new.sql": "select 1 as x",
        }
    )
    (project.root / "models/marts/code.py").unlink()
    whole = said(project, capsys, 0, "diff", "HEAD")
    assert "~ staging.stg" in whole
    assert "marts.sums: all of it" in whole
    marts = said(project, capsys, 0, "diff", "HEAD", "marts", "--exclude", "big")
    assert "staging.stg" not in marts
    assert "marts.big" not in marts
    for line in ("marts.sums: all of it", "+ marts.new", "- marts.code"):
        assert line in marts
    assert 'key:"marts/new"+' in said(project, capsys, 0, "diff", "HEAD", "new", "--select")
    assert "matches nothing" in said(project, capsys, 2, "diff", "HEAD", "nope")


def test_explain(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ("staging.stg", "marts.sums", "marts.gone")
    header = RunHeader("r1", "test", "dev", 100.0, steps, "1", 2)
    with Journal(project.root / "target", header) as journal:
        for step, state in zip(steps, ("succeeded", "failed", "succeeded"), strict=True):
            took = {"started_at": 101.0, "ready_at": 101.0, "ended_at": 102.0}
            journal.step(StepResult(step, "sql", "table", state, **took))  # type: ignore[arg-type]

    def told(*words: str) -> list[str]:
        text = said(project, capsys, 0, "explain", "last", *words)
        return [step for step in steps if step in text]

    assert told("gone") == ["marts.gone"], "the project has no such model any more"
    assert told("stg+") == ["staging.stg", "marts.sums"]
    assert told("marts") == ["marts.sums"]
    assert told("failed") == ["marts.sums"]
    assert told("--exclude", "marts") == ["staging.stg"]
    message = "the run ended no step named 'sumz'; did you mean marts.sums?"
    assert message in said(project, capsys, 1, "explain", "last", "sumz")
    assert "no step that is selected" in said(project, capsys, 1, "explain", "last", "code+")
    assert "matches nothing" in said(project, capsys, 2, "explain", "last", "sumz+")


DAYS = """/* @model
materialized: incremental
tags: [{tag}]
partitions: {{by: day, of: days}}
*/
select date '2024-01-01' as day"""


def test_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = "partitions: {days: {every: day, start: 2024-01-01, end: 2024-01-04}}\n"
    files = {f"models/{name}.sql": DAYS.format(tag=name) for name in ("one", "two")}
    project = make_project(tmp_path, {**files, "models/whole.sql": "select 1 as id"}, settings)
    assert said(project, capsys, 0, "windows", "--exclude", "tag:one") == (
        "main.two on target dev: 0 built, 0 stale, 3 missing\nmissing  2024-01-01...2024-01-03\n"
    )
    both = said(project, capsys, 0, "windows", "main", "--missing").splitlines()
    assert both == [f"main.{name}  2024-01-01...2024-01-03" for name in ("one", "two")]
    message = "there is no partitioned model named 'whole'"
    assert message in said(project, capsys, 1, "windows", "whole")
    assert "did you mean one?" in said(project, capsys, 2, "windows", "onee")
    nothing = "no model with partitions is selected\n"
    assert said(project, capsys, 1, "windows", "--exclude", "one", "two") == nothing
    for name in ("one", "two"):
        (project.root / f"models/{name}.sql").unlink()
    for words in ((), ("whole",)):
        assert "the project has no model with partitions" in said(
            project, capsys, 1, "windows", *words
        )


def test_clean(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = Runs(tmp_path / "project")
    files = {f"models/{name}.sql": "select 1 as id" for name in ("m/a", "m/b", "other/c", "m/d")}
    runs.write_on(system, monkeypatch, files)
    runs.run()
    for name in ("m/a", "m/b", "other/c"):
        (runs.root / f"models/{name}.sql").unlink()

    def cleaned(*words: str) -> tuple[int, str]:
        code = run(runs.root, "clean", "--relations", *words)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    assert set(runs.contents()) == {"m.d"}
    code, text = cleaned("aa", "--yes")
    assert (code, "`aa` matches nothing" in text) == (2, True)
    code, text = cleaned("m", "--exclude", "b", "--yes")
    assert (code, text.splitlines()[-1]) == (0, "Dropped 1 relation.")
    code, text = cleaned()
    assert code == 0
    assert ("m.b" in text, "other.c" in text, "step m.a" in text) == (True, True, False)
