"""``dagster-models retry``: the last failed run of the project goes on from where it failed."""

from __future__ import annotations

import argparse

from dagster_models.cli.project import folder_of
from dagster_models.cli.run import add_workspace, execute, workspace_of

HELP = "go on with the project's last run, if it has failed or was canceled"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", nargs="?", metavar="RUN_ID", help="another run, by its id")
    target = "the last run on this one of the project's targets (default: on any)"
    parser.add_argument("--target", help=target)
    add_workspace(parser)


def run(options: argparse.Namespace) -> int:
    from dagster_models.definitions.launch import location_of
    from dagster_models.definitions.retried import retried_run

    root = folder_of(options)
    with location_of(root, workspace_of(options)) as location:
        retried = retried_run(location, options.run_id, options.target)
        if retried.note:
            print(retried.note)
        return execute(location, retried.run)
