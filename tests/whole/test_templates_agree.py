"""What a project with templates sends is what dbt compiles of the same files, token by token.

It needs dbt: see tests/support/real_dbt.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dagster_models.cli.main import main
from real_dbt import PYTHON, needs_dbt
from template_cases import (
    MODELS,
    TEMPLATES,
    compiled,
    dbt_project,
    jinja_project,
    load_jinja,
    words,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    needs_dbt,
]


def dbt(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [PYTHON, "-m", "dbt.cli.main", *arguments, "--profiles-dir", "."],
        cwd=folder,
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_both_compile_the_same(tmp_path: Path) -> None:
    theirs = dbt_project(tmp_path / "theirs")
    dbt(theirs, "deps")
    dbt(theirs, "run")  # now the incremental models are there, so that the next text is the other
    dbt(theirs, "compile")
    dbt(theirs, "compile", "--full-refresh", "--target-path", "full")
    ours = load_jinja(jinja_project(tmp_path / "ours"))
    for name in TEMPLATES:
        for folder, full in (("target", False), ("full", True)):
            text = (theirs / folder / f"compiled/shop/models/{name}.sql").read_text()
            assert words(compiled(ours, name, full=full)) == words(text), name


def test_an_import_keeps_what_renders_as_in_dbt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = dbt_project(tmp_path / "shop")
    text = "select {{ dbt.hash('id') }} as h, {{ dbt.concat(['kind', \"'x'\"]) }} as c from "
    (theirs / "models/hashed.sql").write_text(text + "{{ ref('stg_orders') }}")
    dbt(theirs, "deps")
    dbt(theirs, "run")
    dbt(theirs, "compile", "--full-refresh", "--target-path", "full")
    dbt(theirs, "compile")
    monkeypatch.chdir(tmp_path)
    command = ["import-dbt", "shop", "--keep-jinja", "*", "--verify", "--compiled", "shop/full"]
    assert main(command) == 0
    said = capsys.readouterr().out
    count = len(TEMPLATES) + len(MODELS)
    assert f"{count}  kept as a template" in said  # one has a relation in a literal
    assert "loops_over_refs: another text comes out of it here than in dbt" in said
    assert f"Texts beside what dbt has compiled: {count + 1} equal" in said


def test_dbts_own_macros_are_read_from_its_files(tmp_path: Path) -> None:
    """A project that calls `dbt.dateadd` and its like copies the folders that dbt has them in."""
    root = jinja_project(tmp_path / "ours")
    where = "import dbt.include.global_project as it; print(it.__path__[0])"
    done = subprocess.run([PYTHON, "-c", where], capture_output=True, text=True, check=True)
    include = Path(done.stdout.strip()).parent
    packages = {"dbt": "global_project", "dbt_duckdb": "duckdb"}
    for package, folder in packages.items():
        link = root / "packages_jinja" / package / "macros"
        link.parent.mkdir()
        link.symlink_to(include / folder / "macros")
    text = (
        "select {{ dbt.dateadd('day', 1, 'moment') }} as a,"
        " {{ dbt.safe_cast('id', type_string()) }} as b,"
        " {{ dbt.concat(['kind', \"'x'\"]) }} as c from {{ ref('stg_orders') }}"
    )
    (root / "models_jinja/main/dates.sql").write_text(text)
    theirs = dbt_project(tmp_path / "theirs")
    (theirs / "models/dates.sql").write_text(text)
    dbt(theirs, "deps")
    dbt(theirs, "compile", "--select", "dates")
    expected = (theirs / "target/compiled/shop/models/dates.sql").read_text()
    assert words(compiled(load_jinja(root), "dates")) == words(expected)
