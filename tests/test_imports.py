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
from dagster_models.core.target_types import own_types
from dagster_models.project.loading import cache as cache_file
from dagster_models.sql.dialects.table import DIALECTS
from dagster_models.util.graph import find_cycle

PACKAGE = Path(dagster_models.__file__).parent

#: Room -> the rooms that it may import, in the order in which one may rest on another. A name
#: with a slash is a room within a room; what stands beside it has the folder's own line.
MAY_IMPORT: dict[str, str] = {
    "errors": "",
    "kinds": "",
    "util": "errors",
    "core": "errors util",
    "sql/rewriting": "errors util core",
    "sql/dialects": "errors util core sql/rewriting",
    "sql": "errors util core sql/rewriting sql/dialects",
    "sql/lineage": "errors util core sql/dialects sql",
    "project": "errors util core sql/dialects sql sql/lineage",
    "dbt/project": "errors util core",
    "dbt/text": "errors util core sql/dialects sql sql/lineage dbt/project",
    "dbt/checks": "errors util core project dbt/project",
    "dbt/properties": "errors util core sql project dbt/project dbt/checks",
    "dbt/templates": "errors util core sql project dbt/project dbt/text",
    "dbt": "errors util core sql project dbt/project dbt/text dbt/properties dbt/templates",
    "dbt/verification": "errors util core sql project dbt/project dbt/text dbt",
    "compilation": "errors util core sql/dialects sql project",
    "warehouses": "errors util core",
    "processes": "errors util core",
    "processes/client": "errors util core processes",
    "processes/server": "errors util core warehouses processes processes/client",
    "processes/worker": "errors util core processes processes/client kinds",
    "scheduling": "errors util core",
    "reporting": "errors util core project compilation scheduling",
    "pages": "errors util core dbt/text dbt/verification dbt scheduling reporting",
    "_dagster": "errors util core scheduling",
    "execution/runners": "errors util core processes processes/client _dagster",
    "execution": "errors util core project compilation processes processes/client"
    " scheduling reporting pages _dagster execution/runners",
    "definitions": "errors util core project dbt/templates compilation processes processes/client"
    " scheduling reporting _dagster execution",
    "cli": "errors util core project dbt/project dbt/text dbt dbt/verification compilation"
    " processes/client"
    " reporting pages execution definitions",
    # The names that users' code and files know.
    "__init__": "errors util core definitions warehouse",
    "storage": "_dagster",
    "warehouse": "processes/client",
}

#: Rooms that may import these at all.
MAY_IMPORT_DAGSTER = {"_dagster", "execution/runners", "execution", "definitions", "cli"}

#: What a room must not import from outside, also not inside a function.
NEVER = {
    "core": {"subprocess", "socket", "threading", "multiprocessing", "pyarrow", "os.path"},
    "sql": {"subprocess", "socket", "threading", "multiprocessing", "pyarrow"},
    "scheduling": {"subprocess", "socket", "threading", "multiprocessing", "pyarrow", "time"},
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


@cache
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


def room(module: str) -> str:
    """The longest room of the table that the module is in."""
    parts = module.split(".")
    names = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in MAY_IMPORT), parts[0])


def edges() -> dict[str, set[str]]:
    """Room -> the other rooms that it imports."""
    found: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    for module, tree in modules().items():
        found[room(module)] |= {room(name) for name in ours(tree)} - {room(module)}
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_each_module_is_in_a_room_and_imports_only_what_the_room_may(module: str) -> None:
    assert room(module) in MAY_IMPORT, f"{module} is in no room of the table"
    allowed = {*MAY_IMPORT[room(module)].split(), room(module)}
    bad = {name for name in ours(modules()[module]) if room(name) not in allowed}
    assert not bad, f"{module} must not import {', '.join(sorted(bad))}"


def test_the_rooms_rest_on_each_other_in_the_order_of_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    order = [*MAY_IMPORT]
    for name, allowed in MAY_IMPORT.items():
        if name not in ("__init__", "storage", "warehouse"):
            assert all(order.index(other) < order.index(name) for other in allowed.split()), name
    with capsys.disabled():  # the picture of the house, in each run of the tests
        print()
        for name, to in edges().items():
            print(f"  {name:<20} {' '.join(sorted(to))}")


def test_each_room_says_what_it_is_for() -> None:
    """Two sentences: what it holds, and what it may import."""
    for name in MAY_IMPORT:
        tree = modules().get(name.replace("/", ".") + ".__init__")
        if tree is not None and name != "__init__":
            assert len(tree.body) == 1, f"{name}/__init__.py has code"
            said = ast.get_docstring(tree) or ""
            assert "May import: " in said, name
            assert len(said.split("\n\n")) == 2, name


@pytest.mark.parametrize("module", sorted(modules()))
def test_files_functions_and_classes_are_small_enough_to_read(module: str) -> None:
    """A longer file says why at its head: "Longer than 400 lines: ..."."""
    tree = modules()[module]
    lines = len((PACKAGE / module.replace(".", "/")).with_suffix(".py").read_text().splitlines())
    assert lines <= 400 or "Longer than 400 lines: " in (ast.get_docstring(tree) or ""), lines
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            assert len(methods) <= 25, f"{node.name} has {len(methods)} methods"


def test_no_two_classes_share_a_name() -> None:
    names = [
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(names) == sorted(set(names))


def test_there_is_no_cycle() -> None:
    graph = {name: sorted(ours(tree) - {name}) for name, tree in modules().items()}
    assert find_cycle(graph) is None


def test_a_cycle_inside_a_function_would_be_seen() -> None:
    inside = ast.parse("def f():\n    if True:\n        from dagster_models.errors import Problem")
    assert ours(inside) == {"errors"}
    relative = ast.parse("from .core import model")
    assert ours(relative) == {"core.model"}


@cache
def roots(module: str) -> set[str]:
    """The root names of all that it imports."""
    return {name.partition(".")[0] for name in imports(modules()[module])}


def importers(root: str) -> set[str]:
    return {name for name in modules() if root in roots(name)}


def test_sqlglot_dagster_and_the_drivers_have_their_rooms() -> None:
    assert {room(name).partition("/")[0] for name in importers("sqlglot")} == {"sql"}
    # dbt-duckdb leaves the reading of a seed to DuckDB's COPY, so an import runs it.
    assert {room(name) for name in importers("duckdb")} == {"dbt/properties", "warehouses"}
    assert {room(name) for name in importers("psycopg")} == {"warehouses"}
    at_ray = {name.rpartition(".")[0] for name in importers("ray")}
    assert at_ray == {"execution.runners.on_ray"}
    assert {room(name) for name in importers("dagster")} <= MAY_IMPORT_DAGSTER


def test_whoever_imports_sqlglot_begins_with_the_package_itself() -> None:
    """Threads may be the first that need it. One that begins with a module in it holds that
    module's lock and waits for the package, whose import waits for the module in another thread:
    Python then gives one of them a half of it, an ImportError."""
    begins = []
    for name in importers("sqlglot"):
        for scope in ast.walk(modules()[name]):
            if isinstance(scope, (ast.Module, ast.FunctionDef)):
                named = (it.module or "" for it in scope.body if isinstance(it, ast.ImportFrom))
                found = [it for it in named if it.partition(".")[0] == "sqlglot"]
                begins += [(name, it) for it in found[:1]]
    assert len(begins) > 40
    assert [it for it in begins if it[1] != "sqlglot"] == []


#: Where names of warehouses may stand in code: the table of types, and what knows SQL dialects.
KNOW_NAMES = {
    *(
        "core.target_types",
        "util.dsn",
        "project.settings",
        "project.target_settings",
        "project.attached",
    ),
    *(name for name in modules() if room(name) == "sql/dialects"),
    # Adapters, which are dbt's names.
    *(name for name in modules() if room(name).partition("/")[0] == "dbt"),
}


def named(tree: ast.Module, pattern: str) -> list[str]:
    """The texts of a module, but for its documentation, in which *pattern* is found."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
        and re.search(pattern, node.value, re.IGNORECASE)
    ]


def test_nobody_asks_which_warehouse_it_is() -> None:
    """No materialisation, executor or loader code compares with, or names, one of them."""
    for name, tree in modules().items():
        if room(name) == "warehouses" or name in KNOW_NAMES:
            continue
        found = named(tree, "|".join(own_types()))
        assert len(found) <= TOLD.get(name, 0), f"{name} names a warehouse: {found}"


@pytest.mark.parametrize("type_", ["ducklake", "mariadb"])
def test_a_warehouse_is_written_in_its_folder_alone(type_: str) -> None:
    """No other code has its name, not even in a comment: what such code would have to know of it
    is a field of its ``TargetType``, which a warehouse in another package has, too."""
    there = PACKAGE / "warehouses"
    others = [it for it in PACKAGE.rglob("*.py") if (there / type_) not in it.parents]
    # What reads SQL knows the dialects of servers, and the driver of DuckDB that of its lakes.
    knowing = {PACKAGE / "sql", *([there / "duckdb"] if type_ == "ducklake" else [])}
    naming = [it for it in others if not knowing & {*it.parents}]
    assert len(naming) > 100
    found = {str(it.relative_to(PACKAGE)) for it in naming if type_ in it.read_text().lower()}
    assert not found


def test_the_type_of_a_warehouse_loads_no_driver() -> None:
    """Each process loads it: of our own it imports the floor, and of others nothing."""
    for type_ in own_types():
        reached = reached_from(f"warehouses.{type_}.target")
        rooms = {room(name).partition("/")[0] for name in reached}
        assert rooms <= {"errors", "util", "core", "warehouses"}
        of_warehouses = {name for name in reached if room(name) == "warehouses"}
        assert all(name.endswith(".target") for name in of_warehouses), of_warehouses
        assert outside(reached) <= {*sys.stdlib_module_names, "dagster_models"}


def test_nobody_asks_which_dialect_it_is() -> None:
    """Beside the table of dialects, no code that handles SQL names one."""
    pattern = rf"^({'|'.join(DIALECTS)})$"
    for name, tree in modules().items():
        if room(name).startswith(("sql", "project", "compilation")) and name not in KNOW_NAMES:
            assert not named(tree, pattern), name


#: How often one is named where a user reads it.
TOLD = {"processes.client.tables": 1}


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
    return set().union(*map(roots, names))


def test_pure_rooms_reach_nothing_of_the_world_also_inside_functions() -> None:
    for name, never in NEVER.items():
        inside = {module for module in modules() if room(module).partition("/")[0] == name}
        assert not outside(inside) & never, name


def test_the_processes_are_light_also_inside_functions() -> None:
    worker = outside(reached_from("processes.worker.process"))
    assert not worker & {"dagster", "duckdb", "psycopg", "sqlglot"}
    server = outside(reached_from("processes.server.process"))
    assert not server & {"dagster", "sqlglot", "pandas", "polars"}
    for module in ("bridge", "host"):
        on_ray = outside(reached_from(f"execution.runners.on_ray.{module}"))
        assert not on_ray & {"dagster", "duckdb", "psycopg", "sqlglot"}


def test_the_stamp_of_the_caches_has_all_that_reads_sql() -> None:
    """An entry rests on the code of these rooms: one that is left out could make it stale."""
    reached = {room(name).partition("/")[0] for name in reached_from("project.load")}
    assert reached == {name.removesuffix(".py") for name in cache_file._ROOMS}


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


def test_commands_start_without_dagster() -> None:
    """It takes as long as all else that they import."""
    commands = ("test", "ls", "compile", "sql", "windows", "checks", "script")
    loaded = loaded_by("".join(f"import dagster_models.cli.{it}\n" for it in commands))
    assert {f"dagster_models.cli.{it}" for it in commands} <= loaded
    assert "dagster" not in loaded


def test_a_warehouse_process_imports_the_kinds_that_it_builds() -> None:
    server = "import dagster_models.processes.server.process, dagster_models.warehouses.duckdb"
    kinds = "dagster_models.warehouses.materializations"
    unused = {f"{kinds}.{it}" for it in ("incremental", "merge", "partitioned", "snapshot")}
    assert not loaded_by(f"{server}.session") & unused


def test_a_project_without_a_cycle_is_loaded_without_networkx() -> None:
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


def test_an_import_of_dbt_starts_without_what_few_imports_need() -> None:
    loaded = loaded_by("import dagster_models.cli.import_dbt")
    assert not loaded & {"dagster", "duckdb", "pyarrow"}
    rooms = ("compilation", "processes", "scheduling", "dbt.templates", "sql.lineage.trace")
    rooms += ("core.tasks", "core.messages", "dbt.verification", "reporting.results")
    few = tuple(f"dagster_models.{room}" for room in rooms)
    assert not [name for name in loaded if name.startswith(few)]
