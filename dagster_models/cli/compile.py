"""``dagster-models compile MODEL``: the SQL that is sent to the warehouse, of one or all models."""

from __future__ import annotations

import argparse
from pathlib import Path

from dagster_models.cli.project import (
    add_target,
    add_vars,
    counted,
    find_step,
    project_of,
    refuse_broken,
    warn_of_broken_files,
)
from dagster_models.cli.selection import add_selection, select_steps, selected
from dagster_models.cli.writing import writing
from dagster_models.compilation.sql_text import compile_statement, compile_step
from dagster_models.compilation.tasks import TargetStep, copied_of
from dagster_models.core.materializations import COPY
from dagster_models.core.model import Project, Step, Target
from dagster_models.core.tasks import shown
from dagster_models.errors import SelectionError
from dagster_models.project.targets import usable_target
from dagster_models.util.secrets import without

HELP = "print the SQL that is sent to the warehouse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    into = "write the SQL of all that is selected (default: all) into files of this folder"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=into)
    add_target(parser)
    parser.add_argument(
        "--full", action="store_true", help="what a first build and a full refresh send"
    )
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options, columns=False)
    target = usable_target(project, options.target)
    if options.into is not None:
        return _write_all(project, target, options)
    words = selected(options)[0].split()
    if len(words) != 1:
        raise SelectionError("name one model, or the folder for all that is selected: `--into`")
    known = [step for step in project.steps.values() if step.kind == "sql"]
    step = find_step(words[0], [*known, *project.ephemerals.values()], "SQL model")
    refuse_broken(step)
    print(_text(project, step, target, options.full))
    warn_of_broken_files(project)
    return 0


def _write_all(project: Project, target: Target, options: argparse.Namespace) -> int:
    """Write the SQL of each model to `models/<schema>/<name>.sql` in the folder."""
    count = 0
    for step in select_steps(project, options, options.target):
        if step.kind != "sql" or step.problems:
            continue
        path = (options.into / step.location.path).with_suffix(".sql")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_text(project, step, target, options.full) + "\n", encoding="utf-8")
        count += 1
    print(f"The SQL of {counted(count, 'model')} is in {options.into}.")
    return warn_of_broken_files(project)


def _text(project: Project, step: Step, target: Target, full: bool) -> str:
    """What is sent to build the step, with its statements before and after."""
    config = step.config
    if config.materialized == COPY:
        sql = copied_of(TargetStep(project, step, target)).query(whole=full)
    else:
        sql = compile_step(project, step, target, full=full)
    sql = shown(sql).strip()
    before, after = (
        [compile_statement(project, step, it.sql, target).strip() for it in statements]
        for statements in (config.pre_statements, config.post_statements)
    )
    return without(";\n".join((*before, sql, *after)), project.secrets)
