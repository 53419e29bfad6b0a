"""The tree of components that a component is part of: its place in it, and its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dagster import Component, ComponentLoadContext, Definitions
from dagster.components.core.decl import ComponentDecl, YamlDecl
from dagster.components.core.defs_module import ComponentPath

from dagster_models.core.model import Location

Decl = ComponentDecl[Component]


def folder_of(context: ComponentLoadContext) -> Path:
    """The folder of the defs.yaml or Python file that has the component."""
    path = _path(context)
    return path.parent if path.is_file() else path


def place_of(context: ComponentLoadContext, attribute: str) -> Location:
    """Where the value of an attribute is written."""
    decl, path = context.component_decl, _path(context)
    if isinstance(decl, YamlDecl) and decl.source_tree is not None:
        tree = decl.source_tree.source_position_tree
        found = tree.lookup(["attributes", attribute])
        position = found or tree.position
        path = Path(position.filename)
        return Location(_shown(path, context), position.start.line, position.start.col)
    return Location(_shown(path, context))


def _path(context: ComponentLoadContext) -> Path:
    """The file or folder; that of the whole project for what is kept in Dagster's storage."""
    loc = context.component_loc
    return loc.file_path if isinstance(loc, ComponentPath) else context.project_root


def _shown(path: Path, context: ComponentLoadContext) -> str:
    root = context.project_root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def neighbours(
    context: ComponentLoadContext, apart: type[Component]
) -> Iterator[tuple[ComponentLoadContext, Component | Definitions]]:
    """What the code location has beside the component of *context*: its definitions, or the
    component itself where that is of the class *apart*.

    Definitions are those of whole folders and files, after their own post-processing. Dagster makes
    them once, and notes that those of this component follow from them.
    """
    if not isinstance(context.component_decl, ComponentDecl):  # a component without a tree
        return
    for root in context.component_tree.find_root_decl().decls:
        yield from _below(root, context, apart)


def _below(
    root: Decl, context: ComponentLoadContext, apart: type[Component]
) -> Iterator[tuple[ComponentLoadContext, Component | Definitions]]:
    for decl in _apart(root, apart):
        if decl.loc == context.component_loc:
            continue
        other = ComponentLoadContext.from_decl_load_context(decl.context, decl)
        if _is(decl, apart):
            yield other, context.load_structural_component_at_loc(decl.loc)
        else:
            yield other, context.build_defs(decl.loc)


def _apart(decl: Decl, apart: type[Component]) -> Iterator[Decl]:
    """The largest parts of the tree without a component of the class, and these components."""
    children = [*decl.iterate_child_component_decls()]
    if any(
        _is(inner, apart) for child in children for inner in child.iterate_all_component_decls()
    ):
        for child in children:
            yield from _apart(child, apart)
    else:
        yield decl


def _is(decl: Decl, apart: type[Component]) -> bool:
    kind = decl.component_type
    return isinstance(kind, type) and issubclass(kind, apart)
