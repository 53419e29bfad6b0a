"""Only the room _dagster reaches Dagster's private names, and it never reaches more than today.

A name is private if it has a leading underscore, if its module has one (``dagster._core``), or if
only a ``type: ignore[attr-defined]`` lets mypy pass it. Private names that a class of ours inherits
from a class of Dagster's, and uses or overrides, count too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import dagster_models

PACKAGE = Path(dagster_models.__file__).parent

#: How many private names we reach. It may go down, never up: each is one that the next version of
#: Dagster may change without a word.
AT_MOST = 58

#: Names with an underscore that Python documents as public.
_NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
_IGNORED = "type: ignore[attr-defined]"
#: By module, what it reaches of another library.
_OF_OTHERS = {
    "warehouses.spark.iceberg_schema": {
        "_apply"
    },  # pyiceberg's Transaction: held below its next version
    "dbt.text.macros": {"_func"},  # Jinja's Macro: without it, macros are called as usual
}


def sources() -> dict[str, str]:
    """Module -> its source, for each module of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): text
        for path, text in ((path, path.read_text()) for path in paths)
    }


def has_underscore(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return (name.startswith("_") and not dunder) or name.startswith("dagster_internal")


def is_dagsters(dotted: str) -> bool:
    root = dotted.partition(".")[0]
    return root in ("dagster", "dagster_shared")


def is_private(dotted: str) -> bool:
    """Whether a dotted name of Dagster's is private; all that dagster_shared holds is."""
    return dotted.startswith("dagster_shared.") or any(map(has_underscore, dotted.split(".")))


@cache
def is_module(dotted: str) -> bool:
    try:
        return bool(dotted) and find_spec(dotted) is not None
    except ModuleNotFoundError:  # the name before the last dot is a class or a function
        return False


def imported(tree: ast.Module) -> dict[str, str]:
    """The file's name -> what it stands for, dotted; type checkers' imports included."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def whole_name(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name in full, if its first part was imported; else ""."""
    root, dot, rest = ast.unparse(node).partition(".")
    return names[root] + dot + rest if root in names else ""


def taken_from_modules(tree: ast.Module) -> Iterator[str]:
    """Names that are imported from Dagster's modules, or are attributes of such a module."""
    names = imported(tree)
    yield from (name for name in names.values() if not is_module(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        if isinstance(node, ast.Attribute):
            dotted = whole_name(node, names)
            if is_module(dotted.rpartition(".")[0]) and not is_module(dotted):
                yield dotted
        text = str(node.value) if isinstance(node, ast.Constant) else ""
        if re.fullmatch(r"dagster(_shared)?(\.\w+)+", text):
            yield text


def attributes(tree: ast.Module) -> Iterator[str]:
    """Names with an underscore, of anything but ``self`` and modules that are not Dagster's."""
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and has_underscore(node.attr):
            module = whole_name(node.value, names)
            of_others = is_module(module) and not is_dagsters(module)
            ours = of_others or ast.unparse(node.value) in ("self", "cls", "super()")
            if not ours and not is_module(whole_name(node, names)):
                yield node.attr
        if isinstance(node, ast.Call) and re.fullmatch("(get|set|has|del)attr", _name(node.func)):
            constant = node.args[1] if len(node.args) > 1 else None
            if isinstance(constant, ast.Constant) and has_underscore(str(constant.value)):
                yield str(constant.value)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def hidden_from_mypy(tree: ast.Module, text: str) -> Iterator[str]:
    """The attribute of each line that only an ignore lets pass, in a file that imports Dagster."""
    if not re.search(r"^\s*(from|import) (dagster|dagster_models\._dagster)\b", text, re.MULTILINE):
        return
    lines = {n for n, line in enumerate(text.splitlines(), 1) if _IGNORED in line}
    for line in lines:
        on_line = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.lineno == line]
        longest = max(on_line, key=lambda node: len(ast.unparse(node)), default=None)
        if longest is not None and not longest.attr.startswith("__"):
            yield longest.attr


def inherited(tree: ast.Module, namespace: dict[str, object]) -> Iterator[str]:
    """Private names of Dagster's classes that classes of ours use or override."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = [base for expression in node.bases for base in _mro(expression, namespace)]
            theirs = {name for base in bases for name in _private_members(base)}
            yield from theirs & set(_members(node))


def _mro(expression: ast.expr, namespace: dict[str, object]) -> tuple[type, ...]:
    try:
        base = eval(ast.unparse(expression), dict(namespace))
    except NameError:  # the base is local to a function
        return ()
    classes = inspect.getmro(base) if isinstance(base, type) else ()
    return tuple(cls for cls in classes if is_dagsters(cls.__module__))


@cache
def _private_members(cls: type) -> frozenset[str]:
    """Those that the class defines, and those that its methods set on ``self``."""
    try:
        source = inspect.getsource(cls)
    except OSError:  # a class that a decorator made
        source = ""
    names = {*vars(cls), *re.findall(r"\bself\.(\w+)", source)}
    return frozenset(filter(has_underscore, names))


def _members(node: ast.ClassDef) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield item.name
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            yield item.id
        elif isinstance(item, ast.Attribute):
            yield item.attr


def private_names(text: str, namespace: dict[str, object]) -> set[str]:
    """The private names of Dagster that a file reaches, each by its last part."""
    tree = ast.parse(text)
    dotted = {name for name in taken_from_modules(tree) if is_dagsters(name) and is_private(name)}
    found = {name.rpartition(".")[2] for name in dotted}
    found |= {*attributes(tree), *hidden_from_mypy(tree, text), *inherited(tree, namespace)}
    return found - _NAMED_TUPLE


@cache
def reached() -> dict[str, set[str]]:
    """Module -> the private names of Dagster that it reaches."""
    found = {}
    for module, text in sources().items():
        name = "dagster_models" if module == "__init__" else f"dagster_models.{module}"
        has_bases = re.search(r"^\s*class \w+\(", text, re.MULTILINE)
        namespace = vars(importlib.import_module(name)) if has_bases else {}
        names = private_names(text, namespace) - _OF_OTHERS.get(module, set())
        if names:
            found[module] = names
    return found


def test_only_one_room_reaches_private_names() -> None:
    outside = {m: names for m, names in reached().items() if not m.startswith("_dagster.")}
    assert not outside


def test_they_do_not_become_more(capsys: pytest.CaptureFixture[str]) -> None:
    names = set().union(*reached().values())
    with capsys.disabled():
        print(f"\n  private names of Dagster that we reach: {len(names)}")
    assert len(names) <= AT_MOST, sorted(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from dagster._core.events import EngineEventData", {"EngineEventData"}),
        ("from dagster import AssetKey", set()),
        ("if TYPE_CHECKING:\n    from dagster._core.events import A", {"A"}),
        ("def f():\n    from dagster._core.events import A", {"A"}),
        ("import dagster._core.events", {"events"}),
        ("import dagster\ndagster._core.events.A", {"A"}),
        ("from dagster._core.execution.plan import execute_step as e\ne.core()", {"core"}),
        ("from dagster_shared.error import SerializableErrorInfo", {"SerializableErrorInfo"}),
        ("import_module('dagster._core.events')", {"events"}),
        ("instance._event_storage", {"_event_storage"}),
        ("context.log._dagster_handler._loggers", {"_dagster_handler", "_loggers"}),
        ("getattr(context, '_plan')", {"_plan"}),
        ("AssetsDefinition.dagster_internal_init()", {"dagster_internal_init"}),
        ("import dagster\nop.compute_fn  # type: ignore[attr-defined]", {"compute_fn"}),
        ("import dagster\nf.__signature__ = s  # type: ignore[attr-defined]", set()),
        ("import os\nos._exit(1)\nrecord._fields\nself._own", set()),
        ("class S(Base):\n    def _initdb(self): ...", {"_initdb"}),
        ("class S(Base):\n    def f(self): self._initialized_dbs", {"_initialized_dbs"}),
        ("def f():\n    class S(Base):\n        _connect = None", {"_connect"}),
        ("class S(Base):\n    def _mine(self): self._other", set()),
    ],
)
def test_the_check_sees(text: str, expected: set[str]) -> None:
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    assert private_names(text, {"Base": SqliteEventLogStorage}) == expected
