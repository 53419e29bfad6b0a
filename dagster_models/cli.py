"""``dagster-models``: a project seen from the shell, without Dagster.

    dagster-models check               all problems of the project; exit code 1 if there are errors
    dagster-models ls                  its steps in the order they would run
    dagster-models compile marts.x     the SQL that is sent to the warehouse
    dagster-models results             what the last run did, from its journal
    dagster-models explain             why the last run took as long as it did, from its journal
    dagster-models explain last marts.x    what became of one step, and when

The project is the folder given with ``--project``, else the nearest one at or above the current
folder that holds ``dagster_models.yaml``, else ``./project``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dagster_models.core.compiled import compile_step
from dagster_models.core.fields import nearest
from dagster_models.core.model import Project, Step
from dagster_models.core.project import usable_target
from dagster_models.errors import DagsterModelsError, ProjectError
from dagster_models.explain import explain
from dagster_models.explain_text import run_lines, step_lines
from dagster_models.journal import find_journal, read_journal
from dagster_models.loading import load
from dagster_models.terminal import Terminal

PROJECT_FILE = "dagster_models.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 well, 1 errors in the project, 2 a wrong call."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except DagsterModelsError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dagster-models", description="A project of models.")
    parser.add_argument("--project", type=Path, help="its folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="find all problems of the project")
    check.set_defaults(run=_check)
    ls = commands.add_parser("ls", help="list its steps in the order they would run")
    ls.set_defaults(run=_ls)
    compile_ = commands.add_parser("compile", help="show the SQL that is sent to the warehouse")
    compile_.add_argument("model", help="schema.name, or a name that only one model bears")
    compile_.add_argument("--target", help="one of the project's targets")
    compile_.set_defaults(run=_compile)
    results = commands.add_parser("results", help="show what the last run did")
    results.set_defaults(run=_results)
    explain_ = commands.add_parser("explain", help="show why a run took as long as it did")
    explain_.add_argument("run_id", nargs="?", default="last", metavar="RUN", help=_RUN_HELP)
    explain_.add_argument("step", nargs="?", metavar="STEP", help="only the story of this step")
    explain_.add_argument("--steps", action="store_true", help="the story of every step, too")
    explain_.set_defaults(run=_explain)
    return parser


_RUN_HELP = "a run's id or how it begins; last, the default, is the one that wrote last"


def find_project(given: Path | None) -> Path:
    """The project's folder.

    Raises:
        DagsterModelsError: there is none.
    """
    if given is not None:
        return given
    here = Path.cwd()
    for folder in (here, *here.parents, here / "project"):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise DagsterModelsError(
        f"there is no {PROJECT_FILE} in {here}, above it, or in {here / 'project'}: "
        "say where the project is with --project"
    )


def _check(options: argparse.Namespace) -> int:
    try:
        project = load(find_project(options.project))
    except ProjectError as error:
        for problem in error.problems:
            print(problem)
        errors = sum(problem.severity == "error" for problem in error.problems)
        print(f"{errors} error{'s' if errors != 1 else ''}")
        return 1
    for warning in project.warnings:
        print(warning)
    print(f"No errors in {len(project.steps)} steps of {project.name}.")
    return 0


def _ls(options: argparse.Namespace) -> int:
    project = load(find_project(options.project))
    width = max((len(str(key)) for key in project.steps), default=0)
    for step in project.steps.values():
        built = step.config.materialized if step.kind == "sql" else step.kind
        print(f"{str(step.key).ljust(width)}  {built.ljust(6)}  {step.location.path}")
    return 0


def _compile(options: argparse.Namespace) -> int:
    project = load(find_project(options.project))
    step = _find(project, options.model)
    print(compile_step(project, step, usable_target(project, options.target)).strip())
    return 0


def _find(project: Project, name: str) -> Step:
    known = [step for step in project.steps.values() if step.kind == "sql"]
    found = [step for step in known if name in (str(step.key), step.key.name)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(str(step.key) for step in found)
        raise DagsterModelsError(f"several SQL models bear the name {name!r}: {told}")
    spellings = {spelling: step for step in known for spelling in (str(step.key), step.key.name)}
    close = dict.fromkeys(str(spellings[near].key) for near in nearest(name, spellings, 3))
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DagsterModelsError(f"there is no SQL model of the name {name!r}{hint}")


def _results(options: argparse.Namespace) -> int:
    folder = find_project(options.project) / "target"
    contents = read_journal(find_journal(folder))
    total = len(contents.header.steps) if contents.header else len(contents.steps)
    terminal = Terminal(sys.stdout, clock=lambda: "")
    for index, result in enumerate(contents.steps, start=1):
        terminal.finished(index, total, result)
    terminal.done(contents.steps, contents.end.seconds if contents.end else 0.0)
    if contents.end is None:
        terminal.note("The run has not ended: it still goes on, or it was killed.")
    return 0 if contents.end and contents.end.status == "success" else 1


def _explain(options: argparse.Namespace) -> int:
    path = find_journal(find_project(options.project) / "target", options.run_id)
    contents = read_journal(path)
    told = explain(contents)
    if told is None or contents.header is None:
        raise DagsterModelsError(f"{path} does not tell which run it is of: its head is torn")
    stories = {result.step: step_lines(told, result, contents.header) for result in contents.steps}
    if options.step is None:
        lines = run_lines(told, contents.header)
        if options.steps:
            lines += [line for story in stories.values() for line in ("", *story)]
    else:
        found = [s for s in stories if options.step in (s, s.partition(".")[2])]
        if len(found) != 1:
            close = ", ".join(found or nearest(options.step, stories, 3)) or "none"
            raise DagsterModelsError(
                f"the run has {len(found) or 'no'} steps of the name {options.step!r} that ended; "
                f"close to it: {close}"
            )
        lines = stories[found[0]]
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
