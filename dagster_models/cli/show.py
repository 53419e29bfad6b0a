"""``dagster-models show MODEL``: the first rows of a model's query, or of what it has built."""

from __future__ import annotations

import argparse

from dagster_models.cli.project import (
    add_target,
    add_vars,
    find_step,
    project_of,
    refuse_broken,
)
from dagster_models.cli.rows import add_limit, print_rows
from dagster_models.compilation.places import place_of
from dagster_models.compilation.sql_text import compile_step, relation_sql
from dagster_models.errors import DagsterModelsError, WarehouseError
from dagster_models.project.targets import usable_target

HELP = "print the first rows of a model's query, or of its table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="schema.name, or a name that only one model has")
    table = "what the last build left, and not what the query says now (always so for other kinds)"
    parser.add_argument("--table", action="store_true", help=table)
    add_target(parser)
    add_limit(parser)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options, columns=False)
    step = find_step(
        options.model, [*project.steps.values(), *project.ephemerals.values()], "model"
    )
    refuse_broken(step)
    target = usable_target(project, options.target)
    if step.kind == "sql" and not options.table:
        sql = (
            f"(\n{compile_step(project, step, target, full=True).rstrip().rstrip(';')}\n) as shown"
        )
    elif step.relation is None:
        raise DagsterModelsError(f"{step.key} builds no table")
    else:
        sql = relation_sql(project, step.key, target)
    try:
        return print_rows(project, target, f"select * from {sql}", options.limit)
    except WarehouseError as error:
        place = step.location.path
        if error.line is not None and step.kind == "sql" and not options.table:
            line = max(error.line - 1, 1)  # that of the query begins below `select * from (`
            at = place_of(project, step, line, step.sql, place, step.references)
            place = f"{at.path}:{at.line}"
        raise DagsterModelsError(f"{place}: {error}") from error
