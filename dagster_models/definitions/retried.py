"""Runs that go on from others: from what failed, from where a process was killed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dagster import AssetCheckKey, AssetKey, DagsterInvalidSubsetError, DagsterRun

from dagster_models._dagster.workspace import ASSET_JOB, Gone, LoadedLocation, NothingThere
from dagster_models.definitions.column_metadata import asset_key
from dagster_models.definitions.launch import ProjectLocation, job_for
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
    notes = []
    job = _job_of(loaded, run)
    if job != run.job_name:
        notes.append(f"There is no job {run.job_name} any more, so it goes on under job {job}.")
    every = loaded.job(job).asset_layer.asset_graph.asset_check_keys
    failed = {key: it for key, it in loaded.failed_checks(run).items() if key in every}
    try:
        again = loaded.again_from_failure(run, job)
    except NothingThere as error:
        what = f"run {run.run_id} has left nothing to do that is still there: {_gone(error.gone)}"
        fix = "`dagster-models run` builds what the project has now"
        raise SelectionError(f"{what}; {fix}") from None
    except DagsterInvalidSubsetError as error:
        if not failed:
            raise SelectionError(f"run {run.run_id}: {error}") from error
        return Retried(_checks_again(loaded, run, job, failed), "\n".join(notes))
    if again.gone:
        notes.append(f"Left out, as {_gone(again.gone)}.")
    if late := " ".join(sorted(_name(key) for key, published in failed.items() if published)):
        what = "Checks of what that run has published failed too, and are no part of this one:"
        notes.append(f"{what} `dagster-models checks {late}` runs them.")
    return Retried(again.run, "\n".join(notes))


def _job_of(loaded: LoadedLocation, run: DagsterRun) -> str:
    """The job under which a run goes on: its own, unless it was deleted or renamed."""
    if run.job_name in loaded.jobs:
        return run.job_name
    there = loaded.job(ASSET_JOB).asset_layer.selected_asset_keys
    planned = {key for keys in loaded.planned(run).values() for key in keys}
    return job_for(loaded, {key for key in planned if key in there and isinstance(key, AssetKey)})


def _gone(keys: Gone) -> str:
    names = sorted({_name(key) for key in keys})
    is_ = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {is_} gone (deleted, renamed or disabled)"


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
    if not keys and run.job_name not in location.loaded.jobs:  # it is gone
        of_steps = (key for keys in location.loaded.planned(run).values() for key in keys)
        keys = {key if isinstance(key, AssetKey) else key.asset_key for key in of_steps}
    elif not keys:
        layer = location.loaded.job(run.job_name).asset_layer
        checks = layer.asset_graph.asset_check_keys
        keys = {*layer.selected_asset_keys, *(check.asset_key for check in checks)}
    project = location.project
    sources = (asset_key(project, key).to_user_string() for key in project.sources)
    mine = {*location.keys.values(), *sources}
    return any(key.to_user_string() in mine for key in keys)


def _name(key: AssetKey | AssetCheckKey) -> str:
    """What our commands call it: schema.model, or schema.model.check."""
    if isinstance(key, AssetKey):
        return ".".join(key.path[-2:])
    return ".".join((*key.asset_key.path[-2:], key.name))


def _checks_again(
    loaded: LoadedLocation, run: DagsterRun, job: str, checks: Collection[AssetCheckKey]
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
    return loaded.new_run(job, (), tags, run_config, checks, run)
