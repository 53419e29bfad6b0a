"""Runs that a command makes: of what, under which job, and as whose.

They belong to the code location of `dagster dev`, so the UI lists them under their job and assets,
re-executes them, and the daemon retries them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    DagsterRun,
    JobDefinition,
)

from dagster_models._dagster.instance import opened_instance
from dagster_models._dagster.workspace import ASSET_JOB, LoadedLocation, opened_workspace
from dagster_models.core.model import Project
from dagster_models.definitions.executor import models_executor
from dagster_models.definitions.other_assets import executable_keys
from dagster_models.definitions.refused import refuse_run
from dagster_models.definitions.selection import asset_nodes, asset_steps
from dagster_models.errors import DagsterModelsError, SelectionError
from dagster_models.execution.partitions import partition_tags, without_partition
from dagster_models.project.first_project import DEFINITIONS, HOME
from dagster_models.project.selection import Facts, select

#: What tells `dagster dev` where the code is, in the order in which it is looked for.
_WORKSPACES = ("pyproject.toml", "workspace.yaml", "workspace.yml")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for. ``partition``: "", a key, `A..B`, or "last"."""

    select: str
    exclude: str
    partition: str
    job: str | None
    tags: Mapping[str, str]
    run_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProjectLocation:
    """The code location that holds a project, and the names of the assets that its steps are.

    ``keys``: "schema.name" of each step -> the name of its asset.
    """

    loaded: LoadedLocation
    project: Project
    assets: Sequence[AssetsDefinition]
    keys: Mapping[str, str]


@contextmanager
def location_of(root: Path, workspace: Mapping[str, str | None]) -> Iterator[ProjectLocation]:
    """The code location with the project in the folder *root*, and Dagster's instance.

    Raises:
        DagsterModelsError: there is none, or it does not load.
    """
    root = root.resolve()  # before the current folder changes
    folder, options = _workspace(root, workspace)
    os.chdir(folder)  # where `dagster dev` is started: names of code locations depend on it
    with _instance(root, folder) as instance:
        instance.inject_env_vars(None)  # .env, as code servers do
        with opened_workspace(instance, **options) as (locations, errors):
            for loaded in locations:
                if (found := _with_project(loaded, root)) is not None:
                    yield found
                    return
    if errors:
        raise DagsterModelsError("\n".join(errors))
    names = ", ".join(loaded.name for loaded in locations)
    raise DagsterModelsError(
        f"no asset of the project in {root} is in the code location {names}, which {folder} has:"
        " name the file or module with its Definitions (-f, -m)"
    )


@dataclass(frozen=True, slots=True)
class Made:
    """``run`` has not begun; None if nothing has changed or failed, and that was selected.
    ``left_out``: what is built by the partition, of a run that names none."""

    run: DagsterRun | None
    left_out: tuple[str, ...] = ()


def new_run(location: ProjectLocation, asked: Asked, facts: Callable[[Project], Facts]) -> Made:
    """Make a run.

    Raises:
        SelectionError: nothing is selected, or what cannot be built in one run.
        ProjectError: there is no such target or variable.
    """
    wanted = _selected(location, asked, facts(location.project))
    if not wanted:
        return Made(None)
    chosen = [asset for asset in location.assets if not wanted.isdisjoint(asset.keys)]
    partitioned = [asset for asset in chosen if asset.partitions_def is not None]
    tags = dict(asked.tags)
    left_out: tuple[str, ...] = ()
    if asked.partition:
        given = (
            (key.to_user_string(), it.partitions_def)
            for it in partitioned
            if it.partitions_def is not None
            for key in it.keys
        )
        tags |= partition_tags(asked.partition, given)
    elif partitioned:
        left_out = tuple(key.to_user_string() for asset in partitioned for key in asset.keys)
        chosen = [asset for asset in chosen if asset.partitions_def is None]
        if not chosen:
            kinds = [it.partitions_def for it in partitioned if it.partitions_def is not None]
            raise SelectionError(without_partition(left_out, kinds))
    keys = {key for asset in chosen for key in asset.keys}
    job = asked.job or job_for(location.loaded, keys)
    of_job = location.loaded.job(job).tags if asked.job else {}
    refuse_run(chosen, keys, job, {**of_job, **tags}, asked.run_config)
    return Made(location.loaded.new_run(job, keys, tags, asked.run_config), left_out)


def job_in(location: ProjectLocation, name: str) -> JobDefinition:
    """The job of that name.

    Raises:
        SelectionError: the code location has none.
    """
    if name not in location.loaded.jobs:
        known = ", ".join(it for it in location.loaded.jobs if it != ASSET_JOB)
        raise SelectionError(f"there is no job {name!r} in the code location: {known}")
    return location.loaded.job(name)


def steps_of(location: ProjectLocation, job: JobDefinition) -> frozenset[str]:
    """The steps of the project that a run of the job builds, each as "schema.name"."""
    keys = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    return frozenset(step for step, name in location.keys.items() if name in keys)


def _selected(location: ProjectLocation, asked: Asked, facts: Facts) -> set[AssetKey]:
    runnable = executable_keys(location.assets)
    if asked.job is not None:
        of_job = job_in(location, asked.job).asset_layer.selected_asset_keys
        if not of_job:
            raise SelectionError(
                f"job {asked.job} runs checks alone, and builds nothing: in the shell,"
                " `dagster-models checks` runs those of the models that it names"
            )
        runnable &= of_job
    elif not asked.select:  # what others have in the location runs if somebody names it
        own = set(location.keys.values())
        runnable = {key for key in runnable if key.to_user_string() in own}

    def named(steps: Callable[..., Any], *given: str) -> list[str]:
        return [location.keys[step] for step in steps(*given) if step in location.keys]

    of_assets = Facts(
        lambda ref: named(facts.changed, ref),
        lambda: named(facts.failed),
    )
    every = asset_nodes(location.assets)
    found = set(select(every, asked.select, of_assets, asked.exclude))
    left = {key for key in runnable if key.to_user_string() in found}
    if found and not left:
        raise SelectionError(f"`{asked.select or '*'}` selects nothing that a run can build")
    return left


def job_for(loaded: LoadedLocation, keys: set[AssetKey]) -> str:
    """The job of a run that names none, or one that is gone: Dagster's own of all assets where that
    runs as ours do, else the first one of the project that has all of *keys*."""
    candidates = [ASSET_JOB, *(name for name in loaded.jobs if name != ASSET_JOB)]
    for name in candidates:
        job = loaded.job(name)
        ours = job.executor_def.name == models_executor.name
        if ours and keys <= job.asset_layer.selected_asset_keys:
            return name
    raise SelectionError(
        "no job that runs under models_executor has all that is selected: add one to"
        ' dagster_models.yaml (`jobs: {all: {selection: "*"}}`), or merge'
        " `Definitions(executor=models_executor)` with what load_project returns"
    )


def _with_project(loaded: LoadedLocation, root: Path) -> ProjectLocation | None:
    assets = [asset for asset in loaded.assets() if asset.keys]  # others have only checks
    mine = [
        (found, spec.key.to_user_string())
        for spec, found in asset_steps(assets)
        if found is not None and Path(found.project.root).resolve() == root
    ]
    if not mine:
        return None
    keys = {str(found.step.key): name for found, name in mine}
    return ProjectLocation(loaded, mine[0][0].project, assets, keys)


def _workspace(
    root: Path, options: Mapping[str, str | None]
) -> tuple[Path, Mapping[str, str | None]]:
    """The folder in which `dagster dev` would be started, and its options."""
    for option, file in (("-f", options.get("python_file")), ("-w", options.get("workspace"))):
        if file and not Path(file).is_file():
            raise SelectionError(f"{option}: there is no file {file}")
    if any(options.values()):
        return Path.cwd(), options
    for folder in (root, *root.parents):
        for name in _WORKSPACES:
            if _is_workspace(folder / name):
                return folder, {} if name == _WORKSPACES[0] else {"workspace": name}
    if (root / DEFINITIONS).is_file():
        return root, {"python_file": DEFINITIONS}
    raise DagsterModelsError(
        f"{root} has no {DEFINITIONS}, and neither it nor a folder above it has a pyproject.toml"
        " with [tool.dagster] or a workspace.yaml. Write that file as the README has it, or name"
        " another file or a module with -f or -m"
    )


def _is_workspace(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.name != _WORKSPACES[0]:
        return True
    text = path.read_text(encoding="utf-8", errors="replace")
    return any(line.strip() in ("[tool.dagster]", "[tool.dg]") for line in text.splitlines())


@contextmanager
def _instance(root: Path, folder: Path) -> Iterator[DagsterInstance]:
    """Dagster's instance: that of $DAGSTER_HOME, else of the home that `init` writes."""
    if not os.environ.get("DAGSTER_HOME"):
        homes = [place / HOME for place in (root, folder)]
        home = next((it for it in homes if (it / "dagster.yaml").is_file()), None)
        if home is None:
            raise DagsterModelsError(
                "DAGSTER_HOME is not set: name the folder where Dagster keeps its runs"
            )
        os.environ["DAGSTER_HOME"] = str(home)
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # what its storage is made for
    with opened_instance(Path(os.environ["DAGSTER_HOME"])) as instance:
        yield instance
