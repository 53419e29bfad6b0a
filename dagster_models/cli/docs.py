"""``dagster-models docs``: the project as a site of one folder, which works from the disk."""

from __future__ import annotations

import argparse
import datetime as dt
import os
from pathlib import Path

from dagster_models.cli.project import (
    add_vars,
    project_of,
    warn_of_broken_files,
)
from dagster_models.cli.writing import writing
from dagster_models.pages.site import site_files
from dagster_models.reporting.journal import latest_journal, read_journal
from dagster_models.util.atomic_file import replace_file

HELP = "write a site about the project: models, columns, lineage, checks, the last run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "where to write it (default: docs/ in the project's target/)"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=text)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options)
    journal = latest_journal(project.target_path)
    contents = read_journal(journal) if journal else None
    folder = options.into or Path(project.target_path) / "docs"
    with writing(folder):
        for name, text in site_files(project, contents, dt.datetime.now(dt.timezone.utc)).items():
            replace_file(folder / name, text)
    print(os.path.relpath(folder / "index.html"))
    return warn_of_broken_files(project)
