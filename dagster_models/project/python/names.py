"""What the names of a Python file mean: which scope binds each of them, and to what.

A walk over the syntax tree, by Python's own rules: a class body sees its own names and its methods
do not, a comprehension has a scope of its own, defaults and decorators belong to the scope around
their function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
#: These return the names of the code that calls them, with their values.
NAMESPACES = {"globals", "locals", "vars"}
_READING = {"get", "keys", "values", "items"}

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One place that gives a name its meaning.

    ``node`` is the name, parameter, import, definition or pattern. ``value`` is the expression of a
    plain assignment `NAME = value`, the only kind that does nothing else.
    """

    node: ast.AST
    value: ast.expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A module, class, function or comprehension, with the names that it binds.

    ``declared`` are its names that `global` and `nonlocal` place in another scope.
    """

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    declared: dict[str, Scope] = field(default_factory=dict)

    def around(self) -> Iterator[Scope]:
        """The scope itself and those in which its names may be found, from inside to outside."""
        yield self
        scope = self.parent
        while scope is not None:
            if not isinstance(scope.node, ast.ClassDef):
                yield scope
            scope = scope.parent


@dataclass(frozen=True, slots=True, eq=False)
class FileNames:
    """The names of one file.

    ``scopes`` and ``parents`` are those of each node. ``stars`` are the `from x import *`, which
    may bind any name; ``rewriters`` is code that may bind any name of the module without writing
    it, as `exec` does.
    """

    module: Scope
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    stars: list[ast.ImportFrom] = field(default_factory=list)
    rewriters: list[ast.AST] = field(default_factory=list)

    def meaning(self, name: ast.Name) -> tuple[Scope, Sequence[Binding]]:
        """The scope in which *name* is bound, and its bindings there; none if nothing of the file
        binds it: it is a builtin then, or of a star import."""
        scope = self.scopes[name]
        for found in (scope.declared.get(name.id, scope)).around():
            if name.id in found.bindings:
                return found, found.bindings[name.id]
        return self.module, ()

    def only_meaning(self, name: ast.Name) -> Binding | None:
        """The one binding that *name* has at any time; None if there are several or none, or if it
        may have been bound out of sight."""
        scope, bindings = self.meaning(name)
        if len(bindings) != 1:
            return None
        binding = bindings[0]
        if isinstance(scope.node, ast.ClassDef):  # before it is bound there, an outer one is meant
            outer = scope.parent
            if outer is not None and any(name.id in found.bindings for found in outer.around()):
                return None
        if scope is self.module and (self.rewriters or self._starred(binding.node)):
            return None
        return binding

    def _starred(self, node: ast.AST) -> bool:
        """Whether a star import may have bound the name that *node* binds: it cannot if *node* is
        in a statement of the module itself, behind the import."""
        if not self.stars:
            return False
        around = [node, *self.above(node)]
        simple = len(around) == 1 or not hasattr(around[-2], "body")
        behind = all(star.lineno < getattr(node, "lineno", 0) for star in self.stars)
        return not (simple and behind and not any(map(self._loops, self.stars)))

    def _loops(self, node: ast.AST) -> bool:
        return any(isinstance(above, _LOOPS) for above in self.above(node))

    def part(self, node: ast.AST) -> str:
        """The function of the module, or the method of its class (`Class.method`), whose call runs
        *node*; "" if an import runs it."""
        scopes = [scope.node for scope in self._scopes_around(node) if scope.parent is not None]
        if not any(isinstance(scope, FUNCTIONS) for scope in scopes):
            return ""
        outside = [str(getattr(scope, "name", "")) for scope in reversed(scopes)]
        return ".".join(outside[:2] if isinstance(scopes[-1], ast.ClassDef) else outside[:1])

    def _scopes_around(self, node: ast.AST) -> Iterator[Scope]:
        scope: Scope | None = self.scopes[node]
        while scope is not None:
            yield scope
            scope = scope.parent

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around *node*, from inside to outside."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def imported(self, node: ast.AST) -> str:
        """The dotted name of what an expression takes from an import: `os.path.join`, `.a.b`. ""
        if it is anything else, or if several imports may be meant."""
        found = self.all_imported(node)
        return found[0] if len(found) == 1 else ""

    def all_imported(self, node: ast.AST) -> list[str]:
        """The dotted names that an expression may take from imports."""
        tail: list[str] = []
        while isinstance(node, ast.Attribute):
            tail.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return []
        _, bindings = self.meaning(node)
        nodes = [binding.node for binding in bindings]
        if not bindings:
            starts = [joined(module_of(star), node.id) for star in self.stars]
        else:
            starts = [self.imported_by(found) for found in nodes if isinstance(found, ast.alias)]
        return [".".join([start, *reversed(tail)]) for start in dict.fromkeys(starts)]

    def imported_by(self, alias: ast.alias) -> str:
        """The dotted name of what an item of an import statement binds."""
        statement = self.parents[alias]
        if isinstance(statement, ast.ImportFrom):
            return joined(module_of(statement), alias.name)
        return alias.name if alias.asname else alias.name.partition(".")[0]


def module_of(statement: ast.ImportFrom) -> str:
    """The module as a dotted name, with a dot for each level of a relative import."""
    return "." * statement.level + (statement.module or "")


def joined(module: str, name: str) -> str:
    """`a` and `b` as `a.b`, `.` and `b` as `.b`."""
    return module + name if module.endswith(".") else f"{module}.{name}"


def read_names(tree: ast.Module) -> FileNames:
    """The names of a file. The walk has a stack of its own, as expressions may be very deep."""
    names = FileNames(Scope(tree, None))
    outer: list[tuple[Scope, str, Binding]] = []  # bindings of nonlocal names
    stack: list[tuple[ast.AST, Scope]] = [(tree, names.module)]
    while stack:
        node, scope = stack.pop()
        names.scopes[node] = scope
        if isinstance(node, ast.Global):
            scope.declared.update(dict.fromkeys(node.names, names.module))
        elif isinstance(node, ast.Nonlocal) and scope.parent is not None:
            scope.declared.update(dict.fromkeys(node.names, scope.parent))
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names.stars.append(node)
        elif _rewrites(node, names.parents):
            names.rewriters.append(node)
        for name, binding in _bindings(node, names.parents.get(node)):
            home = _home(scope, node, names.parents.get(node))
            declared = home.declared.get(name)
            if declared is not None and declared is not names.module:
                outer.append((declared, name, binding))
            else:
                (declared or home).bindings.setdefault(name, []).append(binding)
        children = list(_children(node, scope, names.parents.get(node)))
        for child, _ in children:
            names.parents[child] = node
        stack.extend(reversed(children))
    for around, name, binding in outer:
        found = (scope for scope in around.around() if name in scope.bindings)
        next(found, around).bindings.setdefault(name, []).append(binding)
    return names


def _home(scope: Scope, node: ast.AST, parent: ast.AST | None) -> Scope:
    """The scope in which *node* binds: `:=` binds outside of its comprehension."""
    if isinstance(parent, ast.NamedExpr) and parent.target is node:
        while isinstance(scope.node, _COMPREHENSIONS) and scope.parent is not None:
            scope = scope.parent
    return scope


def _bindings(node: ast.AST, parent: ast.AST | None) -> Iterator[tuple[str, Binding]]:
    """The names that a node binds, apart from those that its children bind."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id, Binding(node, _assigned(node, parent))
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name, Binding(node)
    elif isinstance(node, ast.alias):
        bound = node.asname or node.name
        if not isinstance(parent, ast.ImportFrom) and not node.asname:
            bound = node.name.partition(".")[0]
        if bound != "*":
            yield bound, Binding(node)
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name, Binding(node)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest, Binding(node)


def _rewrites(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether *node* may bind any name of the module: `exec(...)`, `globals()["Q"] = ...`,
    `setattr(sys.modules[__name__], ...)`, `import __main__`."""
    parent = parents.get(node)
    if isinstance(node, ast.alias):
        return node.name == "__main__"
    if isinstance(node, ast.Name):
        if node.id == "__name__" and isinstance(parent, ast.Subscript):
            return ast.unparse(parent.value).endswith("modules")
        return node.id == "exec"
    return is_namespace(node) and not reads_namespace(parent)


def is_namespace(node: ast.AST) -> bool:
    """`globals()`, `locals()` or `vars()`."""
    if not isinstance(node, ast.Call) or node.args:
        return False
    return isinstance(node.func, ast.Name) and node.func.id in NAMESPACES


def reads_namespace(parent: ast.AST | None) -> bool:
    """Whether the code around a namespace only reads something of it."""
    if isinstance(parent, ast.Subscript):
        return isinstance(parent.ctx, ast.Load)
    if isinstance(parent, ast.Attribute):
        return parent.attr in _READING
    return isinstance(parent, ast.Compare)


def _assigned(name: ast.Name, parent: ast.AST | None) -> ast.expr | None:
    """The value in `NAME = value`, `NAME: type = value` and `NAME := value`."""
    if isinstance(parent, ast.Assign) and parent.targets == [name]:
        return parent.value
    if isinstance(parent, (ast.AnnAssign, ast.NamedExpr)) and parent.target is name:
        return parent.value
    return None


def _children(
    node: ast.AST, scope: Scope, parent: ast.AST | None
) -> Iterator[tuple[ast.AST, Scope]]:
    """The children of a node, each with its scope."""
    if isinstance(node, (*FUNCTIONS, ast.Lambda)):
        inner = Scope(node, scope)
        for argument in arguments_of(node):
            inner.bindings.setdefault(argument.arg, []).append(Binding(argument))
        yield from _definition(node, scope, inner)
    elif isinstance(node, ast.ClassDef):
        yield from _definition(node, scope, Scope(node, scope))
    elif isinstance(node, _COMPREHENSIONS):
        inner = Scope(node, scope)
        yield from ((child, inner) for child in node.generators)  # bound before they are used
        yield from (
            (child, inner)
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.comprehension)
        )
    elif isinstance(node, ast.comprehension) and scope.parent is not None:
        first = getattr(parent, "generators", [node])[0] is node
        for child in ast.iter_child_nodes(node):
            # The first thing that it goes over is evaluated outside.
            yield child, scope.parent if first and child is node.iter else scope
    else:
        yield from ((child, scope) for child in ast.iter_child_nodes(node))


def _definition(
    node: Function | ast.ClassDef, scope: Scope, inner: Scope
) -> Iterator[tuple[ast.AST, Scope]]:
    parameters = getattr(node, "type_params", [])
    for parameter in parameters:
        inner.bindings.setdefault(parameter.name, []).append(Binding(parameter))
    body = node.body if isinstance(node.body, list) else [node.body]
    inside = {id(child) for child in (*body, *parameters)}
    for child in ast.iter_child_nodes(node):
        yield child, inner if id(child) in inside else scope


def arguments_of(function: Function) -> list[ast.arg]:
    """All parameters of a function."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return every + [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
