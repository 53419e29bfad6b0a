"""``dagster-models schemas``: the JSON schemas of the files of a project, for editors."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from dagster_models.cli.project import folder_of
from dagster_models.cli.writing import writing
from dagster_models.project.json_schemas import json_schemas
from dagster_models.project.load import target_path_of
from dagster_models.util.atomic_file import replace_file

HELP = "write the JSON schemas of the project's files, for editors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "where to write them (default: schemas/ in the project's target/)"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=text)


def run(options: argparse.Namespace) -> int:
    folder = options.into or Path(target_path_of(folder_of(options))) / "schemas"
    for path in write_schemas(folder):
        print(os.path.relpath(path))
    return 0


def write_schemas(folder: Path) -> list[Path]:
    """Write each schema to a file of its name.

    Raises:
        DagsterModelsError: the folder cannot be written.
    """
    paths = []
    with writing(folder):
        for name, schema in json_schemas().items():
            paths.append(folder / f"{name}.json")
            replace_file(paths[-1], json.dumps(schema, indent=1) + "\n")
    return paths
