"""The layers of the package, read from its source, and what a fresh process really loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dagster_models
from dagster_models.util.graph import find_cycle

PACKAGE = Path(dagster_models.__file__).parent

#: module (or folder) -> what of our own package it may import. What is not named here belongs to
#: the Dagster side, which may import all of this and is imported by none of it.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "core": {"errors"},
    "wire": {"errors", "core"},
    "bulk": {"errors"},
    "servers": {"errors", "core"},
    "rendezvous": {"errors", "servers"},
    "leftovers": set(),
    "launch": {"errors", "rendezvous", "leftovers"},
    "session": {"errors", "core", "wire", "bulk", "rendezvous", "launch"},
    "tables": {"errors"},
    "warehouse": {"errors", "core", "session", "tables"},
    "isolation": {"errors"},
    "usercode": {"errors", "core", "session", "tables", "warehouse"},
    "worker": {
        *("errors", "core", "wire", "session", "tables"),
        *("warehouse", "isolation", "usercode", "leftovers"),
    },
    "warehouses": {"errors", "core", "bulk", "servers"},
    "materialization": {"errors", "core", "warehouses"},
    "connection": {
        *("errors", "core", "wire", "bulk", "rendezvous", "launch"),
        *("warehouses", "materialization"),
    },
    "broker": {
        *("errors", "core", "wire", "bulk", "rendezvous", "launch"),
        *("warehouses", "materialization", "connection"),
    },
    "script_worker": {"errors", "core", "wire", "session", "leftovers"},
    "happenings": {"errors", "core", "session"},
    "sql_workers": {"errors", "core", "wire", "session", "happenings"},
    "worker_pool": {
        *("errors", "core", "wire", "session", "script_worker", "sql_workers", "happenings"),
    },
}

#: What a layer must not import from outside, also not inside a function.
NEVER = {
    "core": {
        "dagster",
        "duckdb",
        "psycopg",
        "pyarrow",
        "subprocess",
        "socket",
        "threading",
        "multiprocessing",
    },
    "worker": {"dagster", "duckdb", "psycopg", "sqlglot"},
    "broker": {"dagster", "sqlglot", "pandas", "polars"},
}


@cache
def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(tree: ast.AST, package: tuple[str, ...] = ("dagster_models",)) -> Iterator[str]:
    """Every imported name, dotted, wherever in the file; ``if TYPE_CHECKING`` is no import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            whole = ".".join(part for part in (base, node.module) if part)
            yield from (f"{whole}.{alias.name}" for alias in node.names)
        yield from imports(node, package)


def ours(tree: ast.Module) -> set[str]:
    """The modules of our package that ``tree`` imports."""
    known = modules()
    found = set()
    for name in imports(tree):
        root, _, rest = name.partition(".")
        if root != "dagster_models":
            continue
        # `from dagster_models.core.model import Key`: the longest part that is a module.
        while rest and rest not in known and f"{rest}.__init__" not in known:
            rest = rest.rpartition(".")[0]
        if rest:
            found.add(rest)
    return found


def layer(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_run_one_way(module: str) -> None:
    if layer(module) not in MAY_IMPORT:
        return  # the Dagster side
    allowed = MAY_IMPORT[layer(module)] | {layer(module)}
    bad = {name for name in ours(modules()[module]) if layer(name) not in allowed}
    assert not bad, f"{module} must not import {', '.join(sorted(bad))}"


def test_there_is_no_cycle() -> None:
    graph = {name: sorted(ours(tree) - {name}) for name, tree in modules().items()}
    assert find_cycle(graph) is None


def test_a_cycle_inside_a_function_would_be_seen() -> None:
    inside = ast.parse("def f():\n    if True:\n        from dagster_models.errors import Problem")
    assert ours(inside) == {"errors"}
    relative = ast.parse("from .core import model")
    assert ours(relative) == {"core.model"}


def private(tree: ast.Module) -> bool:
    """Whether it imports or names one of Dagster's private modules."""
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return any(name.startswith("dagster._") for name in imports(tree)) or any(
        ast.unparse(node).startswith("dagster._") for node in attributes
    )


def test_one_door_leads_to_dagsters_private_modules() -> None:
    assert {name for name, tree in modules().items() if private(tree)} == {"_dagster"}


def importers(root: str) -> set[str]:
    return {
        name
        for name, tree in modules().items()
        if any(n.partition(".")[0] == root for n in imports(tree))
    }


def test_sqlglot_and_the_driver_have_one_home_each() -> None:
    assert {layer(name) for name in importers("sqlglot")} == {"core"}
    assert {layer(name) for name in importers("duckdb")} == {"warehouses"}
    assert {layer(name) for name in importers("psycopg")} == {"warehouses"}


#: Where names of warehouses may stand in code: the tables of types, and what knows SQL dialects.
KNOW_NAMES = {
    *("broker", "servers", "core.settings"),
    *("core.compiled", "core.dialects", "core.parse", "core.rewrite", "core.scopes"),
    *("core.datatypes", "core.expression_types", "core.expressions", "core.from_items"),
    *(
        "core.lineage",
        "core.duckdb_tokens",
        "core.nodes",
        "core.prepare",
        "core.stars",
        "core.token_rules",
        "core.token_work",
    ),
}


def test_nobody_asks_which_warehouse_it_is() -> None:
    """No materialisation, executor or loader code compares with, or names, one of them."""
    for name, tree in modules().items():
        if layer(name) == "warehouses" or name in KNOW_NAMES:
            continue
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        named = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
            and re.search("duckdb|postgres", node.value, re.IGNORECASE)
        ]
        assert len(named) <= TOLD.get(name, 0), f"{name} names a warehouse: {named}"


#: How often one is named where a user reads it, or as the default of a setting.
TOLD = {"tables": 1, "resource": 1}


def reached_from(module: str) -> set[str]:
    reached, pending = set(), [module]
    while pending:
        name = pending.pop()
        if name not in reached and name in modules():
            reached.add(name)
            pending += ours(modules()[name])
    return reached


def outside(names: set[str]) -> set[str]:
    """The root names of all that these modules import."""
    return {name.partition(".")[0] for module in names for name in imports(modules()[module])}


def test_core_is_pure_and_the_worker_light_also_inside_functions() -> None:
    core = {name for name in modules() if layer(name) == "core"}
    assert not outside(core) & NEVER["core"]
    assert not outside(reached_from("worker")) & NEVER["worker"]
    assert not outside(reached_from("broker")) & NEVER["broker"]


def loaded_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import dagster_models",
        "import dagster_models.processes.worker.process",
        "from dagster_models import warehouse",
        "import dagster_models.processes.client.session",
    ],
)
def test_a_worker_starts_light(statement: str) -> None:
    heavy = {"dagster", "sqlglot", "duckdb", "pyarrow", "pandas", "polars", "networkx", "yaml"}
    assert not loaded_by(statement) & (heavy | {"logging", "multiprocessing", "asyncio"})


def test_a_project_without_a_circle_is_loaded_without_networkx() -> None:
    """Its import would be a twentieth of the start of every run."""
    ordered = "from dagster_models.util.graph import find_cycles, order; "
    assert not loaded_by(ordered + "order({'a': ()}), find_cycles({'a': ()})") & {"networkx"}
    assert "networkx" not in loaded_by("import dagster_models.definitions.build")


def test_the_public_names_are_exact() -> None:
    assert set(dagster_models._HOMES) | {"warehouse"} == set(dagster_models.__all__)
    assert sorted(dagster_models.__all__) == dagster_models.__all__
    assert set(dagster_models.__all__) <= set(dir(dagster_models))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dagster_models.nothing  # noqa: B018


@pytest.mark.parametrize("name", dagster_models.__all__)
def test_every_public_name_is_there(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from dagster_models import {name}", namespace)
    assert namespace[name] is getattr(dagster_models, name)
