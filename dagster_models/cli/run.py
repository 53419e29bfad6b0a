"""``dagster-models run [SELECT]``: a run of the project's code location, in this terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_models.cli.loading import shown_loading
from dagster_models.cli.project import add_target, add_vars, folder_of
from dagster_models.cli.selection import add_selection, facts_of, selected
from dagster_models.core.checks import WHEN
from dagster_models.errors import SelectionError

if TYPE_CHECKING:
    from dagster import DagsterRun

    from dagster_models.definitions.launch import ProjectLocation

HELP = "run models, as runs that Dagster's UI shows and re-executes"

#: The exit code of each end of a run; that of a canceled one is dbt's for Ctrl-C.
_CODES = {"SUCCESS": 0, "CANCELED": 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_target(parser)
    add_vars(parser)
    for flag, text in {
        "--full-refresh": "build incremental models in full",
        "--fail-fast": "stop at the first failure",
        "--only-changed": "leave alone what a build would leave the same",
    }.items():
        parser.add_argument(flag, action="store_true", help=text)
    partition = "the partition to build: a key, `A..B`, or `last`"
    parser.add_argument("--partition", default="", metavar="A[..B]", help=partition)
    parser.add_argument("--threads", type=int, metavar="N", help="how many steps run at once")
    defer = "the target from which to read what is not built here"
    parser.add_argument("--defer", metavar="TARGET", help=defer)
    when = "when checks run (default: as the project says)"
    parser.add_argument("--checks", choices=WHEN, help=when)
    parser.add_argument("-j", "--job", help="the job of the run (default: that of all assets)")
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
    asked = Asked(text, exclude, options.partition, options.job, tags_of(options), _config(options))
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
    if status != "SUCCESS":
        print("`dagster-models retry` goes on with what is left.", flush=True)
    return _CODES.get(status, 1)


def tags_of(options: argparse.Namespace) -> dict[str, str]:
    """The run tags that say what the options say: re-executions of the run have them, too."""
    from dagster_models.execution.deferral import DEFER_TAG
    from dagster_models.execution.options import (
        CHECKS_TAG,
        FAIL_FAST_TAG,
        FULL_REFRESH_TAG,
        ONLY_CHANGED_TAG,
        TARGET_TAG,
    )
    from dagster_models.execution.run_variables import VARS_TAG

    given = {
        TARGET_TAG: options.target,
        VARS_TAG: options.vars,
        DEFER_TAG: options.defer,
        CHECKS_TAG: options.checks,
        FULL_REFRESH_TAG: options.full_refresh and "true",
        FAIL_FAST_TAG: options.fail_fast and "true",
        ONLY_CHANGED_TAG: options.only_changed and "true",
    }
    return {tag: str(value) for tag, value in given.items() if value}


def _config(options: argparse.Namespace) -> dict[str, object]:
    if options.threads is None:
        return {}
    if options.threads < 1:
        raise SelectionError(f"--threads is {options.threads}; at least one slot is needed")
    return {"execution": {"config": {"max_concurrent": options.threads}}}
