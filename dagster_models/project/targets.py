"""Which target of a project a run may use."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dagster_models.core.model import Project, Target
from dagster_models.errors import Problem, ProjectError
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.util.environment import names_in
from dagster_models.util.nearest import suggest


def usable_target(project: Project, name: str | None = None) -> Target:
    """The target *name*, by default the project's default target.

    Raises:
        ProjectError: there is no such target, or an environment variable that it needs was not set
            when the project was loaded.
    """
    name = name or project.default_target
    if name not in project.targets:
        fix = suggest(name, project.targets, "Targets")
        raise ProjectError([Problem(f"there is no target `{name}`", PROJECT_FILE, fix=fix)])
    target = project.targets[name]
    unset = dict.fromkeys(_unset_variables(target, os.environ))
    if unset:
        what = f"target `{name}` needs the environment variable{'s' if len(unset) > 1 else ''} "
        fix = "Set it where Dagster runs, or choose another target."
        raise ProjectError([Problem(what + ", ".join(unset), PROJECT_FILE, fix=fix)])
    return target


def _unset_variables(target: Target, environ: Mapping[str, str]) -> list[str]:
    """The environment variables that *target* needs and that are not set."""
    return [
        name
        for key, value in target.settings.items()
        for name in names_in(value)
        if key not in target.type.secrets or name not in environ
    ]
