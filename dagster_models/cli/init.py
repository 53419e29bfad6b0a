"""``dagster-models init [FOLDER]``: a first project, and a Dagster home with the fast event log."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from dagster_models.core.target_types import DUCKDB
from dagster_models.errors import DagsterModelsError
from dagster_models.project.settings import PROJECT_FILE

HELP = "write a first project and its Dagster home"

HOME = ".dagster_home"

_PROJECT = """\
name: {name}
targets:
  dev: {{type: {type}, path: target/{name}.{type}}}
models: {{materialized: table}}
jobs:
  {name}: {{selection: "*"}}
"""
_DEFINITIONS = """\
from pathlib import Path

from dagster import Definitions

from dagster_models import load_project, models_executor

defs = Definitions.merge(
    load_project(Path(__file__).parent),
    Definitions(executor=models_executor),  # of runs without a job, too
)
"""
_MODEL = """\
/* @model
description: Replace this by a query of yours.
columns:
  id: {checks: [unique, not_null]}
*/
select range as id from range(10)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "where to write it (default: the current folder)"
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help=text)


def run(options: argparse.Namespace) -> int:
    folder = options.folder.resolve()
    if (folder / PROJECT_FILE).exists():
        raise DagsterModelsError(f"{folder} has a {PROJECT_FILE} already: choose another folder")
    name = folder.name if re.fullmatch(r"[A-Za-z_]\w*", folder.name, re.ASCII) else "my_project"
    for path, text in _files(name).items():
        _write(folder / path, text)
    print(f"The project {name} is in {folder}. Run it, or look at it in the UI:\n")
    if folder != Path.cwd():
        print(f"cd {shlex.quote(str(folder))}")
    print(f'export DAGSTER_HOME="$PWD/{HOME}" DAGSTER_EVENT_BATCH_SIZE=1000')
    print("dagster-models run")
    print("dagster dev -f definitions.py")
    return 0


def _files(name: str) -> Mapping[str, str]:
    return {
        PROJECT_FILE: _PROJECT.format(name=name, type=DUCKDB.name),
        "definitions.py": _DEFINITIONS,
        "models/marts/example.sql": _MODEL,
        ".gitignore": f"target/\n{HOME}/*\n!{HOME}/dagster.yaml\n",
        f"{HOME}/dagster.yaml": (files(__package__) / "dagster.yaml").read_text("utf-8"),
    }


def _write(path: Path, text: str) -> None:
    """Write a file that is not there yet; one that is there stays as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"{os.path.relpath(path)} is there already and stays as it is")
    except OSError as error:
        raise DagsterModelsError(f"{path} cannot be written: {error.strerror}") from error
