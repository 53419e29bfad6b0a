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
