"""How a step of a project is shown as a Dagster asset. Subclass it to show it otherwise."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import (
    AssetDep,
    AssetKey,
    AssetSpec,
    BetaWarning,
    CodeReferencesMetadataValue,
    LocalFileCodeReference,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from dagster_models.core.model import Column, Key, Project, Relation, Source, Step
from dagster_models.core.traced import TracedColumn

PREFIX = "dagster_models"
"""Namespace of our own tags and metadata."""

_HEADER = re.compile(r"\A\s*/\*\s*@model.*?\*/", re.DOTALL)  # the page shows what it says already

#: So many are written out in a column's description.
MOST_SOURCES = 6

_KINDS = {"sql": "sql", "python": "python", "seed": "csv", "script": "python"}


class ModelsTranslator:
    """Turns a model, seed, script or source into the AssetSpec that Dagster shows.

    To change how assets look, override ``get_asset_spec`` and work on what it returns::

        class InCapitals(ModelsTranslator):
            def get_asset_spec(self, item, project, relation):
                return super().get_asset_spec(item, project, relation).replace_attributes(
                    group_name="analytics")
    """

    def get_asset_spec(
        self, item: Step | Source, project: Project, relation: Relation | None
    ) -> AssetSpec:
        """The spec of *item*; *relation* is its full name on the chosen target (None: a script)."""
        if isinstance(item, Source):
            return AssetSpec(
                key=AssetKey(item.asset_key or list(item.key)),
                description=item.description or None,
                group_name="sources",
                metadata={**_table(relation), **_declared(item.columns), **item.meta},
            )
        config = item.config
        warehouse = project.targets[project.default_target].type
        return AssetSpec(
            key=AssetKey(list(item.key)),
            deps=[AssetDep(asset_key(project, key)) for key in item.upstream],
            description=_description(item),
            group_name=config.group or _group(item.key),
            code_version=item.code_version or None,
            owners=list(config.owner),
            tags=dict.fromkeys(config.tags, ""),
            kinds={_KINDS[item.kind], warehouse},
            metadata={
                **_table(relation),
                **_schema(item),
                **column_lineage(project, item),
                **_code(project, item),
                f"{PREFIX}/materialized": config.materialized if item.kind == "sql" else item.kind,
                **config.meta,
            },
        )


@contextmanager
def beta_features() -> Iterator[None]:
    """What Dagster calls beta and its own integrations use all the same: without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        yield


def asset_key(project: Project, key: Key) -> AssetKey:
    """The Dagster key of a step or source of the project."""
    source = project.sources.get(key)
    return AssetKey(list(source.asset_key or key if source else key))


def _group(key: Key) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in key.schema)


def _description(step: Step) -> str | None:
    parts = [step.config.description]
    if step.sql:
        parts.append(f"```sql\n{_HEADER.sub('', step.sql).strip()}\n```")
    return "\n\n".join(part for part in parts if part) or None


def _table(relation: Relation | None) -> Mapping[str, Any]:
    return {"dagster/table_name": str(relation)} if relation else {}


def _declared(columns: tuple[Column, ...]) -> Mapping[str, Any]:
    if not columns:
        return {}
    declared = [TableColumn(c.name, c.type or "?", c.description or None) for c in columns]
    return {"dagster/column_schema": TableSchema(declared)}


def _schema(step: Step) -> Mapping[str, Any]:
    """The columns as they are known at load; what a build finds takes their place."""
    traced = [(column.name, column.type) for column in step.trace.columns if column.name]
    if not traced or not step.trace.closed:
        return _declared(step.config.columns)
    return {"dagster/column_schema": column_schema(step, traced)}


def column_schema(step: Step, columns: Iterable[tuple[str, str]]) -> TableSchema:
    """Columns (name, type) with what is declared of them, and what they are made of: that is
    written out too, as the open-source UI keeps ``dagster/column_lineage`` to itself."""
    declared = {column.name.lower(): column for column in step.config.columns}
    traced = {column.name.lower(): column for column in step.trace.columns}
    result = []
    for name, type_ in columns:
        said = declared.get(name.lower(), Column(name))
        made_of = _made_of(traced.get(name.lower(), TracedColumn(name)))
        description = "\n\n".join(text for text in (said.description, made_of) if text)
        result.append(TableColumn(name, type_ or said.type or "?", description or None))
    return TableSchema(result)


def _made_of(column: TracedColumn) -> str:
    named = [f"`{'.'.join(key)}.{source}`" for key, source in column.sources]
    if len(named) > MOST_SOURCES:
        named = [*named[: MOST_SOURCES - 1], f"{len(named) - MOST_SOURCES + 1} more"]
    return f"From {', '.join(named)}" if named else ""


def column_lineage(project: Project, step: Step) -> Mapping[str, Any]:
    """What each column is made of, where it is known; {} for what has no columns upstream."""
    deps: dict[str, list[TableColumnDep]] = {}
    for column in step.trace.columns:
        # An incremental model that reads itself is not upstream of itself.
        sources = [(Key(*name), source) for name, source in column.sources if name != step.key]
        if column.name and sources:
            deps[column.name] = [
                TableColumnDep(asset_key(project, key), source) for key, source in sources
            ]
    return {"dagster/column_lineage": TableColumnLineage(deps)} if deps else {}


def _code(project: Project, step: Step) -> Mapping[str, Any]:
    place = step.location
    path = str(Path(project.root) / place.path)
    with beta_features():
        reference = LocalFileCodeReference(file_path=path, line_number=place.line, label=place.path)
        return {"dagster/code_references": CodeReferencesMetadataValue(code_references=[reference])}
