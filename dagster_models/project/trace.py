"""The columns of a whole project: the trace of every step, upstream before downstream.

The columns of a relation are known from, in this order: the project's own SQL and the first lines
of its seeds (certain), what sources.yaml or the header of a Python model declares, and what the
last build of the same code left in the warehouse. An unknown column is an error only where the
columns are certain. The rest may be incomplete or out of date, so it is a warning there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dagster_models.core.model import Column, Key, Location, Source, Step
from dagster_models.core.traced import (
    ColumnProblem,
    Schema,
    Trace,
    TracedColumn,
    TraceRequest,
    Upstream,
)
from dagster_models.project import contract
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.checks.columns import find_columns_of_checks, with_compared
from dagster_models.project.config import EPHEMERAL
from dagster_models.project.copied import is_copy
from dagster_models.project.ephemeral import is_ephemeral
from dagster_models.project.function import is_function
from dagster_models.project.function import known_schema as function_schema
from dagster_models.project.incremental import check_columns
from dagster_models.project.problems import Report, problem
from dagster_models.project.python.sql_function import in_generated
from dagster_models.project.snapshot import with_own_columns, with_own_types
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.util.progress import tell


@dataclass(frozen=True, slots=True)
class TraceContext:
    """What the traces of one load have in common.

    ``unknown_columns`` is error, warn or ignore. ``trace`` returns the trace of each of several
    queries that read nothing of each other.
    """

    dialect: str
    unknown_columns: str
    report: Report
    trace: Callable[[Sequence[TraceRequest]], Sequence[Trace]]


_UNKNOWN = Schema()


def trace_steps(
    steps: Mapping[Key, Step],
    sources: Mapping[Key, Source],
    built: Mapping[str, BuiltSchema],
    context: TraceContext,
) -> dict[Key, Step]:
    """The steps, each with its trace. *steps* are in topological order. Problems are reported."""
    schemas = {
        key: declared_schema(source.columns, context.dialect) for key, source in sources.items()
    }
    traced = dict(steps)
    inside: dict[Key, Trace] = {}  #: of ephemeral models, which stand in their readers
    word = dialect_of(context.dialect).own_type
    of_all, done = sum(map(_is_traced, steps.values())), 0
    for level in _levels(steps):
        queries = [step for step in level if _is_traced(step)]
        found = context.trace([_query(step, schemas, inside, context.dialect) for step in queries])
        traced.update(
            (step.key, replace(step, trace=with_own_columns(step, trace_, word)))
            for step, trace_ in zip(queries, found, strict=True)
        )
        tell("queries traced", done := done + len(queries), of_all)
        for step in level:
            version = built.get(str(step.key))
            schemas[step.key] = schema_of(traced[step.key], version, context.dialect)
            if is_ephemeral(step):
                inside[step.key] = traced[step.key].trace
    for step in traced.values():
        for it in step.trace.problems:
            line, column = it.line, it.column
            if step.sql_line:
                it = replace(it, what=in_generated(step.sql, line, it.what))
                line, column = step.sql_line, 1
            _report(it, Location(step.location.path, line, column), context)
    for owner in [step for step in traced.values() if step.checks]:
        checks = with_compared(owner, schemas, context.report)
        traced[owner.key] = replace(owner, checks=checks)
    for source in sources.values():  # reports only: its columns are as they are declared
        with_compared(source, schemas, context.report)
    owners: list[Step | Source] = [*traced.values(), *sources.values()]
    upstream_of = partial(_upstream, schemas=schemas, inside=inside)
    report = partial(_report, context=context)
    find_columns_of_checks(owners, schemas, upstream_of, context.trace, context.dialect, report)
    check_columns(traced, context.report)
    for step in traced.values():
        contract.compare(step, dialect_of(context.dialect), context.report)
    return traced


def _levels(steps: Mapping[Key, Step]) -> list[list[Step]]:
    """The steps by levels: no step of a level reads another one of it, and all that it reads is in
    the levels before. So the queries of a level can be traced at once."""
    depth: dict[Key, int] = {}
    levels: list[list[Step]] = []
    for key, step in steps.items():
        depth[key] = 1 + max([depth[read] for read in step.upstream if read in depth], default=-1)
        if depth[key] == len(levels):
            levels.append([])
        levels[depth[key]].append(step)
    return levels


def _is_traced(step: Step) -> bool:
    return step.kind == "sql" and not is_function(step) and not is_copy(step)


def _query(
    step: Step, schemas: Mapping[Key, Schema], inside: Mapping[Key, Trace], dialect: str
) -> TraceRequest:
    names = {reference.name for reference in step.references}
    return TraceRequest(step.sql, dialect, _upstream(step, schemas, inside, names))


def _upstream(
    step: Step | Source,
    schemas: Mapping[Key, Schema],
    inside: Mapping[Key, Trace],
    names: set[str] | None = None,
) -> dict[str, Upstream]:
    """What each name in the step's SQL means. Only the step itself has no schema yet."""
    return {
        name: Upstream((key.schema, key.name), schemas.get(key, _UNKNOWN), inside.get(key))
        for name, key in step.resolved.items()
        if names is None or name in names
    }


def _report(it: ColumnProblem, place: Location, context: TraceContext) -> None:
    if context.unknown_columns == "ignore":
        return
    certain = it.certain and (it.no_table or dialect_of(context.dialect).columns_measured)
    severity = "error" if certain and context.unknown_columns == "error" else "warning"
    context.report(problem(it.what, place, it.fix, severity, missing=it.missing))


# --- the schemas that readers rely on --------------------------------------------------------


def declared_schema(columns: Sequence[Column], dialect: str) -> Schema:
    """The schema that declared columns make. Without types they may be only some of the columns."""
    word = dialect_of(dialect).declared_type
    typed = tuple((column.name, word(column.type)) for column in columns)
    return Schema(typed, closed=bool(typed) and all(type_ for _, type_ in typed))


def schema_of(step: Step, built: BuiltSchema | None, dialect: str) -> Schema:
    """The schema of a step's relation. Types that the trace lacks come from the last build."""
    schema = step.trace.schema
    word = dialect_of(dialect).declared_type
    if is_function(step):
        return function_schema(step, word)
    if step.kind == "python" or is_copy(step):
        of_own = dialect_of(dialect).own_type
        schema = with_own_types(step, declared_schema(step.config.columns, dialect), of_own)
    elif step.config.materialized not in contract.REBUILT | {EPHEMERAL}:
        schema = replace(schema, certain=False)
    if built is None or built.code_version != step.code_version:
        return schema
    if not schema.closed:
        return Schema(built.columns, closed=True)
    types = {name.lower(): type_ for name, type_ in built.columns}
    filled = tuple((n, type_ or types.get(n.lower(), "")) for n, type_ in schema.columns)
    return replace(schema, columns=filled)


def seed_trace(names: Sequence[str], types: Mapping[str, str], dialect: str) -> Trace:
    """The columns of a seed: the names in its first line, with the types that are declared."""
    word = dialect_of(dialect).declared_type
    typed = {name.lower(): word(type_) for name, type_ in types.items()}
    columns = tuple(TracedColumn(name, typed.get(name.lower(), "")) for name in names)
    plain = all(name and name == name.strip() for name in names)
    apart = plain and len({name.lower() for name in names}) == len(names)
    return Trace(columns, closed=apart, certain=apart)
