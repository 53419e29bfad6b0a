"""``dagster-models script FILE``: one script, from the shell, as a run would run it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dagster_models.cli.project import add_target, folder_of, load, refuse_broken
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.model import Project, Step
from dagster_models.errors import DagsterModelsError
from dagster_models.execution.single import run_alone
from dagster_models.project.targets import usable_target
from dagster_models.util.nearest import nearest

HELP = "run one script against the warehouse, in its own environment if it names packages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", help="its file, or its name")
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), columns=False, whole=False)
    step = _find(project, options.script)
    refuse_broken(step)
    target_step = TargetStep(project, step, usable_target(project, options.target))
    error = run_alone(target_step, "shell", 1).outcome.error
    if error is None:
        return 0
    place = step.location.path if error.line is None else f"{step.location.path}:{error.line}"
    print(error.traceback or f"{place}: {error.message}", file=sys.stderr)
    return 1


def _find(project: Project, name: str) -> Step:
    scripts = {step.location.path: step for step in project.steps.values() if step.kind == "script"}
    file = Path(name).resolve()
    for path, step in scripts.items():
        if file == Path(project.root, path).resolve() or name in (path, step.key.name):
            return step
    known = {path: path for path in scripts} | {it.key.name: at for at, it in scripts.items()}
    close = nearest(name, known)
    hint = f": did you mean {known[close[0]]}?" if close else ""
    raise DagsterModelsError(f"there is no script {name!r}{hint}")
