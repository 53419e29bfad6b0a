"""How Dagster shows a step of a project. Subclass ``ModelsTranslator`` to change that."""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from dagster import (
    AssetDep,
    AssetKey,
    AssetSpec,
    BetaWarning,
    CodeReferencesMetadataValue,
    FreshnessPolicy,
    LocalFileCodeReference,
    MetadataValue,
    UrlCodeReference,
)

from dagster_models._dagster.partitions import definition_of, mapping_of
from dagster_models.core.model import Config, Key, Project, Relation, Source, Step
from dagster_models.core.tags import values_by_tag
from dagster_models.definitions.automation import condition_of
from dagster_models.definitions.column_metadata import (
    asset_key,
    column_lineage,
    declared_schema,
    known_schema,
)
from dagster_models.project.function import is_function
from dagster_models.project.header import without_header
from dagster_models.reporting.dagster_text import as_markdown

PREFIX = "dagster_models"
"""The namespace of our own tags and metadata."""

PARTITIONS_TAG = f"{PREFIX}/partitions"

_KINDS = {"sql": "sql", "python": "python", "seed": "csv", "script": "python"}


class ModelsTranslator:
    """Turns a model, seed, script or source into the AssetSpec that Dagster shows.

    To change how assets look, override ``get_asset_spec`` and change what it returns::

        class InCapitals(ModelsTranslator):
            def get_asset_spec(self, item, project, relation):
                return super().get_asset_spec(item, project, relation).replace_attributes(
                    group_name="analytics")

    It may change the key too: deps, column lineage and checks of other assets follow.
    """

    def get_asset_spec(
        self, item: Step | Source, project: Project, relation: Relation | None
    ) -> AssetSpec:
        """The spec of *item*, whose full name on the default target is *relation*.

        A script has no relation.
        """
        if isinstance(item, Source):
            return AssetSpec(
                key=asset_key(project, item.key),
                description=item.description or None,
                group_name="sources",
                metadata={**_table(relation), **declared_schema(item.columns), **item.meta},
            )
        config = item.config
        warehouse = project.targets[project.default_target].type.name
        return AssetSpec(
            key=asset_key(project, item.key),
            deps=_deps(item, project),
            description=_description(item),
            group_name=config.group or _group(item.key),
            code_version=item.code_version or None,
            owners=list(config.owner),
            tags={**values_by_tag(config.tags), **partition_tag(item)},
            partitions_def=definition_of(item.partitions.of) if item.partitions else None,
            automation_condition=condition_of(item),
            freshness_policy=_freshness_policy(config),
            kinds={_KINDS[item.kind], warehouse, *_kept_as(item), *config.kinds},
            metadata={
                **({} if is_function(item) else _table(relation)),
                **known_schema(item),
                **column_lineage(project, item),
                **_code(project, item),
                f"{PREFIX}/materialized": item.built_as,
                **_sql(item),
                **config.meta,
            },
        )


@contextmanager
def beta_features() -> Iterator[None]:
    """Silence Dagster's warnings about beta features, which its own integrations use as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        yield


def partition_tag(step: Step) -> Mapping[str, str]:
    """The tag by which selections find the models of a set of partitions."""
    return {PARTITIONS_TAG: step.partitions.of.name} if step.partitions else {}


def _deps(step: Step, project: Project) -> list[AssetDep]:
    """What the step reads; several sources may be parts of one asset."""
    deps: dict[AssetKey, AssetDep] = {}
    for key in step.upstream:
        how = step.partitions.upstream.get(key) if step.partitions else None
        mapping = None
        if how and step.partitions:
            with beta_features():
                mapping = mapping_of(how, step.partitions)
        dep = AssetDep(asset_key(project, key), partition_mapping=mapping)
        if deps.setdefault(dep.asset_key, dep).partition_mapping is None:
            deps[dep.asset_key] = dep
    return list(deps.values())


def _freshness_policy(config: Config) -> FreshnessPolicy | None:
    """Dagster's own daemon compares it with the last materialization."""
    due = config.freshness
    if due is None:
        return None
    warn = None if due.warn_seconds is None else dt.timedelta(seconds=due.warn_seconds)
    return FreshnessPolicy.time_window(dt.timedelta(seconds=due.fail_seconds), warn)


def _kept_as(step: Step) -> Iterator[str]:
    """What becomes of a model: a view, a table, ... Of a class of the project, its name."""
    if step.kind in ("sql", "python"):
        yield step.config.materialized.rpartition(".")[2]


def _group(key: Key) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in key.schema)


def _description(step: Step) -> str | None:
    """Prose, after the errors for which the step cannot be built. It is Markdown, where only an
    empty line begins a new one."""
    lines = (line.strip() for problem in step.problems for line in str(problem).splitlines())
    return "\n\n".join(filter(None, (*map(as_markdown, lines), step.config.description))) or None


def _sql(step: Step) -> Mapping[str, Any]:
    """The query as it was written, without the header: the page shows what that says elsewhere."""
    if not step.sql:
        return {}
    text = without_header(step.sql)
    return {f"{PREFIX}/sql": MetadataValue.md(f"```sql\n{text}\n```")}


def _table(relation: Relation | None) -> Mapping[str, Any]:
    return {"dagster/table_name": str(relation)} if relation else {}


def _code(project: Project, step: Step) -> Mapping[str, Any]:
    place = step.location
    path = os.path.join(project.root, place.path)
    reference: UrlCodeReference | LocalFileCodeReference
    with beta_features():
        if project.code_url:
            url = f"{project.code_url}/{quote(place.path)}#L{place.line}"
            reference = UrlCodeReference(url=url, label=place.path)
        else:
            reference = LocalFileCodeReference(
                file_path=path, line_number=place.line, label=place.path
            )
        return {"dagster/code_references": CodeReferencesMetadataValue(code_references=[reference])}
