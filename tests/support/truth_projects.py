"""Random projects and histories: everything that a seed decides, as frozen values."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from running import ENDLESS

WAREHOUSES = ("duckdb", "postgres")

OLD, NEW, CLEAN = 1, 2, 3  #: versions of what a relation holds: before, of the run, of the next one

#: What becomes of a step without interference. "endless" ones must be stopped.
FATES: Mapping[str, tuple[str, ...]] = {
    "table": ("error", "check", "warn", "timeout", "endless", "slow check"),
    "view": ("error", "check", "warn"),
    "python": ("error", "check", "warn", "flaky", "exit", "segfault", "timeout", "stubborn"),
    "script": ("error", "exit", "timeout", "endless"),
    "seed": ("error",),
}
SUCCEEDS = ("ok", "warn", "flaky")
NEEDS_A_STOP = ("endless", "slow check", "stubborn")
#: Points that a step of a kind comes to, in order (see truth_hook).
POINTS: Mapping[str, tuple[str, ...]] = {
    "table": ("begun", "built", "recorded", "committed", "journaled"),
    "view": ("begun", "built", "recorded", "committed", "journaled"),
    "seed": ("begun", "built", "recorded", "committed", "journaled"),
    "python": ("code", "begun", "built", "recorded", "committed", "journaled"),
    "script": ("code", "journaled"),
}
STOPS = ("term", "int", "terminate", "term twice")
KILLS = ("kill here", "kill warehouse", "kill run")
#: Of a server: it ends a session when asked to, and restarts when one of its backends is killed.
SERVER_KILLS = ("kill session", "kill server")
TIMEOUT_SECONDS = 0.4


@dataclass(frozen=True)
class Node:
    """One step of a project. ``before``: what its relation is before the run."""

    name: str
    kind: str
    fate: str
    upstream: tuple[str, ...]
    retries: int
    before: str  # "", "table" or "view"
    on_error: str = "skip_downstream"

    @property
    def step(self) -> str:
        return f"{_FOLDER.get(self.kind, 'main')}.{self.name}"

    @property
    def relation(self) -> str | None:
        return None if self.kind == "script" else self.step


_FOLDER = {"script": "scripts", "seed": "seeds"}


@dataclass(frozen=True)
class Interference:
    """At the ``nth`` time that something comes to ``point`` (of ``step``), ``action`` is taken.

    ``delay_seconds``: after the process at the point may go on; None: before, and if ``patient``
    it goes on only when the run worker has noticed that it must stop.
    """

    point: str  # or "line": the nth line of the terminal
    step: str
    nth: int
    action: str
    delay_seconds: float | None = None
    patient: bool = False
    always: bool = False  # at each time from the nth on


@dataclass(frozen=True)
class History:
    """One project and what happens to one run of it."""

    seed: int
    nodes: tuple[Node, ...]
    slots: int
    fail_fast: str
    pooled: bool  # Dagster's event log by our storage class
    interferences: tuple[Interference, ...]
    warehouse: str = "duckdb"

    @property
    def config(self) -> dict[str, Any]:
        impatient = any(node.fate == "stubborn" for node in self.nodes)
        return {
            "max_concurrent": self.slots,
            "fail_fast": {"false": False, "true": True}.get(self.fail_fast, self.fail_fast),
            "cancel_grace_seconds": 0.3 if impatient else 10.0,
        }


def history(seed: int, warehouse: str = "duckdb") -> History:
    """The history of a seed: on each warehouse the same project, and about the same happens."""
    found = _history(seed)
    if warehouse == "duckdb":
        return found
    chance = random.Random(f"{seed} on a server")
    interferences = tuple(_on_a_server(it, found.nodes, chance) for it in found.interferences)
    return replace(found, warehouse=warehouse, interferences=interferences)


def _on_a_server(it: Interference, nodes: tuple[Node, ...], chance: random.Random) -> Interference:
    """Most kills hit the server or a session there; not where only a process's end is one."""
    by_step = {node.step: node for node in nodes}
    never_asks = it.point == "code" and by_step[it.step].fate in NEEDS_A_STOP
    if it.action not in KILLS or never_asks or chance.random() < 0.3:
        return it
    return replace(it, action=chance.choice(SERVER_KILLS))


def sparing_the_server(found: History) -> History:
    """For a server that is not ours: sessions are ended, and none of its processes is killed."""
    softened = (
        replace(it, action="kill session") if it.action == "kill server" else it
        for it in found.interferences
    )
    return replace(found, interferences=tuple(softened))


def sample(warehouse: str, count: int, among: int = 200) -> list[int]:
    """Seeds whose histories together meet as much as so few can: each adds the most that is new."""
    left = {seed: _meets(history(seed, warehouse)) for seed in range(among)}
    seeds: list[int] = []
    while len(seeds) < count:
        seeds.append(max(left, key=lambda seed: (len(left[seed]), -seed)))
        met = left.pop(seeds[-1])
        left = {seed: meets - met for seed, meets in left.items()}
    return seeds


def _meets(found: History) -> set[tuple[str, ...]]:
    kinds = {node.step: node.kind for node in found.nodes}
    meets = {(node.kind, node.fate) for node in found.nodes}
    meets |= {(it.action, it.point) for it in found.interferences}
    return meets | {(it.action, kinds.get(it.step, "")) for it in found.interferences}


def _history(seed: int) -> History:
    chance = random.Random(seed)
    nodes: list[Node] = []
    for i in range(chance.randint(3, 8)):
        kinds = ("table", "table", "table", "view", "view", "seed", "seed", "python", "script")
        kind = chance.choice(kinds)
        fate = chance.choice(FATES[kind]) if chance.random() < 0.3 else "ok"
        readable = [node.name for node in nodes if node.kind != "script"]
        upstream = chance.sample(readable, min(len(readable), chance.randint(0, 3)))
        nodes.append(
            Node(
                f"m{i}",
                kind,
                fate,
                tuple(sorted(upstream)) if kind != "seed" else (),
                # A seed's retries would stand in the project's file: it has none here.
                chance.choice((0, 0, 1, 2)) if kind != "seed" and fate != "flaky" else 0,
                "" if kind == "script" else chance.choice(("", "table", "table", "table", "view")),
            )
        )
    nodes = [_with_retries(node, chance) for node in nodes]
    on_error = ("skip_downstream", "skip_downstream", "skip_downstream", "continue", "abort")
    nodes = [replace(n, on_error=chance.choice(on_error)) if n.kind != "seed" else n for n in nodes]
    return History(
        seed,
        tuple(nodes),
        slots=chance.randint(1, 3),
        fail_fast=chance.choice(("false", "false", "true", "true", "drain")),
        pooled=chance.random() < 0.7,
        interferences=tuple(_interferences(nodes, chance)),
    )


def _with_retries(node: Node, chance: random.Random) -> Node:
    if node.fate != "flaky":
        return node
    return replace(node, retries=chance.randint(1, 2))


def _interferences(nodes: list[Node], chance: random.Random) -> list[Interference]:
    found = []
    for node in nodes:
        if node.fate in NEEDS_A_STOP:
            point = "built" if node.fate == "slow check" else POINTS[node.kind][0]
            action = chance.choice((*STOPS, *KILLS))
            delay = chance.choice((0.0, 0.01, 0.1))
            found.append(Interference(point, node.step, 1, action, delay, always=True))
    if chance.random() < 0.8:
        found.append(_interference(nodes, chance))
    return found


def _interference(nodes: list[Node], chance: random.Random) -> Interference:
    stop = chance.random() < 0.5
    if chance.random() < 0.3:
        actions = STOPS if stop else ("kill warehouse", "kill run")
        nth = chance.randint(2, 2 + 2 * len(nodes))
        return Interference("line", "", nth, chance.choice(actions), chance.random() * 0.05)
    node = chance.choice(nodes)
    point = chance.choice(POINTS[node.kind])
    return Interference(
        point,
        node.step,
        1,
        chance.choice(STOPS if stop else KILLS),
        chance.choice((None, None, 0.0, 0.005)),
        patient=chance.random() < 0.5,
    )


# The files ----------------------------------------------------------------------------------------

PROJECT = """\
name: truth
dialect: {warehouse}
targets: {{dev: {{type: {warehouse}, {target}, threads: 2, idle_seconds: 0.1}}}}
models: {{materialized: table}}
jobs: {{test: {{selection: "*"}}}}
"""


@dataclass(frozen=True)
class Words:
    """What differs between the warehouses in the project's files."""

    target: str
    error: str  # an expression that fails when it is computed
    error_of_view: str  # one that CREATE VIEW refuses
    endless: str  # a query
    nowhere: str  # the rest of FROM and WHERE that looks for hours, and finds no row


WORDS: Mapping[str, Words] = {
    "duckdb": Words(
        "path: target/truth.duckdb",
        "error('no')",
        "(select count(*) from read_csv('missing.csv'))",
        ENDLESS,
        "range(100000000000000) t(i) where i < 0",
    ),
    "postgres": Words(
        "dsn: '${TRUTH_DSN}'",
        "1 / (0 * random())::integer",
        "'no'::integer",
        "select count(*) as n from generate_series(1, 99999) t(i), generate_series(1, 99999) u(j),"
        " generate_series(1, 99999) w(k)",
        "generate_series(1, 99999) t(i), generate_series(1, 99999) u(j),"
        " generate_series(1, 99999) w(k) where a.v + i + j + k < 0",
    ),
}


def files(found: History, version: int, heal: bool = False) -> dict[str, str]:
    """The project's files. Each relation holds ``version``, and that of all it was built from;
    ``heal``: every step succeeds."""
    words = WORDS[found.warehouse]
    project = PROJECT.format(warehouse=found.warehouse, target=words.target)
    seeds = [node.name for node in found.nodes if node.kind == "seed"]
    typed = ", ".join(f"{name}: {{column_types: {{w: integer}}}}" for name in seeds)
    project += f"seeds: {{{typed}}}\n" if seeds else ""
    texts = {"dagster_models.yaml": project, "models/README.md": ""}  # the folder must be there
    for node in found.nodes:
        fate = "ok" if heal else node.fate
        folder = {"script": "scripts", "seed": "seeds"}.get(node.kind, "models")
        extension = {"python": "py", "script": "py", "seed": "csv"}.get(node.kind, "sql")
        if node.kind in ("table", "view"):
            text = _sql(node, version, fate, words)
        else:
            write = {"python": _python, "script": _script, "seed": _seed}
            text = write[node.kind](node, version, fate)
        texts[f"{folder}/{node.name}.{extension}"] = text
        if fate == "slow check":
            sql = f"select a.v from {node.name} a, {words.nowhere}"
            texts[f"checks/slow_{node.name}.sql"] = sql
    return texts


def _header(node: Node, fate: str) -> str:
    lines = [f"retries: {{max_retries: {node.retries}, delay: 0.02}}"]
    lines.append(f"on_error: {node.on_error}")
    if node.kind == "view":
        lines.append("materialized: view")
    if fate in ("check", "warn"):
        severity = "error" if fate == "check" else "warn"
        lines.append(f"columns: {{bad: {{checks: [not_null: {{severity: {severity}}}]}}}}")
    if fate == "timeout":
        lines.append(f"timeout: {TIMEOUT_SECONDS}")
    return "\n".join(lines)


def _sql(node: Node, version: int, fate: str, words: Words) -> str:
    columns = [f"{version} as v"]
    columns += [f"(select max(v) from {up}) as u_{up}" for up in node.upstream]
    if fate in ("check", "warn"):
        columns.append("null as bad")
    if fate == "error":
        columns.append(f"{words.error_of_view if node.kind == 'view' else words.error} as e")
    if fate in ("timeout", "endless"):
        columns.append(f"({words.endless}) as n")
    return f"/* @model\n{_header(node, fate)}\n*/\nselect {', '.join(columns)}\n"


def _python(node: Node, version: int, fate: str) -> str:
    row = [f"'v': {version}"]
    row += [
        f"'u_{up}': warehouse.sql('select max(v) from {up}').fetchone()[0]" for up in node.upstream
    ]
    if fate in ("check", "warn"):
        row.append("'bad': None")
    return (
        f'"""\n@model\n{_header(node, fate)}\n"""\n{_IMPORTS}\n'
        f"def model(warehouse):\n    row = {{{', '.join(row)}}}\n"
        f"    truth_points.reach('code', {node.step!r})\n{_code(node, fate, '    ')}"
        "    return [row]\n"
    )


def _script(node: Node, version: int, fate: str) -> str:
    reads = "".join(f"warehouse.table({up!r}).fetchall()\n" for up in node.upstream)
    return (
        f'"""\n@model\n{_header(node, fate)}\n"""\n{_IMPORTS}from dagster_models import warehouse\n'
        f"{reads}truth_points.reach('code', {node.step!r})\n{_code(node, fate, '')}"
        f"warehouse.load([{{'v': {version}}}], 'main.effect_{node.name}')\n"
    )


_IMPORTS = "import os, signal, time\nfrom pathlib import Path\nimport truth_points\n"


def _code(node: Node, fate: str, indent: str) -> str:
    forever = "while True:\n    time.sleep(0.01)"
    stubborn = "while True:\n    try: time.sleep(10)\n    except KeyboardInterrupt: pass"
    code = {
        "error": "raise ValueError('no')",
        "exit": "os._exit(7)",
        "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
        "timeout": forever,
        "endless": forever,
        "stubborn": stubborn,
        "flaky": f"tried = Path('tried_{node.name}')\nif not tried.exists():\n"
        "    tried.touch()\n    raise ValueError('once')",
    }.get(fate, "pass")
    return "".join(f"{indent}{line}\n" for line in code.splitlines())


def _seed(node: Node, version: int, fate: str) -> str:
    return f"v,w\n{version},0\n" + ("1,x\n" if fate == "error" else "")


def old_relations(nodes: tuple[Node, ...]) -> list[str]:
    """The statements that make what is there before the run: version 1."""
    return [
        f"create {node.before} {node.relation} as select 1 as v"
        for node in nodes
        if node.before and node.relation
    ]
