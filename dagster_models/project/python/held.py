"""Where a Python file holds the warehouse by the name `warehouse`.

Its sources are the first parameter of the function that the step calls, what is imported of
dagster_models, and what other code of the step hands on as a `warehouse`: an argument, or an
attribute of an object or a module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from dagster_models.project.python.decorators import passes_on
from dagster_models.project.python.names import FUNCTIONS, Binding, FileNames, Function, module_of

WAREHOUSE = "warehouse"
PACKAGE = "dagster_models"
MODULE = f"{PACKAGE}.{WAREHOUSE}"

#: The place of the function that a decorator is given.
WRAPPED = "@"

Passing = tuple[str, "int | str"]
"""A function of another module that is handed the warehouse, by its dotted name as it is imported,
and the position or the name of the argument; WRAPPED for the decorator of one that is handed it."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the other files of a step say about the warehouse in one of them.

    ``entry`` is the name of the function that the step calls with it. ``given`` are the names of
    functions that are handed it, ``takes`` what is known to take it as an argument `warehouse`.
    ``stored``: code makes it an attribute `warehouse`. ``modules`` are the imports, by dotted name,
    that are modules of the project, and ``exporting`` those of them that have it as their
    `warehouse`.
    """

    given: frozenset[str] = frozenset()
    takes: frozenset[Passing] = frozenset()
    stored: bool = False
    modules: frozenset[str] = frozenset()
    exporting: frozenset[str] = frozenset()
    entry: str = "model"


#: What a file says that has no others beside it.
ALONE = Around()


@dataclass(frozen=True, eq=False)
class Held:
    """The uses of the warehouse in one file."""

    names: FileNames
    around: Around

    @property
    def _tree(self) -> ast.Module:
        tree = self.names.module.node
        assert isinstance(tree, ast.Module)
        return tree

    # --- where the warehouse is ------------------------------------------------------------------

    @cached_property
    def models(self) -> list[Function]:
        """The functions of the file that have the name of the one that the step calls."""
        entry, body = self.around.entry, self._tree.body
        return [f for f in body if isinstance(f, ast.FunctionDef) and f.name == entry]

    @cached_property
    def uses(self) -> list[ast.expr]:
        """Every expression that is the warehouse by the name `warehouse`."""
        return [node for node in self.names.scopes if self._is_warehouse(node)]  # type: ignore[misc]

    def _is_warehouse(self, node: ast.AST) -> bool:
        if not isinstance(getattr(node, "ctx", None), ast.Load):
            return False
        if isinstance(node, ast.Attribute):
            return node.attr == WAREHOUSE and self._has_warehouse(node.value)
        return isinstance(node, ast.Name) and self._is_named_warehouse(node, set())

    def _has_warehouse(self, owner: ast.expr) -> bool:
        """Whether the attribute `warehouse` of *owner* may be the warehouse."""
        if self.around.stored or self.is_package(owner):
            return True
        return not self.around.exporting.isdisjoint(self.names.all_imported(owner))

    def _is_named_warehouse(self, name: ast.Name, seen: set[Binding]) -> bool:
        if name.id != WAREHOUSE:
            return False
        scope, bindings = self.names.meaning(name)
        if any(self.gives(binding, seen) for binding in bindings):
            return True
        if scope is not self.names.module:
            return False
        # Other code may have put it there.
        own_module = any(self._is_own_module(binding.node) for binding in bindings)
        starred = not bindings and bool(self.names.stars)
        return starred or (self.around.stored and not own_module)

    def gives(self, binding: Binding, seen: set[Binding]) -> bool:
        """Whether a binding of the name `warehouse` binds the warehouse."""
        if binding in seen:
            return False
        seen.add(binding)
        node = binding.node
        if isinstance(node, ast.alias):
            return self.names.imported_by(node) == MODULE or self.is_shared(node)
        if isinstance(node, ast.arg):
            return self._is_given(node)
        parent = self.names.parents.get(node)
        value = getattr(parent, "value", None) if node in targets_of(parent) else None
        if isinstance(value, ast.Name):
            return self._is_named_warehouse(value, seen)
        return value is not None and self._is_warehouse(value)

    def is_shared(self, alias: ast.alias) -> bool:
        """Whether a `warehouse` that is imported from another module may be the warehouse."""
        if self.names.imported_by(alias) == MODULE or self._is_own_module(alias):
            return False
        statement = self.names.parents[alias]
        exporting = isinstance(statement, ast.ImportFrom) and (
            module_of(statement) in self.around.exporting
        )
        return exporting or self.around.stored

    def _is_own_module(self, node: ast.AST) -> bool:
        known = self.around.modules
        return isinstance(node, ast.alias) and self.names.imported_by(node) in known

    def _is_given(self, argument: ast.arg) -> bool:
        """Whether a parameter `warehouse` gets the warehouse."""
        function = self.names.parents[self.names.parents[argument]]
        if not isinstance(function, FUNCTIONS):
            return False
        if function in self.models and argument is parameters_of(function)[0]:
            return True
        default = _default(function, argument)
        if default is not None and self._is_warehouse(default):
            return True
        owner = self.names.scopes[function].node
        made = function.name == "__init__" and getattr(owner, "name", "") in self.around.given
        return made or function.name in self.around.given

    def is_package(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Name):
            return False
        _, bindings = self.names.meaning(node)
        aliases = [binding.node for binding in bindings if isinstance(binding.node, ast.alias)]
        return any(self.names.imported_by(alias) == PACKAGE for alias in aliases)

    # --- where it is kept and passed on ----------------------------------------------------------

    def _binds(self, kind: type[ast.AST]) -> bool:
        """Whether a scope of that kind binds the warehouse to the name `warehouse`."""
        return any(
            self.gives(binding, set())
            for scope in {*self.names.scopes.values()}
            if isinstance(scope.node, kind)
            for binding in scope.bindings.get(WAREHOUSE, ())
        )

    @property
    def exports(self) -> bool:
        """Whether others find the warehouse in this module as its `warehouse`."""
        stars = (module_of(star) for star in self.names.stars)
        return self._binds(ast.Module) or any(
            star == PACKAGE or star in self.around.exporting for star in stars
        )

    def _stores(self) -> bool:
        return self._binds(ast.ClassDef) or any(
            isinstance(target, ast.Attribute)
            for use in self.uses
            for target in targets_of(self.names.parents[use])
        )

    @cached_property
    def passes(self) -> frozenset[Passing]:
        """What is handed the warehouse in other modules."""
        found = set()
        for use in self.uses:
            call, place = self.argument_of(use)
            for name in self.names.all_imported(call.func) if call is not None else ():
                if place is not None:
                    found.add((name, place))
        for node in self.names.scopes:
            for decorator in getattr(node, "decorator_list", ()):
                found.update(
                    (name, WRAPPED) for name in self.names.all_imported(_made_by(decorator))
                )
        return frozenset(found)

    @cached_property
    def given(self) -> frozenset[str]:
        """The functions and classes of the file that are handed the warehouse and are seen."""
        found = set()
        for use in self.uses:
            call, place = self.argument_of(use)
            if call is not None and self.is_seen(call, place):
                found.add(getattr(call.func, "id", ""))
        return frozenset(found)

    def around_others(self) -> Around:
        """What this file says about the warehouse in the step's other files, and in itself."""
        return replace(
            self.around,
            given=self.around.given | self.given,
            stored=self.around.stored or self._stores(),
        )

    def argument_of(self, use: ast.expr) -> tuple[ast.Call | None, int | str | None]:
        """The call in which *use* is an argument, and its position or name if that is certain."""
        parent = self.names.parents[use]
        if isinstance(parent, ast.keyword):
            call = self.names.parents[parent]
            return (call, parent.arg) if isinstance(call, ast.Call) else (None, None)
        if not isinstance(parent, ast.Call) or parent.func is use:
            return None, None
        place = parent.args.index(use)
        starred = any(isinstance(before, ast.Starred) for before in parent.args[:place])
        return parent, None if starred else place

    def is_seen(self, call: ast.Call, place: int | str | None) -> bool:
        """Whether the function or class of this file that is called takes the warehouse there as
        its `warehouse`."""
        if not isinstance(call.func, ast.Name) or place is None:
            return False
        binding = self.names.only_meaning(call.func)
        return binding is not None and self.takes(binding.node, place)

    def takes(self, definition: ast.AST, place: int | str) -> bool:
        """Whether a function or class calls that argument `warehouse`, with nothing in between."""
        if place == WRAPPED:
            return passes_on(definition, self.names)
        skipped = 0
        if isinstance(definition, ast.ClassDef):
            own = [f for f in definition.body if isinstance(f, ast.FunctionDef)]
            inits = [f for f in own if f.name == "__init__"]
            if len(inits) != 1 or any(f.name == "__new__" for f in own) or definition.keywords:
                return False
            if any(self.wrappers(definition)):
                return False
            definition, skipped = inits[0], 1
        if not isinstance(definition, FUNCTIONS) or any(self.wrappers(definition)):
            return False
        if isinstance(place, str):
            return place == WAREHOUSE and any(a.arg == place for a in parameters_of(definition))
        positional = [*definition.args.posonlyargs, *definition.args.args][skipped:]
        return place < len(positional) and positional[place].arg == WAREHOUSE

    def wrappers(self, node: ast.AST) -> Iterator[ast.expr]:
        """The decorators that may use what the function is given. Those of installed packages know
        nothing of the project's tables, and others only pass it on."""
        for decorator in getattr(node, "decorator_list", ()):
            made_by = _made_by(decorator)
            names = self.names.all_imported(made_by)
            if names:
                own = [name for name in names if self.is_of_project(name)]
                harmless = all((name, WRAPPED) in self.around.takes for name in own)
            else:
                local = isinstance(made_by, ast.Name) and self.names.only_meaning(made_by)
                builtin = isinstance(made_by, ast.Name) and not self.names.meaning(made_by)[1]
                harmless = builtin or bool(local and passes_on(local.node, self.names))
            if not harmless:
                yield decorator

    def is_of_project(self, name: str) -> bool:
        """Whether a dotted name, as it is imported, is one of a module of the project."""
        parts = name.split(".")
        starts = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        return name.startswith(".") or any(start in self.around.modules for start in starts)


def _made_by(decorator: ast.expr) -> ast.expr:
    """The function in `@deco` and in `@deco(3)`."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def targets_of(node: ast.AST | None) -> list[ast.expr]:
    """What an assignment assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.NamedExpr)) else []


def parameters_of(function: Function) -> list[ast.arg]:
    """The parameters in the order in which arguments fill them."""
    arguments = function.args
    own = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs]
    return [argument for argument in own if argument is not None]


def defaults_of(function: Function) -> Iterator[tuple[ast.arg, ast.expr]]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    yield from zip(with_default, arguments.defaults, strict=True)
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((argument, default) for argument, default in pairs if default is not None)


def _default(function: Function, argument: ast.arg) -> ast.expr | None:
    return next((value for own, value in defaults_of(function) if own is argument), None)
