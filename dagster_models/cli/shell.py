"""``dagster-models shell``: a prompt for queries, in which models have their names.

It reads from a terminal, or from a pipe or file. Each query is a transaction of its own, in which
the database refuses writes, and it goes through the warehouse process: a run may have the file open
meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dagster_models.cli.project import (
    add_target,
    add_vars,
    project_of,
    refuse_missing,
)
from dagster_models.cli.rows import add_limit, rows_text
from dagster_models.cli.sql import sent
from dagster_models.cli.statements import split
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, checks_task, warehouse_address
from dagster_models.core.checks import checks_of
from dagster_models.core.model import Key, Project, Target
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target
from dagster_models.util.nearest import nearest
from dagster_models.util.text_table import aligned

HELP = "open a prompt for queries of the warehouse; `.help` says what else it knows"

HISTORY = "shell_history"  #: the file's name in the project's target folder
_HISTORY_LINES = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    add_limit(parser)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options, columns=False)
    target = usable_target(project, options.target)
    refuse_missing(target)
    shell = Shell(project, target, options.limit)
    try:
        return _prompt(shell) if sys.stdin.isatty() else _script(shell, sys.stdin.read())
    finally:
        shell.close()


class Shell:
    """What the prompt carries out: statements, and commands that begin with a dot."""

    def __init__(self, project: Project, target: Target, limit: int) -> None:
        self.project, self._target, self._limit = project, target, limit
        self._session: Session | None = None
        #: What a query may name -> what that is.
        self.names: Mapping[Key, str] = {
            **{key: step.built_as for key, step in project.steps.items() if step.relation},
            **dict.fromkeys(project.sources, "source"),
        }

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        leave_all()

    def answer(self, statement: str) -> str:
        """The text that a statement or command prints.

        Raises:
            DagsterModelsError: it cannot be carried out.
            EOFError: it ends the shell.
        """
        if not statement.startswith("."):
            query = sent(self.project, self._target, statement)
            return rows_text(self._connected(), self.project, self._target, query, self._limit)
        word, *arguments = statement.split()
        command = _COMMANDS.get(word)
        if command is None:
            close = nearest(word, _COMMANDS)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_COMMANDS)}"
            raise DagsterModelsError(f"`{word}` is not a command; {hint}")
        return command(self, " ".join(arguments))

    def tables(self, _: str) -> str:
        relations = {relation_for(self.project, key, self._target): key for key in self.names}
        there = {relations[it] for it in self._connected().there(relations)}
        rows = [
            (str(key), kind, "" if key in there else "not there")
            for key, kind in self.names.items()
        ]
        return "\n".join(aligned(rows)) if rows else "The project has no tables."

    def schema(self, name: str) -> str:
        """The columns of a relation that is there, in the warehouse's words."""
        found = [key for key in self.names if name.lower() in (str(key).lower(), key.name.lower())]
        if len(found) != 1:
            known = {spelling: key for key in self.names for spelling in (str(key), key.name)}
            close = found or dict.fromkeys(known[it] for it in nearest(name, known, 3))
            hint = f": did you mean {' or '.join(map(str, close))}?" if close else ""
            what = f"`.schema {name}` names nothing that is known" if name else "name a table"
            raise DagsterModelsError(f"{what}{hint}")
        (key,) = found
        step = self.project.steps.get(key) or checks_of(self.project.sources[key])
        it = TargetStep(self.project, step, self._target, builds=False).only(False, ())
        outcome = self._connected().run(checks_task(it, "shell", 1))
        if outcome.error is not None:
            raise DagsterModelsError(outcome.error.message)
        return "\n".join(aligned(outcome.columns))

    def help(self, _: str) -> str:
        return _HELP

    def quit(self, _: str) -> str:
        raise EOFError

    def _connected(self) -> Session:
        if self._session is None or self._session.closed:
            self._session = connect(warehouse_address(self.project, self._target))
        return self._session


_COMMANDS: Mapping[str, Callable[[Shell, str], str]] = {
    ".tables": Shell.tables,
    ".schema": Shell.schema,
    ".help": Shell.help,
    ".quit": Shell.quit,
    ".exit": Shell.quit,
}
_HELP = """\
select ...;     run a query, which may have several lines
.tables         what the project builds and reads
.schema NAME    the columns of a table
.quit           leave, as Ctrl-D does; Ctrl-C stops a query"""


def statements(lines: Iterator[str]) -> Iterator[str]:
    """The statements and commands in lines of text. A command is a line of its own."""
    rest = ""
    for line in lines:
        if not rest.strip() and line.lstrip().startswith("."):
            rest = ""
            yield line.strip()
            continue
        found, rest = split(f"{rest}{line}\n")
        yield from found
    if rest.strip():
        yield rest.strip()


def _script(shell: Shell, text: str) -> int:
    """Carry out all of a text, up to its first error."""
    with contextlib.suppress(EOFError):
        for statement in statements(iter(text.splitlines())):
            print(shell.answer(statement), flush=True)
    return 0


def _prompt(shell: Shell) -> int:
    with _history(shell):
        print(f"Queries of {shell.project.name} end with a semicolon. `.help` lists commands.")
        buffer = ""
        while True:
            try:
                line = input("   ... " if buffer.strip() else f"{shell.project.name}> ")
                if buffer.strip() or not line.lstrip().startswith("."):
                    ready, buffer = split(f"{buffer}{line}\n")
                else:
                    ready = [line.strip()]
                for statement in ready:
                    print(shell.answer(statement), flush=True)
            except EOFError:
                print()
                return 0
            except KeyboardInterrupt:  # of a line, or of a query, whose session is closed then
                buffer = ""
                print()
            except DagsterModelsError as error:
                buffer = ""
                print(error, file=sys.stderr)


@contextlib.contextmanager
def _history(shell: Shell) -> Iterator[None]:
    """Lines of earlier shells, and names of tables with the tabulator, if there is readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    words = sorted({*_COMMANDS, *map(str, shell.names), *(key.name for key in shell.names)})

    def complete(text: str, number: int) -> str | None:
        found = [word for word in words if word.lower().startswith(text.lower())]
        return found[number] if number < len(found) else None

    path = Path(shell.project.target_path, HISTORY)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,;()=")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
