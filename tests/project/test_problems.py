"""What load() reports, exactly: the cases of tests/data/errors, and files that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dagster_models.errors import ProjectError
from paths import DATA
from project_cases import make, report_of, split_case, write_project

ERRORS = sorted((DATA / "errors").glob("*.txt"))


@pytest.mark.parametrize("case", ERRORS, ids=lambda path: path.stem)
def test_the_report(case: Path, tmp_path: Path) -> None:
    files, expected = split_case(case.read_text(encoding="utf-8"))
    root = tmp_path / "p"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    assert expected.strip(), "a case without a report proves nothing"
    assert report_of(root) == expected


def test_there_are_cases() -> None:
    assert len(ERRORS) >= 12


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no such folder" in report_of(tmp_path / "nowhere")


def test_a_file_that_is_not_utf8_is_reported_with_its_place(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"models/b.sql": "select * from a"})
    (root / "models/a.sql").write_bytes(b"select 1 as x\n  -- gr" + b"\xfc\xdf")
    report = report_of(root)
    assert "models/a.sql:2:8: error: the file is not UTF-8: byte 0xfc at offset 21" in report
    assert "1 problem" in report, "to its reader it must not be unknown"


def test_sql_that_a_warehouse_would_cut_is_reported_whoever_writes_it(tmp_path: Path) -> None:
    """DuckDB and PostgreSQL run what stands before a NUL character: here, one row of two."""
    files = {
        "models/a.sql": "select 1 as n -- a\0\nunion all select 2",
        "models/b.py": "def sql(vars):\n    return 'select 1 as n -- \\0\\nwhere false'",
        "models/c.py": "def model(warehouse):\n    return warehouse.sql('select 1 -- \\0')",
        "checks/d.sql": "select * from e\n-- \0\nwhere n > 1",
        "models/e.sql": "select 1 as n",
        "dagster_models.yaml": "name: p\nunreadable_sql: warn",
    }
    report = report_of(write_project(tmp_path, files))
    what = "there is a NUL character, at which a warehouse ends the text"
    lines = [line for line in report.splitlines() if line.endswith(what)]
    places = ["checks/d.sql:2:4", "models/a.sql:1:19", "models/b.py:1:1", "models/c.py:2:1"]
    assert [line.partition(": error: ")[0] for line in lines] == places


@pytest.mark.parametrize(
    ("dialect", "fix"), [("duckdb", "Delete it, or write chr(0)."), ("postgres", "Delete it.")]
)
def test_what_to_do_about_a_nul_depends_on_the_warehouse(
    tmp_path: Path, dialect: str, fix: str
) -> None:
    """DuckDB returns the character for chr(0), which is an error of PostgreSQL: no text has it."""
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}",
        "models/a.sql": "select 'a\0' as n",
    }
    assert report_of(write_project(tmp_path, files)).splitlines()[2].strip() == fix


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"models/b.sql": "select * from a"})
    (root / "models/a.sql").symlink_to(root / "gone.sql")
    assert "models/a.sql:1:1: error: cannot be read: No such file" in report_of(root)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"models/b.sql": "select 1 as x"})
    os.mkfifo(root / "models/a.sql")
    (root / "models/a.yml").symlink_to("/dev/zero")
    report = report_of(root)
    for path in ("models/a.sql", "models/a.yml"):
        assert f"{path}:1:1: error: cannot be read: it is a pipe or a device" in report


def test_every_error_of_all_files_is_in_one_report(tmp_path: Path) -> None:
    files = {f"models/m{i}.sql": f"/* @model\nkye{i}: 1\n*/\nselect from" for i in range(5)}
    with pytest.raises(ProjectError) as caught:
        make(tmp_path, files)
    assert len(caught.value.problems) == 10
