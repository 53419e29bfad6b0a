"""``dagster-models``: a project seen from the shell.

    dagster-models init FOLDER         a first project, and a Dagster home for it
    dagster-models import-dbt PATH     a project of a dbt project, without Jinja
    dagster-models check               all problems of the project; exit code 1 if there are errors
    dagster-models plan [SELECT]       what a run would build and why, and how long it takes
    dagster-models run [SELECT]        a run, which Dagster's UI shows under its job and assets
    dagster-models retry               the last run goes on, if it has failed or was canceled
    dagster-models ls [SELECT]         its steps in the order in which they would run
    dagster-models compile marts.x     the SQL that is sent to the warehouse
    dagster-models lineage marts.x.y   what a column is made of, and what is made of it
    dagster-models diff HEAD~3         what changed in meaning since a commit, and what it touches
    dagster-models results             what the last run did, from its journal
    dagster-models explain             why the last run took as long as it did, from its journal
    dagster-models explain last marts.x    what became of one step, and when
    dagster-models report [RUN]        a page about a run: slots over time, failures, checks
    dagster-models script FILE         one script, run against the warehouse
    dagster-models checks [marts.x]    checks alone, of models and sources as they are
    dagster-models show marts.x        the first rows of a model's query
    dagster-models sql 'select ...'    a query of the warehouse, with the names of models
    dagster-models shell               a prompt for such queries
    dagster-models windows marts.x     which of its partitions are built, and which are not
    dagster-models clean --relations   what no model builds any more; ``--yes`` drops it
    dagster-models docs                a site about the project, in one folder
    dagster-models schemas             the JSON schemas of its files, for editors
    dagster-models test                unit tests of models, rolled back; exit code 0, 1 or 2
    dagster-models completion bash     completion of commands, options and names for a shell

The project is the folder given with ``--project``, else the nearest one at or above the current
folder that holds ``dagster_models.yaml``, else ``./project``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from dagster_models.cli import streams
from dagster_models.errors import DagsterModelsError, SelectionError
from dagster_models.util.gc_tuning import rare_collections
from dagster_models.util.nearest import nearest


class Command(Protocol):
    """A module of this folder: its name is the command's. ``run`` returns the exit code."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, options: argparse.Namespace) -> int: ...


class Commands(Mapping[str, Command]):
    """The commands by their names. A module is imported when it is asked for: all of them would be
    half of the time of a small command, and of each completion in a shell."""

    names = (
        "init",
        "import-dbt",
        "check",
        "checks",
        "plan",
        "run",
        "retry",
        "ls",
        "compile",
        "lineage",
        "diff",
        "results",
        "explain",
        "report",
        "clean",
        "windows",
        "script",
        "show",
        "sql",
        "shell",
        "test",
        "docs",
        "schemas",
        "completion",
    )

    def __getitem__(self, name: str) -> Command:
        if name not in self.names:
            raise KeyError(name)
        with rare_collections():  # what it imports stays
            return cast(Command, import_module(f"dagster_models.cli.{name.replace('-', '_')}"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


COMMANDS: Mapping[str, Command] = Commands()


#: The commands whose exit code 1 says that something failed in what they ran. What keeps them from
#: running it is a call that cannot be carried out.
_RUNNING = frozenset({"run", "retry", "test"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 for success, 1 for errors, 2 for a wrong call."""
    try:
        return _called(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C


def _called(given: Sequence[str]) -> int:
    streams.prepare()
    named = COMMANDS.keys() & set(given)
    options = parser(named or COMMANDS.keys()).parse_args(given)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with streams.reader_may_leave():
            return run(options)
    except DagsterModelsError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, SelectionError) or options.command in _RUNNING else 1


class _Version(argparse.Action):
    """Prints the version, which takes 20 ms to find."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("dagster-models")
        except PackageNotFoundError:  # it runs from a folder
            found = "(not installed)"
        print(f"{parser.prog} {found}")
        parser.exit()


class _SuggestingParser(argparse.ArgumentParser):
    """A parser that names the nearest word for a wrong one, as Python's own does from 3.14 on."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from ", message)
        if wrong is not None:
            close = nearest(wrong[1], re.findall(r"[\w-]+", message[wrong.end() :]))
            message += f"; did you mean {close[0]}?" if close else ""
        super().error(message)


def parser(commands: Collection[str]) -> argparse.ArgumentParser:
    """The parser of all options. Of *commands* it knows the arguments, and of others the names."""
    parser = _SuggestingParser(
        prog="dagster-models", description="Run a project of models, and look at it."
    )
    text = "show program's version number and exit"
    parser.add_argument("--version", action=_Version, nargs=0, help=text)
    folder = "the project's folder (default: the nearest one with a dagster_models.yaml)"
    parser.add_argument("--project", type=Path, metavar="FOLDER", help=folder)
    every = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        if name not in commands:
            every.add_parser(name)
            continue
        command = COMMANDS[name]
        own = every.add_parser(name, help=command.HELP)
        own.add_argument(
            "--project", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=folder
        )
        command.add_arguments(own)
        own.set_defaults(command=name, run=command.run)
    return parser
