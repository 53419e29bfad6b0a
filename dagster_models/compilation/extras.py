"""What a build does besides the rows of its relation, for one target."""

from __future__ import annotations

import os
from dataclasses import replace
from urllib.parse import quote

from dagster_models.compilation.sql_text import compile_statement
from dagster_models.core.extras import Export, Extras, UserStatement
from dagster_models.core.model import Project, Step, Target
from dagster_models.errors import ProjectError
from dagster_models.project.extras import comments, refused
from dagster_models.project.refused_names import refused_names


def extras_of(project: Project, step: Step, target: Target) -> Extras:
    """Raises SqlSyntaxError if a variable of a statement has no value."""
    config = step.config
    comment, column_comments = comments(config)

    def sent(statement: UserStatement) -> UserStatement:
        path = "" if statement.path == step.location.path else statement.path
        return replace(
            statement, sql=compile_statement(project, step, statement.sql, target), path=path
        )

    return Extras(
        tuple(map(sent, config.pre_statements)),
        tuple(map(sent, config.post_statements)),
        config.grants,
        config.indexes,
        comment,
        column_comments,
        export_of(project, step, target),
    )


def export_of(project: Project, step: Step, target: Target) -> Export | None:
    """Where the rows of the step are written besides, on *target*."""
    export = step.config.export
    if export is None:
        return None
    path = os.path.join(project.root, export.path.replace("$target", quote(target.name, safe="")))
    owner = f"{step.key} of the project {project.name} on the target {target.name}"
    return replace(export, path=path, owner=owner)


def refuse_extras(step: Step, target: Target) -> None:
    """Raise ProjectError for what the warehouse of *target* cannot have. The load has looked at
    the default target only."""
    if found := [*refused(step, target), *refused_names(step, target)]:
        raise ProjectError(found)
