"""``dagster-models diff [GIT_REF]``: what changed in meaning since a commit, what that touches."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster_models.cli.compared import compared
from dagster_models.cli.project import folder_of
from dagster_models.cli.selection import add_words, facts_of, project_nodes
from dagster_models.core.model import Project
from dagster_models.errors import DagsterModelsError
from dagster_models.project.compare import (
    ALL,
    NO_KEYS,
    ColumnChange,
    Comparison,
    GivenKeys,
    StepChange,
    op_selection,
    selection,
)
from dagster_models.project.selection import Node, select

HELP = "print what changed in meaning since a commit"

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ref", nargs="?", default="HEAD", metavar="GIT_REF", help="default: HEAD")
    only = "print only what has changed of these models, and what that touches of them"
    add_words(parser, only)
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
    commit, comparison, project = compared(root, options.ref)
    comparison = _selected(comparison, project, options)
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


def _selected(comparison: Comparison, project: Project, options: argparse.Namespace) -> Comparison:
    """What the options select of it."""
    text, exclude = " ".join(options.selection), " ".join(options.exclude)
    if not (text or exclude):
        return comparison
    nodes = list(project_nodes(project))
    known = {node.name for node in nodes}
    gone = (change for change in comparison.changes if str(change.key) not in known)
    nodes += [Node(str(it.key), (it.key.name,), path=it.path, folder=it.key.schema) for it in gone]
    names = set(select(nodes, text, facts_of(project, None), exclude))
    return replace(
        comparison,
        changes=tuple(it for it in comparison.changes if str(it.key) in names),
        affected={key: of for key, of in comparison.affected.items() if str(key) in names},
    )


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
        yield f"    {column_line(column)}"
    if change.rows:
        yield "    ~ which rows it has"
    if change.whole:
        yield "    ~ its contents"


def column_line(column: ColumnChange) -> str:
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
