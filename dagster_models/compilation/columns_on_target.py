"""The columns of the tables of a unit test, in the words of its target.

The project's dialect and the target's may differ. Its lineage is then only what the one says: a sum
of integers is a HUGEINT in DuckDB, a bigint in PostgreSQL, where `Name` without quotes is `name`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from dagster_models.compilation.checks.task import folded
from dagster_models.compilation.sql_text import dialect_on
from dagster_models.compilation.unit_test_tables import Columns
from dagster_models.core.model import Key, Project, Step, Target
from dagster_models.core.traced import Schema
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.unit_tests.reads import (
    ReadTables,
    known_columns,
    steps_inside,
)
from dagster_models.sql.column_spellings import column_spellings
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.type_words import is_foreign, type_in


def columns_on(
    project: Project, key: Key, built: Mapping[str, BuiltSchema], target: Target
) -> tuple[Schema, frozenset[str]]:
    """The columns of a table as the project knows them, in the words of *target*; and which of
    them, in lower case, may be others there."""
    schema = known_columns(project, key, built.get(str(key)))
    dialect = dialect_on(project, target)
    is_source = key in project.sources  # nobody writes quotes in YAML
    step = project.steps.get(key) or project.ephemerals.get(key)
    traced = step is not None and step.kind == "sql"
    columns = tuple(
        (folded(name, dialect) if is_source else name, type_in(type_, project.dialect, dialect))
        for name, type_ in schema.columns
    )
    doubtful = frozenset(
        name.lower()
        for name, type_ in schema.columns
        if ((is_source or traced) and folded(name, dialect) != name)
        or (traced and is_foreign(type_, project.dialect, dialect))
    )
    return replace(schema, columns=columns), doubtful


def corrected(known: Schema, there: Columns, retyped: Collection[str]) -> Schema:
    """The columns with the names that the relation has, and its types of those that are
    *retyped*."""
    real = {name.lower(): (name, type_) for name, type_ in there}
    columns = []
    for name, type_ in known.columns:
        of_relation, own = real.get(name.lower(), (name, type_))
        columns.append((of_relation, own if name.lower() in retyped else type_))
    return replace(known, columns=tuple(columns))


def spelled(
    project: Project, step: Step, read: ReadTables, target: Target, columns: Mapping[Key, Schema]
) -> dict[Key, Schema]:
    """The *columns* of those sources that the query of *step* spells in another case, in which only
    quotes keep them. One that it spells in several ways is what the project declares."""
    dialect = dialect_on(project, target)
    keys = [key for key in read.tables if key in project.sources and key in columns]
    if not keys or not dialect_of(dialect).columns_have_case:
        return {}
    names: dict[str, set[str]] = {}
    for each in steps_inside(project, step, read):
        for name in column_spellings(each.sql, project.dialect, dialect):
            names.setdefault(name.lower(), set()).add(name)
    found = {}
    for key in keys:
        declared = {column.name for column in project.sources[key].columns}
        schema = columns[key]
        changed = tuple(
            (_spelling(name, names.get(name.lower(), set()), declared), type_)
            for name, type_ in schema.columns
        )
        if changed != schema.columns:
            found[key] = replace(schema, columns=changed)
    return found


def _spelling(name: str, names: Collection[str], declared: Collection[str]) -> str:
    if len(names) == 1:
        return next(iter(names))
    return next((one for one in names if one in declared), name)
