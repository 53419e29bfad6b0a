"""What the templates of a component's ``translation`` know of a model: ``{{ node.name }}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from jinja2.exceptions import UndefinedError

from dagster_models.core.model import Source, Step
from dagster_models.core.tags import values_by_tag
from dagster_models.util.nearest import suggest


@dataclass(frozen=True, slots=True)
class TemplateNode:
    """A model, seed, script or source. ``kind``: sql, python, seed, script or source."""

    name: str
    schema: str
    kind: str
    materialized: str
    path: str
    description: str
    group: str
    owners: tuple[str, ...]
    tags: Mapping[str, str]
    kinds: tuple[str, ...]
    meta: Mapping[str, Any]
    columns: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        """Only asked for names that there are not."""
        if name.startswith(("_", "jinja")):  # Jinja asks whether there are such
            raise AttributeError(name)
        known = [field.name for field in fields(self)]
        what = f"there is no `node.{name}`. {suggest(name, known, 'There are')}"
        raise UndefinedError(what)  # to which Dagster adds the place in the defs.yaml


def node_of(item: Step | Source) -> TemplateNode:
    if isinstance(item, Source):
        return TemplateNode(
            name=item.key.name,
            schema=item.key.schema,
            kind="source",
            materialized="source",
            path=item.location.path,
            description=item.description,
            group="sources",
            owners=(),
            tags={},
            kinds=(),
            meta=item.meta,
            columns=tuple(column.name for column in item.columns),
        )
    config = item.config
    return TemplateNode(
        name=item.key.name,
        schema=item.key.schema,
        kind=item.kind,
        materialized=item.built_as,
        path=item.location.path,
        description=config.description,
        group=config.group or item.key.schema,
        owners=config.owner,
        tags=values_by_tag(config.tags),
        kinds=config.kinds,
        meta=config.meta,
        columns=tuple(column.name for column in config.columns),
    )
