"""Runs unit tests: each in a rehearsal of one session, a transaction where there are such.

    begin -> schemas -> given tables -> functions -> the model -> compare -> rollback

Nothing asks for a COMMIT, and the end of the session, for whatever reason, is a rollback, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dagster_models.compilation.places import place_of
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.compilation.unit_test_tables import Fixture
from dagster_models.compilation.unit_tests import (
    CompiledTest,
    comparison,
    compile_test,
    expected_table,
    of_tests,
)
from dagster_models.core.model import Key, Location, Project, Step, Target
from dagster_models.core.tasks import BuildTask
from dagster_models.core.unit_tests import UnitTest
from dagster_models.core.windows import Partition
from dagster_models.errors import (
    DagsterModelsError,
    Problem,
    ProjectError,
    WarehouseError,
    WarehouseLost,
)
from dagster_models.execution.unit_test_columns import KnownColumns
from dagster_models.processes.client.rehearsal import complete, rehearse, rehearsing
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.problems import problem
from dagster_models.project.unit_tests.reads import read_tables
from dagster_models.reporting.row_difference import RowDifference, row_difference
from dagster_models.reporting.unit_tests import UnitTestResult


@dataclass(frozen=True, slots=True)
class UnitTestRun:
    """Unit tests on ``target``. Types that the project does not know are those of the tables of
    ``tables_of``, None if these are not to be looked at."""

    project: Project
    target: Target
    tables_of: Target | None = None

    def results(self, tests: Sequence[UnitTest]) -> Iterator[UnitTestResult]:
        """The result of each test, as soon as it is there.

        Raises:
            ProjectError: a test cannot be what it says; then none was run.
            WarehouseError: the warehouse cannot be reached, or was lost.
        """
        with self._begun(tests) as run:
            for compiled in run.compiled(tests):
                yield _result(run.session, run.target, compiled)

    def results_one_by_one(self, tests: Sequence[UnitTest]) -> Iterator[UnitTestResult]:
        """The same of tests in the order of their models, where what is wrong in one of them is its
        result: "skipped" if nobody knows a table that it needs, as the model could not be built.

        Raises WarehouseError: the warehouse cannot be reached, or was lost.
        """
        unbuilt: set[Key] = set()
        with self._begun(tests) as run:
            for test in tests:
                try:
                    (compiled,) = run.compiled([test])
                except ProjectError as error:
                    result = _not_asked(test, unbuilt & run.read_by(test), error)
                else:
                    result = _result(run.session, run.target, compiled)
                if result.state != "passed":
                    unbuilt.add(test.model)
                yield result

    @contextmanager
    def _begun(self, tests: Sequence[UnitTest]) -> Iterator[_Begun]:
        prefix = f"unit_test_{os.urandom(4).hex()}_"
        project, target = of_tests(self.project, self.target, prefix)
        with connect(warehouse_address(self.project, self.target)) as session:
            known = KnownColumns(
                self.project, self.target, self.tables_of, project, target, session
            )
            known.look(tests)
            yield _Begun(project, target, session, known)


@dataclass(frozen=True, slots=True)
class _Begun:
    """The project and the target as tests see them."""

    project: Project
    target: Target
    session: Session
    known: KnownColumns

    def compiled(self, tests: Sequence[UnitTest]) -> list[CompiledTest]:
        """The tests, ready to run. Raises ProjectError with all that is wrong in them."""
        project, found, problems = self.project, [], list[Problem]()
        for test in tests:
            try:
                partitions = _partitions(project.steps[test.model], test) if test.partitions else ()
                known = self.known.of(test)
                found.append(compile_test(project, self.target, test, known, partitions))
            except ProjectError as error:
                problems += error.problems
        if problems:
            raise ProjectError(list(dict.fromkeys(problems)))
        return found

    def read_by(self, test: UnitTest) -> set[Key]:
        """The tables that its model reads."""
        step = self.project.steps.get(test.model) or self.project.ephemerals[test.model]
        return set(read_tables(self.project, step).tables)


def _partitions(step: Step, test: UnitTest) -> list[Partition]:
    from dagster_models._dagster.partitions import PARTITION_TAG, run_partitions  # takes a second

    assert step.partitions is not None
    try:
        found = (run_partitions(step.partitions, {PARTITION_TAG: it}) for it in test.partitions)
        return [partition for each in found for partition in each]
    except ValueError as error:
        raise ProjectError([problem(f"`partition`: {error}", test.location)]) from None


# --- one test --------------------------------------------------------------------------------


class _WrongTest(Exception):
    """What a test gives or expects cannot be."""


def _result(session: Session, target: Target, compiled: CompiledTest) -> UnitTestResult:
    began, test = time.perf_counter(), compiled.test

    def seconds() -> float:
        return time.perf_counter() - began

    try:
        with rehearsing(session):
            found = _difference(session, target, compiled)
    except WarehouseLost:
        raise
    except ProjectError as error:
        return _wrong(test, error, seconds())
    except _WrongTest as error:
        return UnitTestResult(test, "wrong", seconds(), error=str(error))
    except WarehouseError as error:
        return UnitTestResult(test, "error", seconds(), error=_placed(error, compiled))
    return UnitTestResult(test, "failed" if found else "passed", seconds(), found)


def _not_asked(test: UnitTest, unbuilt: set[Key], error: ProjectError) -> UnitTestResult:
    if not unbuilt:
        return _wrong(test, error)
    names = ", ".join(sorted(map(str, unbuilt)))
    return UnitTestResult(test, "skipped", 0.0, error=f"it reads {names}, which is not built")


def _wrong(test: UnitTest, error: ProjectError, seconds: float = 0.0) -> UnitTestResult:
    return UnitTestResult(test, "wrong", seconds, error="\n".join(map(str, error.problems)))


def _difference(session: Session, target: Target, compiled: CompiledTest) -> RowDifference | None:
    test, project = compiled.test, compiled.project
    try:
        session.execute(compiled.schemas)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        what = f"the tests cannot create their schemas on the target {target.name}"
        raise DagsterModelsError(f"{what}: {error.message}") from error
    lacking = [said for it in compiled.fixtures if (said := _give(session, it))]
    for function in compiled.functions:
        _function(session, compiled, function)
    columns = _model(session, compiled, lacking)
    if test.expect is None:
        return None
    task = expected_table(test, target.schema_prefix)
    expected = _query(session, task, test.expect.location, "expect") if task is not None else ()
    compared = comparison(project, target, compiled, columns, expected)
    with _blaming(test.expect.location, "expect"):
        wanted = session.query(compared.expected)
    return row_difference(compared.columns, wanted, session.query(compared.there), test.key)


def _give(session: Session, fixture: Fixture) -> str:
    """Make a table of the test; return what the model may miss in it, "" for nothing."""
    place, what = fixture.location, f"given {fixture.key}"
    columns = _query(session, fixture.task, place, what)
    added, mark, missing = fixture.completed(columns)
    with _blaming(place, what):
        complete(session, fixture.task.relation, added, mark)
    return f"{place}: `{what}`: no column {', '.join(missing)} is there" if missing else ""


def _model(
    session: Session, compiled: CompiledTest, lacking: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Build the model. If that fails, what its tables are *lacking* is the likely reason."""
    try:
        return rehearse(session, compiled.model)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        if not lacking:
            raise
        said = (f"{it}, and {compiled.test.model} reads it" for it in lacking)
        raise _WrongTest("\n".join((*said, _placed(error, compiled)))) from None


def _query(
    session: Session, task: BuildTask, location: Location, what: str
) -> tuple[tuple[str, str], ...]:
    with _blaming(location, what):
        return rehearse(session, task)


@contextmanager
def _blaming(place: Location, what: str) -> Iterator[None]:
    """What the warehouse refuses in the block is wrong in the test."""
    try:
        yield
    except WarehouseLost:
        raise
    except WarehouseError as error:
        raise _WrongTest(f"{place}: `{what}`: {error.message}") from None


def _function(session: Session, compiled: CompiledTest, task: BuildTask) -> None:
    try:
        rehearse(session, task)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        error.message = f"the function {task.step}: {error.message}"
        error.line = None
        raise


def _placed(error: WarehouseError, compiled: CompiledTest) -> str:
    """The error of a build with its place in the model's file."""
    step = compiled.step
    place = step.location.path
    if error.line is not None and not step.sql_line:
        read = step.references
        at = place_of(compiled.project, step, error.line, step.sql, place, read)
        place = f"{at.path}:{at.line}"
    return f"{place}: {error.message}"
