"""Runs that go on from others: from what failed, from where a process was killed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dagster import AssetCheckKey, DagsterInvalidSubsetError, DagsterRun

from dagster_models._dagster.workspace import LoadedLocation
from dagster_models.definitions.column_metadata import asset_key
from dagster_models.definitions.launch import ProjectLocation
from dagster_models.errors import SelectionError
from dagster_models.execution.options import (
    CHECKS_TAG,
    FULL_REFRESH_TAG,
    ONLY_CHANGED_TAG,
    RAN_ON_TAG,
)
from dagster_models.reporting.journal import is_abandoned


@dataclass(frozen=True, slots=True)
class Retried:
    """``run`` has not begun. ``note``: what is worth knowing of it, "" for nothing."""

    run: DagsterRun
    note: str = ""


def retried_run(location: ProjectLocation, run_id: str | None, target: str | None) -> Retried:
    """A run that goes on from a failed or canceled one, as "Re-execute from failure" does: the
    run of that id, else the last one of this project (on *target*, if it is given) that has done
    something. One whose process was killed counts as failed. If nothing has failed but checks after
    all models, these run alone.

    Raises:
        SelectionError: there is none, or it has left nothing to do.
    """
    loaded = location.loaded
    run = _run_of_id(loaded, run_id) if run_id else _last_run(location, target)
    if not run.is_finished and is_abandoned(location.project.target_path, run.run_id):
        run = loaded.mark_failed(
            run,
            "The process of this run is gone: it was killed, or the machine went down."
            " `dagster-models retry` found that, and goes on from here.",
        )
    if not run.is_failure_or_canceled:
        what = f"run {run.run_id} of job {run.job_name} is {run.status.value}"
        fix = "only one that has failed or was canceled can go on"
        if not run.is_finished:
            fix += (
                "; if its process was killed, which is not seen from here, mark it as canceled in"
                " the UI (Terminate, force)"
            )
        raise SelectionError(f"{what}: {fix}")
    failed = loaded.failed_checks(run)
    try:
        retried = loaded.again_from_failure(run)
    except DagsterInvalidSubsetError as error:
        if not failed:
            raise SelectionError(f"run {run.run_id}: {error}") from error
        return Retried(_checks_again(loaded, run, failed))
    late = " ".join(sorted(_name(key) for key, published in failed.items() if published))
    if not late:
        return Retried(retried)
    what = "Checks of what that run has published failed too, and are no part of this one:"
    return Retried(retried, f"{what} `dagster-models checks {late}` runs them.")


def _run_of_id(loaded: LoadedLocation, run_id: str) -> DagsterRun:
    found = next((run for run in loaded.runs() if run.run_id.startswith(run_id)), None)
    if found is None:
        raise SelectionError("no run of this code location has that id")
    return found


def _last_run(location: ProjectLocation, target: str | None) -> DagsterRun:
    """The last run that counts. One that could not begin hides none that has done something."""
    for run in location.loaded.runs():
        is_there = target is None or target in run.tags.get(RAN_ON_TAG, "").split(", ")
        if is_there and _is_of(location, run) and location.loaded.has_results(run):
            return run
    where = f" on target {target}" if target else ""
    raise SelectionError(f"no run of {location.project.name}{where} has begun yet")


def _is_of(location: ProjectLocation, run: DagsterRun) -> bool:
    """Whether a run has something of the project."""
    keys = {*(run.asset_selection or ())}
    keys |= {check.asset_key for check in run.asset_check_selection or ()}
    if not keys:
        if run.job_name not in location.loaded.jobs:
            return False  # it is gone
        layer = location.loaded.job(run.job_name).asset_layer
        checks = layer.asset_graph.asset_check_keys
        keys = {*layer.selected_asset_keys, *(check.asset_key for check in checks)}
    project = location.project
    sources = (asset_key(project, key).to_user_string() for key in project.sources)
    mine = {*location.keys.values(), *sources}
    return any(key.to_user_string() in mine for key in keys)


def _name(check: AssetCheckKey) -> str:
    """What `dagster-models checks` calls it: schema.model.check."""
    return ".".join((*check.asset_key.path[-2:], check.name))


def _checks_again(
    loaded: LoadedLocation, run: DagsterRun, checks: Collection[AssetCheckKey]
) -> DagsterRun:
    """A run of checks alone, on the target of *run* and with its variables."""
    execution: Any = run.run_config.get("execution") or {}
    config = dict(execution.get("config") or {})
    for of_builds in ("full_refresh", "only_changed", "checks"):
        config.pop(of_builds, None)
    left_out = (FULL_REFRESH_TAG, ONLY_CHANGED_TAG, CHECKS_TAG, RAN_ON_TAG)
    tags = {
        tag: value
        for tag, value in run.tags.items()
        if tag not in left_out and not tag.startswith(("dagster/", ".dagster/"))
    }
    run_config = {"execution": {"config": config}} if config else {}
    return loaded.new_run(run.job_name, (), tags, run_config, checks, run)
