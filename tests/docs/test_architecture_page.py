"""docs/architecture.md is true: its names exist, and its functions are called in their order."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from test_imports import MAY_IMPORT

import dagster_models
from pages import Page
from paths import REPOSITORY
from running import make_project

PAGE = Page.of("architecture.md")
DRAWING = PAGE.blocks("")[0]
PROSE = re.sub(r"^```\n.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
PACKAGE = Path(dagster_models.__file__).parent

#: Imported by every process of the run: it writes which of the wanted functions are called.
PROFILER = """
import json, os, sys, threading, time
wanted = {tuple(it) for it in json.loads(os.environ.get("ARCHITECTURE_WANTED", "[]"))}

def profile(frame, event, argument):
    code = frame.f_code
    if event == "call" and (code.co_filename, code.co_firstlineno) in wanted:
        line = f"{time.monotonic_ns()}\\t{code.co_filename}\\t{code.co_firstlineno}\\n"
        file = os.open(os.environ["ARCHITECTURE_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

if wanted:
    threading.setprofile(profile)
    sys.setprofile(profile)
"""


def resolve(name: str) -> Any:
    """The module, class, function or value that a dotted name below the package means."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        stem = PACKAGE.joinpath(*parts[:length])
        if stem.with_suffix(".py").exists() or (stem / "__init__.py").exists():
            found: Any = import_module(".".join(("dagster_models", *parts[:length])))
            for part in parts[length:]:
                found = getattr(found, part)
            return found
    raise LookupError(name)


@cache
def top_level_names() -> frozenset[str]:
    """Every class, function and value that some module of the package defines."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                found.add(ast.unparse(node.target))
    return frozenset(found)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([^`]+)`", PROSE))))
def test_every_name_exists(name: str) -> None:
    if "/" in name:
        assert (REPOSITORY / name).exists()
    elif name not in top_level_names():
        resolve(name)


def test_every_room_is_in_the_drawing() -> None:
    drawn = set(re.findall(r"[\w/]+", DRAWING))
    assert not set(MAY_IMPORT) - drawn


def functions_of(title: str) -> list[tuple[str, tuple[str, int]]]:
    """The names of a section's numbered lists, each with the place of its code."""
    found = []
    for name in re.findall(r"^\d+\. `([\w.]+)`", PAGE.section(title), re.MULTILINE):
        value = resolve(name)
        value = value.__init__ if inspect.isclass(value) else inspect.unwrap(value)
        code = value.__code__
        found.append((name, (code.co_filename, code.co_firstlineno)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "sql", "status"),
    [
        ("The way of one SQL file", "select 1 as n", 0),
        ("The way of one failure", "select nope(1) as n", 1),
    ],
)
def test_the_functions_are_called_in_their_order(
    tmp_path: Path, title: str, sql: str, status: int
) -> None:
    functions = functions_of(title)
    assert len(functions) > 10
    project = make_project(tmp_path, {"models/a.sql": sql})
    (tmp_path / "sitecustomize.py").write_text(PROFILER)
    trace = tmp_path / "trace"
    environment = {
        **project.env,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "ARCHITECTURE_WANTED": json.dumps([place for _, place in functions]),
        "ARCHITECTURE_TRACE": str(trace),
    }
    done = subprocess.run(
        project.command(), cwd=project.root, env=environment, capture_output=True, timeout=250
    )
    assert done.returncode == status, done.stderr[-3000:]
    # One clock for all processes of the machine, so the order holds between them as well.
    lines = sorted((line.split("\t") for line in trace.read_text().splitlines()), key=_moment)
    calls = iter([(file, int(number)) for _, file, number in lines])
    for name, place in functions:
        assert place in calls, f"{name} is not called after those before it"


def _moment(line: list[str]) -> int:
    return int(line[0])
