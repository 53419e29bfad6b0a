"""The files of macros_jinja/ and packages_jinja/ as macros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jinja2 import TemplateSyntaxError, nodes

from dagster_models.dbt.project.manifest import DbtMacro
from dagster_models.dbt.text.template import MACRO, parsed
from dagster_models.project.files import MACROS, ProjectFile


class BadMacroFile(Exception):
    """A file of macros is no Jinja; the text names the file and the line."""


def macros_of(files: Sequence[ProjectFile], project: str) -> dict[str, DbtMacro]:
    """The macros of the files by their unique_ids. Of two that have one name, the last one counts,
    as in dbt. Raises BadMacroFile."""
    return {it.unique_id: it for file in files for it in _macros(file, project)}


def _macros(file: ProjectFile, project: str) -> Iterator[DbtMacro]:
    package = project if file.folder == MACROS else file.parts[0]
    try:
        body = parsed(file.text, file.path).body
    except TemplateSyntaxError as error:
        raise BadMacroFile(f"{file.path}:{error.lineno}: {error.message}") from None
    for node in body:
        if isinstance(node, nodes.Macro) and node.name.startswith(MACRO):
            name = node.name.removeprefix(MACRO)
            unique_id = f"macro.{package}.{name}"
            yield DbtMacro(unique_id, package, name, file.path, file.text, ())
