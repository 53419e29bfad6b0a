"""Kinds of models that the project defines itself: the class that ``materialized:`` names.

It is read, not run, when the project is loaded: its code is part of the code version.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from dagster_models.core.materializations import is_custom
from dagster_models.core.model import Location, Module, Step
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.drafts.draft import DraftContext
from dagster_models.project.problems import problem
from dagster_models.project.python.imports import Modules, imported_code
from dagster_models.project.python.reads import read_python
from dagster_models.project.python.source import fingerprint
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.canonical import version_of
from dagster_models.util.digests import digest_of
from dagster_models.util.nearest import suggest
from dagster_models.util.python_code import code_digest

#: The keys that only these kinds have.
KEYS = ("settings",)
_BUILD = "def build(self, warehouse, model)"


def with_kind(step: Step, header: YamlNode | None, context: DraftContext) -> Step:
    """The step with the code of its kind, if the project defines that. Problems are reported."""
    if not is_custom(step.config.materialized):
        return step
    written: Mapping[str, Location] = header.keys if header is not None else {}
    place = written.get("materialized", step.location)
    *folders, name = step.config.materialized.split(".")
    path = f"{'/'.join(folders)}.py"
    text = context.read_module(path)
    if text is None:
        what = (
            f"`{step.config.materialized}` is a class `{name}` in {path}, and there is no such file"
        )
        fix = "Write that file in the project's folder, or use one of the kinds in docs/models.md."
        context.report(problem(what, place, fix))
        return step
    try:
        read_python(text)
    except SqlSyntaxError as error:
        at = Location(path, error.line, error.column)
        context.report(problem(error.what, at, error.fix))
        return replace(step, kind_path=path)
    _check_class(name, path, text, place, context)
    modules = Modules(("",), context.read_module).imported(text)
    data = text.encode("utf-8", "surrogatepass")
    return replace(
        step,
        kind_path=path,
        digest=digest_of(data),
        code=code_digest(data),
        modules=tuple(_module(at, of) for at, of in modules.items()),
        code_version=version_of(step.code_version, fingerprint(text), imported_code(modules)),
    )


def _module(path: str, text: str) -> Module:
    data = text.encode("utf-8", "surrogatepass")
    return Module(path, digest_of(data), code_digest(data))


def _check_class(name: str, path: str, text: str, place: Location, context: DraftContext) -> None:
    tree = ast.parse(text)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    if name not in classes:
        if name not in imported:
            fix = suggest(name, classes, "Classes") if classes else f"Write `class {name}(Kind):`."
            context.report(problem(f"{path} defines no class `{name}`", place, fix))
        return
    found = classes[name]
    at = Location(path, found.lineno, found.col_offset + 1)
    builds = [it for it in found.body if isinstance(it, ast.FunctionDef) and it.name == "build"]
    bases = {ast.unparse(base).rpartition(".")[2] for base in found.bases}
    if not builds and bases <= {"Kind", "object", "ABC"}:
        context.report(problem(f"`{name}` has no method `build`", at, f"Write `{_BUILD}`."))
    for method in builds:
        at = Location(path, method.lineno, method.col_offset + 1)
        taken = method.args
        required = len(taken.posonlyargs) + len(taken.args) - len(taken.defaults)
        positional = len(taken.posonlyargs) + len(taken.args)
        fits = required <= 3 and (positional >= 3 or taken.vararg)
        if not fits or any(it is None for it in taken.kw_defaults):
            what = f"`{name}.build` does not take a warehouse and a model"
            context.report(problem(what, at, f"Write `{_BUILD}`."))
