"""``dagster-models diff [GIT_REF]``: what changed in meaning since a commit, what that touches."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster_models.cli.git import repository_of
from dagster_models.cli.project import folder_of, load
from dagster_models.core.model import Project, Step
from dagster_models.errors import DagsterModelsError, ProjectError
from dagster_models.project.compare import (
    ALL,
    NO_KEYS,
    ColumnChange,
    Comparison,
    GivenKeys,
    StepChange,
    compare,
    op_selection,
    selection,
)
from dagster_models.project.settings import PROJECT_FILE

HELP = "print what changed in meaning since a commit"

#: What a load reads; data beside a project may be large.
_ENDINGS = (".sql", ".py", ".csv", ".yaml", ".yml")
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ref", nargs="?", default="HEAD", metavar="GIT_REF", help="default: HEAD")
    how = parser.add_mutually_exclusive_group()
    select_help = "print only a Dagster asset selection of what changed and all downstream of it"
    how.add_argument("--select", action="store_true", help=select_help)
    ops_help = "the same for `dagster job execute --op-selection`"
    how.add_argument("--ops", action="store_true", help=ops_help)
    parser.add_argument(
        "--definitions",
        metavar="MODULE",
        help="the module with the Definitions of Dagster, whose asset keys are printed: needed if"
        " a translator changes keys",
    )
    how.add_argument("--format", choices=("human", "json"), default="human", help="default: human")


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    commit, comparison = diff(root, options.ref)
    given = _given_keys(options.definitions, root) if options.definitions else NO_KEYS
    if options.select:
        text = selection(comparison, given)
    elif options.ops:
        text = op_selection(comparison, given)
    elif options.format == "json":
        text = as_json(options.ref, commit, comparison, given)
    else:
        text = as_text(options.ref, commit, comparison)
    if text:
        print(text)
    return 0


def _given_keys(module: str, root: Path) -> GivenKeys:
    """The asset keys of the project's steps in the Definitions of a Python module.

    Raises:
        DagsterModelsError: the module cannot be imported, or has no step of the project.
    """
    from dagster import Definitions  # which takes a second, and few need it

    from dagster_models.definitions.given_keys import given_in

    sys.path.insert(0, os.getcwd())
    try:
        values = vars(import_module(module)).values()
    except Exception as error:  # the module is the user's
        what = f"{module} cannot be imported: {type(error).__name__}: {error}"
        raise DagsterModelsError(what) from error
    finally:
        sys.path.remove(os.getcwd())
    all_of = [given_in(value, str(root)) for value in values if isinstance(value, Definitions)]
    keys = {key: path for found in all_of for key, path in found.items()}
    if not keys:
        raise DagsterModelsError(
            f"{module} has no Definitions with assets of the project in {root.resolve()}: name the"
            " module that `dagster job execute -m` would get"
        )
    return keys


def diff(root: Path, ref: str) -> tuple[str, Comparison]:
    """The short name of the commit, and what changed since. The user's checkout stays untouched.

    Raises:
        DagsterModelsError: there is no git repository or no such commit, or one of the two
            versions of the project does not load.
    """
    root = root.resolve()
    if not root.is_dir():
        raise DagsterModelsError(f"there is no folder {root}")
    repository = repository_of(root)
    commit = repository.find_commit(ref)
    new = _load(root, "the project as it is")
    with repository.files_at(commit, _ENDINGS) as before:
        if not (before / PROJECT_FILE).is_file():
            old = Project(
                new.name, str(before), new.target_path, new.dialect, {}, new.default_target, {}
            )
        else:
            old = _load(before, f"the project at {ref}", new)
        return commit[:10], compare(old, new, _text)


def _load(folder: Path, what: str, newer: Project | None = None) -> Project:
    """The project in *folder*. What is known of a *newer* version of it is used: what builds left
    is known by its code version, so it holds for the older files too."""
    texts, target_path = (newer.texts, newer.target_path) if newer else (None, None)
    try:
        return load(folder, texts=texts, unknown_columns="ignore", target_path=target_path)
    except ProjectError as error:
        raise DagsterModelsError(f"{what} does not load: {error}") from error


def _text(project: Project, step: Step) -> str:
    path = Path(project.root, step.location.path)
    return path.read_text(encoding="utf-8-sig", errors="replace")


# --- the report ---------------------------------------------------------------------------------


def as_text(ref: str, commit: str, comparison: Comparison) -> str:
    if not comparison.changes:
        return f"No model changed in meaning since {ref} ({commit})."
    lines = [f"Since {ref} ({commit}): {_counted(comparison.changes)}", ""]
    for change in comparison.changes:
        lines += _change_lines(change)
    if comparison.affected:
        lines += ["", "Downstream of it:"]
        for key, columns in comparison.affected.items():
            every = "all of it" if ALL in columns else ", ".join(columns)
            lines.append(f"  {key}: {every}")
    return "\n".join(lines)


def _counted(changes: tuple[StepChange, ...]) -> str:
    counts = {kind: sum(change.kind == kind for change in changes) for kind in _SIGNS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _change_lines(change: StepChange) -> Iterator[str]:
    was = f", was {change.was}" if change.was else ""
    yield f"{_SIGNS[change.kind]} {change.key} ({change.path}{was})"
    for column in change.columns:
        yield f"    {_column_line(column)}"
    if change.rows:
        yield "    ~ which rows it has"
    if change.whole:
        yield "    ~ its contents"


def _column_line(column: ColumnChange) -> str:
    types = f"{column.before or '?'} -> {column.after or '?'}"
    if column.kind == "added":
        return f"+ {column.name} {column.after}".rstrip()
    if column.kind == "removed":
        return f"- {column.name} {column.before}".rstrip()
    if column.kind == "type":
        return f"~ {column.name}: {types}"
    return f"~ {column.name}: its expression" + (
        f", {types}" if column.before != column.after else ""
    )


def as_json(
    ref: str,
    commit: str,
    comparison: Comparison,
    given: GivenKeys = NO_KEYS,
) -> str:
    """Lists of changes and of what they touch; an affected step's columns are ``["*"]`` for all."""
    data: Mapping[str, Any] = {
        "ref": ref,
        "commit": commit,
        "changes": [
            {
                "model": str(change.key),
                "change": change.kind,
                "file": change.path,
                "was": str(change.was) if change.was else None,
                "rows": change.rows,
                "whole": change.whole,
                "columns": [
                    {"name": c.name, "change": c.kind, "before": c.before, "after": c.after}
                    for c in change.columns
                ],
            }
            for change in comparison.changes
        ],
        "affected": {str(key): list(columns) for key, columns in comparison.affected.items()},
        "selection": selection(comparison, given),
    }
    return json.dumps(data, indent=2)
