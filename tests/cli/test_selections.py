"""`ls SELECT`: what it takes from the project, its last run, its warehouse and git."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_cases import git, run
from dagster_models import load_project
from dagster_models.definitions.selection import asset_nodes
from dagster_models.project.selection import select
from running import make_project

FILES = {
    "models/staging/stg.sql": "/* @model tags: [nightly] */ select 1 as id",
    "models/marts/sums.sql": "select id / $by as id from stg",
    "models/marts/inline.sql": "/* @model materialized: ephemeral */ select * from sums",
    "models/marts/last.sql": "select * from inline",
}


def names(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(root, "ls", *arguments) == 0, capsys.readouterr().err
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_what_ls_selects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, FILES, "vars: {by: 1}\njobs: {test: {}}\n")
    root = project.root
    assert names(root, capsys, "stg+1") == ["staging.stg", "marts.sums"]
    assert names(root, capsys, "--select", "stg+", "--exclude", "tag:nightly", "last") == [
        "marts.sums",
        "marts.inline",
    ]
    assert names(root, capsys, "kind:ephemeral") == ["marts.inline"]
    assert run(root, "ls", "last", "smus") == 2
    assert "`smus` matches nothing; did you mean sums" in capsys.readouterr().err
    for words in ([""], ["--select", " "], ["", ""]):
        assert run(root, "ls", *words) == 2
        assert "the selection is empty" in capsys.readouterr().err
    project.write({"models/sources.yaml": "sources: [{name: raw, tables: [failed_orders]}]"})
    assert run(root, "ls", "failed_orders") == 2
    assert "`failed_orders` selects only what the project reads" in capsys.readouterr().err
    assert run(root, "ls", "failed") == 2
    assert "there was none yet" in capsys.readouterr().err


def test_what_has_changed_and_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path / "repository", FILES, "vars: {by: 1}\njobs: {test: {}}\n")
    root = project.root
    git(root.parent, "init", "--quiet", "--initial-branch", "main")
    git(root.parent, "add", "-A")
    git(root.parent, "commit", "--quiet", "-m", "first")
    every = ["staging.stg", "marts.sums", "marts.last"]
    assert names(root, capsys, "changed") == every, "nothing is built yet"
    (root / "models/marts/sums.sql").write_text("select error('no') as id from stg")
    assert project.run().code == 1
    assert names(root, capsys, "changed") == every[1:]
    assert names(root, capsys, "failed") == ["marts.sums"]
    assert names(root, capsys, "failed+") == ["marts.sums", "marts.last", "marts.inline"]
    (root / "models/marts/sums.sql").write_text("select id / 2 as id from stg")
    assert names(root, capsys, "changed:HEAD") == ["marts.sums"]
    assert project.run().code == 0
    assert names(root, capsys, "changed+ failed+") == []
    (root / "models/staging/stg.sql").write_text("-- why\n" + FILES["models/staging/stg.sql"])
    assert names(root, capsys, "changed") == []


def test_checks_that_failed_after_all_models_are_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "/* @model\ncolumns: {id: {checks: [{not_null: {severity: %s}}]}}\n*/\n"
    files = {
        "models/a.sql": head % "error" + "select null::int as id",
        "models/b.sql": "select id from a",
        "models/c.sql": head % "warn" + "select id from b",
    }
    project = make_project(tmp_path, files, "checks: after\njobs: {test: {}}\n")
    assert project.run().code == 1
    assert names(project.root, capsys, "failed") == ["main.a"]
    assert run(project.root, "explain", "last", "failed") == 0
    assert "main.b:" not in capsys.readouterr().out


def test_a_schema_and_the_method_of_dbt_mean_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a run asks Dagster's assets, in which a source has no file."""
    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
        "models/staging/stg.sql": "select 1 as id from raw.orders",
        "models/marts/sums.sql": "select id from stg",
    }
    root = make_project(tmp_path, files).root
    for selection in ("raw+1", "source:raw+1", "source:raw.orders+1", "kind:source+1"):
        assert names(root, capsys, selection) == ["staging.stg"]
    nodes = asset_nodes(load_project(root).assets or ())
    for selection in ("raw+1", "source:raw+1"):
        assert select(nodes, selection, None) == ["raw/orders", "staging/stg"]
