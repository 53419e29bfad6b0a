"""Variables that a run is given: the steps of the project as it is with them.

Dagster has planned the run by the definitions. So the values may change what a step sends, and
neither which steps there are nor what they read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.checks import checks_of
from dagster_models.core.model import Project, Step
from dagster_models.project.variables import GivenText

VARS_TAG = "dagster_models/vars"


def given_variables(tags: Mapping[str, str], run_config: Mapping[str, Any]) -> GivenText | None:
    """The values that a run is given, by its tag or else its run config."""
    if VARS_TAG in tags:
        return GivenText(tags[VARS_TAG], f"--vars (run tag {VARS_TAG})")
    found = ((run_config.get("execution") or {}).get("config") or {}).get("vars")
    return GivenText(json.dumps(found, default=str), "run config: vars") if found else None


def in_projects(
    target_steps: Mapping[str, TargetStep], projects: Mapping[str, Project]
) -> dict[str, TargetStep]:
    """The steps as *projects* (by their roots), loaded with the variables, have them.

    Raises:
        ValueError: a step is gone, or reads or checks something else.
    """
    return {
        key: _in_project(it, projects[it.project.root]) if it.project.root in projects else it
        for key, it in target_steps.items()
    }


def _planned(step: Step) -> tuple[Any, ...]:
    """What Dagster's plan of the run rests on."""
    return set(step.upstream), {check.name: check for check in step.checks}


def _in_project(it: TargetStep, project: Project) -> TargetStep:
    step: Step | None = project.steps.get(it.step.key)
    if it.step.kind == "source" and it.step.key in project.sources:
        step = checks_of(project.sources[it.step.key])
    if step is None or _planned(step) != _planned(it.step):
        became = "does not exist" if step is None else "reads or checks something else"
        raise ValueError(
            f"with the variables of this run {it.name} {became}, and Dagster has planned the run"
            " without them: set them in dagster_models.yaml or the environment, and reload"
        )
    return replace(it, project=project, step=step)
