"""The node's side of a Ray step, and the runner without a cluster: what needs no Ray to be shown.

The rest is in test_ray_steps.py, which needs Ray.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addresses import duckdb_at, postgres_at
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.environments import Environment
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.on_ray import OnRay, RayCluster, RayNeeds
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.core.tasks import PythonTask, ScriptTask, Task, task_to_json
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import NotStarted
from dagster_models.execution.runners.on_ray import host as node
from dagster_models.execution.runners.on_ray.follower import explained
from dagster_models.execution.runners.on_ray.host import Message, StepHost, moved, version
from dagster_models.execution.runners.on_ray.steps import RaySteps
from dagster_models.processes.client.session import connect
from dagster_models.util.digests import digest_of
from running import until_gone
from tasks import python_task, script_task

MODEL = "import helper\ndef model(warehouse):\n    print('made')\n    return helper.rows\n"
HELPER = "rows = [{'a': 1}]\n"


def on(cluster: RayCluster | None = None) -> OnRay:
    return OnRay(cluster or RayCluster(), RayNeeds())


def loaded(root: Path, name: str, text: str) -> LoadedFile:
    """The file as the run has loaded it; it is there, too."""
    (root / name).write_text(text)
    return LoadedFile(str(root / name), name, digest_of(text.encode()))


def task_in(root: Path, project_dir: str = "") -> PythonTask:
    root.mkdir(exist_ok=True)
    return python_task(
        "s.m",
        "",
        Relation("s", "m"),
        file=loaded(root, "m.py", MODEL),
        modules=(loaded(root, "helper.py", HELPER),),
        project_root=str(root),
        on_ray=on(RayCluster(project_dir=project_dir)),
    )


def given(task: Task, database: Path, **more: Any) -> dict[str, Any]:
    address = duckdb_at(database).to_json()
    known = {"task": task_to_json(task), "address": address, "version": version()}
    return {**known, "lease_seconds": 60, **more}


@pytest.fixture
def host() -> Iterator[StepHost]:
    host = StepHost()
    yield host
    host.close()
    host._queue.close()


def messages_of(host: StepHost) -> list[Message]:
    found: list[Message] = []
    while not found or found[-1]["op"] not in ("outcome", "lost"):
        found += host.events()
    return found


def test_a_step_runs_in_the_project_of_the_node(host: StepHost, tmp_path: Path) -> None:
    """Its lines, its session and its outcome are reported in that order, and the table is there."""
    task = task_in(tmp_path / "here", str(tmp_path / "there"))
    (tmp_path / "here").rename(tmp_path / "there")
    database = tmp_path / "w.duckdb"
    with connect(duckdb_at(database)) as session:
        session.prepare(["s"])
        assert host.begin(given(task, database)) == ""
        found = messages_of(host)
        outcome = Outcome.from_json(found.pop()["outcome"])
        assert outcome.verdict is Verdict.COMMITTED
        assert {"op": "output", "stream": "stdout", "text": "made\n"} in found
        assert [it["op"] for it in found].count("session") == 1
        assert session.query("select a from s.m") == [(1,)]


REFUSED = {
    "the file": "m.py is another one there than the run has loaded: copy the project to each node",
    "a module": "helper.py is another one there than the run has loaded",
    "no module": "helper.py cannot be read there: No such file or directory",
    "no folder": "the project's folder is not there: ",
    "a variable": "the target needs the environment variable NO_SUCH_DSN, which the node lacks",
    "version": "and 0.0.0 (protocol 1) in the run: install the same version",
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_node_with_other_code_refuses(
    what: str, host: StepHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "WAIT_SECONDS", 0.01)
    root = tmp_path / "p"
    task, more = task_in(root), {}
    if what == "the file":
        (root / "m.py").write_text(MODEL.replace("1", "2") + "# more\nx = 1\n")
    elif what == "a module":
        (root / "helper.py").write_text(HELPER.replace("1", "2"))
    elif what == "no module":
        (root / "helper.py").unlink()
    elif what == "no folder":
        root.rename(tmp_path / "q")
    elif what == "a variable":
        more = {"address": postgres_at("${NO_SUCH_DSN}").to_json()}
    else:
        more = {"version": "0.0.0 (protocol 1)"}
    assert REFUSED[what] in host.begin(given(task, tmp_path / "w.duckdb", **more))
    assert host.events() == []
    assert not (tmp_path / "w.duckdb").exists()


def test_all_paths_of_the_project_move_with_it() -> None:
    old = PythonCode(LoadedFile("/p/checks/c.py"), "/p", (LoadedFile("/p/c_helper.py"),))
    check = CheckTask("c", "", code=old)
    task = python_task("s.m", "/p/models/m.py", project_root="/p", checks=(check,))
    there = moved(replace(task, modules=(LoadedFile("/elsewhere/x.py"),)), "/srv/q")
    assert isinstance(there, PythonTask)
    assert (there.file.path, there.project_root) == ("/srv/q/models/m.py", "/srv/q")
    assert there.modules == (LoadedFile("/elsewhere/x.py"),)
    code = there.checks[0].code
    assert code == PythonCode(
        LoadedFile("/srv/q/checks/c.py"), "/srv/q", (LoadedFile("/srv/q/c_helper.py"),)
    )
    environment = Environment(("humanize",), folder="/p/target/environments")
    script = script_task("scripts.s", "/p/scripts/s.py", project_root="/p", environment=environment)
    own = moved(script, "/srv/q")
    assert isinstance(own, ScriptTask)
    assert own.environment == replace(environment, folder="/srv/q/target/environments")
    assert moved(task, "/p") == task


#: A host whose caller takes one answer and is never heard of again.
UNREACHED = """
import json, sys, time
from dagster_models.execution.runners.on_ray.host import StepHost
host = StepHost()
assert host.begin(json.load(sys.stdin)) == ""
print(host.events()[0]["text"], end="", flush=True)
time.sleep(300)
"""


def test_a_node_that_nobody_reaches_ends_its_step(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import os, time\nprint(os.getpid())\ntime.sleep(300)")
    task = script_task("scripts.s", tmp_path / "s.py", project_root=str(tmp_path), on_ray=on())
    known = given(task, tmp_path / "w.duckdb", lease_seconds=1)
    with subprocess.Popen(
        [sys.executable, "-c", UNREACHED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(known))
        process.stdin.close()
        step = int(process.stdout.readline())
        assert process.wait(30) == 5  # of the host, as its lease has run out
        process.stdout.read()  # the step has inherited nothing of it
    until_gone(step)


def test_each_answer_renews_the_lease(host: StepHost, tmp_path: Path) -> None:
    """It counts from the last answer that the caller has provably got."""
    (tmp_path / "s.py").write_text("import time\ntime.sleep(300)")
    task = script_task("scripts.s", tmp_path / "s.py", project_root=str(tmp_path), on_ray=on())
    assert host.begin(given(task, tmp_path / "w.duckdb")) == ""
    began = host._proved
    host.stay()
    assert host._proved == began  # nobody has got an answer yet
    answered = host._answered
    host.stay()
    assert host._proved == answered > began


def test_the_process_of_a_closed_host_goes_on(host: StepHost, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("")
    task = script_task("scripts.s", tmp_path / "s.py", project_root=str(tmp_path), on_ray=on())
    assert host.begin(given(task, tmp_path / "w.duckdb")) == ""
    (lease,) = (it for it in threading.enumerate() if it.name == "lease")
    host.close()
    lease.join(10)
    assert not lease.is_alive()


NO_RAY = "raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')\n"


@pytest.fixture
def queue() -> Iterator[EventQueue]:
    queue = EventQueue()
    yield queue
    queue.close()


def import_as_ray(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ray.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_without_ray_the_step_says_what_to_install(
    queue: EventQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_as_ray(NO_RAY, tmp_path, monkeypatch)
    steps = RaySteps(queue)
    steps.start("s.m", task_in(tmp_path / "p"), duckdb_at(tmp_path / "w.duckdb"))
    (event,) = queue.wait(30)
    assert isinstance(event, NotStarted)
    assert event.error.kind is ErrorKind.START_FAILED
    assert event.error.message == (
        "the Ray cluster (of RAY_ADDRESS, or on this machine) cannot be reached: Ray is not"
        " installed here: pip install 'dagster-models[ray]'"
    )
    steps.close()


def test_a_step_can_be_stopped_while_the_cluster_does_not_answer(
    queue: EventQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_as_ray("import time\ntime.sleep(300)\n", tmp_path, monkeypatch)
    steps = RaySteps(queue)
    steps.start("s.m", task_in(tmp_path / "p"), duckdb_at(tmp_path / "w.duckdb"))
    steps.cancel("s.m")
    (event,) = queue.wait(30)
    assert isinstance(event, NotStarted)
    assert event.error.kind is ErrorKind.CANCELED
    (bridge,) = steps._bridges.values()
    bridge.process.kill()  # it would wait five seconds for Ray
    steps.close()


def test_the_address_of_the_cluster_needs_its_variable(queue: EventQueue, tmp_path: Path) -> None:
    steps, task = RaySteps(queue), task_in(tmp_path / "p")
    with pytest.raises(WarehouseError, match="needs the environment variable NO_SUCH_CLUSTER"):
        steps.start(
            "s.m", replace(task, on_ray=on(RayCluster("${NO_SUCH_CLUSTER}"))), duckdb_at("w")
        )
    steps.close()


def test_rays_own_reason_is_shown_without_its_numbers() -> None:
    text = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: StepHost\n"
        "\tactor_id: 30c8\n\tpid: 8213\n\tname: r/s/1\n\tnamespace: dm\n\tip: 127.0.0.1\n"
        "The actor is dead because its node has died."
    )
    assert explained(text) == "The actor is dead because its node has died."
