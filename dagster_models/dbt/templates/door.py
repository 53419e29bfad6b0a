"""Renders the templates of a load; what is kept of an earlier load is not rendered again.

A text is kept under the digest of all that it surely rests on: the template, the macros, what is
said of the model, and our code. What it asked for beside that is kept with it, and asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_models.core.template_origin import TemplateOrigin
from dagster_models.dbt.templates.context import TemplateAsks
from dagster_models.dbt.templates.macros import BadMacroFile, macros_of
from dagster_models.dbt.templates.names import ProjectNames
from dagster_models.dbt.templates.questions import Answers
from dagster_models.dbt.templates.renderer import TemplateRenderer
from dagster_models.project.loading.cache import Cache, encode
from dagster_models.project.templates import ModelTemplate, Rendered, TemplateError, TemplateProject

RENDERED_FILE = "rendered.cache"


def render_templates(
    project: TemplateProject, templates: Sequence[ModelTemplate]
) -> list[Rendered | TemplateError]:
    """See project.templates.RenderTemplates."""
    return [*_results(project, templates)]


def _results(
    project: TemplateProject, templates: Sequence[ModelTemplate]
) -> Iterator[Rendered | TemplateError]:
    try:
        macros = macros_of(project.macros, project.name)
    except BadMacroFile as error:
        for _ in templates:
            yield TemplateError(f"a file of macros is no Jinja: {error}", 1)
        return
    names = ProjectNames(project.keys)
    renderer = TemplateRenderer(project, names, macros)
    kept = Cache(Path(project.cache) / RENDERED_FILE)
    common = _digest(*_of_all(project))
    for template in templates:
        answers = Answers(project, names, template)
        key = _key(common, template)
        if (found := _remembered(kept.get(key), answers)) is not None:
            yield found
            continue
        asked = TemplateAsks()
        try:
            found = renderer.render(template, asked)
        except TemplateError as error:
            yield error
            continue
        _remember(kept, key, found, [(it, answers.of(it)) for it in sorted(asked.questions)])
        yield found
    kept.save()


def _of_all(project: TemplateProject) -> Iterator[str]:
    yield from (_code(), project.name, project.dialect, repr(sorted(project.dispatch.items())))
    yield repr(sorted(project.secrets))
    for file in project.macros:
        yield from (file.path, file.text)


def _key(common: str, template: ModelTemplate) -> str:
    said = repr((sorted(template.defaults.items()), sorted(template.header.items())))
    file, key = template.file, str(template.key)
    return _digest(common, file.path, file.text, key, said)


def _remembered(entry: Any, answers: Answers) -> Rendered | None:
    """The kept text, if all answers are as they were."""
    try:
        text, lines, variables, settings, line, asked, questions = entry
        if any(answers.of(tuple(question)) != answer for question, answer in questions):
            return None
        of_target = any(kind == "target" for (kind, *_), _ in questions)
        target = answers.project.target_name if of_target else ""  # of this load
        origin = TemplateOrigin(tuple(lines), target, tuple(variables))
        return Rendered(text, origin, settings, line, frozenset(asked))
    except (TypeError, ValueError, KeyError):  # there is no entry, or it is damaged
        return None


def _remember(
    kept: Cache, key: str, found: Rendered, questions: Sequence[tuple[tuple[str, ...], str]]
) -> None:
    origin = found.origin
    values = (found.text, origin.lines, origin.variables)
    try:
        entry = encode((*values, found.settings, found.settings_line, [*found.asked], questions))
    except Exception:  # config() was given what is no plain value
        return
    kept.put(key, entry)


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


@cache
def _code() -> str:
    """A digest of the code that renders, which the stamp of the cache does not have."""
    texts = [path.read_text("utf-8") for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    return _digest(version("jinja2"), *texts)
