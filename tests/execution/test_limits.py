"""What steps wait for, and how that is reported: limits of warehouses, tags and pools."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterInstance

from dagster_models.compilation.tasks import TargetStep
from dagster_models.execution.options import Options, warehouse_limits, warehouses
from dagster_models.project.targets import usable_target
from dagster_models.reporting.waits import LONG_SECONDS, REPORT_AFTER_SECONDS, WaitTimes
from dagster_models.scheduling.states import RETRY_DELAY, SLOT
from project_cases import load
from running import Project, make_project


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the terminal until a line holds *text*; that line."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            return line
    process.wait()
    pytest.fail("".join([f"{text!r} never came:\n", *read, *(process.stderr or ())]))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_seconds_of_each_reason_add_up() -> None:
    clock = Clock()
    waits = WaitTimes(clock)
    for passes, reason in ((0, SLOT), (2, "tag a"), (3, SLOT), (1, None), (10, RETRY_DELAY)):
        clock.now += passes
        waits.turn("s", reason)
    clock.now += 4
    waited = waits.end("s")
    assert waited is not None
    assert waited.seconds == {SLOT: 3.0, "tag a": 3.0, RETRY_DELAY: 4.0}
    assert clock.now - waited.ready_at - sum(waited.seconds.values()) == 10.0  # in flight
    assert waits.end("never ready") is None


def test_a_limit_is_reported_once_for_a_step_and_only_after_a_while() -> None:
    clock = Clock()
    waits = WaitTimes(clock)
    for step, reason in (("slot", SLOT), ("short", "tag a"), ("long", "tag a"), ("pool", "pool p")):
        waits.turn(step, reason)
    clock.now += REPORT_AFTER_SECONDS / 2
    assert waits.next_unreported() is None
    waits.turn("short", None)
    clock.now += REPORT_AFTER_SECONDS
    assert waits.next_unreported() == ("long", "tag a")
    assert waits.next_unreported() == ("pool", "pool p")
    assert waits.next_unreported() is None
    waits.turn("long", SLOT)
    waits.turn("long", "tag a")
    clock.now += REPORT_AFTER_SECONDS
    assert waits.next_unreported() is None


def test_a_limit_is_one_line_and_then_reminders_farther_and_farther_apart() -> None:
    clock = Clock()
    waits = WaitTimes(clock)
    for step in "abc":
        waits.turn(step, "tag a")
    assert waits.limited
    reminders = []
    for second in range(1, int(5 * LONG_SECONDS)):
        clock.now = 1000.0 + second
        reminders += [(second, reason, steps) for reason, _, steps in waits.reminders()]
        if second == 100:
            waits.turn("a", None)
    abc, bc = ["a", "b", "c"], ["b", "c"]
    assert reminders == [
        (1, "tag a", abc),
        (60, "tag a", abc),
        (120, "tag a", bc),
        (240, "tag a", bc),
    ]
    for step in "bc":
        waits.turn(step, None)
    assert not waits.limited
    assert waits.reminders() == []


def bindings_of(*projects: Project) -> dict[str, TargetStep]:
    found = {}
    for number, project in enumerate(projects):
        loaded = load(project.root)
        target = usable_target(loaded)
        for key, step in loaded.steps.items():
            found[f"{number}.{key}"] = TargetStep(loaded, step, target)
    return found


def test_each_warehouse_of_a_run_has_its_own_limit(tmp_path: Path) -> None:
    one = make_project(tmp_path / "one", {"models/a.sql": "select 1", "models/b.sql": "select 1"})
    two = make_project(tmp_path / "two", {"models/c.sql": "select 1"})
    alone = bindings_of(one)
    assert warehouse_limits(alone) == {}
    assert Options().slots(alone) == 2
    assert Options(max_concurrent=9).slots(alone) == 9
    both = bindings_of(one, two)
    limits = warehouse_limits(both)
    assert limits == {
        "warehouse dev": (["0.main.a", "0.main.b"], 2),
        "warehouse test.dev": (["1.main.c"], 2),
    }
    assert Options().slots(both) == 4
    settings = (two.root / "dagster_models.yaml").read_text()
    same = settings.replace("target/test.duckdb", str(one.database)).replace("ads: 2", "ads: 1")
    two.write({"dagster_models.yaml": same})
    assert warehouses(bindings_of(one, two)) == {"dev": (["0.main.a", "0.main.b", "1.main.c"], 1)}


TWO = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project
from dagster_models.definitions.executor import models_executor

here = Path(__file__).parent
projects = [load_project(here), load_project(here / "other")]
defs = dg.Definitions(
    assets=[asset for project in projects for asset in project.assets],
    executor=models_executor,
    jobs=[dg.define_asset_job("test")],
)
"""
OTHER = """
name: other
targets: {dev: {type: duckdb, path: other.duckdb, threads: 1}}
models: {materialized: table}
"""
GATED = """
'''
@model
priority: 1
'''
with open({gate!r}) as file:
    file.read()
"""


@pytest.mark.slow
def test_a_run_on_two_warehouses_reports_what_its_steps_wait_for(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/m.sql": "select 1 as n"})
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.write(
        {
            "definitions.py": TWO,
            "other/dagster_models.yaml": OTHER,
            "other/scripts/first.py": GATED.format(gate=str(gate)),
            "other/models/second.sql": "select 1 as n",
        }
    )
    process = project.start({"max_concurrent": 5})
    line = wait_for(process, "Waiting for")
    gate.write_text("go on")
    stdout, stderr = process.communicate(timeout=60)
    report = project.report(process.returncode, stdout, stderr)
    assert report.code == 0, stdout + stderr
    limit = "warehouse other.dev (at most 1 in flight)"
    assert f"Waiting for {limit}: " in line
    assert "second" in line
    assert report.journal is not None
    assert report.journal.header is not None
    assert report.journal.header.limits == {"warehouse dev": 2, "warehouse other.dev": 1}
    steps = {step.step.split(".")[-1]: step for step in report.journal.steps}
    first, second = steps["first"], steps["second"]
    assert second.waited["warehouse other.dev"] >= REPORT_AFTER_SECONDS
    assert (second.started_at or 0) >= (first.started_at or 0) + first.seconds
    messages = [message for key, _, message in report.events if key.endswith("__second")]
    assert messages.count(f"Waiting for {limit}") == 1


@pytest.mark.slow
def test_a_full_pool_is_reported_in_the_ui_and_the_terminal(tmp_path: Path) -> None:
    scripts = {f"scripts/s{i}.py": "print('done')\n" for i in range(3)}
    files = {**scripts, "models/m.sql": "select 1 as n"}
    project = make_project(tmp_path, files, "scripts: {pool: api}\n")
    with DagsterInstance.from_config(str(project.home)) as instance:
        instance.event_log_storage.set_concurrency_slots("api", 1)
        claimed = instance.event_log_storage.claim_concurrency_slot("api", "another run", "else")
        assert claimed.is_claimed
        process = project.start({"max_concurrent": 2})
        line = wait_for(process, "Waiting for")
        instance.event_log_storage.free_concurrency_slot_for_step("another run", "else")
    stdout, stderr = process.communicate(timeout=60)
    report = project.report(process.returncode, stdout, stderr)
    assert report.code == 0, stdout + stderr
    assert "Waiting for a slot in pool api: scripts.s0 and 2 more" in line
    messages = [message for key, _, message in report.events if key == "scripts__s0"]
    assert messages.count("Step blocked by limit for pool api") == 1  # Dagster's own words
    assert report.journal is not None
    assert max(step.waited.get("pool api", 0.0) for step in report.journal.steps) >= 1


#: Nobody asks a full pool again in time: a slot is taken when it comes free, or never.
ASKS_ONCE = """
from dagster_models.execution import loop

loop._POOL_POLL_SECONDS = {seconds}
"""


def with_pool_of_one(tmp_path: Path, files: dict[str, str], seconds: float) -> Project:
    project = make_project(tmp_path, files)
    definitions = (project.root / "definitions.py").read_text()
    project.write({"definitions.py": ASKS_ONCE.format(seconds=seconds) + definitions})
    with DagsterInstance.from_config(str(project.home)) as instance:
        instance.event_log_storage.set_concurrency_slots("one", 1)
    return project


@pytest.mark.slow
def test_a_pool_slot_that_a_step_leaves_is_taken_at_once(tmp_path: Path) -> None:
    model = "/* @model\npool: one\nretries: 1\n*/\nselect 1 as n"
    models = {f"models/m{i}.sql": model for i in range(6)}
    models["models/m3.sql"] = model.replace("1 as n", "error('no')")
    project = with_pool_of_one(tmp_path, models, seconds=3600)
    report = project.run({"max_concurrent": 3})
    assert sorted(report.states().values()) == ["failed", *["succeeded"] * 5]


@pytest.mark.slow
def test_a_pool_slot_is_not_taken_twice_by_a_step_that_waits_for_a_slot(tmp_path: Path) -> None:
    """`second` gets its pool slot while scripts have all slots: its next look is void."""
    # Nothing happens that one could wait for: they take far longer than until the next look.
    busy = '"""\n@model\npriority: -1\n"""\nimport time\n\ntime.sleep(0.5)\n'
    files = {f"scripts/busy{i}.py": busy for i in range(2)}
    for name in ("first", "second"):
        files[f"models/{name}.sql"] = "/* @model\npool: one\n*/\nselect 1 as n"
    project = with_pool_of_one(tmp_path, files, seconds=0.05)
    report = project.run({"max_concurrent": 2})
    assert report.code == 0, report.stdout + report.stderr
    started = [line for line in report.stdout.splitlines() if " START " in line]
    assert "main.second" in started[-1]  # both slots were taken when it got its pool slot
    assert set(report.states().values()) == {"succeeded"}


@pytest.mark.slow
def test_a_run_does_not_wait_for_a_pool_slot_of_the_run_it_re_executes(
    tmp_path: Path,
) -> None:
    files = {"models/a.sql": "/* @model\npool: one\n*/\nselect * from read_csv('none.csv')"}
    project = with_pool_of_one(tmp_path, files, seconds=3600)
    assert project.run().code != 0
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs()
        # What is left of a run worker that was killed.
        left = instance.event_log_storage.claim_concurrency_slot("one", run.run_id, "main__a")
        assert left.is_claimed
    project.write({"none.csv": "n\n1\n"})
    report = project.run_again_from_failure()
    assert report.code == 0, report.stdout + report.stderr
    assert project.rows("select n from main.a") == [(1,)]


NO_HISTORY = """
from dagster_models.execution import history

def broken(*_):
    raise OSError("no such table")

history.step_seconds = broken
"""


@pytest.mark.slow
def test_the_steps_that_took_longest_start_first(tmp_path: Path) -> None:
    slow = "import time\n\ndef model(warehouse):\n    time.sleep(2)\n    return [{'n': 1}]\n"
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n", "models/b.py": slow})

    def order() -> list[str]:
        report = project.run({"max_concurrent": 1})
        assert report.code == 0, report.stdout + report.stderr
        started = [line.split() for line in report.stdout.splitlines() if " START " in line]
        assert "Past durations" not in report.stdout
        return [words[words.index("table") + 1] for words in started]

    assert order() == ["main.a", "main.b"]  # nothing is known
    assert order() == ["main.b", "main.a"]
    definitions = (project.root / "definitions.py").read_text()
    project.write({"definitions.py": NO_HISTORY + definitions})
    report = project.run({"max_concurrent": 1})
    assert report.code == 0
    assert "Past durations could not be read: OSError: no such table" in report.stdout


def test_tag_limits(tmp_path: Path) -> None:
    tagged = "/* @model\ntags: [heavy]\n*/\nselect count(*) as n from range(2000000)"
    project = make_project(tmp_path, {f"models/m{i}.sql": tagged for i in range(6)})
    report = project.run(
        {"max_concurrent": 4, "tag_concurrency_limits": [{"key": "heavy", "limit": 1}]}
    )
    assert report.code == 0, report.stdout + report.stderr
    assert report.journal is not None
    steps = report.journal.steps
    spans = sorted((s.started_at or 0, (s.started_at or 0) + s.seconds) for s in steps)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start
    assert report.journal.header is not None
    assert report.journal.header.slots == 4
    assert report.journal.header.limits == {"tag heavy": 1}
    first, *others = sorted(report.journal.steps, key=lambda step: step.started_at or 0)
    assert first.waited == {}
    for step in others:
        assert step.ready_at is not None
        assert step.ended_at is not None
        # The step was in flight whenever it did not wait.
        in_flight = step.ended_at - step.ready_at - sum(step.waited.values())
        assert step.waited["tag heavy"] > 0
        assert step.seconds <= in_flight + 0.01
