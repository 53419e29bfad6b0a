"""Models that stay templates (`--keep-jinja`): what renders in models_jinja/ as it does in dbt.

Each is rendered twice, as dbt does and as a load of our project would. A model is kept only if both
of its texts have the same tokens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from dagster_models.core.model import EMPTY, Key
from dagster_models.dbt.kept import NO_TEMPLATE, KeptTemplates
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.templates.context import TemplateAsks
from dagster_models.dbt.templates.macros import macros_of
from dagster_models.dbt.templates.names import ProjectNames
from dagster_models.dbt.templates.renderer import TemplateRenderer
from dagster_models.dbt.text.compiled import macros_of_node
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.model_text import ModelText, Way
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.regions import reads_as
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.template import environment, expression
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.config import HEADER_KEYS
from dagster_models.project.files import MACROS, PACKAGES, ProjectFile
from dagster_models.project.selection import Node, select
from dagster_models.project.templates import ModelTemplate, TemplateProject
from dagster_models.util.plain_names import plain_name

#: What a load says of `target` as dbt does. The rest is that of our own targets.
_SAME_TARGET = {"name", "target_name", "type"}


def kept_templates(
    manifest: Manifest,
    names: NodeNames,
    dialect: str,
    target: Mapping[str, Any],
    own_target: Iterable[str],
    variables: Mapping[str, Any],
    selection: str,
) -> KeptTemplates:
    """Those of the selected models that may stay templates. *target*: the values of `target`, of
    which our project has *own_target*, too.

    Raises:
        SelectionError: the selection is none, or matches nothing.
    """
    placeholders = Placeholders(manifest, _Qualified(names), dialect)
    renderer = Renderer(manifest, placeholders, target, variables)
    theirs, refused = list[_InDbt](), dict[str, str]()
    for unique_id in select([*_nodes(manifest, names)], selection, None):
        if (node := manifest.nodes[unique_id]).is_empty:
            continue  # it is imported in no way, and reported as that
        try:
            theirs.append(_in_dbt(node, renderer))
        except (NotImportable, SqlSyntaxError) as error:
            refused[unique_id] = f"{NO_TEMPLATE}{error}"
    own = manifest.projects.get(manifest.project_name)
    dispatch = dict(own.dispatch) if own else {}
    files = _macro_files(manifest, {macro for it in theirs for macro in it.macros})
    project = TemplateProject(
        name=plain_name(manifest.project_name),
        dialect=dialect,
        keys=[place.key for place in names.places.values()],
        macros=[_file(path, text) for path, text in files.items()],
        dispatch=dispatch,
        target_name=str(target.get("name", "")),
        target=target,
        environ=os.environ,
        cache="",
    )
    macros = macros_of(project.macros, project.name)
    ours = TemplateRenderer(project, ProjectNames(project.keys), macros)
    known, texts, used = _SAME_TARGET | {*own_target}, dict[str, ModelText](), set[str]()
    for it in theirs:
        try:
            texts[it.node.unique_id] = _kept(it, names.key_of(it.node.unique_id), ours, known)
            used |= it.macros
        except (NotImportable, SqlSyntaxError) as error:
            what = error.what if isinstance(error, SqlSyntaxError) else str(error)
            refused[it.node.unique_id] = f"{NO_TEMPLATE}{what}"
    return KeptTemplates(texts, refused, _macro_files(manifest, used), dispatch)


@dataclass(frozen=True, slots=True)
class _InDbt:
    """What a model says in dbt, with qualified names, and all macros that it reaches."""

    node: DbtNode
    full: str
    later: str
    variables: Mapping[str, Any]
    macros: set[str]


def _in_dbt(node: DbtNode, renderer: Renderer) -> _InDbt:
    seen, placeholders = Seen(), renderer.placeholders
    renderer.macros.called.clear()
    full = later = placeholders.named(renderer.render(node.raw_code, node, False, seen)).text
    if node.materialized == "incremental":
        later = placeholders.named(renderer.render(node.raw_code, node, True, seen)).text
    for name, value in seen.variables.items():
        if not _is_variable(value):
            raise NotImportable(f"its variable `{name}` has values within values")
    macros = macros_of_node(node, renderer.manifest) | renderer.macros.called
    return _InDbt(node, full, later, seen.variables, macros)


def _nodes(manifest: Manifest, names: NodeNames) -> Iterator[Node]:
    for it in manifest.nodes.values():
        if it.kind in ("model", "snapshot") and it.language == "sql":
            place = names.places[it.unique_id]
            words, folder = (it.name, place.key.name, str(place.key)), place.key.schema
            tags = dict.fromkeys(it.tags, "")
            yield Node(it.unique_id, words, it.depends_on, place.path, folder, tags=tags)


def _kept(it: _InDbt, key: Key, ours: TemplateRenderer, known: set[str]) -> ModelText:
    """The text of a model as a template. Raises NotImportable, SqlSyntaxError."""
    node, dialect = it.node, ours.project.dialect
    text = without_config(node.raw_code)
    file = _file(f"models_jinja/{key.schema}/{key.name}.sql", text)
    template = ModelTemplate(file, key, EMPTY, node.config, it.variables)
    asked = TemplateAsks()
    rendered = ours.render(template, asked)
    lost = asked.settings - HEADER_KEYS["models"].keys()
    lost = {name for name in lost if node.config.get(name)}
    if lost:
        raise NotImportable(f"it asks config.get({sorted(lost)[0]!r}), which no header has")
    of_target = {about[0] for kind, *about in asked.questions if kind == "target"} - known
    if of_target:
        raise NotImportable(f"it asks target.{sorted(of_target)[0]}, which differs here")
    if not reads_as(rendered.text, it.later, it.full, dialect):
        raise NotImportable("another text comes out of it here than in dbt")
    itself = f"{key.schema}.{key.name}" in it.full and node.materialized not in _GROWING
    sql = text.strip("\n").rstrip() + "\n"
    return ModelText(sql, Way.TEMPLATE, variables=it.variables, reads_itself=itself)


_GROWING = ("incremental", "snapshot")


def _is_variable(value: Any) -> bool:
    """Whether `vars:` of our project may have the value."""
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(it, (list, dict)) for it in items)


def without_config(text: str) -> str:
    """A template without its calls of `config()`, as the header says all that they say, and
    without the line of one that stands alone."""
    at, begin, inside = 0, -1, ""
    text = re.sub(r"\r\n?", "\n", text)  # as Jinja has its lines
    cuts: list[slice] = []
    try:
        tokens = [*environment().lexer.tokeniter(text, None)]
    except TemplateSyntaxError as error:
        raise NotImportable(f"Jinja: {error}") from None
    for _, kind, value in tokens:
        at = text.index(value, at)
        if kind == "variable_begin":
            begin, inside = at, ""
        elif kind == "variable_end":
            if _is_config(inside):
                cuts.append(slice(begin, at + len(value)))
        else:
            inside += value
        at += len(value)
    for cut in reversed(cuts):
        before, behind = text[: cut.start], text[cut.stop :]
        alone = not before.rpartition("\n")[2].strip()
        text = before + (re.sub(r"\A[ \t]*\n", "", behind) if alone else behind)
    return text


def _is_config(inside: str) -> bool:
    tree = expression(inside)
    called = tree.node if isinstance(tree, nodes.Call) else None
    return isinstance(called, nodes.Name) and called.name == "config"


# --- macros ----------------------------------------------------------------------------------


def _macro_files(manifest: Manifest, macros: Iterable[str]) -> dict[str, str]:
    """The files of macros_jinja/ and packages_jinja/ that hold these macros."""
    found: dict[str, list[str]] = {}
    for unique_id in sorted(macros):
        if (macro := manifest.macros.get(unique_id)) is not None:
            inside = PurePosixPath(macro.path)
            if macro.package == manifest.project_name:
                path = PurePosixPath(MACROS, *inside.parts[1:])
            else:
                path = PurePosixPath(PACKAGES, macro.package, inside)
            found.setdefault(str(path), []).append(macro.text.strip())
    return {path: "\n\n".join(texts) + "\n" for path, texts in found.items()}


def _file(path: str, text: str) -> ProjectFile:
    folder, *parts = PurePosixPath(path).with_suffix("").parts
    return ProjectFile(path, folder, tuple(parts), ".sql", text, text.encode())


# --- names, so that both texts name each relation in the same way ------------------------------


class _Qualified:
    """The names of an import, each with its schema, as templates have them."""

    def __init__(self, names: NodeNames) -> None:
        self.key_of, self.ref, self.source = names.key_of, names.ref, names.source

    def is_unique(self, unique_id: str) -> bool:
        return False
