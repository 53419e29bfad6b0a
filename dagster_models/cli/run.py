"""``dagster-models run [SELECT]``: a run of the project's code location, in this terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_models.cli.build_options import add_build_options, tags_of, threads_of
from dagster_models.cli.loading import shown_loading
from dagster_models.cli.project import folder_of
from dagster_models.cli.selection import facts_of, selected

if TYPE_CHECKING:
    from dagster import DagsterRun

    from dagster_models.definitions.launch import ProjectLocation

HELP = "run models, as runs that Dagster's UI shows and re-executes"

#: The exit code of each end of a run; that of a canceled one is dbt's for Ctrl-C.
_CODES = {"SUCCESS": 0, "CANCELED": 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_build_options(parser)
    add_workspace(parser)


def add_workspace(parser: argparse.ArgumentParser) -> None:
    found = "(default: what is found at or above the project)"
    parser.add_argument("-f", "--python-file", help=f"the file with the Definitions {found}")
    parser.add_argument("-m", "--module-name", help="the module with the Definitions")
    parser.add_argument("-w", "--workspace", help="a workspace.yaml")


def workspace_of(options: argparse.Namespace) -> Mapping[str, str | None]:
    names = ("python_file", "module_name", "workspace")
    return {name: getattr(options, name) for name in names}


def run(options: argparse.Namespace) -> int:
    from dagster_models.definitions.launch import Asked, new_run

    root = folder_of(options)
    text, exclude = selected(options)
    threads = threads_of(options)
    config = {} if threads is None else {"execution": {"config": {"max_concurrent": threads}}}
    asked = Asked(text, exclude, options.partition, options.job, tags_of(options), config)
    with shown_location(root, workspace_of(options)) as location:
        made = new_run(location, asked, lambda project: facts_of(project, options.target))
        if made.run is None:
            print("There is nothing to do: nothing has changed or failed.")
            return 0
        if made.left_out:
            what = ", ".join(made.left_out)
            print(f"Left out without --partition, as built by the partition: {what}")
        return execute(location, made.run)


@contextmanager
def shown_location(root: Path, workspace: Mapping[str, str | None]) -> Iterator[ProjectLocation]:
    """``location_of``, which shows how far it is if that takes long."""
    from dagster_models.definitions.launch import location_of

    with ExitStack() as stack:
        with shown_loading("Loading the code location"):
            location = stack.enter_context(location_of(root, workspace))
        yield location


def execute(location: ProjectLocation, dagster_run: DagsterRun) -> int:
    place = f"job {dagster_run.job_name}, code location {location.loaded.name}"
    print(f"Run {dagster_run.run_id} ({place})", flush=True)
    status = location.loaded.execute(dagster_run)
    if status != "SUCCESS" and location.loaded.has_begun(dagster_run):  # no other one can go on
        print("`dagster-models retry` goes on with what is left.", flush=True)
    return _CODES.get(status, 1)
