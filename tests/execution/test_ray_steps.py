"""Steps on a real Ray cluster of several nodes, against a real PostgreSQL.

Each step that is reported is compared with what the server has, and each step that is lost with the
processes of this machine: what the test has started must be gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import psycopg
import pytest

from addresses import postgres_at
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.on_ray import OnRay, RayCluster, RayNeeds
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.tasks import PythonTask, ScriptTask, Task, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind
from dagster_models.execution import lookup
from dagster_models.execution.runners.events import (
    Answered,
    Lost,
    NotStarted,
    Output,
    WorkerEvent,
)
from dagster_models.execution.runners.on_ray import steps
from dagster_models.execution.runners.task_runners import TaskRunners
from postgres_server import dsn_of_database
from ray_cluster import QUIET, RayClusterProcess, needs_ray, start_ray
from running import alive, until_gone
from tasks import python_task, script_task

pytestmark = [pytest.mark.nightly, needs_ray, pytest.mark.timeout(300)]

WAIT_SECONDS = 120.0
LEASE_SECONDS = 6.0  #: shorter than a user's: some tests wait for its end
DSN = "RAY_TEST_DSN"
FOREVER = "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(0.01)\n"


@pytest.fixture(scope="module")
def cluster(
    postgres_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RayClusterProcess]:
    folder = tmp_path_factory.mktemp("r")
    made = start_ray(folder, "far", **{DSN: postgres_of_module})
    yield made
    made.stop()


@pytest.fixture
def place(
    cluster: RayClusterProcess, postgres_of_module: str, monkeypatch: pytest.MonkeyPatch
) -> WarehouseAddress:
    for name, text in QUIET.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv(DSN, postgres_of_module)
    monkeypatch.setattr(steps, "LEASE_SECONDS", LEASE_SECONDS)
    return postgres_at(f"${{{DSN}}}")


@pytest.fixture
def runners(place: WarehouseAddress) -> Iterator[TaskRunners]:
    runners = TaskRunners()
    runners.sql.prepare(place, ["s"])
    runners.queue.wait(0)
    yield runners
    runners.close()


class Ray:
    """Sends tasks of files in one folder to the cluster, and reads what comes back."""

    def __init__(self, folder: Path, cluster: RayClusterProcess, address: WarehouseAddress) -> None:
        self.folder, self.cluster, self.address = folder, cluster, address
        self.run_id = os.urandom(4).hex()

    def model(self, name: str, body: str, needs: RayNeeds | None = None) -> PythonTask:
        file = self._file(name, f"def model(warehouse):\n{indent(body, '    ')}\n")
        where = self._where(needs)
        made = {"project_root": str(self.folder), "on_ray": where, "run_id": self.run_id}
        return python_task(f"s.{name}", "", Relation("s", name), file=file, **made)

    def script(self, name: str, text: str, needs: RayNeeds | None = None) -> ScriptTask:
        made = {"project_root": str(self.folder), "on_ray": self._where(needs)}
        file = self._file(name, text)
        return script_task(f"scripts.{name}", "", file=file, run_id=self.run_id, **made)

    def _file(self, name: str, text: str) -> LoadedFile:
        path = self.folder / f"{name}.py"
        path.write_text(text)
        return LoadedFile(str(path), path.name)

    def _where(self, needs: RayNeeds | None) -> OnRay:
        return OnRay(RayCluster(self.cluster.address), needs or RayNeeds(cpus=0.1))

    def start(self, runners: TaskRunners, *tasks: Task) -> None:
        for task in tasks:
            runners.of(task).start(task.step, task, self.address)


@pytest.fixture
def ray(tmp_path: Path, cluster: RayClusterProcess, place: WarehouseAddress) -> Ray:
    return Ray(tmp_path, cluster, place)


FAR = RayNeeds(cpus=0.1, resources=(("far", 1.0),))
End = (Answered, Lost, NotStarted)


def events_until(
    runners: TaskRunners, over: Callable[[list[WorkerEvent]], bool]
) -> list[WorkerEvent]:
    found: list[WorkerEvent] = []
    end = time.monotonic() + WAIT_SECONDS
    while not over(found):
        assert time.monotonic() < end, f"it did not come, only {found}"
        found += runners.queue.wait(1)
    return found


def events_of(runners: TaskRunners, steps: int = 1) -> list[WorkerEvent]:
    """All events until that many steps have ended."""
    return events_until(runners, lambda it: sum(isinstance(e, End) for e in it) >= steps)


def first_line(runners: TaskRunners) -> str:
    def said(found: list[WorkerEvent]) -> bool:
        return any(isinstance(it, Output) for it in found)

    found = [it for it in events_until(runners, said) if isinstance(it, Output)]
    return found[0].text.strip()


def outcome_of(runners: TaskRunners) -> Outcome:
    *_, end = events_of(runners)
    assert isinstance(end, Answered), end
    return end.outcome


def lost_of(runners: TaskRunners) -> Lost:
    *_, end = events_of(runners)
    assert isinstance(end, Lost), end
    return end


def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as server:
        return server.execute(sql.encode()).fetchall()


def published(dsn: str, run_id: str) -> list[str]:
    """The steps that have a commit record on the server."""
    sql = f"select step from dagster_models.commits where run_id = '{run_id}' order by step"
    return [str(step) for (step,) in rows(dsn, sql)]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def host_of(step: int) -> int:
    """The actor's process, above the template of the step's process."""
    return parent_of(parent_of(step))


def test_a_model_reads_and_writes_by_the_session_of_its_node(
    ray: Ray, runners: TaskRunners, postgres_of_module: str
) -> None:
    body = "print('here')\nreturn warehouse.sql('select 41 + 1 as a')"
    ray.start(runners, ray.model("m", body))
    found = events_of(runners)
    assert found[0] == Output("s.m", "stdout", "here\n")
    end = found[-1]
    assert isinstance(end, Answered)
    assert (end.outcome.verdict, end.outcome.rows) == (Verdict.COMMITTED, 1)
    assert rows(postgres_of_module, "select a from s.m") == [(42,)]
    assert published(postgres_of_module, ray.run_id) == ["s.m"]


def test_every_line_is_of_the_step_that_printed_it(ray: Ray, runners: TaskRunners) -> None:
    """Of three steps at a time, on both streams, and in the order of each stream."""
    text = (
        "import subprocess, sys\n"
        "for n in range(300):\n"
        "    print('{0}', 'out', n, flush=True)\n"
        "    print('{0}', 'err', n, file=sys.stderr, flush=True)\n"
        "subprocess.run(['echo', '{0} out 300'])\n"
    )
    names = ["a", "b", "c"]
    ray.start(runners, *(ray.script(name, text.format(name)) for name in names))
    found = events_of(runners, 3)
    assert {it.outcome.verdict for it in found if isinstance(it, Answered)} == {Verdict.DONE}
    for name in names:
        for stream, word, count in (("stdout", "out", 301), ("stderr", "err", 300)):
            said = "".join(
                it.text
                for it in found
                if isinstance(it, Output) and (it.step, it.stream) == (f"scripts.{name}", stream)
            )
            assert said == "".join(f"{name} {word} {n}\n" for n in range(count))


def test_an_error_has_its_line(ray: Ray, runners: TaskRunners, postgres_of_module: str) -> None:
    ray.start(runners, ray.model("wrong", "x = 1\nraise ValueError('no')"))
    outcome = outcome_of(runners)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert (outcome.error.line, outcome.error.message) == (3, "no")
    assert published(postgres_of_module, ray.run_id) == []


def test_a_step_in_flight_is_canceled(
    ray: Ray, runners: TaskRunners, postgres_of_module: str
) -> None:
    body = (
        "import os, time\n"
        "try:\n"
        "    print(os.getpid(), flush=True)\n"
        "    while True: time.sleep(0.01)\n"
        "except KeyboardInterrupt:\n"
        "    print('cleaned up', flush=True)\n"
        "    raise\n"
    )
    ray.start(runners, ray.model("m", body))
    step = int(first_line(runners))
    began = time.monotonic()
    runners.cancel("s.m")
    found = events_of(runners)
    seconds = time.monotonic() - began
    assert Output("s.m", "stdout", "cleaned up\n") in found
    end = found[-1]
    assert isinstance(end, Answered)
    assert end.outcome.verdict is Verdict.CANCELED
    print(f"canceled in {seconds * 1000:.0f} ms")
    until_gone(step)
    assert published(postgres_of_module, ray.run_id) == []


def test_a_query_in_flight_is_canceled(
    ray: Ray, runners: TaskRunners, postgres_of_module: str
) -> None:
    ray.start(runners, ray.model("m", "print('x')\nreturn warehouse.sql('select pg_sleep(300)')"))
    assert first_line(runners) == "x"
    query = "select pid from pg_stat_activity where query like '%pg_sleep(300)%'"
    mine = f"{query} and state = 'active' and pid <> pg_backend_pid()"
    end = time.monotonic() + WAIT_SECONDS
    while not rows(postgres_of_module, mine):
        assert time.monotonic() < end
    runners.cancel("s.m")
    assert outcome_of(runners).verdict is Verdict.CANCELED
    assert rows(postgres_of_module, mine) == []


def test_a_step_that_does_not_stop_is_killed(ray: Ray, runners: TaskRunners) -> None:
    """In C it hears no interrupt, and it has children."""
    text = (
        "import hashlib, os, subprocess\n"
        "child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2_000_000_000)\n"
    )
    ray.start(runners, ray.script("c", text))
    pids = [int(pid) for pid in first_line(runners).split()]
    runners.cancel("scripts.c")
    assert runners.queue.wait(1) == []
    runners.kill("scripts.c")
    assert lost_of(runners).killed
    until_gone(*pids)


def test_a_lost_process_is_not_started_again(
    ray: Ray, runners: TaskRunners, postgres_of_module: str, tmp_path: Path
) -> None:
    """The actor of Ray, by SIGKILL. Its step ends, and nobody repeats it."""
    seen = tmp_path / "seen"
    text = f"open({str(seen)!r}, 'a').write('x')\n{FOREVER}return []"
    task = ray.model("m", text)
    ray.start(runners, task)
    step = int(first_line(runners))
    host = host_of(step)
    os.kill(host, signal.SIGKILL)
    lost = lost_of(runners)
    assert not lost.killed
    assert "Worker unexpectedly exits" in lost.message
    assert not alive(step)  # before it was reported
    assert not lookup.commit_of(lost, task, ray.address).committed
    assert published(postgres_of_module, ray.run_id) == []
    assert seen.read_text() == "x"
    ray.start(runners, ray.script("after", "print('next')"))  # the cluster goes on
    assert outcome_of(runners).verdict is Verdict.DONE


def test_a_step_whose_process_kills_itself(ray: Ray, runners: TaskRunners) -> None:
    ray.start(runners, ray.script("s", "import os\nos.kill(os.getpid(), 9)"))
    lost = lost_of(runners)
    assert "was ended by SIGKILL" in lost.message


def test_a_commit_before_the_loss_is_found(
    ray: Ray, runners: TaskRunners, postgres_of_module: str
) -> None:
    """The actor dies once the step is committed, and before anybody has heard of it."""
    task = ray.model("m", "import os\nprint(os.getppid(), flush=True)\nreturn [{'a': 1}]")
    ray.start(runners, task)
    host = parent_of(int(first_line(runners)))
    os.kill(host, signal.SIGSTOP)
    end = time.monotonic() + WAIT_SECONDS
    while published(postgres_of_module, ray.run_id) != ["s.m"]:
        assert time.monotonic() < end
    os.kill(host, signal.SIGKILL)
    lost = lost_of(runners)
    assert lookup.commit_of(lost, task, ray.address).committed


def test_a_node_that_dies_takes_its_step_along(
    ray: Ray,
    runners: TaskRunners,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_of_module: str,
) -> None:
    own = start_ray(tmp_path_factory.mktemp("n"), "far", **{DSN: postgres_of_module})
    try:
        ray.cluster = own
        task = ray.model("m", f"{FOREVER}return []", FAR)
        ray.start(runners, task)
        step = int(first_line(runners))
        os.kill(own.raylets["far"], signal.SIGKILL)
        lost = lost_of(runners)
        assert not lost.killed
        assert not alive(step)
        assert not lookup.commit_of(lost, task, ray.address).committed
        ray.start(runners, ray.script("after", "print('next')"))  # on the head
        assert outcome_of(runners).verdict is Verdict.DONE
    finally:
        runners.close()
        own.stop()


def test_a_cluster_that_dies_takes_its_steps_along(
    ray: Ray,
    runners: TaskRunners,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_of_module: str,
) -> None:
    """The run worker goes on, whatever becomes of the process that talks to Ray."""
    own = start_ray(tmp_path_factory.mktemp("n"), **{DSN: postgres_of_module})
    try:
        ray.cluster = own
        ray.start(runners, ray.model("m", f"{FOREVER}return []"))
        step = int(first_line(runners))
        own.stop()
        lost_of(runners)
        assert not alive(step)
    finally:
        runners.close()


def test_the_bridge_may_die(ray: Ray, runners: TaskRunners, postgres_of_module: str) -> None:
    ray.start(runners, ray.model("m", f"{FOREVER}return []"))
    step = int(first_line(runners))
    (bridge,) = runners.ray._bridges.values()
    bridge.process.kill()
    lost = lost_of(runners)
    assert "the process that talks to Ray ended with exit code -9" in lost.message
    assert not alive(step)
    ray.start(runners, ray.script("after", "print('next')"))  # by another one
    assert outcome_of(runners).verdict is Verdict.DONE
    assert published(postgres_of_module, ray.run_id) == []


def test_a_step_that_waits_for_the_cluster_says_so_and_is_withdrawn(
    ray: Ray, runners: TaskRunners, tmp_path: Path
) -> None:
    needs = RayNeeds(cpus=100, resources=(("disk", 2.0),))
    ray.start(runners, ray.script("s", f"open({str(tmp_path / 'ran')!r}, 'w')", needs))
    said = first_line(runners)
    assert said == "Ray has not started this step yet: it asks for 100 CPU, 2 disk"
    runners.cancel("scripts.s")
    *_, end = events_of(runners)
    assert isinstance(end, NotStarted)
    assert end.error.kind is ErrorKind.CANCELED
    assert not (tmp_path / "ran").exists()


def test_the_same_attempt_is_refused_while_it_runs(
    ray: Ray, runners: TaskRunners, place: WarehouseAddress
) -> None:
    """As when another process has taken the run over."""
    task = ray.script("s", FOREVER)
    ray.start(runners, task)
    first_line(runners)
    other = TaskRunners()
    ray.start(other, task)
    *_, end = events_of(other)
    assert isinstance(end, NotStarted)
    assert "the cluster has this attempt already" in end.error.message
    other.close()
    runners.cancel("scripts.s")
    assert outcome_of(runners).verdict is Verdict.CANCELED


def test_a_node_of_another_database_has_not_published(
    ray: Ray,
    cluster: RayClusterProcess,
    postgres_admin: str,
    postgres_of_module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run's variable leads elsewhere than the node's; the outcome says what the run sees."""
    other = f"other_{os.getpid()}"
    with psycopg.connect(postgres_admin, autocommit=True) as admin:
        admin.execute(f"create database {other}".encode())
    monkeypatch.setenv(DSN, dsn_of_database(postgres_admin, other))
    runners = TaskRunners()
    try:
        runners.sql.prepare(ray.address, ["s"])
        runners.queue.wait(0)
        ray.start(runners, ray.model("astray", "return [{'a': 1}]"))
        outcome = outcome_of(runners)
    finally:
        runners.close()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.final
    assert "published it in another database than this run's" in outcome.error.message
    assert published(postgres_of_module, ray.run_id) == ["s.astray"]  # where the node has led it


def test_a_node_with_other_code_refuses(ray: Ray, runners: TaskRunners) -> None:
    task = ray.script("s", "print(1)")
    ray.start(runners, replace(task, file=LoadedFile(task.file.path, "s.py", "0" * 64)))
    *_, end = events_of(runners)
    assert isinstance(end, NotStarted)
    assert end.error.message.startswith("the node 127.0.0.1 refuses it: s.py is another one there")


#: A run worker, which is killed while its bridge goes on.
WORKER = """
import json, sys, time
from dagster_models.core.tasks import task_from_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.task_runners import TaskRunners
known = json.load(sys.stdin)
runners, task = TaskRunners(), task_from_json(known["task"])
runners.of(task).start(task.step, task, WarehouseAddress.from_json(known["address"]))
while True:
    for event in runners.queue.wait(1):
        print(event.text, end="", flush=True)
"""


def test_nothing_is_left_of_a_run_worker_that_is_killed(
    ray: Ray, runners: TaskRunners, postgres_of_module: str
) -> None:
    task = ray.model("m", f"warehouse.sql('select 1').fetchall()\n{FOREVER}return []")
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(
            json.dumps({"task": task_to_json(task), "address": ray.address.to_json()})
        )
        worker.stdin.close()
        step = int(worker.stdout.readline())
        host = host_of(step)
        worker.kill()
        worker.wait()
        began = time.monotonic()
        until_gone(step, host)
        print(f"gone in {time.monotonic() - began:.2f} s")
    assert published(postgres_of_module, ray.run_id) == []
