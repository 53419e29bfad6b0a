"""Runs unit tests: each in a transaction of one session, which is rolled back.

    BEGIN -> schemas -> given tables -> functions -> the model -> compare -> ROLLBACK

Nothing asks for a COMMIT, and the end of the session, for whatever reason, is a rollback, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dagster_models.compilation.places import place_of
from dagster_models.compilation.sql_text import dialect_on, relation_for
from dagster_models.compilation.tasks import TargetStep, task_for, warehouse_address
from dagster_models.compilation.unit_test_tables import Fixture, joined, knows_too_little, needed
from dagster_models.compilation.unit_tests import (
    CompiledTest,
    columns_on,
    comparison,
    compile_test,
    create_schemas,
    expected_table,
    of_tests,
)
from dagster_models.core.model import Key, Location, Project, Step, Target
from dagster_models.core.tasks import BuildTask, ChecksTask
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import UnitTest
from dagster_models.core.windows import Partition
from dagster_models.errors import (
    DagsterModelsError,
    Problem,
    ProjectError,
    WarehouseError,
    WarehouseLost,
)
from dagster_models.processes.client.rehearsal import rehearse
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.built_schemas import remembered
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
        prefix = f"unit_test_{os.urandom(4).hex()}_"
        project, target = of_tests(self.project, self.target, prefix)
        with connect(warehouse_address(self.project, self.target)) as session:
            session.execute(
                "SET SESSION TimeZone = 'UTC'"
            )  # else a result would depend on the machine
            columns = self._columns(session, project, target, tests)
            for compiled in _compiled(project, target, tests, columns):
                yield _result(session, target, compiled)

    def _columns(
        self, session: Session, project: Project, target: Target, tests: Sequence[UnitTest]
    ) -> dict[Key, Schema]:
        """The columns of all tables that the tests need, as far as anybody knows them."""
        built = remembered(self.project.target_path)
        found: dict[Key, Schema] = {}
        unknown: list[Key] = []
        for test in tests:
            step = project.steps.get(test.model) or project.ephemerals[test.model]
            for key in needed(test, read_tables(project, step)):
                if key not in found:
                    found[key] = columns_on(project, key, built, target)
                if knows_too_little(found[key], test.given.get(key)) and key not in unknown:
                    unknown.append(key)
        for key in list(unknown):
            seed = project.steps.get(key)
            if seed is not None and seed.kind == "seed":
                with _rolled_back(session):
                    task = task_for(TargetStep(project, seed, target), "unit_tests", 1)
                    assert isinstance(task, BuildTask)
                    session.execute(create_schemas([task]))
                    found[key] = joined(found[key], rehearse(session, task))
                unknown.remove(key)
        for key, schema in self._of_tables(unknown).items():
            found[key] = joined(found[key], schema)
        return found

    def _of_tables(self, keys: Sequence[Key]) -> dict[Key, tuple[tuple[str, str], ...]]:
        """The columns of those tables that are there."""
        if not keys or self.tables_of is None:
            return {}
        found = {}
        relations = {key: relation_for(self.project, key, self.tables_of) for key in keys}
        try:
            with connect(warehouse_address(self.project, self.tables_of)) as session:
                there = session.there(relations.values())
                for key, relation in relations.items():
                    if relation in there:
                        task = ChecksTask("unit_tests", str(key), 1, relation)
                        found[key] = session.run(task).columns
        except WarehouseError:
            if self.tables_of is self.target:
                raise
        return {key: columns for key, columns in found.items() if columns}


def _compiled(
    project: Project, target: Target, tests: Sequence[UnitTest], columns: Mapping[Key, Schema]
) -> list[CompiledTest]:
    """All tests, ready to run. Raises ProjectError with all that is wrong in them."""
    found, problems = [], list[Problem]()
    for test in tests:
        try:
            partitions = _partitions(project.steps[test.model], test) if test.partitions else ()
            found.append(compile_test(project, target, test, columns, partitions))
        except ProjectError as error:
            problems += error.problems
    if problems:
        raise ProjectError(list(dict.fromkeys(problems)))
    return found


def _partitions(step: Step, test: UnitTest) -> list[Partition]:
    from dagster_models._dagster.partitions import PARTITION_TAG, run_partitions  # takes a second

    assert step.partitions is not None
    try:
        found = (run_partitions(step.partitions, {PARTITION_TAG: it}) for it in test.partitions)
        return [partition for each in found for partition in each]
    except ValueError as error:
        raise ProjectError([problem(f"`partition`: {error}", test.location)]) from None


@contextmanager
def _rolled_back(session: Session) -> Iterator[None]:
    session.begin()
    try:
        yield
    finally:
        if not session.closed:
            session.rollback()


# --- one test --------------------------------------------------------------------------------


class _WrongTest(Exception):
    """What a test gives or expects cannot be."""


def _result(session: Session, target: Target, compiled: CompiledTest) -> UnitTestResult:
    began, test = time.perf_counter(), compiled.test

    def seconds() -> float:
        return time.perf_counter() - began

    try:
        with _rolled_back(session):
            found = _difference(session, target, compiled)
    except WarehouseLost:
        raise
    except ProjectError as error:
        return UnitTestResult(test, "wrong", seconds(), error="\n".join(map(str, error.problems)))
    except _WrongTest as error:
        return UnitTestResult(test, "wrong", seconds(), error=str(error))
    except WarehouseError as error:
        return UnitTestResult(test, "error", seconds(), error=_placed(error, compiled))
    return UnitTestResult(test, "failed" if found else "passed", seconds(), found)


def _difference(session: Session, target: Target, compiled: CompiledTest) -> RowDifference | None:
    test, project = compiled.test, compiled.project
    try:
        session.execute(compiled.schemas)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        what = f"the tests cannot create their schemas on the target {target.name}"
        raise DagsterModelsError(f"{what}: {error.message}") from error
    dialect = dialect_on(project, target)
    lacking = [said for it in compiled.fixtures if (said := _give(session, it, dialect))]
    for function in compiled.functions:
        _function(session, compiled, function)
    columns = _model(session, compiled, lacking)
    task = expected_table(test, target.schema_prefix)
    expected = _query(session, task, test.expect.location, "expect") if task is not None else ()
    compared = comparison(project, target, compiled, columns, expected)
    try:
        wanted = session.query(compared.expected)
    except WarehouseError as error:
        raise _WrongTest(f"{test.expect.location}: `expect`: {error.message}") from None
    return row_difference(compared.columns, wanted, session.query(compared.there), test.key)


def _give(session: Session, fixture: Fixture, dialect: str) -> str:
    """Make a table of the test; return what the model may miss in it, "" for nothing."""
    place, what = fixture.location, f"given {fixture.key}"
    columns = _query(session, fixture.task, place, what)
    statements, missing = fixture.completed(columns, dialect)
    try:
        for statement in statements:
            session.execute(statement)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        raise _WrongTest(f"{place}: `{what}`: {error.message}") from None
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
    try:
        return rehearse(session, task)
    except WarehouseLost:
        raise
    except WarehouseError as error:
        raise _WrongTest(f"{location}: `{what}`: {error.message}") from None


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
