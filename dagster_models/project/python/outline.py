"""What a module defines, and what each part of it mentions: the way to what a step runs of it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dagster_models.project.python.decorators import passes_on
from dagster_models.project.python.held import ALONE, Held
from dagster_models.project.python.names import FUNCTIONS, FileNames, module_of
from dagster_models.project.python.reads import parsed
from dagster_models.project.python.sight import Sight, is_installed
from dagster_models.project.python.texts import Texts

_DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
#: Stands for an attribute whose name is only known at run time: `getattr(x, name)`.
ANY = "*"
#: The attribute by which a class finds others that nothing mentions.
REGISTRY = "__subclasses__"


@dataclass(frozen=True, slots=True)
class Mention:
    """A name that a part of a module uses: one of the module itself (`load`), or one that it
    imports (`helper.load`). ``called``: it is the function of a call."""

    name: str
    imported: bool = False
    called: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a module: its functions and classes by name, their methods (`Class.method`), and
    "" for the rest.

    ``mentions`` and ``attributes`` are those of each part, the latter by their bare names, and ANY
    for one that is only known at run time. ``imported`` maps a name that the module imports to
    dotted names, and ``stars`` are the modules of which it imports everything.
    """

    mentions: Mapping[str, frozenset[Mention]]
    attributes: Mapping[str, frozenset[str]]
    imported: Mapping[str, tuple[str, ...]]
    stars: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def methods(self, part: str) -> list[str]:
        """The names of the methods of a class."""
        start = f"{part}."
        return [name[len(start) :] for name in self.mentions if part and name.startswith(start)]


@lru_cache(maxsize=1024)
def outline(source: str) -> Outline:
    """The outline of a module. Raises SqlSyntaxError if the text is not Python."""
    _, names = parsed(source)
    mentions: dict[str, set[Mention]] = {"": set()}
    attributes: dict[str, set[str]] = {"": set()}
    sight = Sight(Held(names, ALONE), Texts(names))
    defined = {
        name
        for name, bindings in names.module.bindings.items()
        if any(isinstance(binding.node, _DEFINITIONS) for binding in bindings)
    }
    for node in names.scopes:
        found: Iterable[Mention] = ()
        part = _part_of(node, names)
        attribute = _attribute(node)
        if attribute:
            attributes.setdefault(part, set()).add(attribute)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found = _mentions(node, names, defined)
        elif isinstance(node, ast.Call):
            found = (Mention(name, True) for name in sight.imported_at_run_time(node))
        elif isinstance(node, _DEFINITIONS) and _is_registered(node, names):
            mentions[""].update([Mention(node.name)] if node.name in defined else ())
        mentions.setdefault(part, set()).update(found)
    imported = {
        name: tuple(
            names.imported_by(binding.node)
            for binding in bindings
            if isinstance(binding.node, ast.alias)
        )
        for name, bindings in names.module.bindings.items()
    }
    return Outline(
        {part: frozenset(found) for part, found in mentions.items()},
        {part: frozenset(attributes.get(part, ())) for part in mentions},
        imported,
        tuple(module_of(star) for star in names.stars),
        tuple(
            node.name
            for node in names.scopes
            if isinstance(node, ast.ClassDef) and names.scopes[node] is names.module
        ),
    )


def _is_registered(definition: ast.AST, names: FileNames) -> bool:
    """Whether a decorator may keep the function or class: `@register`."""
    for decorator in getattr(definition, "decorator_list", ()):
        made_by = decorator.func if isinstance(decorator, ast.Call) else decorator
        imported = names.all_imported(made_by)
        tops = {name.partition(".")[0] for name in imported}
        if imported and not all(top and is_installed(top) for top in tops):
            return True
        local = names.only_meaning(made_by) if isinstance(made_by, ast.Name) else None
        if not imported and local is not None and not passes_on(local.node, names):
            return True
    return False


def _part_of(node: ast.AST, names: FileNames) -> str:
    """The part whose text holds *node*. A function's decorators and a class's bases count as parts
    of it: they matter where it is used."""
    around = [above for above in (node, *names.above(node)) if isinstance(above, _DEFINITIONS)]
    outside = [above for above in around if names.scopes[above].parent is None]
    if not outside:
        return ""
    part = outside[-1]
    inside = around[around.index(part) - 1] if around[0] is not part else None
    if isinstance(part, ast.ClassDef) and inside is not None:
        return f"{part.name}.{inside.name}"
    return part.name


def _attribute(node: ast.AST) -> str:
    """The bare name of an attribute that is read."""
    if isinstance(node, FUNCTIONS) and node.name == "__init_subclass__":
        return REGISTRY
    if isinstance(node, ast.Attribute):
        return node.attr
    if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "getattr":
        return ""
    name = node.args[1] if len(node.args) > 1 else None
    return str(name.value) if isinstance(name, ast.Constant) else ANY


def _mentions(name: ast.Name, names: FileNames, defined: Collection[str]) -> Iterator[Mention]:
    whole: ast.AST = name
    while isinstance(above := names.parents[whole], ast.Attribute):
        whole = above
    called = isinstance(above, ast.Call) and above.func is whole
    scope, _ = names.meaning(name)
    if scope is names.module and name.id in defined:
        yield Mention(name.id, called=called)
    yield from (Mention(dotted, True, called) for dotted in names.all_imported(whole))
