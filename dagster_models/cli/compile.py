"""``dagster-models compile MODEL``: the SQL that is sent to the warehouse."""

from __future__ import annotations

import argparse

from dagster_models.cli.project import (
    add_vars,
    find_step,
    folder_of,
    given_by,
    load,
    refuse_broken,
    warn_of_broken_files,
)
from dagster_models.compilation.sql_text import compile_statement, compile_step
from dagster_models.compilation.tasks import TargetStep, copied_of
from dagster_models.core.materializations import COPY
from dagster_models.core.tasks import shown
from dagster_models.project.targets import usable_target
from dagster_models.util.secrets import without

HELP = "print the SQL that is sent to the warehouse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="schema.name, or a name that only one model has")
    parser.add_argument("--target", help="one of the project's targets (default: its default one)")
    parser.add_argument(
        "--full", action="store_true", help="what a first build and a full refresh send"
    )
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), columns=False, whole=False, given=given_by(options))
    known = [step for step in project.steps.values() if step.kind == "sql"]
    step = find_step(options.model, [*known, *project.ephemerals.values()], "SQL model")
    refuse_broken(project, step)
    target, config = usable_target(project, options.target), step.config
    if step.config.materialized == COPY:
        copied = copied_of(TargetStep(project, step, target))
        sql = (not options.full and copied.increment) or copied.sql
    else:
        sql = compile_step(project, step, target, full=options.full)
    sql = shown(sql).strip()
    before, after = (
        [compile_statement(project, step, it.sql, target).strip() for it in statements]
        for statements in (config.pre_statements, config.post_statements)
    )
    print(without(";\n".join((*before, sql, *after)), project.secrets))
    warn_of_broken_files(project)
    return 0
