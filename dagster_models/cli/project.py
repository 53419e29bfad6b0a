"""The project that a command is about, and what is said of files in it that are wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster_models.cli.loading import shown_loading
from dagster_models.cli.words import nearest_project
from dagster_models.core.model import Project, Source, Step, Target
from dagster_models.definitions.loading import load_files
from dagster_models.errors import DagsterModelsError, Problem, ProjectError
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.project.variables import GivenText
from dagster_models.util.nearest import nearest

NO_MODELS = "The project has no models yet: put a .sql file into models/."


def load(root: Path, **how: Any) -> Project:
    """The project in a folder, whose ``def sql(vars)`` and templates run in this process. It shows
    how far it is if that takes long."""
    with shown_loading():
        return load_files(root, **how)


def project_of(options: argparse.Namespace, *, columns: bool = True) -> Project:
    """The project that the options mean, with the variables that they give. It is loaded although
    some of its files are wrong.

    Raises:
        ProjectError: what is wrong is of the whole project.
    """
    return load(folder_of(options), columns=columns, whole=False, given=given_by(options))


def folder_of(options: argparse.Namespace) -> Path:
    """The project's folder: that of ``--project``, else the nearest one.

    Raises:
        DagsterModelsError: there is none.
    """
    here = Path.cwd()
    if (folder := nearest_project(options.project, here)) is not None:
        return folder
    raise DagsterModelsError(
        f"there is no {PROJECT_FILE} in {here}, above it, or in {here / 'project'}: "
        "pass the project's folder with --project"
    )


def given_by(options: argparse.Namespace) -> GivenText | None:
    """The values of variables in ``--vars``."""
    return GivenText(options.vars, "--vars") if options.vars else None


def add_vars(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vars", metavar="YAML", help="values of variables: '{late_minutes: 30}'")


def add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help="one of the project's targets (default: its default one)")


def errors_among(problems: Sequence[Problem]) -> int:
    return sum(problem.severity == "error" for problem in problems)


def counted(count: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def find_step(name: str, known: Sequence[Step], noun: str) -> Step:
    """The one of *known* that is called *name*, with or without its schema.

    Raises:
        DagsterModelsError: there is none, or several are.
    """
    found = [step for step in known if name in (str(step.key), step.key.name)]
    if len(found) == 1:
        return found[0]
    if found:
        every = " or ".join(str(step.key) for step in found)
        raise DagsterModelsError(f"{name!r} may be {every}: write the schema too")
    spellings = {spelling: step for step in known for spelling in (str(step.key), step.key.name)}
    close = dict.fromkeys(str(spellings[near].key) for near in nearest(name, spellings, 3))
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DagsterModelsError(f"there is no {noun} named {name!r}{hint}")


def is_there(target: Target) -> bool:
    """Whether there may be a database: looking into it must not make one."""
    setting = target.type.file_setting
    return not setting or os.path.exists(str(target.settings[setting]))


def refuse_missing(target: Target) -> None:
    """Raise DagsterModelsError if there is no database to look into."""
    if not is_there(target):
        raise DagsterModelsError(f"target {target.name} has no database yet: nothing is built")


def refuse_broken(item: Step | Source) -> None:
    """Refuse *item* if its file is wrong, in a project that was loaded although some files are.

    Raises:
        ProjectError: with the problems of the item.
    """
    if item.problems:
        raise ProjectError(item.problems)


def warn_of_broken_files(project: Project) -> int:
    """Say on stderr that errors were left aside, as one wrong file must not hide the others. How
    many there are only `check` knows, which looks at more.

    Returns the exit code of a command that lists all of the project.
    """
    errors = errors_among(project.warnings)
    if errors:
        print("The project has errors: `dagster-models check` reports them.", file=sys.stderr)
    return 1 if errors else 0
