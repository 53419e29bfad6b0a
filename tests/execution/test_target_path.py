"""`target_path` and its variable move everything that is written for a project."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dagster_models.core.model import Project as LoadedProject
from dagster_models.errors import ProjectError
from dagster_models.project.load import target_path_of
from project_cases import load_with_caches, write_project
from running import Project, make_project

VARIABLE = "DAGSTER_MODELS_TARGET_PATH"
MODELS = {"models/a.sql": "select 1 as n", "models/b.py": "def model(warehouse): ...\n"}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def loaded(root: Path, settings: str, environ: dict[str, str] | None = None) -> LoadedProject:
    files = {"dagster_models.yaml": f"name: p\n{settings}", **MODELS}
    return load_with_caches(write_project(root, files), environ=environ or {})


@pytest.mark.parametrize(
    ("settings", "environ", "folder"),
    [
        ("", {}, "project/target"),
        ("target_path: build/dm\n", {}, "project/build/dm"),
        ("target_path: ../out\n", {}, "out"),
        ("target_path: ${BASE}/x\n", {"BASE": "../y"}, "y/x"),
        ("target_path: build\n", {VARIABLE: "../env"}, "env"),
        ("", {VARIABLE: "../env", "HOME": "/"}, "env"),
        ("target_path: build\n", {VARIABLE: ""}, "project/build"),
    ],
)
def test_where_a_load_writes(
    tmp_path: Path, settings: str, environ: dict[str, str], folder: str
) -> None:
    root = tmp_path / "project"
    project = loaded(root, settings, environ)
    expected = tmp_path / folder
    assert project.target_path == str(expected) == target_path_of(root, environ)
    assert project.targets["dev"].settings["path"] == str(expected / "p.duckdb")
    assert files_of(expected) == {"parsed.cache", "traces.cache", ".gitignore"}
    assert len(files_of(tmp_path)) == 3 + 3, "and nothing is written elsewhere"


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        loaded(tmp_path, "target_path: ${NO_SUCH}/x\n")
    (found,) = caught.value.problems
    assert (found.path, found.line) == ("dagster_models.yaml", 2)
    assert "`target_path` needs the environment variable NO_SUCH" in found.what


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Project]:
    """A project on a disk that nobody can write, as an image of a container has it."""
    settings = "targets:\n  dev: {type: duckdb, path: '${DATABASE}'}\n"
    models = {
        "models/a.sql": "/* @model\nmaterialized: table\n*/\nselect 1 as n",
        "models/b.py": "def model(warehouse): return warehouse.table('a')\n",
        "scripts/c.py": "from dagster_models import warehouse\nprint(warehouse.table('b'))\n",
    }
    project = make_project(tmp_path, {**models, "dagster_models.yaml": "name: test\n" + settings})
    root = str(project.root)
    for options in (["--bind", root], ["-o", "remount,ro,bind"]):
        if subprocess.run(["mount", *options, root], capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
    yield project
    subprocess.run(["umount", "-l", root], check=True)


@pytest.mark.slow
def test_a_read_only_project(
    read_only: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "written" / "here"))
    with pytest.raises(OSError, match="Read-only"):
        (read_only.root / "x").touch()
    report = read_only.run()
    assert report.code == 0, report.stdout + report.stderr
    assert "WARNING" not in report.stdout
    with duckdb.connect(str(tmp_path / "w.duckdb")) as notebook:
        assert notebook.execute("from b").fetchall() == [(1,)]
    written = files_of(tmp_path / "written" / "here")
    assert {"run_results.json", "schemas.json", "parsed.cache", ".gitignore"} <= written
    assert any(name.startswith("runs/") for name in written)
    done = read_only.dagster_models("results")
    assert "Done. PASS=3" in done.stdout, done.stderr
    monkeypatch.delenv(VARIABLE)
    report = read_only.run()
    assert report.code == 0, "only the files are missing"
    for text in ("the results could not be written", str(read_only.root / "target"), VARIABLE):
        assert text in report.stdout
    assert f"uid {os.getuid()}" in report.stdout
