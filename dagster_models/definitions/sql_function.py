"""Runs a user's ``def sql(vars)`` in this process. Callers pass it to ``project.load.load``."""

from __future__ import annotations

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
from dagster_models.project.python.source import line_of_function


def run_sql_function(source: str, path: str, root: str, variables: Mapping[str, Any]) -> str:
    """The text that ``def sql(vars)`` of the file *path* returns, see RunSqlFunction.

    The file runs in a fresh module, and can import from the project's folder. Modules that it
    imports from there are dropped afterwards, so that the next load sees the files as they are
    then.
    """
    module = types.ModuleType(f"{os.path.splitext(os.path.basename(path))[0]}_sql")
    module.__file__ = path
    # A header's vars may contain lists: the function gets copies, which it may change.
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
        what = f"sql(vars) returned {type(text).__name__} instead of the query's text"
        line = line_of_function(source, "sql")
        raise SqlSyntaxError(what, line, 1, "Return a str that holds one query.")
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
    importlib.invalidate_caches()  # so that a module written a moment ago is found
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            # Packages of an environment inside the project stay: numpy can be loaded only once.
            if file.startswith(root + os.sep) and "site-packages" not in file:
                del sys.modules[name]
