"""What a run cannot have, refused before there is one: a run that cannot begin would be the last
one, and hide the run that `retry` and `failed` are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dagster import AssetKey, AssetsDefinition

from dagster_models.compilation.tasks import TargetStep
from dagster_models.definitions.run_variables import loaded_with
from dagster_models.definitions.selection import asset_steps
from dagster_models.errors import SelectionError
from dagster_models.execution.deferral import refuse_deferral, target_to_defer_to
from dagster_models.execution.options import chosen_target, on_run
from dagster_models.execution.partitions import in_partitions
from dagster_models.execution.run_variables import given_variables, in_projects


def refuse_run(
    assets: Collection[AssetsDefinition],
    keys: Collection[AssetKey],
    job: str,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
) -> None:
    """Refuse what a run of these *keys* would refuse as its first act. The warehouse is not asked.

    Raises:
        ProjectError: there is no such target or variable.
        SelectionError: another setting is not one of the allowed values.
    """
    target = chosen_target(tags, run_config)
    steps: dict[str, TargetStep] = {
        spec.key.to_user_string(): found.on(target)
        for spec, found in asset_steps(assets)
        if found is not None and spec.key in keys
    }
    try:
        if (given := given_variables(tags, run_config)) is not None:
            steps = in_projects(steps, loaded_with(given, (it.project for it in steps.values())))
        steps = in_partitions(on_run(steps, tags, run_config), tags, job)
        refuse_deferral(steps, target_to_defer_to(tags, None))
    except ValueError as error:
        raise SelectionError(str(error)) from error
