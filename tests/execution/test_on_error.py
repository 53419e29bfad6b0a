"""What a failure does to others: on_error, and retries with their delays, in real runs."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from dagster_models.core.retries import Retries
from dagster_models.execution.options import retry_policy
from running import ENDLESS, make_project

pytestmark = pytest.mark.slow

FOREIGN = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project

@dg.asset(deps=[dg.AssetKey(["main", "a"])])
def foreign() -> None: ...

defs = load_project(Path(__file__).parent, assets=[foreign])
"""

CONTINUE = "/* @model\non_error: continue\n*/\n"


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the terminal until a line holds *text*; that line."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"{text!r} never came")


def test_continue_builds_on_the_previous_version_if_there_is_one(tmp_path: Path) -> None:
    project = make_project(
        tmp_path,
        {
            "definitions.py": FOREIGN,
            "models/a.sql": f"{CONTINUE}select 1 as n",
            "models/b.sql": "select n as old from a",
            "models/c.sql": "select old from b",
        },
    )
    assert project.run().code == 0
    project.write(
        {
            "models/a.sql": f"{CONTINUE}select error('no') as n",
            "models/b.sql": "select n + 1 as new from a",
            "models/c.sql": "select new from b",
            "models/first.sql": f"{CONTINUE}select error('no') as n",
            "models/second.sql": "select n from first",
        }
    )
    report = project.run()
    assert report.code == 1
    assert project.status() == "FAILURE"
    succeeded = dict.fromkeys(("main.b", "main.c", "foreign"), "succeeded")
    failed = {"main.a": "failed", "main.first": "failed", "main.second": "skipped"}
    assert report.states() == {**succeeded, **failed}
    assert project.rows("select new from c") == [(2,)]
    assert "built on the previous version of main.a, which failed" in report.stdout
    assert "upstream main.first failed and has no previous version" in report.stdout
    assert report.journal is not None
    steps = {step.step: step for step in report.journal.steps}
    assert steps["main.b"].built_on_previous == ("main.a",)
    assert steps["main.c"].built_on_previous == ()
    (((versions,)),) = project.rows(
        "select input_versions from dagster_models.commits where step = 'main.b' "
        "order by committed_at desc limit 1"
    )
    assert json.loads(versions) == {"main.a": "unknown"}
    with DagsterInstance.from_config(str(project.home)) as instance:
        event = instance.get_latest_materialization_event(AssetKey(["main", "b"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["dagster_models/built_on_previous"].value == "main.a"

    project.write({f"models/{name}.sql": "select 5 as n" for name in ("a", "first")})
    again = project.run_again_from_failure()
    assert again.code == 0, again.stderr
    # Dagster runs all that is downstream of what it runs again.
    names = ("main.a", "main.b", "main.c", "foreign", "main.first", "main.second")
    assert again.states() == dict.fromkeys(names, "succeeded")
    assert project.rows("select new from c") == [(6,)]


def test_abort_stops_the_run_though_fail_fast_is_false(tmp_path: Path) -> None:
    project = make_project(
        tmp_path,
        {
            "models/stop.sql": "/* @model\non_error: abort\n*/\nselect error('no') as n from gate",
            "models/gate.sql": "select 1 as n",
            "models/slow.sql": ENDLESS,
            "models/last.sql": "select n from slow",
        },
    )
    report = project.run({"fail_fast": False, "max_concurrent": 2})
    assert report.code == 1
    assert report.states() == {
        "main.gate": "succeeded",
        "main.stop": "failed",
        "main.slow": "canceled",
        "main.last": "skipped",
    }


def test_a_retry_waits_as_dagster_says_and_does_not_survive_a_termination(tmp_path: Path) -> None:
    header = "/* @model\nretries: {max_retries: 5, delay: 200, backoff: exponential}\n*/\n"
    files = {"models/a.sql": f"{header}select error('no') as n", "models/b.sql": "select n from a"}
    project = make_project(tmp_path, files)
    process = project.start()
    line = wait_for(process, "RETRY")
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    report = project.report(process.returncode, stdout, stderr)
    assert "again in 200s" in line
    assert report.states() == {"main.a": "failed", "main.b": "skipped"}
    assert report.journal is not None
    (failed,) = [step for step in report.journal.steps if step.step == "main.a"]
    assert failed.attempt == 1
    assert 0 < failed.waited["retry delay"] < 150


@pytest.mark.parametrize(
    ("retries", "delays"),
    [
        (Retries(3), [0, 0, 0]),
        (Retries(3, 2.0), [2, 2, 2]),
        (Retries(3, 2.0, "linear"), [2, 4, 6]),
        (Retries(3, 2.0, "exponential"), [2, 6, 14]),
    ],
)
def test_the_delays_are_those_of_dagsters_retry_policy(
    retries: Retries, delays: list[float]
) -> None:
    policy = retry_policy(retries)
    assert [policy.calculate_delay(attempt) for attempt in (1, 2, 3)] == delays
    assert policy.max_retries == 3


def test_jitter_is_within_dagsters_bounds() -> None:
    full = retry_policy(Retries(3, 2.0, "linear", "full"))
    plus_minus = retry_policy(Retries(3, 2.0, "linear", "plus_minus"))
    assert all(0 <= full.calculate_delay(3) <= 6 for _ in range(50))
    assert all(4 <= plus_minus.calculate_delay(3) <= 8 for _ in range(50))
