"""``dagster-models``: a project seen from the shell, without Dagster.

    dagster-models check               all problems of the project; exit code 1 if there are errors
    dagster-models ls                  its steps in the order they would run
    dagster-models compile marts.x     the SQL that is sent to the warehouse
    dagster-models lineage marts.x.y   what a column is made of, and what is made of it
    dagster-models diff HEAD~3         what changed in meaning since a commit, and what it touches
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
from functools import partial
from pathlib import Path

from dagster_models.cli import streams
from dagster_models.cli.check import (
    FORMATS,
    errors_among,
    others_broken,
    refusals,
    refuse_broken,
    report,
)
from dagster_models.cli.diff import as_json, as_text, diff
from dagster_models.cli.lineage import lineage
from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Project, Step
from dagster_models.definitions.sql_function import run_sql_function
from dagster_models.errors import DagsterModelsError, Problem, ProjectError
from dagster_models.project.compare import op_selection, selection
from dagster_models.project.load import load as load_project
from dagster_models.project.targets import usable_target
from dagster_models.reporting.explain import explain
from dagster_models.reporting.explain_text import run_lines, step_lines
from dagster_models.reporting.journal import find_journal, read_journal
from dagster_models.reporting.terminal import Terminal
from dagster_models.util.nearest import nearest

PROJECT_FILE = "dagster_models.yaml"
load = partial(load_project, run_sql_function=run_sql_function)
NO_MODELS = "It has no models yet: a .sql file in models/ is one."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 well, 1 errors in the project, 2 a wrong call."""
    streams.prepare()
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with streams.reader_may_leave():
            return run(options)
    except DagsterModelsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell says it


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dagster-models", description="A project of models.")
    parser.add_argument("--project", type=Path, help="its folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="find all problems of the project")
    check.add_argument("--format", choices=FORMATS, default="human", help="human, if not said")
    check.set_defaults(run=_check)
    ls = commands.add_parser("ls", help="list its steps in the order they would run")
    ls.set_defaults(run=_ls)
    compile_ = commands.add_parser("compile", help="show the SQL that is sent to the warehouse")
    compile_.add_argument("model", help="schema.name, or a name that only one model bears")
    compile_.add_argument("--target", help="one of the project's targets")
    compile_.set_defaults(run=_compile)
    lineage_ = commands.add_parser("lineage", help="show what columns are made of")
    lineage_.add_argument("name", metavar="MODEL[.COLUMN]", help="of a column, up and down")
    lineage_.set_defaults(run=_lineage)
    diff_ = commands.add_parser("diff", help="show what changed in meaning since a commit")
    diff_.add_argument(
        "ref", nargs="?", default="HEAD", metavar="GIT_REF", help="HEAD, if not said"
    )
    how = diff_.add_mutually_exclusive_group()
    how.add_argument("--select", action="store_true", help="only a Dagster asset selection of it")
    how.add_argument("--ops", action="store_true", help="the same for `job execute --op-selection`")
    how.add_argument("--format", choices=("human", "json"), default="human")
    diff_.set_defaults(run=_diff)
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
    root = find_project(options.project)
    good = ""
    try:
        project = load(root)
        problems: Sequence[Problem] = [*project.warnings, *refusals(project)]
        steps = len(project.steps)
        good = f"No errors in {steps} step{'s' if steps != 1 else ''} of {project.name}."
        good += "" if steps else f" {NO_MODELS}"
    except ProjectError as error:
        problems = error.problems
    if text := report(problems, options.format, root, good):
        print(text)
    return 1 if errors_among(problems) else 0


def _lineage(options: argparse.Namespace) -> int:
    project = load(find_project(options.project), whole=False)
    print(lineage(project, options.name))
    _tell_of_others(project)
    return 0


def _diff(options: argparse.Namespace) -> int:
    commit, comparison = diff(find_project(options.project), options.ref)
    if options.select:
        text = selection(comparison)
    elif options.ops:
        text = op_selection(comparison)
    elif options.format == "json":
        text = as_json(options.ref, commit, comparison)
    else:
        text = as_text(options.ref, commit, comparison)
    if text:
        print(text)
    return 0


def _ls(options: argparse.Namespace) -> int:
    project = load(find_project(options.project), columns=False, whole=False)
    if not project.steps:
        print(NO_MODELS, file=sys.stderr)
    width = max((len(str(key)) for key in project.steps), default=0)
    for step in project.steps.values():
        built = step.config.materialized if step.kind == "sql" else step.kind
        print(f"{str(step.key).ljust(width)}  {built.ljust(6)}  {step.location.path}")
    return _tell_of_others(project)


def _compile(options: argparse.Namespace) -> int:
    project = load(find_project(options.project), columns=False, whole=False)
    step = _find(project, options.model)
    refuse_broken(project, step)
    print(compile_step(project, step, usable_target(project, options.target)).strip())
    _tell_of_others(project)
    return 0


def _tell_of_others(project: Project) -> int:
    """One model that is wrong does not hide the others. The exit code of a list of all."""
    told = others_broken(project)
    if told:
        print(told, file=sys.stderr)
    return 1 if told else 0


def _find(project: Project, name: str) -> Step:
    known = [step for step in project.steps.values() if step.kind == "sql"]
    found = [step for step in known if name in (str(step.key), step.key.name)]
    if len(found) == 1:
        return found[0]
    if found:
        every = ", ".join(str(step.key) for step in found)
        raise DagsterModelsError(f"several SQL models bear the name {name!r}: {every}")
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
