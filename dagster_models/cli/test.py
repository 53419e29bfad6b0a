"""``dagster-models test``: the unit tests of a project, each rolled back."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dagster_models.cli.project import (
    add_vars,
    is_there,
    project_of,
)
from dagster_models.cli.selection import add_selection, wanted
from dagster_models.cli.writing import writing
from dagster_models.core.model import Key, Project, Target
from dagster_models.core.target_types import DEFAULT, target_type
from dagster_models.core.unit_tests import UnitTest
from dagster_models.errors import DagsterModelsError, ProjectError, SelectionError
from dagster_models.execution.unit_tests import UnitTestRun
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.problems import errors_of
from dagster_models.project.targets import usable_target
from dagster_models.project.unit_tests.empty import empty_tests
from dagster_models.project.unit_tests.read import FOLDER, read_unit_tests
from dagster_models.reporting.unit_tests import exit_code, junit_xml, summary, terminal_lines
from dagster_models.util.secrets import without

HELP = "run the unit tests of models; exit code 1 if one fails, 2 if one is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    where = "a target of the project (default: a database of its own, deleted afterwards)"
    parser.add_argument("--target", help=where)
    empty = "build each model from empty tables instead, to see whether the warehouse takes its SQL"
    parser.add_argument("--empty", action="store_true", help=empty)
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit's XML, too")
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    try:
        return _run(options)
    finally:
        leave_all()


def _run(options: argparse.Namespace) -> int:
    project = project_of(options)
    problems = errors_of(project.warnings)
    every = empty_tests(project) if options.empty else read_unit_tests(project, problems.append)
    tests = [test for test in every if _is_whole(project, test)]
    if problems:
        if not tests:
            raise ProjectError(problems)
        print(f"{ProjectError(problems)}\nThe tests of what is right:", file=sys.stderr)
    if not tests and options.empty:
        print("The project has no model in SQL that could be built from empty tables.")
        return 0
    if not tests:
        where = f"{FOLDER}/*.yaml, or `unit_tests:` in a YAML file beside models"
        print(f"The project has no unit tests: write them in {where}.")
        return 0
    to_run = chosen(project, tests, options)
    began, results = time.perf_counter(), []
    with _unit_test_run(project, options.target) as tested:
        run_tests = tested.results_one_by_one if options.empty else tested.results
        for result in run_tests(to_run):
            results.append(result)
            for line in terminal_lines(result):
                print(without(line, project.secrets), flush=True)
    print(summary(results, time.perf_counter() - began))
    if options.junit is not None:
        with writing(options.junit):
            options.junit.parent.mkdir(parents=True, exist_ok=True)
            options.junit.write_text(without(junit_xml(results), project.secrets), encoding="utf-8")
    return 2 if problems else exit_code(results)


def _is_whole(project: Project, test: UnitTest) -> bool:
    """Whether all is known of the model and of what it reads: a test needs their columns."""
    step = project.steps.get(test.model) or project.ephemerals[test.model]
    read = (project.steps.get(key) or project.sources.get(key) for key in step.resolved.values())
    return not any(item.problems for item in (step, *read) if item is not None)


def chosen(
    project: Project, tests: Sequence[UnitTest], options: argparse.Namespace
) -> list[UnitTest]:
    """The tests that the options name: by their own names or files, or by a selection of models.

    Raises SelectionError for a word that names none, and if nothing is left.
    """
    things: dict[Key, list[str]] = {}
    for test in tests:
        things.setdefault(test.model, []).extend(_names(test))
    asked = wanted(project, options, things, "test")
    found = [test for test in tests if asked.has(test.model, _names(test))]
    if not found:
        built = "is a model that could be built from empty tables"
        what = built if options.empty else "has a unit test"
        raise SelectionError(f"nothing that is selected {what}")
    return found


def _names(test: UnitTest) -> tuple[str, ...]:
    path = test.location.path.lower()
    return test.name.lower(), path, path.removeprefix(f"{FOLDER}/")


@contextmanager
def _unit_test_run(project: Project, name: str | None) -> Iterator[UnitTestRun]:
    """What runs tests on the target of that name, or in a database of their own."""
    if name is not None:
        target = usable_target(project, name)
        if not is_there(target):
            raise DagsterModelsError(
                f"the database of the target {name} is not there yet, and a test does not make it:"
                " build something first, or leave out --target"
            )
        yield UnitTestRun(project, target, target)
        return
    type_ = target_type(DEFAULT)
    if project.dialect != type_.name:
        raise DagsterModelsError(
            f"the SQL of this project is {project.dialect}, so its unit tests need a target:"
            f" `--target {project.default_target}`"
        )
    with TemporaryDirectory(prefix="dagster_models_") as folder:
        own = Target("unit_tests", type_, {type_.file_setting: os.path.join(folder, "tests")})
        try:
            yield UnitTestRun(project, own, _tables_of(project))
        finally:
            leave_all()


def _tables_of(project: Project) -> Target | None:
    """The project's own target, if its tables have types of the same words."""
    try:
        target = usable_target(project)
    except ProjectError:
        return None
    return target if target.type.name == DEFAULT and is_there(target) else None
