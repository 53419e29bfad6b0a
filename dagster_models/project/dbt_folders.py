"""Warns of folders of dbt's in a project, which the load does not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dagster_models.errors import Problem

_DBT_PROJECT = "dbt_project.yml"
#: The folder -> what takes the place of its files.
_INSTEAD = {
    "snapshots": "a snapshot is a model with `materialized: snapshot`",
    "tests": "a test is a file of checks/",
    "macros": "a macro is a function, an ephemeral model or a `def sql(vars)`",
    "analyses": "`dagster-models sql` runs a query, and a view keeps one",
}
_FIXTURES = "fixtures"  #: its files are the rows of unit tests, which are read


def unread_dbt_folders(root: str | os.PathLike[str]) -> Iterator[Problem]:
    """A warning about each folder of dbt's that has SQL."""
    is_dbt = (Path(root) / _DBT_PROJECT).is_file()
    for folder, instead in _INSTEAD.items():
        count = _count(Path(root, folder))
        if count:
            files = f"its {count} files" if count > 1 else "its file"
            what = f"nothing of {folder}/ is read, and {files} of SQL may be meant for dbt"
            fix = f"Here {instead}."
            if is_dbt:
                fix = f"`dagster-models import-dbt .` makes a project of a dbt project. {fix}"
            yield Problem(what, folder, fix=fix, severity="warning")


def _count(folder: Path) -> int:
    found = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [it for it in folders if it != _FIXTURES and not it.startswith(".")]
        found += sum(it.endswith(".sql") for it in files)
    return found
