"""The dagster-models command, on real projects and the journal of a real run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models import load_project
from dagster_models.cli import main
from dagster_models.cli.main import COMMANDS
from dagster_models.cli.main import main as cli
from paths import REPOSITORY
from running import make_project

FILES = {
    "models/staging/orders.sql": "select 1 as id",
    "models/marts/totals.sql": "-- total\nselect count(*) as n from orders;",
}


def test_check_reports_all_problems_with_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"models/marts/bad.sql": "select from from", "models/marts/worse.sql": ""}
    project = make_project(tmp_path, {**FILES, **broken})
    assert cli(["--project", str(project.root), "check"]) == 1
    printed = capsys.readouterr().out
    assert "models/marts/bad.sql:1:" in printed
    assert "models/marts/worse.sql:1:1" in printed
    assert printed.endswith("2 errors\n")


def test_check_of_a_good_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, FILES)
    assert cli(["--project", str(project.root), "check"]) == 0
    assert capsys.readouterr().out == "No errors in 2 steps of test.\n"


def test_the_project_is_found_from_a_folder_inside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, FILES)
    monkeypatch.chdir(project.root / "models" / "marts")
    assert cli(["ls"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "staging.orders  table   models/staging/orders.sql",
        "marts.totals    table   models/marts/totals.sql",
    ]


def test_ls_says_how_each_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "models/a.sql": "select 1 as id",
        "models/b.py": 'def model(warehouse):\n    return [{"n": 1}]\n',
        "models/c.py": '"""\n@model\nmaterialized: incremental\nunique_key: n\n"""\n'
        'def model(warehouse):\n    return [{"n": 1}]\n',
        "seeds/d.csv": "id\n1\n",
        "scripts/e.py": "print(1)\n",
    }
    project = make_project(tmp_path, files)
    assert cli(["--project", str(project.root), "ls"]) == 0
    said = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    kinds = {"a": "table", "b": "table", "c": "incremental", "d": "seed", "e": "script"}
    assert {name.split(".")[-1]: kind for name, kind in said.items()} == kinds
    specs = {
        spec.key.path[-1]: spec for spec in load_project(project.root).resolve_all_asset_specs()
    }
    assert {name: specs[name].metadata["dagster_models/materialized"] for name in kinds} == kinds


def test_compile_shows_what_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, FILES)
    assert cli(["--project", str(project.root), "compile", "totals"]) == 0
    assert capsys.readouterr().out == '-- total\nselect count(*) as n from "staging"."orders"\n'
    assert cli(["--project", str(project.root), "compile", "total"]) == 1
    assert "marts.totals" in capsys.readouterr().err


def test_a_missing_project_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli(["check"]) == 1
    assert "--project" in capsys.readouterr().err


@pytest.mark.slow
def test_results_of_a_real_run(tmp_path: Path) -> None:
    project = make_project(
        tmp_path, {**FILES, "models/marts/bad.sql": "select nope(id) from orders"}
    )
    assert project.run().code == 1
    done = project.dagster_models("results")
    assert done.returncode == 1, done.stderr
    assert "models/marts/bad.sql:1" in done.stdout
    assert done.stdout.endswith("Done. PASS=2 WARN=0 ERROR=1 SKIP=0 CANCEL=0 TOTAL=3\n")


def test_every_command_says_what_it_does_and_is_documented(
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        assert f"dagster-models {name}" in readme
        assert f"dagster-models {name}" in (main.__doc__ or "")
        with pytest.raises(SystemExit) as done:
            main.main([name, "--help"])
        assert done.value.code == 0
        assert command.HELP
        assert f"usage: dagster-models {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "near"), [(["rnu"], "run"), (["check", "--format", "githb"], "github")]
)
def test_a_wrong_word_has_the_nearest_one(
    words: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main.main(words)
    assert done.value.code == 2
    assert f"did you mean {near}?" in capsys.readouterr().err
