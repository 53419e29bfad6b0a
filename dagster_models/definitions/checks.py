"""The checks of a project as Dagster's own values: their specs, and the steps for sources."""

from __future__ import annotations

from collections.abc import Iterator

from dagster import AssetChecksDefinition, AssetCheckSpec, AssetKey

from dagster_models._dagster.assets import checks_of_asset
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.checks import Check, checks_of
from dagster_models.core.model import Project, Source, Target
from dagster_models.core.step_keys import node_name
from dagster_models.definitions.column_metadata import Moved, asset_key
from dagster_models.definitions.compute import compute_function
from dagster_models.errors import Problem
from dagster_models.project.problems import problem


def check_spec(check: Check, asset: AssetKey) -> AssetCheckSpec:
    return AssetCheckSpec(
        name=check.name,
        asset=asset,
        description=check.description or _declared(check),
        blocking=check.blocking,
    )


def _declared(check: Check) -> str:
    """What a check is about that has no description of its own, and where to find it."""
    place = f"{check.location.path}:{check.location.line}"
    if check.text:
        return f"The check in {place}"
    columns = ", ".join(f"`{column}`" for column in check.columns)
    return f"`{check.test}`{f' of {columns}' if columns else ''}, declared in {place}"


def source_checks(
    project: Project, target: Target, resource_key: str, moved: Moved
) -> tuple[list[AssetChecksDefinition], list[Problem]]:
    """A definition for each source that has checks, whoever builds it; and a problem for each check
    whose asset has another one of its name: several sources may be parts of one asset."""
    found: list[AssetChecksDefinition] = []
    problems: list[Problem] = []
    taken: dict[tuple[AssetKey, str], Check] = {}
    for source in project.sources.values():
        key = _given(project, source, moved)
        for check in source.checks:
            first = taken.setdefault((key, check.name), check)
            if first is not check:
                problems.append(_named_alike(check, first, key))
        if source.checks and not problems:
            found.append(_definition(project, source, target, resource_key, key, moved))
    return found, problems


def _given(project: Project, source: Source, moved: Moved) -> AssetKey:
    key = asset_key(project, source.key)
    return moved.get(key, key)


def _named_alike(check: Check, first: Check, asset: AssetKey) -> Problem:
    key = asset.to_user_string()
    what = f"the asset {key} has two checks named `{check.name}`, first at {first.location}"
    return problem(what, check.location, "Give one of them another `name:`.")


def _definition(
    project: Project,
    source: Source,
    target: Target,
    resource_key: str,
    asset: AssetKey,
    moved: Moved,
) -> AssetChecksDefinition:
    step = checks_of(source)
    target_step = TargetStep(project, step, target, resource_key, builds=False)
    return checks_of_asset(
        compute_function(target_step, asset, moved),
        name=f"checks_of__{node_name((*project.key_prefix, *source.key))}",
        check_specs=[check_spec(check, asset) for check in source.checks],
        reads=sorted({asset, *_read(project, source, moved)}),
    )


def _read(project: Project, source: Source, moved: Moved) -> Iterator[AssetKey]:
    for key in source.resolved.values():
        if key in project.sources:
            yield _given(project, project.sources[key], moved)
