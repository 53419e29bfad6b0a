"""Random runs of real processes, interfered with at random: every place must report the same.

Each seed decides a project, its faults, and who is killed or asked to stop at which moment (see
truth_projects.py). Afterwards tables, commit records, journal, run_results.json, terminal and
Dagster's event log are compared, step by step (truth_agreement.py). By default a few seeds that
meet the most are played on each warehouse; 200 on each, and some of them again::

    DAGSTER_MODELS_TEST_EXHAUSTIVE=1 pytest tests/test_truth.py
    DAGSTER_MODELS_TRUTH_SEEDS=17 pytest tests/test_truth.py       # or 0-49
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from running import EXHAUSTIVE
from truth_agreement import disagreements, of_a_clean_run
from truth_projects import (
    FATES,
    KILLS,
    POINTS,
    SERVER_KILLS,
    STOPS,
    WAREHOUSES,
    History,
    Interference,
    Node,
    history,
    sample,
)
from truth_stage import AT_ONCE, Play, Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="follows processes by /proc and pidfd"),
]

EXHAUSTIVE_SEEDS = 200
SAMPLE_SEEDS = 6


def seeds(warehouse: str) -> list[int]:
    wanted = os.environ.get("DAGSTER_MODELS_TRUTH_SEEDS")
    if wanted:
        first, _, last = wanted.partition("-")
        return list(range(int(first), int(last or first) + 1))
    if EXHAUSTIVE:
        return list(range(EXHAUSTIVE_SEEDS))
    return sample(warehouse, SAMPLE_SEEDS, among=EXHAUSTIVE_SEEDS)


@dataclass(frozen=True)
class Scene:
    """A history, and what must come of it beyond that all places agree.

    ``states``: those of the first steps in the journal; ``status``: that of the run in Dagster.
    """

    history: History
    clean_run: bool
    states: tuple[str, ...] | None = None
    status: str = ""

    def play(self, stage: Stage, folder: Path) -> str:
        """Play it, and a clean run after it; "" if all is as it must be, else the story of it."""
        with stage.open(self.history, folder) as play:
            lies = list(self._lies(play))
            if lies:
                return story_of(play, lies)
        shutil.rmtree(folder)
        return ""

    def _lies(self, play: Play) -> Iterator[str]:
        evidence = play.run()
        lies = list(disagreements(play.history, evidence))
        yield from lies
        if self.states is not None and evidence.journal is not None:
            steps = sorted(evidence.journal.steps, key=lambda step: step.step)
            found = tuple(step.state for step in steps)
            if found != self.states or evidence.status != self.status:
                yield f"{found} and {evidence.status}, not {self.states} and {self.status}"
        if not lies and (self.clean_run or evidence.played.killed):
            yield from of_a_clean_run(play.history.nodes, play.run(heal=True))


def story_of(play: Play, lies: list[str]) -> str:
    found, played = play.history, play.evidence[0].played
    lines = [f"{found.warehouse}, seed {found.seed}: places disagree", *lies]
    lines += [f"slots={found.slots} fail_fast={found.fail_fast} {play.folder}"]
    lines += [*map(str, found.nodes), *map(str, found.interferences)]
    lines += [*played.story, *played.terminal.splitlines()]
    return "\n  ".join(lines)


def randomly(warehouse: str, seed: int) -> Scene:
    return Scene(history(seed, warehouse), clean_run=seed % 8 == 0)


# Histories that are not left to chance --------------------------------------------------------

WARNS = Node("m0", "table", "warn", (), 0, "table")
BELOW = Node("m1", "table", "ok", ("m0",), 0, "view")
PYTHON = Node("m0", "python", "ok", (), 0, "table")


def moment(
    node: Node, point: str, action: str, states: tuple[str, ...], status: str, warehouse: str
) -> Scene:
    """Something happens at one moment of one step, and another step is below it."""
    interference = Interference(point, node.step, 1, action, patient=True)
    found = History(0, (node, BELOW), 1, "false", True, (interference,), warehouse)
    return Scene(found, True, states, status)


def too_late(action: str, fate: str, status: str) -> Scene:
    """A stop that comes when all is done changes nothing."""
    node = Node("m0", "table", fate, (), 0, "")
    interference = Interference("journaled", node.step, 1, action)
    found = History(1, (node,), 1, "false", True, (interference,))
    return Scene(found, False, ("failed" if fate == "error" else "succeeded",), status)


ON_ALL = [
    # A commit that wins the race is a success, and what it warns of is evidence.
    (WARNS, "recorded", "term", ("succeeded", "skipped"), "FAILURE"),
    (replace(WARNS, fate="slow check"), "built", "int", ("canceled", "skipped"), "FAILURE"),
    # In doubt until the commit record was read; what the checks found is lost.
    (WARNS, "recorded", "kill here", ("failed", "skipped"), "FAILURE"),
    (WARNS, "committed", "kill here", ("succeeded", "succeeded"), "SUCCESS"),
    # Only the commit record knows it.
    (WARNS, "committed", "kill run", (), "STARTED"),
]
ON_DUCKDB = [  # what does not depend on the warehouse
    (PYTHON, "recorded", "terminate", ("succeeded", "skipped"), "CANCELED"),
    (replace(PYTHON, fate="endless"), "code", "terminate", ("canceled", "skipped"), "CANCELED"),
    (PYTHON, "committed", "kill here", ("succeeded", "succeeded"), "SUCCESS"),
    (PYTHON, "code", "kill here", ("failed", "skipped"), "FAILURE"),
    (WARNS, "journaled", "kill run", ("succeeded",), "STARTED"),  # the journal before Dagster
]
ON_A_SERVER = [
    (WARNS, "recorded", "kill session", ("failed", "skipped"), "FAILURE"),
    (WARNS, "committed", "kill session", ("succeeded", "succeeded"), "SUCCESS"),
    (PYTHON, "recorded", "kill server", ("failed", "skipped"), "FAILURE"),
    (PYTHON, "committed", "kill server", ("succeeded", "succeeded"), "SUCCESS"),
    (replace(WARNS, retries=1), "built", "kill server", ("succeeded", "succeeded"), "SUCCESS"),
]
MOMENTS = {
    "duckdb": [*ON_ALL, *ON_DUCKDB],
    "postgres": [*ON_ALL, *ON_A_SERVER],
}

SCENES = {
    f"{warehouse}-{seed}": partial(randomly, warehouse, seed)
    for warehouse in WAREHOUSES
    for seed in seeds(warehouse)
}
SCENES |= {
    f"{warehouse}-{node.kind} {node.fate}-{point}-{action}": partial(
        moment, node, point, action, states, status, warehouse
    )
    for warehouse, moments in MOMENTS.items()
    for node, point, action, states, status in moments
}
SCENES |= {
    f"too late-{action}-{fate}": partial(too_late, action, fate, status)
    for action, fate, status in [
        ("term", "ok", "SUCCESS"),
        ("terminate", "ok", "SUCCESS"),
        ("term", "error", "FAILURE"),
        ("terminate", "error", "CANCELED"),  # Dagster's word for what fails after Terminate
    ]
}


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """The stories of all scenes that were asked for: played at once, as far as there is room."""
    stage = Stage(tmp_path_factory.mktemp("home"))
    wanted = [
        item.callspec.params["scene"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "stories" in item.fixturenames
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(SCENES[name]().play, stage, tmp_path_factory.mktemp("scene") / "it")
            for name in wanted
        }
        pool.shutdown(cancel_futures=True)
    stage.close()


@pytest.mark.parametrize("scene", SCENES)
def test_every_place_tells_the_truth(scene: str, stories: dict[str, Future[str]]) -> None:
    story = stories[scene].result()
    assert not story, story


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_seeds_know_every_fate_and_every_way_to_interfere(warehouse: str) -> None:
    histories = [history(seed, warehouse) for seed in range(EXHAUSTIVE_SEEDS)]
    fates = {(node.kind, node.fate) for it in histories for node in it.nodes}
    assert {(kind, fate) for kind, found in FATES.items() for fate in found} <= fates
    interferences = [it for found in histories for it in found.interferences]
    of_servers = () if warehouse == "duckdb" else SERVER_KILLS
    assert {it.action for it in interferences} == {*STOPS, *KILLS, *of_servers}
    for point in {"line"}.union(*POINTS.values()):
        actions = {it.action for it in interferences if it.point == point}
        assert set(of_servers) <= actions
        assert "kill run" in actions
        assert actions & set(STOPS)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_sample_meets_most_of_it(warehouse: str) -> None:
    of_servers = () if warehouse == "duckdb" else SERVER_KILLS
    histories = [history(seed, warehouse) for seed in sample(warehouse, SAMPLE_SEEDS)]
    assert {node.kind for it in histories for node in it.nodes} == set(POINTS)
    actions = {it.action for found in histories for it in found.interferences}
    assert actions == {*STOPS, *KILLS, *of_servers}
