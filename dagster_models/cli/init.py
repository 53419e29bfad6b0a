"""``dagster-models init [PATH]``: a first project, and a Dagster home with the fast event log."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from string import Template

from dagster_models.cli import first_project
from dagster_models.cli.first_project import PYPROJECT, TABLES, WORKFLOW, commands
from dagster_models.cli.schemas import write_schemas
from dagster_models.cli.writing import write_new
from dagster_models.errors import DagsterModelsError
from dagster_models.project.dbt_folders import unread_dbt_folders
from dagster_models.project.first_project import DEFINITIONS, name_for
from dagster_models.project.load import target_path_of
from dagster_models.project.settings import PROJECT_FILE

HELP = "write a first project and its Dagster home"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "where to write it (default: the current folder)"
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="PATH", help=text)


def run(options: argparse.Namespace) -> int:
    folder = options.folder.resolve()
    if (folder / PROJECT_FILE).exists():
        raise DagsterModelsError(f"{folder} has a {PROJECT_FILE} already: choose another folder")
    name = name_for(re.sub(r"[-. ]", "_", folder.name))
    repository = _repository_above(folder)
    inside = folder.relative_to(repository).as_posix() if repository else "."
    example = not (folder / "models").is_dir()
    every = first_project.texts(name, inside, example)
    kept = [path for path, text in every.items() if not write_new(folder / path, text)]
    write_schemas(Path(target_path_of(folder)) / "schemas")
    for path in kept:
        print(f"{os.path.relpath(folder / path)} is there already and stays as it is")
    for note in _notes(folder, name, kept, repository):
        print(f"  {note}")
    print(f"The project {name} is in {folder}. Run it, and look at it in the UI:\n")
    for command in commands(folder, ["run"], DEFINITIONS if PYPROJECT in kept else ""):
        print(command)
    return 0


def _repository_above(folder: Path) -> Path | None:
    """The git repository that has the folder below its own, if one has."""
    if (folder / ".git").exists():
        return None
    return next((it for it in folder.parents if (it / ".git").exists()), None)


def _notes(
    folder: Path, name: str, kept: Collection[str], repository: Path | None
) -> Iterator[str]:
    """What is left to do by hand."""
    if DEFINITIONS in kept:
        yield (
            f"Add `load_project(Path(__file__).parent)` of dagster_models to the Definitions in"
            f" {DEFINITIONS} (see `Definitions.merge`)."
        )
    if PYPROJECT in kept:
        yield f"So that `dagster dev` and `dg` find the project, add to {PYPROJECT}:"
        for line in Template(TABLES).substitute(name=name).splitlines():
            yield f"    {line}".rstrip()
    for it in unread_dbt_folders(folder):
        yield f"{it.what[0].upper()}{it.what[1:]}. {it.fix}"
    if repository is not None and WORKFLOW not in kept:
        yield f"GitHub reads workflows in {repository / '.github'}: move {WORKFLOW} there."
