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

from dagster_models.cli.project import add_vars, folder_of, given_by, is_there, load
from dagster_models.core.model import Project, Target
from dagster_models.core.target_types import DUCKDB
from dagster_models.core.unit_tests import UnitTest
from dagster_models.errors import DagsterModelsError, Problem, ProjectError
from dagster_models.execution.unit_tests import UnitTestRun
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.targets import usable_target
from dagster_models.project.unit_tests.read import FOLDER, read_unit_tests
from dagster_models.reporting.unit_tests import exit_code, junit_xml, summary, terminal_lines
from dagster_models.util.nearest import nearest
from dagster_models.util.secrets import without

HELP = "run the unit tests of models; exit code 1 if one fails, 2 if one is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = "a model, a file of tests, or a test's name (default: all tests)"
    parser.add_argument("select", nargs="*", metavar="SELECT", help=which)
    where = "a target of the project (default: a database of its own, deleted afterwards)"
    parser.add_argument("--target", help=where)
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit's XML, too")
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    try:
        return _run(options)
    except DagsterModelsError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        leave_all()


def _run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), given=given_by(options))
    problems: list[Problem] = []
    tests = read_unit_tests(project, problems.append)
    if problems:
        raise ProjectError(problems)
    chosen = selected(tests, options.select)
    if not chosen:
        print(f"The project has no unit tests: see {FOLDER}/*.yaml in docs/unit_tests.md.")
        return 0
    began, results = time.perf_counter(), []
    with _unit_test_run(project, options.target) as tested:
        for result in tested.results(chosen):
            results.append(result)
            for line in terminal_lines(result):
                print(without(line, project.secrets), flush=True)
    print(summary(results, time.perf_counter() - began))
    if options.junit is not None:
        options.junit.parent.mkdir(parents=True, exist_ok=True)
        options.junit.write_text(without(junit_xml(results), project.secrets), encoding="utf-8")
    return exit_code(results)


def selected(tests: Sequence[UnitTest], words: Sequence[str]) -> list[UnitTest]:
    """The tests that one of *words* names. Raises DagsterModelsError for one that names none."""
    if not words:
        return list(tests)
    found: set[int] = set()
    for word in words:
        those = {at for at, test in enumerate(tests) if word.lower() in _names(test)}
        if not those:
            known = dict.fromkeys(name for test in tests for name in _names(test))
            close = nearest(word, known)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise DagsterModelsError(f"there is no unit test of {word!r}{hint}")
        found |= those
    return [test for at, test in enumerate(tests) if at in found]


def _names(test: UnitTest) -> list[str]:
    path = test.location.path
    names = (str(test.model), test.model.name, test.name, path, path.removeprefix(f"{FOLDER}/"))
    return [name.lower() for name in names]


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
    if project.dialect != DUCKDB.name:
        raise DagsterModelsError(
            f"the SQL of this project is {project.dialect}, so its unit tests need a target:"
            f" `--target {project.default_target}`"
        )
    with TemporaryDirectory(prefix="dagster_models_") as folder:
        own = Target("unit_tests", DUCKDB, {DUCKDB.file_setting: os.path.join(folder, "tests")})
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
    return target if target.type is DUCKDB and is_there(target) else None
