"""The run config of models_executor: what the launchpad shows, offers and checks.

The executor of a project's own jobs has the project's targets, variables and defaults: the
launchpad begins with these defaults. That of a whole code location, which may hold several
projects, has none, and takes any text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Any as AnyConfig
from dagster import Enum, EnumValue, Field, Int, Noneable, Permissive, String

from dagster_models._dagster.types import RETRIES_CONFIG, TAG_LIMITS_CONFIG
from dagster_models.core.checks import WHEN
from dagster_models.core.model import Project
from dagster_models.execution.deferral import DEFER_TAG, DEFER_VARIABLE
from dagster_models.execution.options import (
    CHECKS_TAG,
    FAIL_FAST_TAG,
    FULL_REFRESH_TAG,
    ONLY_CHANGED_TAG,
    TARGET_TAG,
)
from dagster_models.execution.run_variables import VARS_TAG

_CHECKS = {
    "each": "those of a model run before it is published",
    "after": "models are published, and all checks run after the last one",
    "none": "they do not run",
}


#: Setting -> what it does, and what a run does that does not have it.
_SAYS = {
    "target": "The target of dagster_models.yaml in which this run builds. Default: the project's"
    f" `target:`. The run tag {TARGET_TAG} overrides this.",
    "fail_fast": "false: steps that do not depend on a failure go on. true: the first failure stops"
    " the run and cancels the steps that are running. drain: after a failure no step starts, and"
    " running steps may finish. Default: the value in dagster_models.yaml, or else false. The run"
    f" tag {FAIL_FAST_TAG} overrides this.",
    "max_concurrent": "How many steps may run at once, SQL and Python together. Default: the value"
    " in dagster_models.yaml, else the target's `threads`, or else the number of cores.",
    "vars": "Values of the project's variables, which go before all others, e.g."
    " {late_minutes: 30} (docs/runs.md). Default: none. The run tag"
    f" {VARS_TAG}, as YAML, overrides this.",
    "full_refresh": "true: incremental models are built in full, from all of their query. A list of"
    " names: these are. A snapshot, and a model with `full_refresh: false`, never is. Default:"
    f" false. The run tag {FULL_REFRESH_TAG} (true, or names with commas between them) overrides"
    " this.",
    "checks": f"{' '.join(f'{when}: {what}.' for when, what in _CHECKS.items())} (docs/checks.md)"
    " Default: the value in dagster_models.yaml, or else each. The run tag"
    f" {CHECKS_TAG} overrides this.",
    "defer": "A target, such as prod, from which the run reads what it does not build and what its"
    " own target does not have (docs/runs.md). Default: the environment variable"
    f" {DEFER_VARIABLE}. The run tag {DEFER_TAG} overrides this.",
    "only_changed": "true: a model is left alone if its relation is there and a build would leave"
    " the same: neither its code has changed nor what it reads (docs/runs.md). Default: false. The"
    f" run tag {ONLY_CHANGED_TAG} overrides this.",
    "cancel_grace_seconds": "How many seconds a step may take to stop before its worker is killed."
    " Default: 10.",
}


def run_settings(project: Project | None) -> dict[str, Field]:
    """The schema; ``project`` is None for an executor of any project. A setting that is None is
    not set."""
    target: Any = String if project is None else _choice("target", _targets(project))
    types: dict[str, Any] = {
        "target": target,
        "fail_fast": AnyConfig,
        "max_concurrent": Int,
        "vars": AnyConfig if project is None else _variables(project),
        "full_refresh": AnyConfig,
        "checks": _choice("checks", {when: _CHECKS[when] for when in WHEN}),
        "defer": target,
    }
    of_project = {} if project is None else _defaults(project)
    return {
        **{
            name: Field(
                Noneable(type_), default_value=of_project.get(name), description=_SAYS[name]
            )
            for name, type_ in types.items()
        },
        "only_changed": Field(bool, default_value=False, description=_SAYS["only_changed"]),
        "cancel_grace_seconds": Field(
            float, default_value=10.0, description=_SAYS["cancel_grace_seconds"]
        ),
        "retries": RETRIES_CONFIG,
        "tag_concurrency_limits": TAG_LIMITS_CONFIG,
    }


def _defaults(project: Project) -> dict[str, Any]:
    """What a run has that sets nothing, for the launchpad to begin with. Missing is what depends on
    the target that a run chooses, or on the machine."""
    threads = {target.threads for target in project.targets.values()}
    of_all = next(iter(threads)) if len(threads) == 1 else None
    return {
        "target": project.default_target,
        "fail_fast": project.defaults.get("fail_fast") or False,
        "max_concurrent": project.defaults.get("max_concurrent") or of_all,
        "vars": {},
        "full_refresh": False,
        "checks": project.defaults.get("checks"),
    }


def _choice(name: str, values: Mapping[str, str]) -> Enum:
    """Its name has the values: Dagster's error for another one says nothing else of them."""
    choices = [EnumValue(value, description=what) for value, what in values.items()]
    return Enum(f"{name} ({', '.join(values)})", choices)


def _targets(project: Project) -> dict[str, str]:
    return {
        name: f"{target.type.name}{', the default' if name == project.default_target else ''}"
        for name, target in project.targets.items()
    }


def _variables(project: Project) -> Permissive:
    """A field for each variable. That there is no other one is for the run to say, which knows the
    nearest name."""
    fields = {
        name: Field(AnyConfig, is_required=False, description=f"Default: {value}.")
        for name, value in sorted(_values(project).items())
    }
    return Permissive(fields)  # type: ignore[no-untyped-call]


def _values(project: Project) -> dict[str, str]:
    """The variables that a run may be given, with their values of now: a secret is none."""
    found: dict[str, str] = {}
    for step in project.steps.values():
        for name, value in step.variables.items():
            text = str(value)
            if text not in project.secrets:
                known = found.setdefault(name, text)
                found[name] = text if known == text else "another value in each folder"
    return found
