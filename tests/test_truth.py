"""Random runs of real processes, interfered with at random: every place must tell the same story.

Each seed decides a project, its faults, and who is killed or asked to stop at which moment (see
truth_projects.py). Afterwards tables, commit records, journal, run_results.json, terminal and
Dagster's event log are compared, step by step. To see one history again::

    DAGSTER_MODELS_TRUTH_SEED=17 pytest tests/test_truth.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import DagsterInstance
from truth_projects import (
    FATES,
    KILLS,
    POINTS,
    PROJECT,
    STOPS,
    SUCCEEDS,
    History,
    Interference,
    Node,
    files,
    history,
    old_relations,
)
from truth_runs import Played, Player, start_the_fork_server

from dagster_models.journal import JournalContents, read_journal
from running import DEFINITIONS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="follows processes by /proc and pidfd"),
]

OLD, NEW, CLEAN = 1, 2, 3  # versions of what a relation holds

POOLED = """\
telemetry: {{enabled: false}}
event_log_storage:
  module: dagster_models.storage
  class: PooledSqliteEventLogStorage
  config: {{base_dir: {folder}}}
"""

HISTORIES = int(os.environ.get("DAGSTER_MODELS_TRUTH_HISTORIES", "200"))
BATCH = 20
SEEDS = (
    [[int(os.environ["DAGSTER_MODELS_TRUTH_SEED"])]]
    if "DAGSTER_MODELS_TRUTH_SEED" in os.environ
    else [list(range(i, min(i + BATCH, HISTORIES))) for i in range(0, HISTORIES, BATCH)]
)


@pytest.fixture(scope="module")
def dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster home to be copied: to make its tables takes long."""
    start_the_fork_server()
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs(limit=1)
    return home


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
@pytest.mark.timeout(400)
def test_every_place_tells_the_truth(seeds: list[int], dagster_home: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=2) as pool:
        stories = list(pool.map(lambda seed: one(history(seed), dagster_home, tmp_path), seeds))
    lies = [story for story in stories if story]
    assert not lies, "\n\n".join(lies)


def one(history: History, dagster_home: Path, tmp_path: Path) -> str:
    """Play one history, and a clean run after it; "" if all agree, else the story of it."""
    folder = tmp_path / str(history.seed)
    told = run(history, dagster_home, folder)
    lies = list(disagreements(history, told))
    if not lies and (told.played.killed or history.seed % 8 == 0):
        lies = list(of_a_clean_run(history, folder))
    if lies:
        return story_of(history, told.played, lies, folder)
    shutil.rmtree(folder)
    return ""


def run(history: History, dagster_home: Path, folder: Path) -> Told:
    """Make the project as it is before the run, and play its history."""
    root, home = folder / "project", folder / "home"
    shutil.copytree(dagster_home, home)
    if history.pooled:
        write(home, {"dagster.yaml": POOLED.format(folder=home / "history" / "runs")})
    write(root, {"definitions.py": DEFINITIONS, "dagster_models.yaml": PROJECT})
    write(root, files(history.nodes, NEW))
    prepare(root, history)
    return read(root, home, Player(root, home, history.interferences).play(history.config))


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def prepare(root: Path, history: History) -> None:
    """The database as an earlier run left it."""
    (root / "target").mkdir()
    with duckdb.connect(str(root / "target" / "truth.duckdb"), config={"threads": 1}) as database:
        database.execute("create schema seeds")
        for statement in old_relations(history.nodes):
            database.execute(statement)


def story_of(history: History, played: Played, lies: list[str], folder: Path) -> str:
    lines = [f"seed {history.seed}: places disagree", *lies, f"slots={history.slots}"]
    lines += [f"fail_fast={history.fail_fast} {folder}", *map(str, history.nodes)]
    lines += [*map(str, history.interferences), *played.story, *played.terminal.splitlines()]
    return "\n  ".join(lines)


# What every place says ----------------------------------------------------------------------------

Held = tuple[str, int]  # "table" or "view", and the version in it


@dataclass(frozen=True)
class Told:
    played: Played
    relations: dict[str, Held]
    inputs: dict[str, dict[str, int]]  # relation -> versions of what it was built from, by column
    records: dict[str, list[int]]  # step -> attempts with a commit record of this run
    journal: JournalContents | None
    results: dict[str, Any] | None
    status: str
    events: list[tuple[str, str]]  # (step, event type)

    def of_type(self, event_type: str) -> set[str]:
        return {step for step, type_ in self.events if type_ == event_type}


def read(root: Path, home: Path, played: Played) -> Told:
    with DagsterInstance.from_config(str(home)) as instance:
        found = instance.get_runs(limit=1)
        run_id, status = (found[0].run_id, found[0].status.value) if found else ("", "")
        events = [
            ((entry.step_key or "").replace("__", ".", 1), entry.dagster_event_type.value)
            for entry in (instance.all_logs(run_id) if run_id else ())
            if entry.dagster_event_type is not None
        ]
    journal = root / "target" / "runs" / f"{run_id}.jsonl"
    results = root / "target" / "run_results.json"
    relations: dict[str, Held] = {}
    inputs: dict[str, dict[str, int]] = {}
    records: dict[str, list[int]] = {}
    with duckdb.connect(str(root / "target" / "truth.duckdb"), config={"threads": 1}) as database:
        rows = database.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
        ).fetchall()
        for (name,) in rows:
            if name == "dagster_models.commits":
                sql = "select step, attempt from dagster_models.commits where run_id = ?"
                for step, attempt in database.execute(sql, [run_id]).fetchall():
                    records.setdefault(step, []).append(attempt)
                continue
            table = database.execute(f"from {name}")
            columns = [column[0] for column in table.description]
            row = dict(zip(columns, table.fetchone() or [0], strict=False))
            relations[name] = ("table", row.get("v", 0))
            inputs[name] = row
        rows = database.execute(
            "select schema_name || '.' || view_name, sql from duckdb_views() where not internal"
        ).fetchall()
        for name, sql in rows:
            version = re.search(r"select (\d+) as v", sql, re.IGNORECASE)
            relations[name] = ("view", int(version.group(1)) if version else 0)
    return Told(
        played,
        relations,
        inputs,
        records,
        read_journal(journal) if journal.exists() else None,
        json.loads(results.read_text()) if results.exists() else None,
        status,
        events,
    )


# Whether they agree -------------------------------------------------------------------------------


def disagreements(history: History, told: Told) -> Iterator[str]:
    yield from of_processes(told)
    journal = told.journal
    states = {step.step: step.state for step in journal.steps} if journal else {}
    attempts = {step.step: step.attempt for step in journal.steps} if journal else {}
    killed = told.played.did("kill run")
    nodes = {node.name: node for node in history.nodes}
    for node in history.nodes:
        state = states.get(node.step, "untold")
        if state == "untold" and not killed:
            yield f"{node.step}: the journal does not tell of it"
        yield from of_the_warehouse(node, states, attempts, nodes, told)
        yield from of_its_fate(node, state, history, told)
    yield from of_dagster(states, killed, told)
    if killed:
        if told.results is not None and told.journal and told.journal.end is None:
            yield "run_results.json was written before the journal's end"
        return
    yield from of_the_end(states, told)
    aborts = any(states.get(n.step) == "failed" and n.on_error == "abort" for n in history.nodes)
    undisturbed = not told.played.done and not aborts and history.fail_fast == "false"
    if undisturbed and states != expected(history):
        yield f"undisturbed, it told {states}, not {expected(history)}"


def of_processes(told: Told) -> Iterator[str]:
    if told.played.survivors:
        yield f"processes survive, or it hangs: {told.played.survivors}"


def of_the_warehouse(
    node: Node,
    states: dict[str, str],
    attempts: dict[str, int],
    nodes: dict[str, Node],
    told: Told,
) -> Iterator[str]:
    state = states.get(node.step, "untold")
    recorded = told.records.get(node.step, [])
    if node.relation is None:
        effect = told.relations.get(f"main.effect_{node.name}")
        if recorded:
            yield f"{node.step}: a script with commit records"
        if (effect is None and state == "succeeded") or (effect is not None and state == "skipped"):
            yield f"{node.step}: {state}, but its table is {effect}"
        return
    held = told.relations.get(node.relation)
    old = (node.before, OLD) if node.before else None
    new = ("view" if node.kind == "view" else "table", NEW)
    if held not in (old, new):
        yield f"{node.step}: {state}, but its relation is {held}, neither {old} nor {new}"
    if bool(recorded) != (held == new) or len(recorded) > 1:
        yield f"{node.step}: commit records of attempts {recorded}, but its relation is {held}"
    if state != "untold" and (state == "succeeded") != (held == new):
        yield f"{node.step}: {state}, but its relation is {held}"
    if state == "succeeded" and recorded != [attempts[node.step]]:
        yield f"{node.step}: told of attempt {attempts[node.step]}, recorded {recorded}"
    versions = told.inputs.get(node.relation, {})
    for name in node.upstream if held == new and node.kind != "view" else ():
        up = nodes[name]
        # What failed and says on_error: continue is read as an earlier run left it.
        right = NEW if states.get(up.step, "succeeded") != "failed" else OLD
        if versions.get(f"u_{name}") != right:
            yield f"{node.step}: built from {versions}, though {up.step} {states.get(up.step)}"


def of_its_fate(node: Node, state: str, history: History, told: Told) -> Iterator[str]:
    """A bad step never succeeds, and a good one fails and is canceled only if somebody made it."""
    good = node.fate in SUCCEEDS
    stops = told.played.did(*STOPS)
    if state == "succeeded" and not good:
        yield f"{node.step}: succeeded, but it is to end in {node.fate}"
    if state == "failed" and good:
        aborts = any(other.on_error == "abort" for other in history.nodes)
        gave_up = node.fate == "flaky" and (stops or aborts or history.fail_fast != "false")
        if not gave_up and not told.played.did("kill warehouse", "kill worker"):
            yield f"{node.step}: failed, and nobody did anything to it"
    aborts = history.fail_fast == "true" or any(n.on_error == "abort" for n in history.nodes)
    if state == "canceled" and not stops and not aborts:
        yield f"{node.step}: canceled, and nobody stopped the run"


def of_dagster(states: dict[str, str], killed: bool, told: Told) -> Iterator[str]:
    by_state = {state: {s for s, it in states.items() if it == state} for state in states.values()}
    expected_events = {
        "STEP_SUCCESS": by_state.get("succeeded", set()),
        "ASSET_MATERIALIZATION": by_state.get("succeeded", set()),
        "STEP_FAILURE": by_state.get("failed", set()) | by_state.get("canceled", set()),
        "STEP_SKIPPED": set(),
    }
    for event_type, steps in expected_events.items():
        found = told.of_type(event_type)
        # The journal goes first: a run worker that was killed in between has told less to Dagster.
        if not (found <= steps if killed else found == steps):
            yield f"{event_type} of {sorted(found)}, but the journal has {sorted(steps)}"
    skipped = by_state.get("skipped", set()) & told.of_type("STEP_START")
    if skipped:
        yield f"skipped, but started: {sorted(skipped)}"
    twice = Counter((s, t) for s, t in told.events if t in ("STEP_SUCCESS", "STEP_FAILURE"))
    if max(twice.values(), default=0) > 1:
        yield f"told twice: {twice}"


def of_the_end(states: dict[str, str], told: Told) -> Iterator[str]:
    """Results file, terminal, run status and exit code of a run that was not killed."""
    if told.results is None or told.journal is None or told.journal.end is None:
        yield "the run's end was not written down"
        return
    results = {
        result["unique_id"].rpartition(".")[2]: result["adapter_response"]["state"]
        for result in told.results["results"]
        if not result["unique_id"].startswith("test.")
    }
    if results != {step.partition(".")[2]: state for step, state in states.items()}:
        yield f"run_results.json has {results}, the journal {states}"
    totals = told.journal.end.totals
    count = Counter(states.values())
    expected_totals = {"ERROR": "failed", "SKIP": "skipped", "CANCEL": "canceled"}
    done = " ".join(f"{word}={number}" for word, number in totals.items())
    if f"Done. {done}" not in told.played.terminal:
        yield f"the terminal does not say {done}"
    if any(totals[word] != count[state] for word, state in expected_totals.items()):
        yield f"the journal's end has {totals}, its steps {count}"
    good = set(states.values()) <= {"succeeded"}
    success = good and not told.played.stopped
    end = "success" if success else "canceled" if told.played.did("terminate") else "failure"
    too_late = told.played.late and not told.played.stopped
    if told.journal.end.status != end and not (too_late and not success):
        yield f"the journal ended as {told.journal.end.status}, not as {end}"
    if too_late:
        return  # Dagster takes a signal that comes after the executor for the run's failure
    if told.status.lower() != end:
        yield f"in Dagster it ended as {told.status}, not as {end}"
    if (told.played.exit_code == 0) != (end == "success"):
        yield f"exit code {told.played.exit_code} after {end}"


def expected(history: History) -> dict[str, str]:
    """The state of each step if nobody interferes and nothing stops the run."""
    states: dict[str, str] = {}
    nodes = {node.name: node for node in history.nodes}

    def serves(name: str) -> bool:
        kept = nodes[name].on_error == "continue" and nodes[name].before
        return states[name] == "succeeded" or (states[name] == "failed" and bool(kept))

    for node in history.nodes:
        end = "succeeded" if node.fate in SUCCEEDS else "failed"
        states[node.name] = end if all(map(serves, node.upstream)) else "skipped"
    return {node.step: states[node.name] for node in history.nodes}


def of_a_clean_run(history: History, folder: Path) -> Iterator[str]:
    """After whatever has happened the next run succeeds, and finds nothing in its way."""
    root, home = folder / "project", folder / "home"
    shutil.rmtree(root / "checks", ignore_errors=True)  # they never end
    write(root, files(history.nodes, CLEAN, heal=True))
    told = read(root, home, Player(root, home, ()).play(history.config))
    yield from of_processes(told)
    states = {step.step: step.state for step in told.journal.steps} if told.journal else {}
    if states != {node.step: "succeeded" for node in history.nodes} or told.played.exit_code != 0:
        yield f"the next run: {states}, exit code {told.played.exit_code}\n{told.played.terminal}"
    expected = {
        node.relation: ("view" if node.kind == "view" else "table", CLEAN)
        for node in history.nodes
        if node.relation
    }
    effects = {f"main.effect_{n.name}": ("table", CLEAN) for n in history.nodes if not n.relation}
    if told.relations != {**expected, **effects}:
        yield f"after the next run: {told.relations}"


# Histories that are not left to chance --------------------------------------------------------

WARNS = Node("m0", "table", "warn", (), 0, "table")
BELOW = Node("m1", "table", "ok", ("m0",), 0, "view")
PYTHON = Node("m0", "python", "ok", (), 0, "table")


@pytest.mark.parametrize(
    ("node", "point", "action", "states", "status"),
    [
        # A commit that wins the race is a success, and what it warns of is told.
        (WARNS, "recorded", "term", ("succeeded", "skipped"), "FAILURE"),
        (PYTHON, "recorded", "terminate", ("succeeded", "skipped"), "CANCELED"),
        (replace(WARNS, fate="slow check"), "built", "int", ("canceled", "skipped"), "FAILURE"),
        (replace(PYTHON, fate="endless"), "code", "terminate", ("canceled", "skipped"), "CANCELED"),
        # In doubt until the commit record was read; what the checks found is lost.
        (WARNS, "recorded", "kill here", ("failed", "skipped"), "FAILURE"),
        (WARNS, "committed", "kill here", ("succeeded", "succeeded"), "SUCCESS"),
        (PYTHON, "committed", "kill here", ("succeeded", "succeeded"), "SUCCESS"),
        (PYTHON, "code", "kill here", ("failed", "skipped"), "FAILURE"),
        # Nobody can tell of it but the commit record, or the journal before Dagster.
        (WARNS, "committed", "kill run", (), "STARTED"),
        (WARNS, "journaled", "kill run", ("succeeded",), "STARTED"),
    ],
)
def test_a_moment_of_one_step(
    node: Node,
    point: str,
    action: str,
    states: tuple[str, ...],
    status: str,
    dagster_home: Path,
    tmp_path: Path,
) -> None:
    interference = Interference(point, node.step, 1, action, patient=True)
    history = History(0, (node, BELOW), 1, "false", True, (interference,))
    told = run(history, dagster_home, tmp_path / "0")
    lies = [*disagreements(history, told), *of_a_clean_run(history, tmp_path / "0")]
    assert not lies, story_of(history, told.played, lies, tmp_path)
    assert told.journal is not None
    by_step = {step.step: step.state for step in told.journal.steps}
    assert tuple(by_step[step] for step in ("main.m0", "main.m1") if step in by_step) == states
    assert told.status == status


@pytest.mark.parametrize(
    ("action", "fate", "status"),
    [
        ("term", "ok", "SUCCESS"),
        ("terminate", "ok", "SUCCESS"),
        ("term", "error", "FAILURE"),
        ("terminate", "error", "CANCELED"),  # Dagster's word for what fails after Terminate
    ],
)
def test_a_stop_that_comes_when_all_is_done_changes_nothing(
    action: str, fate: str, status: str, dagster_home: Path, tmp_path: Path
) -> None:
    node = Node("m0", "table", fate, (), 0, "")
    interference = Interference("journaled", node.step, 1, action)
    history = History(1, (node,), 1, "false", True, (interference,))
    told = run(history, dagster_home, tmp_path / "0")
    lies = list(disagreements(history, told))
    assert not lies, story_of(history, told.played, lies, tmp_path)
    assert told.status == status


def test_the_seeds_know_every_fate_and_every_way_to_interfere() -> None:
    histories = [history(seed) for seed in range(200)]
    fates = {(node.kind, node.fate) for it in histories for node in it.nodes}
    assert {(kind, fate) for kind, found in FATES.items() for fate in found} <= fates
    interferences = [it for found in histories for it in found.interferences]
    assert {it.action for it in interferences} == {*STOPS, *KILLS}
    for point in {"line"}.union(*POINTS.values()):
        actions = {it.action for it in interferences if it.point == point}
        assert "kill run" in actions
        assert actions & set(STOPS)
