"""What a test may give rows for: the tables that a model reads, through ephemerals, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from dagster_models.core.model import Key, Location, Project, Step
from dagster_models.core.traced import Schema
from dagster_models.errors import Problem
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.function import is_function
from dagster_models.project.problems import problem
from dagster_models.project.trace import declared_schema, schema_of
from dagster_models.sql.dialects.table import dialect_of

#: Schemas of the warehouse itself, in which a test changes nothing.
_SYSTEM = frozenset({"information_schema", "pg_catalog"})


@dataclass(frozen=True, slots=True)
class ReadTables:
    """``tables`` are steps and sources, ``functions`` steps in the order in which they must exist.
    ``inside`` are ephemeral models, and ``by_functions`` tables that functions read. ``names``: a
    name in lower case -> what it may mean. ``undeclared``: a name that nobody declares -> its
    place."""

    tables: dict[Key, None] = field(default_factory=dict)
    functions: dict[Key, None] = field(default_factory=dict)
    inside: dict[Key, None] = field(default_factory=dict)
    by_functions: set[Key] = field(default_factory=set)
    names: dict[str, set[Key]] = field(default_factory=dict)
    undeclared: dict[str, Location] = field(default_factory=dict)


def read_tables(project: Project, step: Step) -> ReadTables:
    """What the query of *step* reads, and what stands in it."""
    found = ReadTables()
    _add(project, step, found)
    for key in found.tables:
        source = project.sources.get(key)
        names = {str(key), key.name, *([str(source.relation)] if source else [])}
        for name in names:
            found.names.setdefault(name.lower(), set()).add(key)
    return found


def wrong_reads(step: Step, read: ReadTables, place: Location) -> Iterator[Problem]:
    """What the step reads and no test can give rows for, as a problem at *place*."""
    for name, at in read.undeclared.items():
        what = f"{step.key} reads {name}, which the project does not declare ({at})"
        fix = "Declare it in models/sources.yaml: then a test can give its rows."
        yield problem(what, place, fix)


def _add(project: Project, step: Step, found: ReadTables, in_function: bool = False) -> None:
    for reference in step.references:
        key = step.resolved.get(reference.name)
        if key is None:
            hidden = reference.certain and not reference.call and not reference.written
            if hidden and _SYSTEM.isdisjoint(map(str.lower, reference.parts[:-1])):
                place = step.place(reference.line, reference.column)
                found.undeclared.setdefault(reference.name, place)
        elif key in project.ephemerals:
            if key not in found.inside:
                found.inside[key] = None
                _add(project, project.ephemerals[key], found, in_function)
        elif key in project.steps and is_function(project.steps[key]):
            if key not in found.functions:
                _add(project, project.steps[key], found, in_function=True)
                found.functions[key] = None
        elif key != step.key:
            found.tables.setdefault(key)
            found.names.setdefault(reference.name.lower(), set()).add(key)
            if in_function:
                found.by_functions.add(key)


def known_columns(project: Project, key: Key, built: BuiltSchema | None) -> Schema:
    """The columns of a table, as far as the project says so. A type that is declared goes before
    one that the lineage has."""
    source = project.sources.get(key)
    if source is not None:
        return declared_schema(source.columns, project.dialect)
    step = project.steps.get(key) or project.ephemerals[key]
    schema, word = (
        schema_of(step, built, project.dialect),
        dialect_of(project.dialect).declared_type,
    )
    declared = {it.name.lower(): (it.name, word(it.type)) for it in step.config.columns}
    columns = {name.lower(): (name, type_) for name, type_ in schema.columns}
    if not schema.closed:
        columns = {**declared, **columns}
    typed = ((name, declared.get(low, ("", ""))[1] or of) for low, (name, of) in columns.items())
    return Schema(tuple(typed), schema.closed, schema.certain)


@dataclass(frozen=True, slots=True)
class ColumnsRead:
    """The columns of tables that a model reads by its lineage. ``all_shown``: it reads no others,
    but for those that its functions read."""

    columns: Mapping[Key, Mapping[str, str]]  #: table -> in lower case -> as it is written
    all_shown: bool
    by_functions: Collection[Key]

    def may_hold(self, key: Key, name: str) -> bool:
        """Whether the model may read the column of that table."""
        shown = self.all_shown and key not in self.by_functions
        return not shown or name.lower() in self.columns.get(key, {})


def columns_read(step: Step, read: ReadTables) -> ColumnsRead:
    trace, found = step.trace, dict[Key, dict[str, str]]()
    for (schema, table), name in chain(trace.row_sources, *(it.sources for it in trace.columns)):
        found.setdefault(Key(schema, table), {}).setdefault(name.lower(), name)
    shown = trace.closed and bool(trace.rows) and not any(it.reason for it in trace.columns)
    return ColumnsRead(found, shown, read.by_functions)


def steps_inside(project: Project, step: Step, read: ReadTables) -> Iterator[Step]:
    """The model, and what stands in its query: all whose variables a test may set."""
    yield step
    for key in read.inside:
        yield project.ephemerals[key]
    for key in read.functions:
        yield project.steps[key]
