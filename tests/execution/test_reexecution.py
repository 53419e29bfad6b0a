"""Re-execution from failure through a real webserver: after a kill -9 and after Terminate, and two
runs at once, one of the UI and one of the shell."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from dagster_models.reporting.journal import read_journal
from dagster_models.reporting.results import StepResult
from running import ENDLESS, Project, make_project

pytestmark = pytest.mark.slow

WEBSERVER = str(Path(sys.executable).parent / "dagster-webserver")

#: The run worker dies after the commit of b, and before it is reported to Dagster.
DEFINITIONS = """
import os, signal
from pathlib import Path
from dagster_models import load_project
from dagster_models.execution.own_steps import OwnSteps
from dagster_models.processes import wire

here = Path(__file__).parent
finish, hand_over = OwnSteps._finish, OwnSteps._hand_over

def dying(self, ends):
    steps = [running.parked.context.step.key for running, _ in ends]
    if "main__b" in steps and (here / "die").exists():
        (here / "die").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return finish(self, ends)

def dying_early(self, step, running):
    yield from hand_over(self, step, running)
    if step == "main__b" and (here / "die early").exists():
        (here / "die early").unlink()
        assert wire.readable(running.runner._busy[step].session, 60)  # its answer is there
        (here / "die").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

OwnSteps._finish, OwnSteps._hand_over = dying, dying_early
defs = load_project(here)
"""

#: Two runs that meet here build the same relations at the same time.
MEET = """
import os, time
from pathlib import Path
place = Path("meet")
if place.exists():
    (place / str(os.getpid())).touch()
    while len(list(place.iterdir())) < 2:
        time.sleep(0.02)
"""
FILES = {
    "definitions.py": DEFINITIONS,
    "scripts/meet.py": f'"""\n@model\ndownstream: [a]\n"""{MEET}',
    "models/a.sql": "select now() as at",
    "models/b.sql": "/* @model\ncolumns:\n  n: {checks: [unique, {not_null: {severity: warn}}]}\n*/"
    "\nselect 7 as n from a",
    "models/c.sql": "select n from b",
    "models/slow.sql": "select sum(i) as n from range((select n from 'rows.csv')) t(i), c",
    "models/last.sql": "select n from slow",
}


#: Runs start without a daemon that takes them from a queue.
AT_ONCE = """
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
"""


class Server:
    """A webserver of one project, as the UI talks to it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/graphql"
        command = [WEBSERVER, "-f", "definitions.py", "-h", "127.0.0.1", "-p", str(port)]
        self.log = (project.root.parent / "webserver.log").open("w")
        self.process = subprocess.Popen(
            command, cwd=project.root, env=project.env, stdout=self.log, stderr=self.log
        )

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url, body, headers)
        for _ in range(600):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    found = json.load(answer)
                assert "errors" not in found, found
                return found["data"]
            except urllib.error.URLError:  # it does not listen yet
                assert self.process.poll() is None
                time.sleep(0.1)
        pytest.fail("the webserver never answered")

    def launch(self) -> str:
        selector = {
            "repositoryLocationName": "definitions.py",
            "repositoryName": "__repository__",
            "jobName": "test",
        }
        answer = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p={"selector": selector, "runConfigData": {}},
        )["launchRun"]
        return str(answer["run"]["runId"])

    def relaunch(self, parent: str, strategy: str) -> str:
        answer = self.ask(
            "mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } "
            "... on PythonError { message } } }",
            p={"parentRunId": parent, "strategy": strategy},
        )["launchRunReexecution"]
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str, policy: str) -> None:
        answer = self.ask(
            "mutation($r: String!, $p: TerminateRunPolicy) { terminateRun(runId: $r, "
            "terminatePolicy: $p) { __typename } }",
            r=run_id,
            p=policy,
        )
        assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make_project(tmp_path_factory.mktemp("ui"), FILES)
    project.write({"rows.csv": "n\n3\n"})
    with (project.home / "dagster.yaml").open("a") as file:
        file.write(AT_ONCE)
    with DagsterInstance.from_config(str(project.home)) as instance:
        assert instance.get_runs() == []  # makes its tables: Dagster itself races there
    server = Server(project)
    yield server
    server.close()


ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def wait_for_end(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    for _ in range(900):
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status in ENDED:
            return run.status
        time.sleep(0.1)
    pytest.fail(f"run {run_id} never ended")


def events_of(instance: DagsterInstance, run_id: str, step: str) -> list[str]:
    logged = (entry.dagster_event for entry in instance.all_logs(run_id))
    return [event.event_type_value for event in logged if event and event.step_key == step]


def wait_for_event(instance: DagsterInstance, run_id: str, step: str, type_: str) -> None:
    for _ in range(900):
        if type_ in events_of(instance, run_id, step):
            return
        time.sleep(0.1)
    pytest.fail(f"{step} {type_} never came")


def wait_until_dead(project: Project) -> None:
    """Until the run worker has killed itself: Dagster does not know."""
    for _ in range(900):
        pid = (project.root / "die").read_text()
        stat = Path(f"/proc/{pid}/stat")
        if pid and (not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"):
            return
        time.sleep(0.1)
    pytest.fail("the run worker never died")


def steps_of(project: Project, run_id: str) -> dict[str, StepResult]:
    journal = read_journal(project.root / "target" / "runs" / f"{run_id}.jsonl")
    return {step.step: step for step in journal.steps}


def commits_of(project: Project, run_id: str) -> set[str]:
    sql = f"select step from dagster_models.commits where run_id = '{run_id}'"
    return {name for (name,) in project.rows(sql)}


@pytest.mark.nightly
def test_a_step_is_found_that_was_committed_before_its_start_was_stored(server: Server) -> None:
    """The quick sample is the next test, in which the start is stored."""
    project = server.project
    (project.root / "die").touch()
    (project.root / "die early").touch()
    with DagsterInstance.from_config(str(project.home)) as instance:
        killed = server.launch()
        wait_until_dead(project)
        (project.root / "die").unlink()
        assert wait_for_end(instance, killed) is DagsterRunStatus.FAILURE
        assert "STEP_START" not in events_of(instance, killed, "main__b")
        assert commits_of(project, killed) == {"main.a", "main.b"}
        again = server.relaunch(killed, "FROM_FAILURE")
        assert wait_for_end(instance, again) is DagsterRunStatus.SUCCESS
        steps = steps_of(project, again)
        assert {s for s, result in steps.items() if result.committed_in == killed} == {"main.b"}
        assert "main.b" not in commits_of(project, again)


def test_a_step_in_doubt_is_settled_by_its_commit_record(server: Server) -> None:
    project = server.project
    (project.root / "die").touch()
    with DagsterInstance.from_config(str(project.home)) as instance:
        killed = server.launch()
        wait_until_dead(project)
        (project.root / "die").unlink()
        # The code server sees that its process is dead; where that is gone too, the run's monitor
        # or the user ends the run, as CANCELED or FAILURE.
        assert wait_for_end(instance, killed) is DagsterRunStatus.FAILURE
        assert events_of(instance, killed, "main__b")[-1] == "STEP_START"
        assert commits_of(project, killed) == {"main.a", "main.b"}
        again = server.relaunch(killed, "FROM_FAILURE")
        assert wait_for_end(instance, again) is DagsterRunStatus.SUCCESS

        steps = steps_of(project, again)
        names = {"main.b", "main.c", "main.slow", "main.last"}
        assert {step: result.state for step, result in steps.items()} == dict.fromkeys(
            names, "succeeded"
        )
        assert {s for s, result in steps.items() if result.committed_in == killed} == {"main.b"}
        assert (steps["main.b"].attempt, steps["main.b"].rows) == (0, 1)
        assert commits_of(project, again) == names - {"main.b"}
        event = instance.get_latest_materialization_event(AssetKey(["main", "b"]))
        assert event is not None
        assert event.run_id == again
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["dagster_models/committed_in_run"].value == killed
        assert metadata["dagster/row_count"].value == 1
        assert [c.name for c in metadata["dagster/column_schema"].value.columns] == ["n"]
        types = events_of(instance, again, "main__b")
        assert types.count("STEP_SUCCESS") == 1
        assert types.count("ASSET_CHECK_EVALUATION") == 2

        # A plain re-execution wants all of it anew, whatever the records say.
        plain = server.relaunch(killed, "ALL_STEPS")
        assert wait_for_end(instance, plain) is DagsterRunStatus.SUCCESS
        assert commits_of(project, plain) == names | {"main.a"}


def test_after_terminate_what_was_canceled_or_never_reached_runs_again(server: Server) -> None:
    project = server.project
    project.write({"rows.csv": f"n\n{10**14}\n"})
    with DagsterInstance.from_config(str(project.home)) as instance:
        first = server.launch()
        wait_for_event(instance, first, "main__slow", "STEP_START")
        server.terminate(first, "SAFE_TERMINATE")
        assert wait_for_end(instance, first) is DagsterRunStatus.CANCELED
        states = {step: result.state for step, result in steps_of(project, first).items()}
        assert (states["main.slow"], states["main.last"]) == ("canceled", "skipped")
        project.write({"rows.csv": "n\n3\n"})
        again = server.relaunch(first, "FROM_FAILURE")
        assert wait_for_end(instance, again) is DagsterRunStatus.SUCCESS
        states = {step: result.state for step, result in steps_of(project, again).items()}
        assert states == {"main.slow": "succeeded", "main.last": "succeeded"}


def test_a_run_of_the_ui_and_one_of_the_shell_at_once(server: Server) -> None:
    project = server.project
    (project.root / "meet").mkdir()
    with DagsterInstance.from_config(str(project.home)) as instance:
        launched = server.launch()
        shell = project.start()
        stdout, _ = shell.communicate(timeout=110)
        assert shell.returncode == 0, stdout
        assert wait_for_end(instance, launched) is DagsterRunStatus.SUCCESS
        (executed,) = [
            run.run_id
            for run in instance.get_runs(limit=2)
            if run.run_id != launched and run.status is DagsterRunStatus.SUCCESS
        ]
    names = {"main.a", "main.b", "main.c", "main.slow", "main.last"}
    for run_id in (launched, executed):
        assert commits_of(project, run_id) == names
        assert {result.state for result in steps_of(project, run_id).values()} == {"succeeded"}
    # The table is the later one's: built after the earlier one's commit.
    (row,) = project.rows(
        "select a.at::timestamp > min(r.committed_at), a.at::timestamp <= max(r.committed_at) "
        "from a, dagster_models.commits r where r.step = 'main.a' and r.run_id in "
        f"('{launched}', '{executed}') group by a.at"
    )
    assert row == (True, True)


@pytest.mark.nightly_for("False")
@pytest.mark.parametrize("fail_fast", [False, True])
def test_re_execution_from_failure_runs_what_failed_was_canceled_or_was_skipped(
    tmp_path: Path, fail_fast: bool
) -> None:
    files = {
        "models/a.sql": "select 1 as n",
        "models/b.sql": "select error('no') as n from a",
        "models/c.sql": f"{ENDLESS}, a" if fail_fast else "select n from a",
        "models/d.sql": "select n from b",
        "models/e.sql": "select n from c",
    }
    project = make_project(tmp_path, files)
    first = project.run({"max_concurrent": 2, "fail_fast": fail_fast})
    assert first.states()["main.b"] == "failed"
    assert first.states()["main.c"] == ("canceled" if fail_fast else "succeeded")
    project.write({"models/b.sql": "select n from a", "models/c.sql": "select n from a"})
    report = project.run_again_from_failure()
    assert report.code == 0, report.stderr
    expected = {"main.b", "main.d"} | ({"main.c", "main.e"} if fail_fast else set())
    assert report.states() == dict.fromkeys(expected, "succeeded")
