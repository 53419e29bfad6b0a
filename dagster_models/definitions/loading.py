"""``project.load.load`` with those who run users' code for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dagster_models.definitions.sql_function import run_sql_function
from dagster_models.project.load import load
from dagster_models.project.templates import ModelTemplate, Rendered, TemplateError, TemplateProject


def render_templates(
    project: TemplateProject, templates: Sequence[ModelTemplate]
) -> Sequence[Rendered | TemplateError]:
    """See project.templates.RenderTemplates. Jinja is imported only for projects with templates."""
    from dagster_models.dbt.templates.door import render_templates

    return render_templates(project, templates)


load_files = partial(load, run_sql_function=run_sql_function, render_templates=render_templates)
"""Loads the project in a folder."""
