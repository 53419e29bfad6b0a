"""Where the warehouse goes out of our sight.

The rule: each use of the warehouse is either one of the few that are understood here, or it is
reported. Understood are its methods where they are called, conditions and comparisons, and the ways
on which it stays a `warehouse`: `self.warehouse = warehouse`, or an argument of that name of a
function that is seen.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from dagster_models.project.python.held import (
    MODULE,
    PACKAGE,
    WAREHOUSE,
    Held,
    defaults_of,
    parameters_of,
    targets_of,
)
from dagster_models.project.python.names import (
    FUNCTIONS,
    FileNames,
    is_namespace,
    module_of,
    reads_namespace,
)
from dagster_models.project.python.texts import Texts

QUERY_METHODS = frozenset({"sql", "execute"})
METHODS = QUERY_METHODS | {"table"}
#: What does not read the warehouse: of the package, and of the warehouse.
_HARMLESS = {
    PACKAGE: {
        *(WAREHOUSE, "*", "errors", "load_project", "models_executor", "ModelsTranslator"),
        *("Canceled", "DagsterModelsError", "Problem", "ProjectError", "SqlSyntaxError"),
        *("WarehouseError", "WarehouseLost", "Finding", "__version__", "__file__", "__name__"),
    },
    MODULE: {"Result", "Warehouse", "load", "__name__", "__doc__"},
}
#: What an incremental model is given.
_GIVEN = {"since", "is_incremental", "partition"}
#: These look at a value and keep nothing of it.
_LOOKING = {"print", "repr", "str", "isinstance", "issubclass", "type", "id", "hash", "bool"}
_LOOKING |= {"callable", "hasattr", "dir", "help"}
_CONDITIONS = (ast.If, ast.While, ast.IfExp, ast.Assert)
#: Namespaces of code that is running.
_FRAMES = {"f_locals", "f_globals", "f_builtins", "__globals__", "__closure__"}
_IMPORTING = {"importlib.import_module", "importlib.__import__", "__import__"}
_IMPORTING |= {"builtins.__import__", "pkgutil.resolve_name", "pydoc.locate"}
#: The warehouse as a text that others import: `dagster_models.warehouse:sql`.
_IN_TEXT = re.compile(rf"{PACKAGE}[.:]{WAREHOUSE}([.:]\w+)*")
_LOADING = {"runpy.run_path", "runpy.run_module", "importlib.util.spec_from_file_location"}


@dataclass(frozen=True, slots=True)
class Sight:
    """The uses of the warehouse that hide its queries from us, in one file."""

    held: Held
    texts: Texts

    @property
    def names(self) -> FileNames:
        return self.held.names

    def out_of_sight(self) -> Iterator[tuple[ast.AST, str]]:
        """(place, what) of each use that hides the warehouse's queries from us."""
        yield from self._models_out_of_sight()
        for use in self.held.uses:
            what = self._hidden(use)
            if what:
                yield use, what
        elsewhere = any(self._adds_a_folder(node) for node in self.names.scopes)
        for node in self.names.scopes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from ((node, what) for what in _imports_out_of_sight(node))
            elif isinstance(node, ast.alias):
                if node.name == WAREHOUSE and self.held.is_shared(node) and node.asname:
                    yield from ((node, what) for what in _renamed(node.asname))
                if elsewhere:
                    yield from ((node, what) for what in self._found_elsewhere(node))
            elif isinstance(node, ast.Name) and self.held.is_package(node):
                yield from self._package_out_of_sight(node)
            elif isinstance(node, ast.Call):
                yield from ((node, what) for what in self._calls_out_of_sight(node))
            elif isinstance(node, ast.Attribute) and node.attr in _FRAMES:
                yield node, f"{ast.unparse(node)} may hold the warehouse"
            elif isinstance(node, ast.Constant) and self._is_named(node):
                yield node, f"{node.value!r} may lead to the warehouse"

    def _models_out_of_sight(self) -> Iterator[tuple[ast.AST, str]]:
        entry = self.held.around.entry
        for model in self.held.models:
            for first in parameters_of(model)[:1]:
                yield from ((first, what) for what in _renamed(first.arg))
            for wrapper in self.held.wrappers(model):
                yield wrapper, f"@{ast.unparse(wrapper)} gets the warehouse before the {entry}"
        for binding in self.names.module.bindings.get(entry, ()) if self.held.models else ():
            if binding.node not in self.held.models:
                yield binding.node, f"`{entry}` gets another meaning"

    def _hidden(self, use: ast.expr) -> str:
        """How *use* hides what is done with the warehouse; "" if it does not."""
        parent = self.names.parents[use]
        text = ast.unparse(use)
        if isinstance(parent, ast.Attribute):
            return self._attribute_hidden(parent)
        if isinstance(parent, (ast.Expr, ast.Compare, ast.FormattedValue)):
            return ""
        if self._is_condition(use):
            return ""
        targets = targets_of(parent)
        if targets and all(_name(target) == WAREHOUSE for target in targets):
            return ""
        if isinstance(parent, ast.arguments):
            function = self.names.parents[parent]
            argument = _with_default(function, use)
            return "" if argument == WAREHOUSE else f"{text} gets another name"
        call, place = self.held.argument_of(use)
        if call is None:
            is_function = isinstance(parent, ast.Call)
            return f"{text} is called" if is_function else f"{text} gets another name"
        called = self.names.all_imported(call.func)
        taken = bool(called) and all((name, place) in self.held.around.takes for name in called)
        if taken or self.held.is_seen(call, place) or self._callee(call) in _LOOKING:
            return ""
        return f"{text} is passed to {ast.unparse(call.func)}(...)"

    def _attribute_hidden(self, attribute: ast.Attribute) -> str:
        text = ast.unparse(attribute)
        if attribute.attr in METHODS:
            call = self.names.parents[attribute]
            called = isinstance(call, ast.Call) and call.func is attribute
            return "" if called else f"{text} is not called here"
        known = attribute.attr in _HARMLESS[MODULE] or attribute.attr in _GIVEN
        return "" if known else f"it is not known what {text} does"

    def _is_condition(self, node: ast.AST) -> bool:
        """Whether only the truth of *node* matters."""
        parent = self.names.parents[node]
        if isinstance(parent, ast.BoolOp):
            return self._is_condition(parent)
        if isinstance(parent, _CONDITIONS):
            return parent.test is node
        if isinstance(parent, ast.comprehension):
            return node in parent.ifs
        if isinstance(parent, ast.match_case):
            return parent.guard is node
        return isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)

    def _package_out_of_sight(self, name: ast.Name) -> Iterator[tuple[ast.AST, str]]:
        parent = self.names.parents[name]
        if not isinstance(parent, ast.Attribute):
            if isinstance(name.ctx, ast.Load):
                yield name, f"{name.id} holds the warehouse"
        elif parent.attr not in _HARMLESS[PACKAGE]:
            yield name, f"{ast.unparse(parent)} may hold the warehouse"

    def _calls_out_of_sight(self, call: ast.Call) -> Iterator[str]:
        name = self._callee(call)
        first = self.texts.of(call.args[0]) if call.args else None
        text = first.value if first is not None and not first.holes else None
        what = f"{ast.unparse(call.func)}(...)"
        if name in ("eval", "exec", "builtins.eval", "builtins.exec"):
            if text is None or WAREHOUSE in text or "import" in text:
                yield f"{what} may use the warehouse"
        elif name in _LOADING:
            yield f"{what} runs code that is only known at run time"
        elif name in _IMPORTING:
            if text is None:
                yield f"{what} imports a module that is only known at run time"
            elif text.replace(":", ".").partition(".")[0] == PACKAGE:
                yield f"{what} may hold the warehouse"
        elif name in ("getattr", "operator.attrgetter") and self.held.around.stored:
            given = [self.texts.of(argument) for argument in call.args]
            if any(argument is not None and argument.value == WAREHOUSE for argument in given):
                yield f"{what} may return the warehouse"
        elif is_namespace(call) and self._holds(call, name):
            yield f"{what} holds the warehouse"

    def imported_at_run_time(self, call: ast.Call) -> Iterator[str]:
        """The module in `import_module("a.b")`."""
        first = self.texts.of(call.args[0]) if call.args else None
        if first is not None and not first.holes and self._callee(call) in _IMPORTING:
            yield first.value.replace(":", ".")

    def _callee(self, call: ast.Call) -> str:
        """The dotted name of what is called, if it is a builtin or imported."""
        function = call.func
        if isinstance(function, ast.Name) and not self.names.meaning(function)[1]:
            return function.id
        return self.names.imported(function)

    def _holds(self, namespace: ast.Call, name: str) -> bool:
        """Whether `globals()` and the like hold the warehouse, and more is done with them than
        reading another name."""
        scope = self.names.module if name == "globals" else self.names.scopes[namespace]
        here = scope.bindings.get(WAREHOUSE, ())
        if not any(self.held.gives(binding, set()) for binding in here):
            return False
        parent = self.names.parents[namespace]
        if isinstance(parent, ast.Subscript):
            key = self.texts.of(parent.slice)
            return key is None or key.value == WAREHOUSE
        return isinstance(parent, ast.Attribute) or not reads_namespace(parent)

    def _adds_a_folder(self, node: ast.AST) -> bool:
        """Whether *node* is `sys.path` where it is changed."""
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return False
        parent = self.names.parents[node]
        changed = getattr(parent, "attr", "") in ("append", "insert", "extend") or (
            isinstance(parent, (ast.Subscript, ast.AugAssign, ast.Assign))
        )
        return changed and self.names.imported(node) == "sys.path"

    def _found_elsewhere(self, alias: ast.alias) -> Iterator[str]:
        """An import of what is neither a module of the project as we find them nor installed."""
        name = self.names.imported_by(alias)
        top = name.partition(".")[0]
        if top and not self.held.is_of_project(name) and not is_installed(top):
            yield f"the module {top} is found by a changed sys.path, and is not read"

    def _is_named(self, constant: ast.Constant) -> bool:
        """Whether a string is the module of the warehouse, or the package in `sys.modules[...]`.
        What stands alone is a docstring, and a log has that name too."""
        parent = self.names.parents.get(constant)
        if isinstance(constant.value, str) and _IN_TEXT.fullmatch(constant.value):
            is_log = isinstance(parent, ast.Call) and (
                self._callee(parent) in ("logging.getLogger", "structlog.get_logger")
            )
            return not (is_log or isinstance(parent, ast.Expr))
        of_modules = isinstance(parent, ast.Subscript) and (
            self.names.imported(parent.value) == "sys.modules"
        )
        return of_modules and str(constant.value).partition(".")[0] == PACKAGE


def _renamed(name: str) -> Iterator[str]:
    if name != WAREHOUSE:
        yield f"the warehouse is named {name}, not {WAREHOUSE}"


def _imports_out_of_sight(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """What of an import statement is the warehouse by another name, or may lead to it."""
    for alias in node.names:
        is_from = isinstance(node, ast.ImportFrom)
        module = module_of(node) if isinstance(node, ast.ImportFrom) else alias.name
        whole = f"{module}.{alias.name}" if is_from else module
        if whole == MODULE and alias.asname:
            yield from _renamed(alias.asname)
        elif module == MODULE and is_from and alias.name not in _HARMLESS[MODULE]:
            yield f"{WAREHOUSE}.{alias.name} is not called here"
        elif module == PACKAGE and is_from and alias.name not in _HARMLESS[PACKAGE]:
            yield f"{alias.name} may hold the warehouse"
        elif module.startswith(f"{PACKAGE}.") and module not in (MODULE, f"{PACKAGE}.errors"):
            yield f"{module} may hold the warehouse"


@cache
def is_installed(module: str) -> bool:
    """Whether a top-level module belongs to Python or to an installed package."""
    try:
        return module in sys.stdlib_module_names or find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _with_default(function: ast.AST, value: ast.expr) -> str:
    """The name of the parameter that has *value* as its default."""
    if not isinstance(function, (*FUNCTIONS, ast.Lambda)):
        return ""
    return next((own.arg for own, default in defaults_of(function) if default is value), "")
