"""``dagster-models sql QUERY``: a query of the warehouse, in which models have their names."""

from __future__ import annotations

import argparse

from dagster_models.cli.project import (
    add_target,
    add_vars,
    project_of,
)
from dagster_models.cli.rows import add_limit, print_rows
from dagster_models.compilation.sql_text import compile_text, parsed_text
from dagster_models.core.model import Config, Key, Location, Project, Step, Target
from dagster_models.errors import DagsterModelsError, SqlSyntaxError
from dagster_models.project.linking.names import build_names, resolve
from dagster_models.project.targets import usable_target

HELP = "run a query in the warehouse, in which models have their names"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", help="e.g. 'select count(*) from marts.orders'")
    add_target(parser)
    add_limit(parser)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options, columns=False)
    target = usable_target(project, options.target)
    return print_rows(project, target, sent(project, target, options.query), options.limit)


def sent(project: Project, target: Target, query: str) -> str:
    """The query as it is sent to the warehouse.

    Raises:
        DagsterModelsError: it is not one query, or cannot be read.
    """
    try:
        step = _as_step(project, query)
        sql = compile_text(project, step, query, target).rstrip().rstrip(";")
    except SqlSyntaxError as error:
        raise DagsterModelsError(f"the query, {error}") from error
    return f"select * from (\n{sql}\n) as shown"


def _as_step(project: Project, text: str) -> Step:
    """A step that is nowhere, with the references of the query. Raises SqlSyntaxError."""
    parsed = parsed_text(project, text, queries_only=True)
    names = build_names(project.steps.values(), project.sources.values(), ())
    found = {ref.name: resolve(names, ref.parts) for ref in parsed.references}
    return Step(
        key=Key("", "query"),
        kind="sql",
        location=Location("(query)"),
        config=Config(),
        relation=None,
        sql=text,
        references=parsed.references,
        resolved={name: key for name, key in found.items() if isinstance(key, Key)},
        variables=_variables(project),
    )


def _variables(project: Project) -> dict[str, object]:
    """The variables that have one value for all files."""
    found: dict[str, object] = {}
    several = set()
    for step in project.steps.values():
        for name, value in step.variables.items():
            if found.setdefault(name, value) != value:
                several.add(name)
    return {name: value for name, value in found.items() if name not in several}
