"""What a Python file reads, from its syntax tree: nothing of it is run.

We see `warehouse.sql(...)`, `warehouse.execute(...)` and `warehouse.table(...)` on anything named
`warehouse`, with texts that are written in the file (texts.py). Where the warehouse itself goes out
of our sight (sight.py), its queries may be anything, and we say so.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from dagster_models.errors import SqlSyntaxError
from dagster_models.project.python.held import ALONE, WAREHOUSE, Around, Held, Passing
from dagster_models.project.python.moments import Moment, moment_of
from dagster_models.project.python.names import FUNCTIONS, FileNames, joined, module_of, read_names
from dagster_models.project.python.sight import METHODS, QUERY_METHODS, Sight
from dagster_models.project.python.texts import HOLE, Texts

__all__ = ["HOLE", "Parts", "PyQuery", "PyTable", "PythonFile", "read_part", "read_python"]


@dataclass(frozen=True, slots=True)
class PyQuery:
    """SQL passed to ``sql`` or ``execute``. ``line``: where its literal begins, from 1; ``moment``
    is that of the call."""

    text: str
    line: int
    moment: Moment = field(default=Moment(), compare=False)


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
    calls (line, column, what) whose argument is only known at run time, and other ways on which the
    warehouse goes out of sight; ``partial`` are those of them whose text is known except for some
    values: (line, column), and the query with a HOLE for each value. ``imports`` are dotted: `from
    a import b` gives `a` and `a.b`, as b may be a module, and `from . import b` gives `.` and
    `.b`. ``idle_main`` is the line of a `def main` that the file itself never names, so that
    nothing calls it; 0 if there is none. ``around`` is what it says to the step's other files, and
    ``passes`` are the functions of others that it hands the warehouse. ``exports``: they find it
    here as `warehouse`.
    """

    kind: Literal["model", "sql", "script"]
    queries: tuple[PyQuery, ...] = ()
    tables: tuple[PyTable, ...] = ()
    unseen: tuple[tuple[int, int, str], ...] = ()
    imports: tuple[str, ...] = ()
    partial: tuple[tuple[tuple[int, int], PyQuery], ...] = ()
    idle_main: int = 0
    around: Around = ALONE
    passes: frozenset[Passing] = frozenset()
    exports: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a module that a step runs: functions and classes by name, "" for the rest.

    ``certain`` ones are called; nobody knows whether ``possible`` ones are.
    """

    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()

    def have(self, part: str) -> bool:
        return part in self.certain or part in self.possible


def read_python(source: str, entry: str = "model") -> PythonFile:
    """What a Python file says of itself, of which a step calls the function *entry*. Raises
    SqlSyntaxError, with the place, if it is not Python or defines both `model` and `sql`."""
    around = Around(entry=entry)
    while True:  # what it says about the warehouse may change what else of it means the warehouse
        file = read_part(source, around)
        if file.around == around:
            return file
        around = file.around


@lru_cache(maxsize=1024)
def read_part(source: str, around: Around, parts: Parts | None = None) -> PythonFile:
    """What some parts of a Python file say (default: all), where the step's other files say
    *around*. Raises as read_python."""
    tree, names = parsed(source)
    held = Held(names, around)
    sight = Sight(held, Texts(names))
    lines = _Lines(source)
    queries: list[PyQuery] = []
    tables: list[PyTable] = []
    unseen: list[tuple[int, int, str]] = []
    partial: list[tuple[tuple[int, int], PyQuery]] = []
    for call, method in _calls(names.scopes):
        if parts is not None and not parts.have(names.part(call)):
            continue
        possible = parts is not None and names.part(call) not in parts.certain
        argument = _argument(call)
        text = sight.texts.of(argument) if argument is not None else None
        if text is None or argument is None or text.holes or possible:
            place = lines.place(argument or call)
            unseen.append((*place, f"warehouse.{method}(...)"))
            if text is not None and method in QUERY_METHODS and not possible:
                partial.append((place, PyQuery(text.value, text.line, moment_of(call, names))))
        elif method == "table":
            tables.append(PyTable(text.value, *lines.place(argument)))
        else:
            queries.append(PyQuery(text.value, text.line, moment_of(call, names)))
    for node, what in sight.out_of_sight():
        if parts is None or parts.have(names.part(node)):
            unseen.append((*lines.place(node), what))
    return PythonFile(
        _kind(tree),
        tuple(queries),
        tuple(tables),
        tuple(sorted(set(unseen))),
        imports_of(source),
        tuple(partial),
        _idle_main(tree),
        held.around_others(),
        held.passes,
        held.exports,
    )


@lru_cache(maxsize=1024)
def imports_of(source: str) -> tuple[str, ...]:
    """The dotted names of ``PythonFile.imports``. Raises SqlSyntaxError if it is not Python."""
    _, names = parsed(source)
    sight = Sight(Held(names, ALONE), Texts(names))
    found: dict[str, None] = {}
    for node in names.scopes:
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            base = module_of(node)
            found[base] = None
            found.update(
                (joined(base, alias.name), None) for alias in node.names if alias.name != "*"
            )
        elif isinstance(node, ast.Call):
            for name in sight.imported_at_run_time(node):  # `a.b` may be b of the module a
                found.update(dict.fromkeys([name.rpartition(".")[0] or name, name]))
    return tuple(found)


def seen_sql(tree: ast.Module) -> list[tuple[ast.Call, ast.expr, str]]:
    """The calls of ``sql`` and ``execute`` whose text is known, with their arguments and texts."""
    names = read_names(tree)
    texts = Texts(names)
    found = []
    for call, method in _calls(names.scopes):
        argument = _argument(call) if method in QUERY_METHODS else None
        text = texts.of(argument)
        if argument is not None and text is not None and not text.holes:
            found.append((call, argument, text.value))
    return found


# Each file of a step is looked at several times.
@lru_cache(maxsize=256)
def parsed(source: str) -> tuple[ast.Module, FileNames]:
    """The syntax tree of a file and its names. Raises SqlSyntaxError, with the place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape is the interpreter's business
            tree = ast.parse(source)
        return tree, read_names(tree)
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
    functions = [node for node in tree.body if isinstance(node, FUNCTIONS)]
    lines = [node.lineno for node in functions if node.name == "main" and not named]
    return max(lines, default=0)


# --- Calls -----------------------------------------------------------------------------------


def _calls(nodes: Iterable[ast.AST]) -> list[tuple[ast.Call, str]]:
    """The calls on `warehouse` with their methods, in the file's order."""
    calls = (node for node in nodes if isinstance(node, ast.Call))
    found = [(call, method) for call in calls if (method := _method(call)) is not None]
    return sorted(found, key=lambda item: (item[0].lineno, item[0].col_offset))


def _method(call: ast.Call) -> str | None:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return None
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", None)
    return function.attr if name == WAREHOUSE and function.attr in METHODS else None


def _argument(call: ast.Call) -> ast.expr | None:
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    wanted = {"query", "sql", "text", "statement", "name", "table"}
    return next((word.value for word in call.keywords if word.arg in wanted), None)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The places of nodes in a text, in characters from 1, where ast counts bytes from 0."""

    source: str
    _lines: list[str] = field(default_factory=list)

    def place(self, node: ast.AST) -> tuple[int, int]:
        if not self._lines:
            self._lines.extend(re.split(r"\r\n|\r|\n", self.source))  # what ast counts as lines
        line = getattr(node, "lineno", 1)
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        before = text.encode()[: getattr(node, "col_offset", 0)]
        return line, len(before.decode(errors="replace")) + 1
