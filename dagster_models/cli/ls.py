"""``dagster-models ls``: the steps of a project in the order in which they would run."""

from __future__ import annotations

import argparse
import sys

from dagster_models.cli.project import (
    NO_MODELS,
    add_vars,
    project_of,
    warn_of_broken_files,
)
from dagster_models.cli.selection import add_selection, select_steps

HELP = "list the steps in the order in which they would run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    target = "the target to which `changed` looks (default: the project's default one)"
    parser.add_argument("--target", help=target)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options)  # with columns: a wrong one makes a step broken, too
    if not project.steps:
        print(NO_MODELS, file=sys.stderr)
    every = select_steps(project, options, options.target)
    width = max((len(str(step.key)) for step in every), default=0)
    built_width = max([6, *(len(step.built_as) for step in every)])
    for step in every:
        built = step.built_as.ljust(built_width)
        wrong = "  (broken)" if step.problems else ""
        print(f"{str(step.key).ljust(width)}  {built}  {step.location.path}{wrong}")
    return warn_of_broken_files(project)
