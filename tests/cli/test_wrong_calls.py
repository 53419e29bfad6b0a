"""Calls that cannot be carried out: one plain message, the exit code, and no stack trace."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import duckdb
import pytest

from cli_cases import run
from dagster_models.cli.main import main
from project_cases import write_project

FILES = {
    "dagster_models.yaml": "name: p\ntargets: {dev: {type: duckdb, path: p.duckdb}}\n",
    "definitions.py": "raise AssertionError",
    "models/m/good.sql": "select 1 as x",
    "models/m/bad.sql": "/* @model\nmaterialized: table\n*/\nselect 1 as a,\n  nope() as x",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "")
    return write_project(tmp_path / "p", FILES)


def test_a_home_that_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, broken, odd, corrupt = (root / name for name in ("file", "broken", "odd", "corrupt"))
    file.write_text("")
    for folder, text in ((broken, "storage: ["), (odd, "nope: 1")):
        folder.mkdir()
        (folder / "dagster.yaml").write_text(text)
    (corrupt / "history").mkdir(parents=True)
    (corrupt / "dagster.yaml").write_text("")
    (corrupt / "history/runs.db").write_text("no database" * 100)
    cases = {
        str(root / "gone"): "which is not there: create it, or name another folder",
        str(file): "which is no folder",
        "relative": "it must be an absolute path",
        str(broken): "which Dagster cannot use: while parsing a flow node",
        str(odd): 'Received unexpected config entry "nope"',
        str(corrupt): "file is not a database",
    }
    for home, why in cases.items():
        monkeypatch.setenv("DAGSTER_HOME", home)
        assert run(root, "run") == 2
        said = capsys.readouterr().err
        assert said.startswith(f"DAGSTER_HOME is {home}")
        assert why in said
        assert said.count("\n") == 1, said
        assert len(said) < 500


def test_what_is_named_and_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = {
        ("run", "-f", "nope.py"): "-f: there is no file nope.py",
        ("retry", "-w", "nope.yaml"): "-w: there is no file nope.yaml",
    }
    for call, message in calls.items():
        assert (run(root, *call), capsys.readouterr().err) == (2, f"{message}\n")


def test_a_query_that_fails_has_its_place(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    duckdb.connect(str(root / "p.duckdb")).close()
    assert run(root, "show", "bad") == 1
    assert capsys.readouterr().err.startswith("models/m/bad.sql:5: CatalogException: ")


def test_ctrl_c_is_no_stack_trace_wherever_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dagster_models.cli.main.import_module", interrupted)
    assert main(["check"]) == 130, "while the modules of a command are loaded"
    assert capsys.readouterr() == ("", "")


def test_the_version_is_that_of_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (
        0,
        f"dagster-models {metadata.version('dagster-models')}\n",
    )
