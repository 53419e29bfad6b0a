"""What a Python file reads, from its syntax tree: nothing of it is run.

We see `warehouse.sql(...)`, `warehouse.execute(...)` and `warehouse.table(...)` on anything named
`warehouse`, with texts that are written in the file: literals, their concatenation, f-strings, and
names that are bound once, to such a text. Where the warehouse itself goes out of sight
(``helper(warehouse)``) we say so, as its queries may be anything there.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard

from dagster_models.errors import SqlSyntaxError

__all__ = ["HOLE", "PyQuery", "PyTable", "PythonFile", "read_python", "seen_sql"]

_WAREHOUSE = "warehouse"
_QUERY_METHODS = {"sql", "execute"}
_METHODS = {*_QUERY_METHODS, "table"}
#: Stands for what is only known at run time, in a text that is known otherwise: `f"... = {day}"`. A
#: table whose name contains it is unknown.
HOLE = "dagster_models_hole"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ClassDef)
_Placed: TypeAlias = "ast.expr | ast.stmt | ast.arg"


@dataclass(frozen=True, slots=True)
class PyQuery:
    """SQL passed to ``sql`` or ``execute``. ``line``: where its literal begins, from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class PyTable:
    """``warehouse.table(name)``; the place is that of its argument."""

    name: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class PythonFile:
    """What a Python file says of itself.

    ``kind`` is "model" with a `def model`, "sql" with a `def sql`, else "script". ``unseen`` are
    calls (line, column, what) whose argument is only known at run time; ``partial`` are those of
    them whose text is known except for some values: (line, column), and the query with a HOLE for
    each value. ``imports`` are dotted: `from a import b` gives `a` and `a.b`, as b may be a module,
    and `from . import b` gives `.` and `.b`. ``idle_main`` is the line of a `def main` that the
    file itself never names, so that nothing calls it; 0 if there is none.
    """

    kind: Literal["model", "sql", "script"]
    queries: tuple[PyQuery, ...] = ()
    tables: tuple[PyTable, ...] = ()
    unseen: tuple[tuple[int, int, str], ...] = ()
    imports: tuple[str, ...] = ()
    partial: tuple[tuple[tuple[int, int], PyQuery], ...] = ()
    idle_main: int = 0


def read_python(source: str) -> PythonFile:
    """What a Python file says of itself. Raises SqlSyntaxError, with the place, if it is not Python
    or defines both `model` and `sql`."""
    tree = _parsed(source)
    queries: list[PyQuery] = []
    tables: list[PyTable] = []
    unseen: list[tuple[int, int, str]] = []
    partial: list[tuple[tuple[int, int], PyQuery]] = []
    lines = re.split(r"\r\n|\r|\n", source)  # what ast counts as lines
    for call, method, names in _calls(tree):
        argument = _argument(call)
        text = _text(argument, names) if argument is not None else None
        if text is None or argument is None or text.holes:
            node = argument or call
            place = node.lineno, _column(lines, node)
            unseen.append((*place, f"warehouse.{method}(...)"))
            if text is not None and method in _QUERY_METHODS:
                partial.append((place, PyQuery(text.value, text.line)))
        elif method == "table":
            tables.append(PyTable(text.value, argument.lineno, _column(lines, argument)))
        else:
            queries.append(PyQuery(text.value, text.line))
    kind = _kind(tree)
    unseen += [(n.lineno, _column(lines, n), what) for n, what in _out_of_sight(tree, kind)]
    seen = tuple(queries), tuple(tables), tuple(sorted(unseen))
    return PythonFile(kind, *seen, _imports(tree), tuple(partial), _idle_main(tree))


def seen_sql(tree: ast.AST) -> list[tuple[ast.Call, ast.expr, str]]:
    """The calls of ``sql`` and ``execute`` whose text is known, with their arguments and texts."""
    found = []
    for call, method, names in _calls(tree):
        argument = _argument(call) if method in _QUERY_METHODS else None
        text = _text(argument, names)
        if argument is not None and text is not None and not text.holes:
            found.append((call, argument, text.value))
    return found


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape is the interpreter's business
            return ast.parse(source)
    except SyntaxError as error:
        line, column = error.lineno or 1, max(error.offset or 1, 1)
        raise SqlSyntaxError(f"this is not Python: {error.msg}", line, column) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SqlSyntaxError(f"this is not Python: {error}", 1, 1) from None


def _kind(tree: ast.Module) -> Literal["model", "sql", "script"]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "model" in functions and "sql" in functions:
        later = max(functions["model"], functions["sql"], key=lambda node: node.lineno)
        raise SqlSyntaxError(
            "the file defines both model() and sql()",
            later.lineno,
            1,
            "A file builds one relation: keep one of them.",
        )
    return "model" if "model" in functions else "sql" if "sql" in functions else "script"


def _idle_main(tree: ast.Module) -> int:
    named = any(isinstance(node, ast.Name) and node.id == "main" for node in ast.walk(tree))
    functions = [node for node in tree.body if isinstance(node, _FUNCTIONS[:2])]
    lines = [node.lineno for node in functions if node.name == "main" and not named]
    return max(lines, default=0)


def _imports(tree: ast.Module) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names[base] = None
            between = "" if base.endswith(".") else "."
            names.update(
                (f"{base}{between}{alias.name}", None) for alias in node.names if alias.name != "*"
            )
    return tuple(names)


# --- Calls, and the names in scope -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Text:
    value: str
    line: int
    holes: bool = False  #: parts of it are unknown


#: The one text of each name that is bound, None for a name with any other value.
_Names = Mapping[str, "_Text | None"]


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str, _Names]]:
    """The calls on `warehouse`: call, method, and the names in its scope; in the file's order."""
    found: list[tuple[ast.Call, str, _Names]] = []
    stack: list[tuple[ast.AST, _Names]] = [(tree, _bound(tree, {}))]
    while stack:
        node, names = stack.pop()
        for child in ast.iter_child_nodes(node):
            inner = {**names, **_bound(child, names)} if isinstance(child, _FUNCTIONS) else names
            stack.append((child, inner))
        if isinstance(node, ast.Call):
            method = _method(node)
            if method is not None:
                found.append((node, method, names))
    return iter(sorted(found, key=lambda item: (item[0].lineno, item[0].col_offset)))


def _method(call: ast.Call) -> str | None:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return None
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", None)
    return function.attr if name == _WAREHOUSE and function.attr in _METHODS else None


def _argument(call: ast.Call) -> ast.expr | None:
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    wanted = {"query", "sql", "text", "statement", "name", "table"}
    return next((word.value for word in call.keywords if word.arg in wanted), None)


# --- Where the warehouse goes out of sight ---------------------------------------------------


def _out_of_sight(tree: ast.Module, kind: str) -> Iterator[tuple[_Placed, str]]:
    """(place, what) of each use of the warehouse that hides its queries from us."""
    functions = {f.name: f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
    if kind == "model":
        arguments = next(
            f.args for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "model"
        )
        given = [*arguments.posonlyargs, *arguments.args][:1]
        if given and given[0].arg != _WAREHOUSE:
            yield given[0], f"the warehouse is named {given[0].arg}, not {_WAREHOUSE}"
    for parent in ast.walk(tree):
        if isinstance(parent, ast.ImportFrom):
            for alias in parent.names:
                if alias.name == _WAREHOUSE and alias.asname not in (None, _WAREHOUSE):
                    yield parent, f"the warehouse is named {alias.asname}, not {_WAREHOUSE}"
        called = parent.func if isinstance(parent, ast.Call) else None
        for child in _children(parent):
            if _is_warehouse(child) and not _stays_in_sight(parent, child, functions):
                passed = f"is passed to {ast.unparse(called)}(...)" if called is not None else ""
                yield child, f"{_WAREHOUSE} {passed or 'gets another name'}"
            elif child is not called and isinstance(child, ast.Attribute):
                method = f"{_WAREHOUSE}.{child.attr}"
                if _is_warehouse(child.value) and child.attr in _METHODS:
                    yield child, f"{method} is not called here"


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """As ast.iter_child_nodes, but the value of a keyword argument is a child of the call."""
    if isinstance(node, ast.Call):
        return (node.func, *node.args, *(word.value for word in node.keywords))
    return () if isinstance(node, ast.keyword) else ast.iter_child_nodes(node)


#: By these the warehouse leaves its scope, or gets another name.
_CARRIERS = (
    *(ast.AnnAssign, ast.NamedExpr, ast.Return, ast.Yield, ast.Starred),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict),
)


def _is_warehouse(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id == _WAREHOUSE and isinstance(node.ctx, ast.Load)


def _stays_in_sight(
    parent: ast.AST, child: ast.AST, functions: Mapping[str, ast.FunctionDef]
) -> bool:
    """Whether the warehouse keeps its name: in `self.warehouse = warehouse`, or as an argument of
    that name of a function in the file. A condition does nothing with it."""
    if isinstance(parent, ast.Assign):
        named = (getattr(t, "attr", getattr(t, "id", "")) for t in parent.targets)
        return all(name == _WAREHOUSE for name in named)
    if isinstance(parent, ast.Call):
        function = functions.get(parent.func.id) if isinstance(parent.func, ast.Name) else None
        if function is None:
            return False
        own = [*function.args.posonlyargs, *function.args.args]
        given = dict(zip(parent.args, (argument.arg for argument in own), strict=False))
        given |= {word.value: word.arg or "" for word in parent.keywords}
        return given.get(child) == _WAREHOUSE  # type: ignore[call-overload,no-any-return]
    return not isinstance(parent, _CARRIERS)


# --- Texts -----------------------------------------------------------------------------------


def _bound(scope: ast.AST, outer: _Names) -> dict[str, _Text | None]:
    """The names that a module or function binds itself. One that is bound twice maps to None."""
    bound: dict[str, _Text | None] = {}
    times: dict[str, int] = {}
    for name, value in _bindings(scope):
        times[name] = times.get(name, 0) + 1
        seen = _text(value, {**outer, **bound}) if value is not None else None
        bound[name] = seen if times[name] == 1 else None
    return bound


def _bindings(scope: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """All names that the scope binds, in order, with the value where it is a plain assignment."""
    if isinstance(scope, _FUNCTIONS):
        arguments = scope.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
        yield from ((argument.arg, None) for argument in every)
    stack: list[ast.AST] = list(reversed(_body(scope)))
    plain: set[ast.AST] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, _SCOPES):
            if not isinstance(node, ast.Lambda):
                yield node.name, None
            yield from ((name, None) for name in _rebound_from_inside(node))
            continue
        target = _plain_target(node)
        if target is not None:
            plain.add(target)
            yield target.id, getattr(node, "value", None)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            if node not in plain:
                yield node.id, None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, None
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _body(scope: ast.AST) -> list[ast.AST]:
    body = getattr(scope, "body", [])
    return list(body) if isinstance(body, list) else [body]


def _plain_target(node: ast.AST) -> ast.Name | None:
    """The name in `NAME = ...` and `NAME: str = ...`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target = node.target
    else:
        return None
    return target if isinstance(target, ast.Name) else None


def _rebound_from_inside(scope: ast.AST) -> set[str]:
    """Names that a function declares `global` or `nonlocal`: it may change them at any time."""
    kinds = (ast.Global, ast.Nonlocal)
    return {name for node in ast.walk(scope) if isinstance(node, kinds) for name in node.names}


def _text(node: ast.expr | None, names: _Names) -> _Text | None:
    """The text that an expression must have, with a HOLE for each unknown part; None if all of it
    is unknown."""
    if isinstance(node, ast.Constant):
        return _Text(node.value, node.lineno) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.JoinedStr):
        return _joined([_piece(value, names) for value in node.values], node.lineno)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        operands: list[ast.expr] = []
        rest: ast.expr = node
        while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add):
            operands.append(rest.right)
            rest = rest.left
        pieces = [_text(operand, names) for operand in [rest, *reversed(operands)]]
        return _joined(pieces, node.lineno)
    return None


def _piece(node: ast.expr, names: _Names) -> _Text | None:
    if not isinstance(node, ast.FormattedValue):
        return _text(node, names)
    return _text(node.value, names) if node.conversion == -1 and not node.format_spec else None


def _joined(pieces: Sequence[_Text | None], line: int) -> _Text | None:
    known = [piece for piece in pieces if piece is not None]
    if pieces and not known:
        return None
    values = [HOLE if piece is None else piece.value for piece in pieces]
    holes = len(known) < len(pieces) or any(piece.holes for piece in known)
    return _Text("".join(values), line, holes)


def _column(lines: Sequence[str], node: _Placed) -> int:
    """The column in characters, from 1, where ast counts bytes."""
    line = lines[node.lineno - 1] if node.lineno <= len(lines) else ""
    return len(line.encode()[: node.col_offset].decode(errors="replace")) + 1
