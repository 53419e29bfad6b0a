"""``dagster-models ls``: the steps of a project in the order in which they would run."""

from __future__ import annotations

import argparse
import sys

from dagster_models.cli.project import NO_MODELS, folder_of, load, warn_of_broken_files

HELP = "list the steps in the order in which they would run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), columns=False, whole=False)
    if not project.steps:
        print(NO_MODELS, file=sys.stderr)
    width = max((len(str(key)) for key in project.steps), default=0)
    built_width = max(6, *(len(step.built_as) for step in project.steps.values()))
    for step in project.steps.values():
        built = step.built_as.ljust(built_width)
        print(f"{str(step.key).ljust(width)}  {built}  {step.location.path}")
    return warn_of_broken_files(project)
