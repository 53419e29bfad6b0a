"""How a run goes: by its tags, else its run config, else the project."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster import Backoff, Jitter, RetryPolicy

from dagster_models._dagster.steps import StepTraits
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.checks import WHEN, When
from dagster_models.core.retries import Retries
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import WarehouseError
from dagster_models.processes.address import key_of
from dagster_models.project.snapshot import is_snapshot, refused_refresh
from dagster_models.scheduling.requirements import StepRequirements
from dagster_models.scheduling.states import FailFast
from dagster_models.util.graph import weights
from dagster_models.util.nearest import suggest

FAIL_FAST_TAG = "dagster_models/fail_fast"
TARGET_TAG = "dagster_models/target"
FULL_REFRESH_TAG = "dagster_models/full_refresh"
ONLY_CHANGED_TAG = "dagster_models/only_changed"
CHECKS_TAG = "dagster_models/checks"

#: What a run is given when it begins, so that Dagster's list of runs shows its target, and can be
#: filtered by it. It asks for nothing: a re-execution has it from its parent, and may have another
#: target.
RAN_ON_TAG = "dagster_models/ran_on"
_ANY_NUMBER = 1_000_000_000


def read_fail_fast(value: object) -> FailFast | None:
    """True, False, "true", "false" or "drain" in any case; None stays None.

    Raises:
        ValueError: anything else.
    """
    known: Mapping[str, FailFast] = {"false": "false", "true": "true", "drain": "drain"}
    if value is None:
        return None
    if str(value).lower() not in known:
        raise ValueError(f"fail_fast is {value!r}; it may be true, false or drain")
    return known[str(value).lower()]


def read_when(value: object) -> When:
    """When checks run: "each", "after" or "none".

    Raises:
        ValueError: anything else.
    """
    known: Mapping[str, When] = {when: when for when in WHEN}
    if str(value) not in known:
        raise ValueError(f"checks is {value!r}; it may be each, after or none")
    return known[str(value)]


def chosen_target(tags: Mapping[str, str], run_config: Mapping[str, Any]) -> str | None:
    """The target that a run asks for, by its tag or else its run config; None: the default one.

    Both are part of the run itself, so every process of the run reads the same.
    """
    config = (run_config.get("execution") or {}).get("config") or {}
    target = config.get("target")
    if isinstance(target, Mapping):  # Dagster's {env: NAME}
        target = os.environ.get(str(target.get("env")))
    return tags.get(TARGET_TAG) or target or None


def on_run(
    target_steps: Mapping[str, TargetStep], tags: Mapping[str, str], run_config: Mapping[str, Any]
) -> dict[str, TargetStep]:
    """The steps, those of which a run asks for a full refresh marked so, and each with when its
    checks run: by the run's tags or else its run config, which are part of the run itself.

    Raises:
        ValueError: neither true nor false, or no model of the project has that name, or one with
            that name is a snapshot; or checks cannot run then.
    """
    config = (run_config.get("execution") or {}).get("config") or {}
    target_steps = _with_checks(target_steps, tags.get(CHECKS_TAG) or config.get("checks"))
    asked = tags.get(FULL_REFRESH_TAG)
    names = _names(config.get("full_refresh") if asked is None else asked)
    if isinstance(names, bool):
        return {key: replace(it, full_refresh=names) for key, it in target_steps.items()}
    known = {
        spelling
        for it in target_steps.values()
        for step in it.project.steps.values()
        for spelling in (str(step.key), step.key.name)
    }
    wanted = frozenset(spelling for name in names for spelling in _spelled(name, known))
    for it in target_steps.values():  # what was wanted for by name is never left out in silence
        if is_snapshot(it.step) and not {it.name, it.step.key.name}.isdisjoint(wanted):
            raise ValueError(refused_refresh(it.name))
    return {
        key: replace(it, full_refresh=it.name in wanted or it.step.key.name in wanted)
        for key, it in target_steps.items()
    }


def _with_checks(target_steps: Mapping[str, TargetStep], asked: object) -> dict[str, TargetStep]:
    """The steps with when their checks run, as is *asked* or else as their projects say; without
    the checks that do not run. A run that selects checks alone asks for them."""
    found = {}
    for key, it in target_steps.items():
        when = read_when(asked or it.project.defaults.get("checks", "each"))
        checks = () if when == "none" and it.builds else it.step.checks
        found[key] = replace(it, checks=when, step=replace(it.step, checks=checks))
    return found


def _spelled(name: str, known: Collection[str]) -> list[str]:
    """The models that are meant by a name: that one, or whatever differs from it only in case.

    Raises ValueError for none."""
    found = [it for it in known if it == name] or [it for it in known if it.lower() == name.lower()]
    if not found:
        raise ValueError(
            f"full_refresh: no model is named {name!r}. {suggest(name, known, 'There are')}"
        )
    return found


def _names(value: object) -> bool | tuple[str, ...]:
    """True, false, or names of models: as values, or as the text of a tag: `true`, `a, b`."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(str, value))
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    names = tuple(name.strip().strip("\"'") for name in text.strip("[]").split(","))
    return tuple(name for name in names if name)


def retry_policy(retries: Retries) -> RetryPolicy:
    """The same as Dagster's value: Dagster shows it in the UI, and it calculates the delays."""
    return RetryPolicy(
        retries.max_retries,
        delay=retries.delay_seconds or None,
        backoff=Backoff[retries.backoff.upper()] if retries.backoff else None,
        jitter=Jitter[retries.jitter.upper()] if retries.jitter else None,
    )


@dataclass(frozen=True, slots=True)
class Options:
    """What the run config says; None: it does not set that."""

    max_concurrent: int | None = None
    fail_fast: FailFast | None = None
    cancel_grace_seconds: float = 10.0
    tag_concurrency_limits: tuple[Mapping[str, Any], ...] = ()
    target: str | None = None
    only_changed: bool = False
    defer: str | None = None

    def only_changed_of(self, tags: Mapping[str, str]) -> bool:
        """Whether the run leaves alone what has not changed: by its tag, else its run config.

        Raises:
            ValueError: the tag is neither true nor false.
        """
        asked = tags.get(ONLY_CHANGED_TAG)
        if asked is None:
            return self.only_changed
        if asked.lower() not in ("true", "false"):
            raise ValueError(f"{ONLY_CHANGED_TAG} is {asked!r}; it may be true or false")
        return asked.lower() == "true"

    def target_of(self, tags: Mapping[str, str], run_config: Mapping[str, Any]) -> str | None:
        """``chosen_target`` of a run under these options.

        Raises:
            ValueError: the executor was configured with a target in Python, which the user's own
                assets would not see in their processes.
        """
        found = chosen_target(tags, run_config)
        if found is None and self.target is not None:
            raise ValueError(
                f"models_executor was configured with target {self.target!r} in Python. Choose it"
                f" in the run config of the job (execution: config: target), or by the run tag"
                f" {TARGET_TAG}"
            )
        return found

    def slots(self, target_steps: Mapping[str, TargetStep]) -> int:
        """How many steps may be in flight: ``max_concurrent`` of the run config, else of a project.

        If neither sets it, the threads of all targets together; a target without ``threads`` counts
        as many as there are cores.
        """
        cores = os.cpu_count() or 1
        of_projects = (it.project.defaults.get("max_concurrent") for it in target_steps.values())
        found = self.max_concurrent or next(filter(None, of_projects), None)
        threads = [limit or cores for _, limit in warehouses(target_steps).values()]
        return int(found or sum(threads) or cores)

    def fail_fast_of(
        self, target_steps: Mapping[str, TargetStep], tags: Mapping[str, str]
    ) -> FailFast:
        """The value of the run tag, else of the run config, else of the project, else "false".

        Raises:
            ValueError: the tag or the setting is not one of the allowed values.
        """
        of_projects = (it.project.defaults.get("fail_fast") for it in target_steps.values())
        for value in (tags.get(FAIL_FAST_TAG), self.fail_fast, *of_projects):
            found = read_fail_fast(value)
            if found is not None:
                return found
        return "false"


def options_of(config: Mapping[str, Any]) -> Options:
    """The options in the executor's config.

    Raises:
        ValueError: a setting is not one of the allowed values.
    """
    slots, grace = config["max_concurrent"], config["cancel_grace_seconds"]
    if slots is not None and slots < 1:
        raise ValueError(f"max_concurrent is {slots}; at least one slot is needed")
    limits = config.get("tag_concurrency_limits") or []
    for limit in limits:
        if limit["limit"] < 1:
            raise ValueError(
                f"tag_concurrency_limits: {limit}: nothing with that tag could ever run"
            )
    if grace < 0:
        raise ValueError(f"cancel_grace_seconds is {grace}; it may be 0 or more")
    return Options(
        max_concurrent=slots,
        fail_fast=read_fail_fast(config["fail_fast"]),
        cancel_grace_seconds=float(grace),
        tag_concurrency_limits=tuple(limits),
        target=config["target"],
        only_changed=config["only_changed"],
        defer=config["defer"],
    )


def warehouses(target_steps: Mapping[str, TargetStep]) -> dict[str, tuple[list[str], int | None]]:
    """Name of each warehouse of a run -> its steps, and the smallest ``threads`` of its targets.

    Two targets of one database are one warehouse; two that only share a name are two.
    """
    found: dict[str, tuple[list[str], int | None]] = {}
    names: dict[str, str] = {}
    for step, target_step in target_steps.items():
        target, key = target_step.target, _key_of(target_step.address)
        name = names.get(key)
        if name is None:
            longer = f"{target_step.project.name}.{target.name}"
            free = (name for name in (target.name, longer, key) if name not in found)
            name = names[key] = next(free, key)
        steps, limit = found.setdefault(name, ([], None))
        steps.append(step)
        found[name] = steps, min(filter(None, (limit, target.threads)), default=None)
    return found


def _key_of(address: WarehouseAddress) -> str:
    try:
        return key_of(address)
    except WarehouseError:  # it cannot be reached, which its steps will report
        return f"{address.type} {hash(address)}"


def warehouse_limits(target_steps: Mapping[str, TargetStep]) -> dict[str, tuple[list[str], int]]:
    """Label -> steps and limit, where a run has several warehouses.

    If it has only one, its threads are the default of ``max_concurrent`` and no limit beside that,
    as dbt's ``--threads`` overrides the profile's.
    """
    found = warehouses(target_steps)
    if len(found) < 2:
        return {}
    return {f"warehouse {name}": (steps, n) for name, (steps, n) in found.items() if n}


def requirements_of(
    graph: Mapping[str, Sequence[str]],
    traits: Mapping[str, StepTraits],
    target_steps: Mapping[str, TargetStep],
    limits: Sequence[Mapping[str, Any]],
    retrying: bool,
    seconds: Mapping[str, float],
) -> tuple[dict[str, StepRequirements], dict[str, int]]:
    """The requirements of each step, and the limit of each of their labels.

    ``seconds``: how long steps took before, as far as it is known (history.py). The process of a
    foreign step decides about its own retries, so any number will do here.
    """
    weight = weights(graph, seconds)
    requirements: dict[str, StepRequirements] = {}
    limit_of: dict[str, int] = {}
    of_warehouse = {
        step: {label: limit}
        for label, (steps, limit) in warehouse_limits(target_steps).items()
        for step in steps
    }
    for step, trait in traits.items():
        target_step = target_steps.get(step)
        config = target_step.step.config if target_step else None
        labels = {**labels_of(trait.tags, limits), **of_warehouse.get(step, {})}
        limit_of.update(labels)
        requirements[step] = StepRequirements(
            weight=weight[step],
            priority=trait.priority,
            retries=0 if not retrying else config.retries.max_retries if config else _ANY_NUMBER,
            on_error=config.on_error if config else "skip_downstream",
            labels=tuple(labels),
            pool=trait.pool,
            gates=trait.gates,
        )
    return requirements, limit_of


def labels_of(tags: Mapping[str, str], limits: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Label -> limit, for the ``tag_concurrency_limits`` that a step with *tags* counts against.

    Dagster's own rules apply: a limit without a value holds for the key, one with a value for that
    pair, and one with ``applyLimitPerUniqueValue`` for each value separately.
    """
    labels: dict[str, int] = {}
    for limit in limits:
        key, value = limit["key"], limit.get("value")
        if key not in tags or (isinstance(value, str) and tags[key] != value):
            continue
        per_value = isinstance(value, str) or bool(value and value["applyLimitPerUniqueValue"])
        label = f"tag {key}={tags[key]}" if per_value else f"tag {key}"
        labels[label] = min(limit["limit"], labels.get(label, limit["limit"]))
    return labels
