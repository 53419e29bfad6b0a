"""models_executor in real runs: Python and foreign steps, limits, retries, ways to stop and die."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance

from running import ENDLESS, Project, Told, make_project, open_home

pytestmark = pytest.mark.slow


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the terminal until a line holds *text*; all that was read."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    pytest.fail(f"{text!r} never came:\n{read}\n{process.stderr.read() if process.stderr else ''}")


def finish(project: Project, process: subprocess.Popen[str]) -> Told:
    stdout, stderr = process.communicate(timeout=60)
    return project.told(process.returncode, stdout, stderr)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def logs_of(project: Project, step: str) -> tuple[str, str]:
    """What the UI's log tab shows for a step: (stdout, stderr)."""
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        for entry in instance.all_logs(run.run_id):
            event = entry.dagster_event
            if event is None or event.event_type_value != "LOGS_CAPTURED":
                continue
            captured = event.logs_captured_data
            if step in (captured.step_keys or []):
                key = instance.compute_log_manager.build_log_key_for_run(
                    run.run_id, captured.file_key
                )
                data = instance.compute_log_manager.get_log_data(key)
                return (data.stdout or b"").decode(), (data.stderr or b"").decode()
    pytest.fail(f"no log of {step}")


PYTHON = '''
"""
@model
description: two rows
"""
import os, sys
import pandas as pd

def model(warehouse):
    print("working in", os.getpid())
    print("careful", file=sys.stderr)
    n = warehouse.sql("select n from alpha").fetchall()[0][0]
    return pd.DataFrame({"n": [n, n + 1]})
'''

SCRIPT = """
from dagster_models import warehouse
rows = warehouse.table("beta").fetchall()
print("beta has", len(rows), "rows")
"""


def test_python_models_and_scripts(tmp_path: Path) -> None:
    files = {
        "models/alpha.sql": "select 1 as n",
        "models/beta.py": PYTHON,
        "models/gamma.sql": "select sum(n) as n from beta",
        "scripts/tell.py": SCRIPT,
    }
    project = make_project(tmp_path, files)
    told = project.run()
    assert told.code == 0, told.stdout + told.stderr
    assert "Found 3 models, 1 script" in told.stdout
    assert project.rows("select n from main.gamma") == [(3,)]
    stdout, stderr = logs_of(project, "main__beta")
    assert stdout.startswith("working in ")
    assert stderr == "careful\n"
    assert logs_of(project, "scripts__tell")[0] == "beta has 2 rows\n"
    (line,) = [line for line in told.stdout.splitlines() if line.endswith("beta has 2 rows")]
    assert "scripts.tell" in line


def test_python_steps_run_in_parallel_and_their_output_is_told_apart(tmp_path: Path) -> None:
    # Each waits until the other has started: one after the other, they would never end.
    meet = "\n".join(
        [
            "import os",
            "with open({mine!r}, {mode_mine!r}) as a, open({other!r}, {mode_other!r}) as b: pass",
            "for i in range(200): print({name!r}, i)",
        ]
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    os.mkfifo(one)
    os.mkfifo(two)
    scripts = {
        "scripts/first.py": meet.format(
            mine=one, mode_mine="w", other=two, mode_other="r", name="first"
        ),
        "scripts/second.py": meet.format(
            mine=one, mode_mine="r", other=two, mode_other="w", name="second"
        ),
    }
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n", **scripts})
    told = project.run({"max_concurrent": 2})
    assert told.code == 0, told.stdout + told.stderr
    for name in ("first", "second"):
        assert logs_of(project, f"scripts__{name}")[0].split() == [
            word for i in range(200) for word in (name, str(i))
        ]


FOREIGN = """
import os
from pathlib import Path
import dagster as dg
from dagster_models import load_project

@dg.asset(metadata={"dagster/table_name": "raw.orders"}, retry_policy=dg.RetryPolicy(max_retries=1))
def orders(context) -> None:
    if os.environ.get("ORDERS") == "fail" or (
        os.environ.get("ORDERS") == "once" and context.retry_number == 0
    ):
        raise RuntimeError("no orders today")

@dg.asset(deps=[dg.AssetKey(["main", "copies"])])
def after() -> None: ...

defs = load_project(Path(__file__).parent, assets=[orders, after])
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Project:
    project = make_project(
        tmp_path,
        {"models/copies.sql": "select 1 as n from (select 1) t where not exists (from orders)"},
    )
    project.write({"definitions.py": FOREIGN, "models/copies.sql": "select 1 as n, 'orders' as o"})
    project.write({"models/copies.sql": "/* @model\nupstream: [raw.orders]\n*/\nselect 1 as n"})
    return project


def test_ordinary_assets_run_in_the_same_job(
    mixed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS", "once")
    told = mixed.run()
    assert told.code == 0, told.stdout + told.stderr
    assert told.states() == dict.fromkeys(("orders", "main.copies", "after"), "succeeded")
    assert "orders" in told.of_type("STEP_UP_FOR_RETRY")


def test_a_failed_ordinary_asset_skips_the_models_that_read_it(
    mixed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS", "fail")
    told = mixed.run()
    assert told.code == 1
    assert told.states() == {"orders": "failed", "main.copies": "skipped", "after": "skipped"}
    assert "no orders today" in told.stdout


RETRIED = """
'''
@model
retries: 2
'''
from pathlib import Path

def model(warehouse):
    tries = Path("tries")
    count = int(tries.read_text()) + 1 if tries.exists() else 1
    tries.write_text(str(count))
    if count < 3:
        raise ValueError(f"try {count}")
    return [{"n": count}]
"""


def test_retries_are_told_and_counted(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/flaky.py": RETRIED})
    told = project.run()
    assert told.code == 0, told.stdout + told.stderr
    assert project.rows("select n from main.flaky") == [(3,)]
    assert [t for s, t, _ in told.events if s == "main__flaky"].count("STEP_UP_FOR_RETRY") == 2
    assert told.stdout.count("RETRY") == 2
    assert told.journal is not None
    assert told.journal.steps[0].attempt == 3


IN_PROCESS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project
defs = load_project(Path(__file__).parent)
defs = dg.Definitions(
    assets=defs.assets, executor=dg.in_process_executor, jobs=[dg.define_asset_job("test")]
)
"""
IN_VAIN = RETRIED.replace("ValueError(f", "dagster.Failure(allow_retries=False, description=f")


@pytest.mark.parametrize("executor", ["models_executor", "in_process"])
def test_a_failure_that_forbids_retries_has_none(tmp_path: Path, executor: str) -> None:
    text = IN_VAIN.replace("from pathlib", "import dagster\nfrom pathlib")
    project = make_project(tmp_path, {"models/flaky.py": text})
    if executor == "in_process":
        project.write({"definitions.py": IN_PROCESS})
    told = project.run()
    assert told.code == 1
    assert (project.root / "tries").read_text() == "1"
    assert "STEP_UP_FOR_RETRY" not in {kind for _, kind, _ in told.events}


def test_retries_can_be_disabled(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/flaky.py": RETRIED})
    told = project.run({"retries": {"disabled": {}}})
    assert told.code == 1
    assert told.states() == {"main.flaky": "failed"}


def test_tag_limits(tmp_path: Path) -> None:
    tagged = "/* @model\ntags: [heavy]\n*/\nselect count(*) as n from range(2000000)"
    project = make_project(tmp_path, {f"models/m{i}.sql": tagged for i in range(6)})
    told = project.run(
        {"max_concurrent": 4, "tag_concurrency_limits": [{"key": "heavy", "limit": 1}]}
    )
    assert told.code == 0, told.stdout + told.stderr
    assert told.journal is not None
    spans = sorted((s.started_at or 0, (s.started_at or 0) + s.seconds) for s in told.journal.steps)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start
    assert told.journal.header is not None
    assert told.journal.header.slots == 4
    assert told.journal.header.limits == {"tag heavy": 1}
    first, *others = sorted(told.journal.steps, key=lambda step: step.started_at or 0)
    assert first.waited == {}
    for step in others:
        assert step.ready_at is not None
        assert step.ended_at is not None
        # What it did not wait it was in flight.
        in_flight = step.ended_at - step.ready_at - sum(step.waited.values())
        assert step.waited["tag heavy"] > 0
        assert step.seconds <= in_flight + 0.01


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_concurrent", 0, "at least one slot is needed"),
        ("tag_concurrency_limits", [{"key": "heavy", "limit": 0}], "could ever run"),
        ("cancel_grace_seconds", -1.0, "it may be 0 or more"),
        ("fail_fast", "maybe", "it may be true, false or drain"),
    ],
)
def test_a_run_config_under_which_nothing_would_run_is_refused(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"})
    told = project.run({key: value})
    assert told.code == 1
    assert f"The run cannot begin: {key}" in told.stderr
    assert said in told.stderr
    assert told.of_type("STEP_START") == set()
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs()
        (failure,) = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
    # It is this event that Dagster hands to run failure sensors, and what the UI shows first.
    assert failure.dagster_event is not None
    error = failure.dagster_event.job_failure_data.error
    assert error is not None
    assert said in error.message


def test_a_file_that_changes_during_the_run_is_not_run_as_what_it_was(tmp_path: Path) -> None:
    change = (
        "from pathlib import Path\n\n\ndef model(warehouse):\n"
        "    for name in ('models/later.py', 'scripts/tell.py', 'seeds/codes.csv'):\n"
        "        path = Path(name)\n        path.write_text(path.read_text() + '\\n')\n"
        "    return [{'n': 1}]\n"
    )
    later = '"""\n@model\nupstream: change\n"""\n\n\ndef model(warehouse):\n    return [{"n": 1}]\n'
    files = {
        "models/change.py": change,
        "models/later.py": later,
        "scripts/tell.py": '"""\n@model\nupstream: change\n"""\nprint("told")\n',
        "seeds/codes.csv": "code\n1\n",
    }
    project = make_project(tmp_path, files)
    told = project.run({"max_concurrent": 1})
    states = told.states()
    assert states.pop("main.change") == "succeeded"
    seed = states.pop("seeds.codes")  # nothing says which of the two comes first
    assert seed == ("succeeded" if "seeds.codes" in project.tables() else "failed")
    assert set(states.values()) == {"failed"}
    assert "models/later.py was changed after the run had loaded the project" in told.stdout
    assert "main.later" not in project.tables()


def test_a_timeout_cancels_and_fails_the_step(tmp_path: Path) -> None:
    slow = f"/* @model\ntimeout: 0.5\n*/\n{ENDLESS}"
    project = make_project(tmp_path, {"models/slow.sql": slow, "models/below.sql": "from slow"})
    told = project.run()
    assert told.states() == {"main.slow": "failed", "main.below": "skipped"}
    assert "timeout" in told.stdout
    assert project.tables() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_run_and_cancels_what_is_in_flight(
    tmp_path: Path, number: signal.Signals
) -> None:
    project = make_project(
        tmp_path, {"models/slow.sql": ENDLESS, "models/below.sql": "select n from slow"}
    )
    process = project.start()
    before = wait_for(process, "START table main.slow")
    process.send_signal(number)
    told = finish(project, process)
    assert told.code == 1, before + told.stdout
    assert told.states() == {"main.slow": "canceled", "main.below": "skipped"}
    assert project.tables() == set()
    assert project.status() == "FAILURE"  # nobody pressed Terminate


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


BLOCKED = """
import os, signal

def model(warehouse):
    warehouse.sql("select 1").fetchall()
    with open({gate!r}, "w") as file:
        file.write(str(os.getpid()))
    while True:
        signal.pause()
"""


def test_kill_9_of_a_script_worker(tmp_path: Path, gate: Path) -> None:
    files = {"models/alpha.sql": "select 1 as n", "models/stuck.py": BLOCKED.format(gate=str(gate))}
    project = make_project(tmp_path, files)
    process = project.start()
    pid = int(gate.read_text())  # blocks until the step has opened the other end
    os.kill(pid, signal.SIGKILL)
    told = finish(project, process)
    assert told.states() == {"main.alpha": "succeeded", "main.stuck": "failed"}
    assert "SIGKILL" in told.stdout
    assert "out-of-memory" in told.stdout


def test_python_code_that_swallows_the_interrupt_is_killed_after_its_grace(
    tmp_path: Path, gate: Path
) -> None:
    swallow = "        try: signal.pause()\n        except KeyboardInterrupt: pass"
    stubborn = BLOCKED.format(gate=str(gate)).replace("        signal.pause()", swallow)
    project = make_project(tmp_path, {"models/stuck.py": stubborn})
    process = project.start({"cancel_grace_seconds": 0.5})
    pid = int(gate.read_text())
    process.send_signal(signal.SIGTERM)
    told = finish(project, process)
    assert told.states() == {"main.stuck": "canceled"}
    assert told.journal is not None
    (stuck,) = told.journal.steps
    assert stuck.error is not None  # its end is no riddle: we killed it
    assert stuck.error.message.startswith("it did not stop within 0.5 s of being asked to")
    assert not alive(pid)


def test_kill_9_of_the_warehouse_process(tmp_path: Path, gate: Path) -> None:
    signal_start = f"open({str(gate)!r}, 'w').write('started')"
    project = make_project(
        tmp_path,
        {
            "models/slow.sql": ENDLESS,
            "models/below.sql": "select n from slow",
            "scripts/start.py": signal_start,
        },
    )
    process = project.start({"max_concurrent": 2})
    wait_for(process, "START table main.slow")
    assert gate.read_text() == "started"
    with project.warehouse() as session:
        os.kill(session.server_pid, signal.SIGKILL)
    told = finish(project, process)
    assert told.states()["main.slow"] == "failed"
    assert told.states()["main.below"] == "skipped"
    assert "warehouse process" in told.stdout
    project.write({"models/slow.sql": "select 1 as n"})
    os.unlink(gate)
    assert project.run().code == 0


def test_kill_9_of_the_run_worker_leaves_no_process_and_the_next_run_works(
    tmp_path: Path, gate: Path
) -> None:
    files = {"models/stuck.py": BLOCKED.format(gate=str(gate)), "models/slow.sql": ENDLESS}
    project = make_project(tmp_path, files)
    process = project.start({"max_concurrent": 2})
    pid = int(gate.read_text())
    process.kill()
    process.communicate()
    project.write({"models/slow.sql": "select 1 as n"})
    (project.root / "models/stuck.py").unlink()
    assert project.run().code == 0
    assert not alive(pid)


def test_two_runs_at_once_on_one_file(tmp_path: Path) -> None:
    files = {f"models/m{i}.sql": "select count(*) as n from range(3000000)" for i in range(4)}
    project = make_project(tmp_path, files)
    other = make_project(tmp_path / "other", {})
    other.write(
        {
            "dagster_models.yaml": "name: test\ntargets: {dev: {type: duckdb, path: "
            f"{project.database}}}}}\nmodels: {{materialized: table}}\n",
            "models/o.sql": "select 1 as n",
        }
    )
    runs = [project.start(), other.start()]
    codes = [process.communicate(timeout=90) and process.returncode for process in runs]
    assert codes == [0, 0]
    assert len(project.tables()) == 5


def test_under_dagsters_own_executor_the_asset_does_the_work_itself(tmp_path: Path) -> None:
    files = {"models/alpha.sql": "select 1 as n", "models/beta.py": PYTHON}
    project = make_project(tmp_path, files)
    project.write({"definitions.py": IN_PROCESS})
    told = project.run()
    assert told.code == 0, told.stderr[-3000:]
    assert project.rows("select count(*) from main.beta") == [(2,)]


def test_a_schema_that_bears_the_databases_own_name(tmp_path: Path) -> None:
    """`test.alpha` in test.duckdb: DuckDB cannot tell the schema from the catalog."""
    files = {
        "models/test/alpha.sql": "select 1 as n",
        "models/test/beta.sql": "select test.alpha.n from test.alpha",
        "models/test/gamma.sql": "/* @model\nmaterialized: view\n*/\nselect n from beta",
    }
    project = make_project(tmp_path, files)
    told = project.run()
    assert told.code == 0, told.stdout
    assert project.rows("select n from test.test.gamma") == [(1,)]


def test_files_in_sql_are_found_from_the_projects_folder(tmp_path: Path) -> None:
    files = {
        "data/rows.csv": "n\n1\n2\n",
        "models/by_name.sql": "select n from 'data/rows.csv'",
        "models/by_function.sql": "select sum(n) as n from read_csv('data/rows.csv')",
        "models/in_python.py": "def model(warehouse):\n"
        "    return warehouse.sql(\"select n + 1 as n from 'data/rows.csv'\")\n",
    }
    project = make_project(tmp_path, files)
    told = project.run()
    assert told.code == 0, told.stdout
    assert project.rows("select n from by_function") == [(3,)]


def test_a_date_among_the_variables(tmp_path: Path) -> None:
    files = {
        "models/alpha.sql": "select $since as since",
        "models/beta.py": "def model(warehouse): return warehouse.table('alpha')\n",
    }
    project = make_project(tmp_path, files, "vars: {since: 2024-01-31}\n")
    told = project.run()
    assert told.code == 0, told.stdout
    assert [str(row[0]) for row in project.rows("select since from beta")] == ["2024-01-31"]


BROKEN = """
from dagster_models.execution.runners.sql_sessions import SqlSessions

def start(self, step, task, address):
    raise RuntimeError("a mistake of ours")

SqlSessions.start = start
"""


def test_a_mistake_of_ours_fails_the_step_and_ends_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n"})
    project.write({"definitions.py": BROKEN + (project.root / "definitions.py").read_text()})
    told = project.run()
    assert told.states() == {"main.alpha": "failed"}
    assert "a mistake of ours" in told.stdout


def test_a_database_that_does_not_open_is_told_as_what_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n", "models/b.sql": "from a"})
    project.database.parent.mkdir(parents=True)
    project.database.write_bytes(b"no database" * 1000)
    told = project.run()
    assert told.states() == {"main.a": "skipped", "main.b": "skipped"}
    assert "Traceback" not in told.stderr + told.stdout
    assert "Completed with 1 error of the run itself, 2 skipped" in told.stdout
    assert "ERROR IOException: " in told.stdout


def test_a_target_folder_removed_during_the_run_is_told(tmp_path: Path) -> None:
    remove = (
        "import shutil\n\n\n"
        "def model(warehouse):\n    shutil.rmtree('target')\n    return [{'x': 1}]\n"
    )
    project = make_project(tmp_path, {"models/a.py": remove, "models/b.sql": "from a"})
    told = project.run()
    assert told.code == 1
    assert "was removed or replaced while it was open" in told.stdout
    assert ".jsonl was removed during the run" in told.stdout
    statuses = told.statuses()
    assert statuses["b"] == "error"  # its session has the old file
    assert ("main.a" in project.tables()) == (statuses["a"] == "success")


def test_a_run_whose_files_cannot_be_written_still_runs(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n"})
    elsewhere = tmp_path / "elsewhere.duckdb"
    settings = (project.root / "dagster_models.yaml").read_text()
    settings = settings.replace("target/test.duckdb", str(elsewhere))
    project.write({"dagster_models.yaml": settings, "target": "a file, no folder"})
    process = project.start()
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, stdout
    assert "the results could not be written" in stdout
    assert "Done. PASS=1" in stdout


def test_two_runs_that_build_the_same_relation_take_turns(tmp_path: Path) -> None:
    slow = "select count(*) as n from range(200000000) t(i) where hash(i) <> 0"
    project = make_project(tmp_path, {"models/a.sql": slow, "models/b.sql": "select n from a"})
    open_home(project)
    runs = [project.start(), project.start()]
    told = [process.communicate(timeout=90) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], told
    assert len(project.rows("select * from dagster_models.commits")) == 4


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
    told = project.run_again_from_failure()
    assert told.code == 0, told.stderr
    expected = {"main.b", "main.d"} | ({"main.c", "main.e"} if fail_fast else set())
    assert told.states() == dict.fromkeys(expected, "succeeded")


FIRST = '''
"""
@model
timeout: 0.5
priority: 1
"""
import os, time

def model(warehouse):
    print("pid", os.getpid())
    time.sleep(600)
'''
OTHER = """
import os

def model(warehouse):
    print("pid", os.getpid())
    return [{"n": 1}]
"""


def test_a_python_worker_that_was_interrupted_is_not_used_again(tmp_path: Path) -> None:
    files = {"models/first.py": FIRST, "models/second.py": OTHER, "models/third.py": OTHER}
    project = make_project(tmp_path, files)
    told = project.run({"max_concurrent": 1})
    assert told.states()["main.first"] == "failed"
    first, second, third = (
        logs_of(project, f"main__{name}")[0] for name in ("first", "second", "third")
    )
    assert first != second
    assert second == third  # one that was not is warm for the whole run


def test_dagster_knows_duration_rows_columns_and_versions(tmp_path: Path) -> None:
    slow = "select count(*) as n, 'x' as s from range(60000000) t(i) where hash(i) <> 0"
    project = make_project(
        tmp_path, {"models/alpha.sql": slow, "models/beta.sql": "select n from alpha"}
    )
    told = project.run()
    assert told.journal is not None
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        events = [e.dagster_event for e in instance.all_logs(run.run_id) if e.dagster_event]
    by_type = {(e.event_type_value, e.step_key): e for e in events}
    (alpha,) = [step for step in told.journal.steps if step.step == "main.alpha"]
    assert alpha.seconds > 0.02
    success = by_type["STEP_SUCCESS", "main__alpha"]
    # Dagster's own timer would only see how long it took to write the events down.
    assert success.step_success_data.duration_ms / 1000 >= alpha.seconds
    published = by_type["ASSET_MATERIALIZATION", "main__alpha"].materialization
    assert published.metadata["dagster/row_count"].value == 1
    schema = published.metadata["dagster/column_schema"].value
    assert [(column.name, column.type) for column in schema.columns] == [
        ("n", "BIGINT"),
        ("s", "VARCHAR"),
    ]
    assert published.metadata["dagster_models/relation"].value == "main.alpha"
    assert "60000000" in published.metadata["dagster_models/compiled_sql"].value
    assert not by_type["STEP_OUTPUT", "main__alpha"].event_specific_data.metadata  # not twice
    tags = published.tags
    assert tags["dagster/code_version"] == alpha.code_version
    below = by_type["ASSET_MATERIALIZATION", "main__beta"].materialization.tags
    assert below["dagster/input_data_version/main/alpha"] == tags["dagster/data_version"]


def test_a_table_reads_its_own_previous_version(tmp_path: Path) -> None:
    """In SQL, in a CTE of its own name, and in Python: no circle, and each run goes on."""
    python = """
def model(warehouse):
    there = "select count(*) from information_schema.tables where table_name = 'd'"
    if not warehouse.sql(there).fetchone()[0]:
        return [{"n": 1}]
    return warehouse.sql("select n + (select max(n) from a) as n from d")
"""
    header = "/* @model upstream: main.{} */ "
    project = make_project(
        tmp_path,
        {
            "models/a.sql": header.format("a") + "select n + 1 as n from a",
            "models/b.sql": header.format("b")
            + "with b as (select b.n from main.b) select b.n + a.n as n from b, a",
            "models/c.sql": "with c as (select 1 as n) select n from c",
            "models/d.py": python,
        },
    )
    project.database.parent.mkdir()
    with project.warehouse() as session:
        session.execute("create table main.a as select 0 as n")
        session.execute("create table main.b as select 0 as n")
    assert [project.run().code for _ in range(2)] == [0, 0]
    told = "select (select n from a), (select n from b), (select n from c), (select n from d)"
    assert project.rows(told) == [(2, 3, 1, 3)]
