"""The templates of models_jinja/ on their way to drafts: they are rendered, and `config()` counts
as a part of the header."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster_models.core.model import Key
from dagster_models.errors import Problem
from dagster_models.project.config import HEADER_KEYS, LATER
from dagster_models.project.described import IDLE_IN_ENTRIES
from dagster_models.project.drafts.draft import DraftContext
from dagster_models.project.drafts.step import (
    configuration,
    key_of,
    layered,
    parse_header,
    variables_of,
)
from dagster_models.project.files import TEMPLATES, ProjectFile, read_macro_files
from dagster_models.project.header import sql_header
from dagster_models.project.problems import Report, problem
from dagster_models.project.settings import PROJECT_FILE, Settings
from dagster_models.project.templates import (
    ModelTemplate,
    PlacedInTemplates,
    RenderTemplates,
    TemplateError,
    TemplateProject,
    beyond,
    of_rendered,
)
from dagster_models.project.variables import without_secrets
from dagster_models.project.yaml.nodes import YamlNode, node_of


def rendered(
    files: Sequence[ProjectFile],
    context: DraftContext,
    render: RenderTemplates,
    report: PlacedInTemplates,
    cache: str,
) -> tuple[ProjectFile, ...]:
    """The files, each template with the text that came out of it. One that cannot be rendered has
    no text, which is reported. *cache* is the folder of the caches."""
    templates = [file for file in files if file.is_template and file.data]
    if not templates:
        return tuple(files)
    project = _project(files, context, cache)
    silent = replace(context, report=lambda problem: None)  # drafts report it once more
    results = render(project, [_template(file, silent) for file in templates])
    made = {}
    for file, found in zip(templates, results, strict=True):
        if isinstance(found, TemplateError):
            report(Problem(found.what, file.path, found.line, 1, found.fix))
            made[file.path] = replace(file, text="", data=b"")
        else:
            made[file.path] = of_rendered(file, found)
            report.sources[file.path] = (file, made[file.path])
    return tuple(made.get(file.path, file) for file in files)


def refuse_without_setting(root: str, file: YamlNode | None, report: Report) -> None:
    """Report a folder of templates in a project that does not render them. *file*: the project
    file; what is wrong with it, or with its `jinja:`, has been reported."""
    if file is None or not isinstance(file.value, dict):
        return
    setting = file.value.get("jinja")
    is_off = setting is None or setting.value is False
    if is_off and os.path.isdir(os.path.join(root, TEMPLATES)):
        fix = f"Write `jinja: true` into {PROJECT_FILE}; it needs the extra `jinja`."
        report(Problem("nothing renders the templates of this folder", TEMPLATES, fix=fix))


def _project(files: Sequence[ProjectFile], context: DraftContext, cache: str) -> TemplateProject:
    settings = context.settings
    assert settings.jinja is not None
    keys = [key_of(it, settings.schema) for it in files if it.folder in ("models", "seeds")]
    every = tuple(it.path for it in files if it.is_template)

    def of_all(found: Problem) -> None:  # any of them may use the macros of a file
        context.report(replace(found, others=every))

    return TemplateProject(
        name=settings.name,
        dialect=settings.dialect,
        keys=keys,
        macros=read_macro_files(context.root, of_all),
        dispatch=settings.jinja.dispatch,
        target_name=settings.default_target,
        target=_target(settings),
        environ=settings.variables.environ,
        cache=cache,
        secrets={env: name for name, env in settings.variables.secrets.items()},
    )


def _target(settings: Settings) -> dict[str, Any]:
    """What `target` is asked for: of the default target, as one load is for all of them."""
    target = settings.targets.get(settings.default_target)
    found: dict[str, Any] = {"name": settings.default_target}
    if target is not None:
        found |= {"type": target.type.name, "schema": target.schema_prefix + settings.schema}
        found |= {"threads": target.threads, "database": target.catalog, "dbname": target.catalog}
    found |= {"target_name": settings.default_target, "profile_name": settings.name}
    assert settings.jinja is not None
    return {key: it for key, it in found.items() if it is not None} | dict(settings.jinja.target)


def _template(file: ProjectFile, context: DraftContext) -> ModelTemplate:
    """The template, with what is said of it before it is rendered."""
    header = parse_header(sql_header(file.text), file, context.report)
    values = configuration(header, file, context)
    variables = without_secrets(variables_of(values, context), context.settings.variables)
    layers = layered(file, context, {})
    defaults = {key: it for key, it in layers.items() if _is_plain(it)}
    own = header.plain() if header is not None else {}
    key = key_of(file, context.settings.schema)
    return ModelTemplate(file, Key(*key), defaults, own, variables)


def _is_plain(value: Any) -> bool:
    """Whether a setting is as it was written, and not an object of ours."""
    if isinstance(value, (list, tuple)):
        return all(type(it) in _PLAIN for it in value)
    return type(value) in _PLAIN


_PLAIN = (str, int, float, bool, dt.date)


# --- config() --------------------------------------------------------------------------------


def with_config(header: YamlNode | None, file: ProjectFile, report: Report) -> YamlNode | None:
    """The header of a file, with what `config()` was given if it is a rendered template. What the
    header itself says goes before that."""
    if file.rendered is None or not file.rendered.settings:
        return header
    known, rendered = {*HEADER_KEYS["models"], *LATER}, file.rendered
    place, kept = beyond(file, rendered.settings_line), dict[str, Any]()
    for key, value in rendered.settings.items():
        if key in IDLE_IN_ENTRIES:
            report(problem(f"`{key}` has no effect", place, "Delete it.", "warning"))
        elif key in known or key not in rendered.asked:  # else it is the template's own
            kept[key] = value
    node = node_of(kept, place)
    if header is None:
        return node
    values: Mapping[str, YamlNode] = {**node.value, **header.value}
    return replace(header, value=values, keys={**node.keys, **header.keys})
