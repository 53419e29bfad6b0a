"""From a unit test to what a session builds for it, in a transaction that is rolled back.

Each relation keeps its name, in a schema whose name begins with a prefix that nothing else has: the
tables that are given, the functions, and the model's own. So the SQL is what a run would send, but
for the names, on a target where nobody else is, and nothing of the real one is read or locked.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.compilation.sql_text import dialect_on, literal_on, parsed_text
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.compilation.unit_test_rows import cast_of, rows_query
from dagster_models.compilation.unit_test_tables import (
    Columns,
    Fixture,
    fixtures_of,
    refuse_one_table_twice,
)
from dagster_models.core.extras import NO_EXTRAS
from dagster_models.core.materializations import (
    UNRECORDED,
    Incremental,
    Materialization,
    Snapshot,
)
from dagster_models.core.model import EMPTY, Key, Location, Project, Relation, Step, Target
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import Cell, GivenQuery, GivenRows, UnitTest
from dagster_models.core.windows import Partition
from dagster_models.errors import ProjectError, SqlSyntaxError
from dagster_models.project.problems import problem
from dagster_models.project.unit_tests.reads import read_tables, wrong_reads
from dagster_models.project.unit_tests.values import value_of
from dagster_models.project.yaml.fields import BadValue
from dagster_models.sql.clock import frozen
from dagster_models.sql.fill_in import quote
from dagster_models.util.nearest import suggest


@dataclass(frozen=True, slots=True)
class CompiledTest:
    """What is run in this order: ``schemas`` (SQL), ``fixtures``, ``functions``, ``model``.
    ``project`` and ``step`` are those of the test."""

    test: UnitTest
    project: Project
    step: Step
    schemas: str
    fixtures: tuple[Fixture, ...]
    functions: tuple[BuildTask, ...]
    model: BuildTask


def of_tests(project: Project, target: Target, prefix: str) -> tuple[Project, Target]:
    """The project and the target as tests see them: the schemas of sources, too, begin with the
    prefix."""
    sources = {}
    for key, source in project.sources.items():
        real = source.relation
        schema = f"{real.catalog}__{real.schema}" if real.catalog else real.schema
        sources[key] = replace(source, relation=Relation(prefix + schema, real.name))
    changed = replace(project, sources=sources)
    return changed, replace(target, schema_prefix=prefix, catalog=None)


def compile_test(
    project: Project,
    target: Target,
    test: UnitTest,
    columns: Mapping[Key, Schema],
    partitions: Sequence[Partition] = (),
) -> CompiledTest:
    """The test on a project and target of ``of_tests``. ``columns``: what is known of those of each
    table that it needs, and ``partitions`` are its own.

    Raises:
        ProjectError: the type of a column is not known, or the model reads or does something that a
            test cannot control.
    """
    project, step = _set_up(project, test)
    read = read_tables(project, step)
    if problems := list(wrong_reads(step, read, test.location)):
        raise ProjectError(problems)
    fixtures = tuple(fixtures_of(project, target, test, step, read, columns))
    functions = tuple(
        _build_task(TargetStep(project, project.steps[key], target), test, columns)
        for key in read.functions
    )
    one = TargetStep(
        project,
        step,
        target,
        full_refresh=test.full_refresh,
        partitions=tuple(partitions),
        run_started_at=test.now,
    )
    model = _build_task(one, test, columns)
    refuse_one_table_twice(test, fixtures)
    tasks = [*(it.task for it in fixtures), *functions, model]
    if (expected := expected_table(test, target.schema_prefix)) is not None:
        tasks.append(expected)
    schemas = create_schemas(tasks, dialect_on(project, target))
    return CompiledTest(test, project, step, schemas, fixtures, functions, model)


def create_schemas(tasks: Iterable[BuildTask], dialect: str) -> str:
    """The statements that create the schemas of these tasks."""
    names = dict.fromkeys(task.relation.schema for task in tasks)
    return "; ".join(f"CREATE SCHEMA {quote(name, dialect)}" for name in names)


def _set_up(project: Project, test: UnitTest) -> tuple[Project, Step]:
    """The project with the variables of the test, and the model in it, as one with a relation."""

    def with_variables(step: Step) -> Step:
        own = {name: it for name, it in test.variables.items() if name in step.variables}
        return replace(step, variables={**step.variables, **own}) if own else step

    steps = {key: with_variables(step) for key, step in project.steps.items()}
    ephemerals = {key: with_variables(step) for key, step in project.ephemerals.items()}
    if test.model in ephemerals:
        step = ephemerals[test.model]
        config = replace(step.config, materialized="view")
        steps[test.model] = replace(step, config=config, relation=Relation(*step.key))
    return replace(project, steps=steps, ephemerals=ephemerals), steps[test.model]


def _build_task(one: TargetStep, test: UnitTest, columns: Mapping[Key, Schema]) -> BuildTask:
    """What a run would build, without what it does besides."""
    project, step, target = one.project, one.step, one.target
    try:
        _refuse_hidden(project, step)
        task = task_for(one, "unit_tests", 1)
        assert isinstance(task, BuildTask)
        assert isinstance(task.content, Query)
        texts = [task.content.sql, task.content.full]
        if test.since is not None:
            since = _since(project, target, step, test.since, columns)
            texts = [text.replace(SINCE, since) for text in texts]
        if test.now is not None:
            dialect, now = project.dialect, test.now
            texts = [frozen(text, dialect, now) if text else "" for text in texts]
    except SqlSyntaxError as error:
        place = step.place(error.line, error.column)
        what = f"{test}: {error.what}"
        raise ProjectError([problem(what, place, error.fix)]) from None
    return replace(
        task,
        content=Query(*texts),
        materialization=_materialization(task.materialization, test.now),
        input_versions=EMPTY,
        checks=(),
        builder=None,
        undeclared=EMPTY,
        extras=NO_EXTRAS,
    )


def _materialization(how: Materialization, now: dt.datetime | None) -> Materialization:
    if isinstance(how, Incremental):
        return replace(how, code_version=UNRECORDED)
    if isinstance(how, Snapshot) and now is not None:
        utc = now.astimezone(dt.timezone.utc)
        return replace(how, now=f"{utc:%Y-%m-%d %H:%M:%S.%f}")
    return how


def _refuse_hidden(project: Project, step: Step) -> None:
    """Raise SqlSyntaxError for a text that may read what nobody knows."""
    known = {str(key).lower() for key in (*project.steps, *project.sources)}
    for text in filter(None, (step.sql, step.full_sql)):
        parsed = parsed_text(project, text, queries_only=True)
        for line, column, what in parsed.unseen:
            fix = "Name the table in the FROM: a test puts its own rows in place of the name."
            raise SqlSyntaxError(f"what it reads is not known: {what}", line, column, fix)
        for line, column, function, parts in parsed.suspects:
            if (name := ".".join(parts)).lower() in known:
                what = f"`{function}(...)` may read {name}, where a test cannot put its own rows"
                raise SqlSyntaxError(what, line, column, f"Read {name} in the FROM of the query.")
        if parsed.opaque:
            raise SqlSyntaxError("what it reads is not known", 1, 1)


def _since(
    project: Project, target: Target, step: Step, cell: Cell, columns: Mapping[Key, Schema]
) -> str:
    """The value of `$since` as SQL, of the type of its column if that is known."""
    assert step.config.since is not None
    of, name = columns.get(step.key, Schema()), step.config.since.column.lower()
    type_ = next((type_ for column, type_ in of.columns if column.lower() == name), "")
    try:
        if not type_:
            return literal_on(project, target, value_of(cell))
        return cast_of(cell, type_, dialect_on(project, target))
    except BadValue as bad:
        raise ProjectError([problem(f"`since`: {bad.what}", bad.place, bad.fix)]) from None


# --- what is compared ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ComparedRows:
    """The two queries whose rows must be the same, of these columns."""

    columns: tuple[str, ...]
    expected: str
    there: str


def expected_table(test: UnitTest, prefix: str) -> BuildTask | None:
    """The table of what a query expects; None if the rows are written out."""
    if not isinstance(test.expect, GivenQuery):
        return None
    relation = Relation(f"{prefix}expected", test.model.name)
    return BuildTask("unit_tests", "expect", 1, relation, Query(test.expect.sql))


def comparison(
    project: Project,
    target: Target,
    compiled: CompiledTest,
    there: Columns,
    expected: Columns = (),
) -> ComparedRows:
    """What is compared: the columns that the test expects, if it expects rows. ``there`` are those
    of the table, and ``expected`` those of ``expected_table``.

    Raises ProjectError for one that the table does not have, and for a value that is not of the
    type of its column.
    """
    test, known = compiled.test, {name.lower(): (name, type_) for name, type_ in there}
    expect, dialect = test.expect, dialect_on(project, target)
    assert expect is not None
    places: Mapping[str, Location] = dict.fromkeys((name for name, _ in expected), expect.location)
    if isinstance(expect, GivenRows):
        places = expect.columns
    wrong = [
        problem(
            f"`expect`: the table {test.model} has no column `{name}`",
            place,
            suggest(name, [column for column, _ in there], "Columns"),
        )
        for name, place in places.items()
        if name.lower() not in known
    ]
    if wrong:
        raise ProjectError(wrong)
    columns = [known[name.lower()] for name in places] or list(there)
    if isinstance(expect, GivenRows):
        expected = columns
        table = f"(\n{rows_query(expect, dict(columns), dialect)}\n) AS expected"
    else:
        task = expected_table(test, target.schema_prefix)
        assert task is not None
        table = _named(task.relation, dialect)
    as_texts = [
        bool(_TIMES.fullmatch(one) and _TIMES.fullmatch(other))
        for (_, one), (_, other) in zip(expected, columns, strict=True)
    ]
    there_now, text = _named(compiled.model.relation, dialect), target.type.value_forms.text_type
    return ComparedRows(
        tuple(name for name, _ in columns),
        _selected(expected, as_texts, table, dialect, text),
        _selected(columns, as_texts, there_now, dialect, text),
    )


def _named(relation: Relation, dialect: str) -> str:
    return f"{quote(relation.schema, dialect)}.{quote(relation.name, dialect)}"


#: Of these Python does not have all values: nanoseconds, months as such, infinity, the year 10000.
_TIMES = re.compile(r"(date|time|interval)[^\[]*", re.IGNORECASE)


def _selected(
    columns: Columns, as_texts: Sequence[bool], table: str, dialect: str, text: str
) -> str:
    names = (quote(name, dialect) for name, _ in columns)
    listed = (
        f"CAST({name} AS {text})" if as_text else name
        for name, as_text in zip(names, as_texts, strict=True)
    )
    return f"SELECT {', '.join(listed)} FROM {table}"
