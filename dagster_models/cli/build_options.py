"""The options that say what a run builds. `plan` takes all that `run` takes."""

from __future__ import annotations

import argparse

from dagster_models.cli.project import add_target, add_vars
from dagster_models.cli.selection import add_selection
from dagster_models.core.checks import WHEN
from dagster_models.errors import SelectionError


def add_build_options(parser: argparse.ArgumentParser) -> None:
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


def threads_of(options: argparse.Namespace) -> int | None:
    """How many steps may run at once; None for as many as the project says.

    Raises:
        SelectionError: it is less than one.
    """
    threads: int | None = options.threads
    if threads is not None and threads < 1:
        raise SelectionError(f"--threads is {threads}; at least one slot is needed")
    return threads
