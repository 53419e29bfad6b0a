"""The schema and the lineage of a step's columns as Dagster's own values.

A project of 5,000 models has hundreds of thousands of columns, and Dagster's constructors check
each field of each column, at 7 us a column. Here mypy has checked the values already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from dagster import AssetKey, TableColumn, TableColumnDep, TableColumnLineage, TableSchema

from dagster_models.core.model import Column, Key, Project, Step
from dagster_models.core.traced import TracedColumn

#: The most sources that a column's description lists.
MOST_SOURCES = 6

Record = TypeVar("Record")

Moved = Mapping[AssetKey, AssetKey]
"""The key of an asset without a translator -> the key that the translator gives it, if it is
another."""
NOT_MOVED: Moved = MappingProxyType({})


def unchecked(record: type[Record], *fields: str) -> Callable[[tuple[Any, ...]], Record]:
    """A function that makes one of Dagster's records from its field values without checking them.

    This relies on records being named tuples (Dagster 1.13). If they are not, or if their fields
    are others than *fields*, the function calls the constructor.
    """
    if issubclass(record, tuple) and getattr(record, "_fields", ()) == fields:
        return partial(tuple.__new__, record)
    return lambda values: record(**dict(zip(fields, values, strict=True)))


_column = unchecked(TableColumn, "name", "type", "description", "constraints", "tags")
_dep = unchecked(TableColumnDep, "asset_key", "column_name")
_schema = unchecked(TableSchema, "columns", "constraints")
_lineage = unchecked(TableColumnLineage, "deps_by_column")
_NO_CONSTRAINTS = TableColumn("any").constraints
_NO_TABLE_CONSTRAINTS = TableSchema([]).constraints


def asset_key(project: Project, key: Key) -> AssetKey:
    """The Dagster key of a step or source of the project."""
    source = project.sources.get(key)
    given = source.asset_key if source else None
    return AssetKey(given or (*project.key_prefix, *key))


def declared_schema(columns: Iterable[Column]) -> Mapping[str, Any]:
    """Metadata for the columns that a header or sources.yaml names; {} if there are none."""
    found = [_named(column.name, column.type, column.description) for column in columns]
    return {"dagster/column_schema": _schema((found, _NO_TABLE_CONSTRAINTS))} if found else {}


def known_schema(step: Step) -> Mapping[str, Any]:
    """Metadata for the columns as known at load; those that a build finds replace them."""
    traced = [(column.name, column.type) for column in step.trace.columns if column.name]
    if not traced or not step.trace.closed:
        return declared_schema(step.config.columns)
    return {"dagster/column_schema": column_schema(step, traced)}


def column_schema(step: Step, columns: Iterable[tuple[str, str]]) -> TableSchema:
    """The schema of columns (name, type), with their declared descriptions and their sources.

    The sources are part of the descriptions because the open-source UI does not show
    ``dagster/column_lineage``.
    """
    declared = {column.name.lower(): column for column in step.config.columns}
    traced = {column.name.lower(): column for column in step.trace.columns}
    result = []
    for name, type_ in columns:
        lower = name.lower()
        column = traced.get(lower)
        description = _made_of(column) if column is not None else ""
        if (said := declared.get(lower)) is not None:
            type_ = type_ or said.type
            description = "\n\n".join(text for text in (said.description, description) if text)
        result.append(_named(name, type_, description))
    return _schema((result, _NO_TABLE_CONSTRAINTS))


def _named(name: str, type_: str, description: str) -> TableColumn:
    return _column((name, type_ or "?", description or None, _NO_CONSTRAINTS, {}))


def _made_of(column: TracedColumn) -> str:
    named = [f"`{'.'.join(key)}.{source}`" for key, source in column.sources]
    if len(named) > MOST_SOURCES:
        named = [*named[: MOST_SOURCES - 1], f"{len(named) - MOST_SOURCES + 1} more"]
    return f"From {', '.join(named)}" if named else ""


def column_lineage(project: Project, step: Step, moved: Moved = NOT_MOVED) -> Mapping[str, Any]:
    """Metadata with the known sources of each column; {} if no column has any."""
    keys: dict[tuple[str, str], AssetKey] = {}
    deps: dict[str, list[TableColumnDep]] = {}
    own = tuple(step.key)
    for column in step.trace.columns:
        found = []
        for name, source in column.sources:
            if name == own:  # a model that reads itself is not its own upstream
                continue
            if (key := keys.get(name)) is None:
                key = asset_key(project, Key(*name))
                key = keys[name] = moved.get(key, key)
            found.append(_dep((key, source)))
        if column.name and found:
            deps[column.name] = found if len(found) == 1 else sorted(found, key=_place)
    return {"dagster/column_lineage": _lineage((deps,))} if deps else {}


def _place(dep: TableColumnDep) -> tuple[AssetKey, str]:
    """The sort key of a column's sources in Dagster's own order."""
    return dep.asset_key, dep.column_name
