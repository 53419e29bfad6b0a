"""Templates of models_jinja/ -> models: what the loader asks of whoever renders Jinja.

    jinja: true                                  # in dagster_models.yaml
    jinja: {target: {region: eu}, dispatch: [{macro_namespace: dbt_utils, search_order: [shop]}]}

A template is rendered before its draft is made. From then on it is a model like any other: the
loader reads the text that came out, and what is wrong in it is reported at the template's line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Protocol

from dagster_models.core.model import EMPTY, Key, Location
from dagster_models.core.template_origin import TemplateOrigin
from dagster_models.errors import Problem, SqlSyntaxError
from dagster_models.project.files import ProjectFile
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode


@dataclass(frozen=True, slots=True)
class JinjaSettings:
    """``jinja:`` of the project file. ``target``: what `target` is asked for beside what the target
    itself says; ``dispatch``: namespace -> the packages in which its macros are looked up."""

    target: Mapping[str, Any] = EMPTY
    dispatch: Mapping[str, tuple[str, ...]] = EMPTY


@dataclass(frozen=True, slots=True)
class TemplateProject:
    """What all templates of a load have in common. ``keys``: of the models and seeds that there
    are; ``target_name``: of the target of the load; ``target``: what `target` is asked for;
    ``secrets``: an environment variable -> the secret variable of the project whose value it has;
    ``cache``: the folder of the caches."""

    name: str
    dialect: str
    keys: Sequence[Key]
    macros: Sequence[ProjectFile]
    dispatch: Mapping[str, tuple[str, ...]]
    target_name: str
    target: Mapping[str, Any]
    environ: Mapping[str, str]
    cache: str
    secrets: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class ModelTemplate:
    """A file of models_jinja/. ``defaults``: what its folders and YAML files say, as plain values,
    before which `config()` goes; ``header``: what its header says, which goes before that;
    ``variables``: the values of its variables."""

    file: ProjectFile
    key: Key
    defaults: Mapping[str, Any]
    header: Mapping[str, Any]
    variables: Mapping[str, Any]

    def settings(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """All that is said of it, with what `config()` was given."""
        return {**self.defaults, **config, **self.header}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came out of a template. ``text`` has both readings of an incremental model (see
    sql.regions). ``settings``: what `config()` was given, in line ``settings_line``; ``asked``: the
    names of settings that the template or its macros ask for."""

    text: str
    origin: TemplateOrigin
    settings: Mapping[str, Any] = EMPTY
    settings_line: int = 1
    asked: frozenset[str] = frozenset()


class TemplateError(SqlSyntaxError):
    """A template cannot be rendered; the line is that of the template."""

    def __init__(self, what: str, line: int, fix: str = "") -> None:
        super().__init__(what, line, 1, fix)


class RenderTemplates(Protocol):
    """Renders all templates of a load."""

    def __call__(
        self, project: TemplateProject, templates: Sequence[ModelTemplate]
    ) -> Sequence[Rendered | TemplateError]:
        """What came out of each template, or why nothing did."""


# --- the settings ----------------------------------------------------------------------------


def _dispatch(node: YamlNode) -> dict[str, tuple[str, ...]]:
    keys: dict[str, Reader] = {"macro_namespace": fields.text, "search_order": fields.words}
    found = {}
    for item in node.value if isinstance(node.value, list) else [node]:
        values = fields.values_of(item, keys) if isinstance(item.value, dict) else {}
        if len(values) < len(keys):
            fix = "Write `- {macro_namespace: dbt_utils, search_order: [shop, dbt_utils]}`."
            raise BadValue("expected a namespace and where it is looked up", item.place, fix)
        found[values["macro_namespace"]] = values["search_order"]
    return found


JINJA_KEYS: Mapping[str, Reader] = {"target": fields.mapping, "dispatch": _dispatch}


def jinja(node: YamlNode) -> JinjaSettings | None:
    """The value of ``jinja:``: true, false, or the settings. None if templates are not rendered."""
    if node.value is False:
        return None
    found = JinjaSettings()
    if isinstance(node.value, dict):
        found = JinjaSettings(**fields.values_of(node, JINJA_KEYS))
    elif node.value is not True:
        fix = "Write `jinja: true`, or `jinja: {target: {...}, dispatch: [...]}`."
        raise BadValue(f"expected true, got {fields.describe(node)}", node.place, fix)
    if find_spec("jinja2") is None:
        fix = "Install it: `pip install 'dagster-models[jinja]'`."
        raise BadValue("templates need Jinja, which is not installed", node.place, fix)
    return found


# --- rendered files --------------------------------------------------------------------------


def of_rendered(file: ProjectFile, found: Rendered) -> ProjectFile:
    """The file with the text that came out of it."""
    return replace(file, text=found.text, data=found.text.encode() or b"\n", rendered=found)


@dataclass
class PlacedInTemplates:
    """The Report of a load, which keeps its ``problems``. What is wrong in a rendered text is
    placed at the template's line. ``sources``: path -> the template and the file that it has
    become. A line behind the text is one of the template: see ``beyond``."""

    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, tuple[ProjectFile, ProjectFile]] = field(default_factory=dict)

    def __call__(self, found: Problem) -> None:
        if found.path in self.sources:
            found = _in_template(found, *self.sources[found.path])
        self.problems.append(found)


def beyond(file: ProjectFile, line: int) -> Location:
    """A place that is known in the template, and not in the text that came out."""
    return Location(file.path, file.text.count("\n") + 1 + line)


def _in_template(found: Problem, template: ProjectFile, file: ProjectFile) -> Problem:
    rows, rendered = file.text.split("\n"), file.rendered
    assert rendered is not None
    if found.line > len(rows):
        return replace(found, line=found.line - len(rows), column=1)
    line, row = rendered.origin.line_of(found.line), rows[found.line - 1]
    lines = template.text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    if written.startswith(row[: found.column]) or not row.strip():
        return replace(found, line=line)
    what = f"{found.what} (rendered: `{' '.join(row.split())}`)"
    return replace(found, line=line, column=1, what=what)
