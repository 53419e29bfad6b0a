"""A project as a component: `type: dagster_models.ModelsComponent` in a defs.yaml.

Dagster reads the annotations of a component's fields, so they are not texts here.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from dagster import (
    AssetsDefinition,
    AssetSpec,
    Component,
    ComponentLoadContext,
    Definitions,
    Resolvable,
    Resolver,
    scaffold_with,
)
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver

from dagster_models._dagster.component_tree import folder_of, neighbours, place_of
from dagster_models.core.model import Location, Project, Relation, Source, Step, Target
from dagster_models.definitions.build import accepted, build, default_resource_key, loaded, shown
from dagster_models.definitions.executor import models_executor
from dagster_models.definitions.other_assets import OtherAsset, specs_of
from dagster_models.definitions.scaffolder import ModelsScaffolder
from dagster_models.definitions.selection import asset_nodes
from dagster_models.definitions.stock_event_log import warn_of_stock_event_log
from dagster_models.definitions.template_node import node_of
from dagster_models.definitions.translator import ModelsTranslator
from dagster_models.errors import ProjectError, SelectionError
from dagster_models.project.problems import problem
from dagster_models.project.selection import select
from dagster_models.project.settings import TARGET_VARIABLE
from dagster_models.project.targets import usable_target
from dagster_models.util.nearest import suggest

logger = logging.getLogger("dagster_models")

_EXECUTORS = ("models", "location")

#: The components whose definitions are being made, by their place. What a neighbour asks of one of
#: them meanwhile is made without its neighbours.
_begun: ContextVar[frozenset[object]] = ContextVar("begun", default=frozenset())


@scaffold_with(ModelsScaffolder)
@dataclass
class ModelsComponent(Component, Resolvable):
    """A folder of SQL models and Python scripts as assets: a project of dagster-models.

    Models are joined by table name with the assets of all other components of the code location:
    a model depends on the asset whose metadata has the table that its SQL reads as
    `dagster/table_name`.
    """

    project: Annotated[
        str,
        Resolver.default(
            description="The folder with dagster_models.yaml, relative to this file.",
            examples=[".", "{{ context.project_root }}/warehouse"],
        ),
    ] = "."
    target: Annotated[
        str | None,
        Resolver.default(
            description="One of the project's targets, instead of its default one. The environment"
            f" variable {TARGET_VARIABLE} goes before it.",
            examples=["prod", "{{ env.WAREHOUSE_TARGET }}"],
        ),
    ] = None
    select: Annotated[
        str,
        Resolver.default(
            description="The models that become assets, as `dagster-models run` takes them.",
            examples=["path:models/marts+", "tag:nightly"],
        ),
    ] = ""
    exclude: Annotated[
        str, Resolver.default(description="Those of them that do not.", examples=["kind:python"])
    ] = ""
    translation: (
        Annotated[
            TranslationFn[Step | Source],
            TranslationFnResolver[Step | Source](lambda item: {"node": node_of(item)}),
        ]
        | None
    ) = None
    key_prefix: Annotated[
        str | list[str] | None,
        Resolver.default(
            description="Goes before the keys of the assets, and the names of jobs and schedules.",
            examples=["finance"],
        ),
    ] = None
    resource_key: Annotated[
        str | None,
        Resolver.default(
            description="The key of the project's WarehouseResource.", examples=["warehouse"]
        ),
    ] = None
    executor: Annotated[
        Literal["models", "location"],
        Resolver.default(
            description="What runs without a job are run by: `models` for models_executor, as the"
            " executor of the whole code location, or `location` for the one that it has."
        ),
    ] = "models"

    def get_asset_spec(
        self, item: Step | Source, project: Project, relation: Relation | None
    ) -> AssetSpec:
        """How Dagster shows *item*: that of ModelsTranslator, changed by ``translation``.

        Override it to decide in Python.
        """
        spec = ModelsTranslator().get_asset_spec(item, project, relation)
        return self.translation(spec, item) if self.translation else spec

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        if self.executor not in _EXECUTORS:  # a template may have any value, so Dagster takes all
            fix = suggest(self.executor, _EXECUTORS, "There are")
            what = f"there is no executor `{self.executor}`"
            raise _wrong(what, place_of(context, "executor"), fix)
        with _begin(context) as again:
            others = _Others() if again else self._others(context)
            project, target = self.loaded_project(context, others.assets)
            self._refuse_what_others_have(context, others, project)
            warn_of_stock_event_log(len(project.steps), os.environ)
            definitions = accepted(
                project,
                lambda it: build(
                    it,
                    target,
                    translator=_TranslatorOf(self),
                    resource_key=self.resource_key,
                    elsewhere=others.assets,
                    chosen=lambda built: self._chosen(built, context),
                    empty_job_severity="warning" if self.select or self.exclude else "error",
                ),
            )
        if self.executor == "models":
            return Definitions.merge(definitions, Definitions(executor=models_executor))
        return definitions

    def loaded_project(
        self, context: ComponentLoadContext, others: Sequence[OtherAsset], *, alone: bool = False
    ) -> tuple[Project, Target]:
        """The project, which may read the tables of *others*, and its target."""
        environ: Mapping[str, str] = os.environ
        if self.target and not os.environ.get(TARGET_VARIABLE):
            environ = {**os.environ, TARGET_VARIABLE: self.target}
        root = Path(os.path.normpath(folder_of(context) / self.project))
        if not root.is_dir():
            fix = "Write the folder with dagster_models.yaml, relative to this file."
            raise _wrong(f"there is no folder {root}", place_of(context, "project"), fix)
        project = loaded(root, others, self.key_prefix, environ, alone=alone)
        if self.target and self.target not in project.targets:
            fix = suggest(self.target, project.targets, "Targets")
            place = place_of(context, "target")
            raise _wrong(f"the project has no target `{self.target}`", place, fix)
        return project, usable_target(project)

    def _chosen(
        self, built: Sequence[OtherAsset], context: ComponentLoadContext
    ) -> Sequence[OtherAsset]:
        """What ``select`` and ``exclude`` leave: models, and the sources that these read."""
        if not (self.select or self.exclude):
            return built
        try:
            names = {*select(asset_nodes(built), self.select, None, self.exclude)}
        except SelectionError as error:
            place = place_of(context, "select" if self.select else "exclude")
            raise _wrong(str(error), place, "It is written as for `dagster-models run`.") from error
        kept = [it for it in built if any(_name(spec) in names for spec in specs_of([it]))]
        read = {dep.asset_key for spec in specs_of(kept) for dep in spec.deps}
        return [it for it in built if it in kept or (isinstance(it, AssetSpec) and it.key in read)]

    def _others(self, context: ComponentLoadContext) -> "_Others":
        """What the code location has beside this component. The models of other projects count by
        how these show them, as each project is linked with all others."""
        found = _Others()
        for place, other in neighbours(context, ModelsComponent):
            where = place_of(place, "project").path
            if isinstance(other, ModelsComponent):
                project, target = other.loaded_project(place, (), alone=True)
                found.resources[other.resource_key or default_resource_key(project)] = where
                found.assets += shown(project, target, _TranslatorOf(other))
            elif isinstance(other, Definitions):
                found.assets += _with_specs(other)
                if other.executor not in (None, models_executor):
                    found.executors.append(where)
        return found

    def _refuse_what_others_have(
        self, context: ComponentLoadContext, others: "_Others", project: Project
    ) -> None:
        key = self.resource_key or default_resource_key(project)
        if key in others.resources:
            what = f"this project and that of {others.resources[key]} have one resource `{key}`"
            fix = "Give one of them a `key_prefix` of its own."
            raise _wrong(what, place_of(context, "project"), fix)
        if self.executor == "models" and others.executors:
            what = f"{others.executors[0]} has an executor, and a code location has one"
            fix = "Write `executor: location`, or remove the other one."
            raise _wrong(what, place_of(context, "executor"), fix)


@dataclass(slots=True)
class _Others:
    """What is beside a component, with the file of each resource and executor."""

    assets: list[OtherAsset] = field(default_factory=list)
    resources: dict[str, str] = field(default_factory=dict)
    executors: list[str] = field(default_factory=list)


class _TranslatorOf(ModelsTranslator):
    """What a component says of its assets. (A component cannot be a translator itself: Dagster
    makes attributes of the fields of its classes.)"""

    def __init__(self, component: ModelsComponent) -> None:
        self._component = component

    def get_asset_spec(
        self, item: Step | Source, project: Project, relation: Relation | None
    ) -> AssetSpec:
        return self._component.get_asset_spec(item, project, relation)


@contextmanager
def _begin(context: ComponentLoadContext) -> Iterator[bool]:
    """Yields whether the definitions of this component are being made already: a neighbour asks
    for them while this component asks for the neighbour's."""
    place, begun = context.component_loc, _begun.get()
    token = _begun.set(begun | {place})
    try:
        yield place in begun
    finally:
        _begun.reset(token)


def _with_specs(definitions: Definitions) -> Iterator[OtherAsset]:
    """The assets that say which table they are; what loads its own assets later does not."""
    for asset in definitions.assets or ():
        if isinstance(asset, (AssetsDefinition, AssetSpec)):
            yield asset


def _name(spec: AssetSpec) -> str:
    return spec.key.to_user_string()


def _wrong(what: str, place: Location, fix: str) -> ProjectError:
    return ProjectError([problem(what, place, fix)])
