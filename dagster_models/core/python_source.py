"""What the loader takes from a Python file beside its queries: imports, code, generated SQL."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import os
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from typing import Any

from dagster_models.errors import SqlSyntaxError


def module_paths(name: str) -> list[str]:
    """The files that importing *name* may run, relative to the project's folder."""
    parts = name.split(".")
    paths = ["/".join([*parts[:depth], "__init__.py"]) for depth in range(1, len(parts) + 1)]
    return [*paths, "/".join(parts) + ".py"]


def fingerprint(source: str) -> str:
    """The code without comments, docstrings and formatting: equal for what runs alike.

    Unparsed rather than ``ast.dump``: the dump's text differs between Python versions (3.12 and
    3.13 changed it), and an upgrade of Python must not look like a change of every model.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        holder = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, holder) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def _is_docstring(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return (
        isinstance(node, ast.Expr)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
    )


def line_of_function(source: str, name: str) -> int:
    """The line of ``def name`` at the top level of the file; 1 if there is none."""
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node.lineno
    return 1


def generate_sql(source: str, path: str, root: str, variables: Mapping[str, Any]) -> str:
    """What ``def sql(vars)`` of a file returns. *path* and *root* are absolute.

    The file runs in a fresh module with the project's folder importable, and what it imports from
    there is forgotten again, so that the next load sees the files as they are then. Raises
    SqlSyntaxError with the line of the user's file.
    """
    module = types.ModuleType(f"{os.path.splitext(os.path.basename(path))[0]}_sql")
    module.__file__ = path
    # The parts of a header's vars may be lists: what the function does to them stays with it.
    given = copy.deepcopy(dict(variables))
    try:
        with _importable(root):
            exec(compile(source, path, "exec"), module.__dict__)
            text = module.__dict__["sql"](given)
    except (Exception, SystemExit) as error:
        line = _line_in(error, path) or line_of_function(source, "sql")
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        fix = "sql(vars) runs when the project is loaded; make it return the query's text."
        raise SqlSyntaxError(f"sql(vars) failed: {said}", line, 1, fix) from error
    if not isinstance(text, str):
        what = f"sql(vars) returned {type(text).__name__}, not the query's text"
        line = line_of_function(source, "sql")
        raise SqlSyntaxError(what, line, 1, "Return a str with one query.")
    return text


def _line_in(error: BaseException, path: str) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    return lines[-1] if lines else None


@contextlib.contextmanager
def _importable(root: str) -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, root)
    importlib.invalidate_caches()  # a helper written a moment ago must be seen
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            # Not the packages of an environment inside the project: numpy loads only once.
            if file.startswith(root + os.sep) and "site-packages" not in file:
                del sys.modules[name]
