"""``dagster-models``: a project seen from the shell.

    dagster-models init FOLDER         a first project, and a Dagster home for it
    dagster-models check               all problems of the project; exit code 1 if there are errors
    dagster-models run [SELECT]        a run, which Dagster's UI shows under its job and assets
    dagster-models retry               the last run goes on, if it has failed or was canceled
    dagster-models ls [SELECT]         its steps in the order in which they would run
    dagster-models compile marts.x     the SQL that is sent to the warehouse
    dagster-models lineage marts.x.y   what a column is made of, and what is made of it
    dagster-models diff HEAD~3         what changed in meaning since a commit, and what it touches
    dagster-models results             what the last run did, from its journal
    dagster-models explain             why the last run took as long as it did, from its journal
    dagster-models script FILE         one script, run against the warehouse
    dagster-models checks [marts.x]    checks alone, of models and sources as they are
    dagster-models show marts.x        the first rows of a model's query
    dagster-models sql 'select ...'    a query of the warehouse, with the names of models
    dagster-models windows marts.x     which of its partitions are built, and which are not
    dagster-models clean --relations   what no model builds any more; ``--yes`` drops it
    dagster-models schemas             the JSON schemas of its files, for editors
    dagster-models test                unit tests of models, rolled back; exit code 0, 1 or 2
    dagster-models explain last marts.x    what became of one step, and when

The project is the folder given with ``--project``, else the nearest one at or above the current
folder that holds ``dagster_models.yaml``, else ``./project``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from dagster_models.cli import (
    check,
    checks,
    clean,
    compile,
    diff,
    explain,
    init,
    lineage,
    ls,
    results,
    retry,
    run,
    schemas,
    script,
    show,
    sql,
    streams,
    test,
    windows,
)
from dagster_models.errors import DagsterModelsError, SelectionError


class Command(Protocol):
    """A module of this folder: its name is the command's. ``run`` returns the exit code."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, options: argparse.Namespace) -> int: ...


COMMANDS: Mapping[str, Command] = {
    "init": init,
    "check": check,
    "checks": checks,
    "run": run,
    "retry": retry,
    "ls": ls,
    "compile": compile,
    "lineage": lineage,
    "diff": diff,
    "results": results,
    "explain": explain,
    "clean": clean,
    "windows": windows,
    "script": script,
    "show": show,
    "sql": sql,
    "test": test,
    "schemas": schemas,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 for success, 1 for errors, 2 for a wrong call."""
    streams.prepare()
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with streams.reader_may_leave():
            return run(options)
    except SelectionError as error:
        print(error, file=sys.stderr)
        return 2
    except DagsterModelsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C


def _version() -> str:
    try:
        return version("dagster-models")
    except PackageNotFoundError:  # it runs from a folder
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dagster-models", description="Run a project of models, and look at it."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    folder = "the project's folder (default: the nearest one with a dagster_models.yaml)"
    parser.add_argument("--project", type=Path, metavar="FOLDER", help=folder)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.HELP)
        own.add_argument(
            "--project", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=folder
        )
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    return parser
