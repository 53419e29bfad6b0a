"""Runs that are spoiled from outside the models: settings, files, databases, our own mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterEventType, DagsterInstance

from running import make_project

pytestmark = pytest.mark.slow


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
    report = project.run({key: value})
    assert report.code == 1
    assert f"The run cannot begin: {key}" in report.stderr
    assert said in report.stderr
    assert report.of_type("STEP_START") == set()
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
        "    for name in ('models/later.py', 'scripts/say.py', 'seeds/codes.csv'):\n"
        "        path = Path(name)\n        path.write_text(path.read_text() + '\\n1\\n')\n"
        "    return [{'n': 1}]\n"
    )
    later = '"""\n@model\nupstream: change\n"""\n\n\ndef model(warehouse):\n    return [{"n": 1}]\n'
    files = {
        "models/change.py": change,
        "models/later.py": later,
        "scripts/say.py": '"""\n@model\nupstream: change\n"""\nprint("said")\n',
        "seeds/codes.csv": "code\n1\n",
    }
    project = make_project(tmp_path, files)
    report = project.run({"max_concurrent": 1})
    states = report.states()
    assert states.pop("main.change") == "succeeded"
    seed = states.pop("seeds.codes")  # nothing says which of the two comes first
    assert seed == ("succeeded" if "seeds.codes" in project.tables() else "failed")
    assert set(states.values()) == {"failed"}
    assert "models/later.py was changed after the run had loaded the project" in report.stdout
    assert "main.later" not in project.tables()


def test_a_comment_that_is_added_during_the_run_changes_nothing(tmp_path: Path) -> None:
    """Versions are compared, and not bytes: of the file itself and of the modules it imports."""
    change = (
        "from pathlib import Path\n\n\ndef model(warehouse):\n"
        "    for name in ('models/later.py', 'scripts/say.py', 'helper.py', 'other.py'):\n"
        "        path = Path(name)\n"
        "        more = '\\nN = 8\\n' if name == 'other.py' else '\\n# é\\n'\n"
        "        path.write_text('# A comment.\\n' + path.read_text() + more)\n"
        "    return [{'n': 1}]\n"
    )
    header = '"""\n@model\nupstream: change\n"""\n'
    files = {
        "models/change.py": change,
        "models/later.py": f"{header}from helper import N\ndef model(warehouse):\n"
        '    return warehouse.sql(f"select {N} as n")\n',
        "models/stale.py": f"{header}from other import N\ndef model(warehouse):\n"
        '    return [{"n": N}]\n',
        "scripts/say.py": f'{header}print("said")\n',
        "helper.py": "N = 7\n",
        "other.py": "N = 7\n",
    }
    project = make_project(tmp_path, files)
    report = project.run({"max_concurrent": 1})
    assert report.states() == {
        "main.change": "succeeded",
        "main.later": "succeeded",
        "main.stale": "failed",
        "scripts.say": "succeeded",
    }
    assert "other.py was changed after the run had loaded the project" in report.stdout
    assert project.rows("select n from main.later") == [(7,)]


BROKEN = """
from dagster_models.execution.runners.sql_sessions import SqlSessions

def start(self, step, task, address):
    raise RuntimeError("a mistake of ours")

SqlSessions.start = start
"""


def test_a_mistake_of_ours_fails_the_step_and_ends_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n"})
    project.write({"definitions.py": BROKEN + (project.root / "definitions.py").read_text()})
    report = project.run()
    assert report.states() == {"main.alpha": "failed"}
    assert "a mistake of ours" in report.stdout


def test_a_database_that_does_not_open_is_reported_as_what_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n", "models/b.sql": "from a"})
    project.database.parent.mkdir(parents=True)
    project.database.write_bytes(b"no database" * 1000)
    report = project.run()
    assert report.states() == {"main.a": "skipped", "main.b": "skipped"}
    assert "Traceback" not in report.stderr + report.stdout
    assert "Completed with 1 error of the run itself, 2 skipped" in report.stdout
    assert "ERROR IOException: " in report.stdout


def test_a_target_folder_removed_during_the_run_is_reported(tmp_path: Path) -> None:
    remove = (
        "import shutil\n\n\n"
        "def model(warehouse):\n    shutil.rmtree('target')\n    return [{'x': 1}]\n"
    )
    project = make_project(tmp_path, {"models/a.py": remove, "models/b.sql": "from a"})
    report = project.run()
    assert report.code == 1
    assert "was removed or replaced while it was open" in report.stdout
    assert ".jsonl was removed during the run" in report.stdout
    statuses = report.statuses()
    assert statuses["b"] == "error"  # its session has the old file
    assert ("main.a" in project.tables()) == (statuses["a"] == "success")


def test_a_run_whose_files_cannot_be_written_still_runs(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n"})
    elsewhere = tmp_path / "elsewhere.duckdb"
    settings = (project.root / "dagster_models.yaml").read_text()
    settings = settings.replace("target/test.duckdb", str(elsewhere))
    project.write({"dagster_models.yaml": settings, "target": "a file, no folder"})
    report = project.run()
    assert report.code == 0, report.stdout
    assert "the results could not be written" in report.stdout
    assert "Done. PASS=1" in report.stdout


def test_a_project_runs_below_a_folder_of_any_name(tmp_path: Path) -> None:
    """Only a `?` above the database itself is refused, when the project is loaded, and by DuckDB 2
    a backslash, when it is opened."""
    backslash = b"\\" if duckdb.__version__.startswith("1.") else b""
    folder = tmp_path / os.fsdecode(b'a,b{c,d} [e]* caf\xe9 "' + backslash)
    files = {
        "data/x.csv": "n\n1\n",
        "seeds/s.csv": "n\n2\n",
        "models/found.sql": "select n from 'data/x.csv' union all select n from s",
        "models/py.py": "def model(warehouse):\n"
        "    return warehouse.sql(\"select n from 'data/*.csv'\")",
        "scripts/read.py": "import os\nprint(open('data/x.csv').read(), os.getcwd())",
        "models/wrong.sql": "select error('here') as n",
    }
    report = make_project(folder, files).run()
    states = report.states()
    assert states.pop("main.wrong") == "failed"
    assert set(states.values()) == {"succeeded"}, report.stdout
    assert len(states) == 4
    assert "models/wrong.sql" in report.stdout
