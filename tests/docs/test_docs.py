"""The README is true: every code block in it is run here, and what it shows is what is printed."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import warm_python
from addresses import duckdb_at
from commands import output_of
from dagster_models.core.messages import TaskError
from dagster_models.core.retries import Retries
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target
from dagster_models.reporting.explain import explain
from dagster_models.reporting.explain_text import run_lines
from dagster_models.reporting.journal import JournalContents, RunEnd
from dagster_models.reporting.results import RunHeader, StepResult, totals
from dagster_models.reporting.terminal import Terminal
from dbt_cases import manifest_of
from dbt_cases import step as dbt_step
from paths import REPOSITORY
from project_cases import load
from running import Project, make_project

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(language: str, holding: str) -> str:
    """The only block of a language that holds a text."""
    (found,) = [text for lang, text in BLOCKS if lang == language and holding in text]
    used.add(found)
    return found


used: set[str] = set()

COMMIT = (
    "rm -rf .git && git init -q -b main && git add -A && "
    "git -c user.name=t -c user.email=t@example.com -c commit.gpgsign=false commit -q -m first"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files as a new user has them, with this test's environment as .venv."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for program in ("python", "dagster", "dagster-models", "ruff", "mypy"):
        (binaries / program).symlink_to(Path(sys.executable).parent / program)
    (folder / ".venv" / ".installed").touch()
    return folder


def shell(command: str, folder: Path, **environment: str) -> str:
    own = str(folder / ".venv" / "bin")
    path = os.pathsep.join((warm_python.commands(), own, os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "NO_COLOR": "1", **environment}
    return output_of(["bash", "-ec", command], folder, env)


@pytest.fixture(scope="module")
def printed(clone: Path) -> str:
    """What `make run` prints, once it has built the example in the clone."""
    return shell("make run", clone)


@pytest.mark.slow
def test_the_two_commands(clone: Path, printed: str) -> None:
    run, test = block("sh", "make run").splitlines()
    assert run.partition("#")[0].strip() == "make run"
    told = printed
    assert "Done. PASS=33 WARN=2 ERROR=0 SKIP=0 CANCEL=0 TOTAL=35" in told
    report = (clone / "project/target/report.html").read_text(encoding="utf-8")
    assert report.count("<svg") >= 8
    assert "336,776" in report
    # `make test` is what runs this test: here only that it would lint, check types and test.
    assert test.startswith("make test ")
    would = shell(test.replace("make", "make -n", 1), clone)
    for tool in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert tool in would


@pytest.mark.slow
def test_the_shell_command_and_the_run_config(clone: Path) -> None:
    home = clone / "home"
    home.mkdir()
    told = shell(block("sh", "dagster-models run --job flights\n"), clone, DAGSTER_HOME=str(home))
    assert "TOTAL=35" in told
    told = shell(block("sh", "export DAGSTER_CLI"), clone, DAGSTER_HOME=str(home))
    assert "TOTAL=35" in told
    config = clone / "run_config.yaml"
    config.write_text(block("yaml", "max_concurrent: 8"))
    command = f"dagster job execute -m project.definitions -j flights --config {config}"
    command += " --op-selection seeds__holidays"  # of any step
    told = shell(command, clone, DAGSTER_HOME=str(home))
    assert "Concurrency: 8 slots" in told


@pytest.mark.slow
def test_the_commands(clone: Path) -> None:
    lines = block("sh", "dagster-models check").splitlines()
    said = {" ".join(line.split()[1:3]): line for line in lines}
    said = {words if "last" in words else words.split()[0]: said[words] for words in said}
    assert " && dagster-models run\n" in shell(said.pop("init"), clone)
    manifest_of(clone / "my_dbt_project", dbt_step("orders", raw_code="select 1 as id"))
    assert "of the dbt project shop are in my_dbt_project_models" in shell(
        said.pop("import-dbt"), clone
    )
    assert "No errors in 36 steps of flights." in shell(said.pop("check"), clone)
    assert len(shell(said.pop("ls"), clone).splitlines()) == 36
    assert '"intermediate"."int_flights"' in shell(said.pop("compile"), clone)
    assert "marts.carrier_delays.late_share DOUBLE" in shell(said.pop("lineage"), clone)
    shell(COMMIT, clone)
    assert "No model changed" in shell(said.pop("diff"), clone)
    home = clone / "home_of_commands"
    home.mkdir()
    assert "TOTAL=35" in shell(said.pop("run"), clone, DAGSTER_HOME=str(home))
    assert "(first 20 rows)" in shell(said.pop("sql"), clone)
    assert "(16 rows)" in shell(said.pop("show"), clone)
    assert "TOTAL=35" in shell(said.pop("results"), clone)
    assert "A run of flights on target dev builds " in shell(said.pop("plan"), clone)
    assert "(1 row)" in shell("echo 'select 1;' | " + said.pop("shell"), clone)
    assert "complete -F" in shell(said.pop("completion"), clone)
    assert "dagster_models.json" in shell(said.pop("schemas"), clone)
    assert "Critical path: " in shell(said.pop("explain"), clone)
    assert shell(said.pop("docs"), clone).endswith("docs/index.html\n")
    assert shell(said.pop("report"), clone).endswith(".html\n")
    one = shell(said.pop("explain last"), clone)
    assert one.startswith("marts.carrier_delays: sql table, succeeded")
    assert "0 built, 0 stale, 365 missing" in shell(said.pop("windows"), clone)
    assert "2 passed in " in shell(said.pop("test"), clone)
    assert "Done. PASS=1 " in shell(said.pop("checks"), clone)
    assert "have their models" in shell(said.pop("clean"), clone)
    assert "report.html" in shell(said.pop("script"), clone)
    assert not said


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_the_selection_of_what_changed(clone: Path) -> None:
    """As after `git switch -c change`: a mart is changed, and only it and the report are built."""
    home = clone / "home_of_selection"
    home.mkdir()
    shell(COMMIT, clone)
    mart = clone / "project/models/marts/worst_days.sql"
    mart.write_text(f"-- changed\n{mart.read_text()}")
    assert shell("dagster-models diff --select main", clone) == ""
    assert shell(block("sh", "--ops"), clone, DAGSTER_HOME=str(home)) == ""  # and runs nothing
    mart.write_text(mart.read_text().replace("limit 25", "limit 24"))
    for way in ("--select", "--ops"):
        assert "TOTAL=2" in shell(block("sh", way), clone, DAGSTER_HOME=str(home))


def test_the_tree_is_the_examples() -> None:
    lines = block("text", "project/\n").splitlines()[1:]
    for line in lines:
        pattern = line.split()[0]
        assert list((REPOSITORY / "project").glob(pattern)), pattern


def test_the_targets_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "dagster_models.yaml": block("yaml", "type: postgres"),
        "models/a.sql": "select 1 as n",
    }
    project = make_project(tmp_path, files)
    monkeypatch.setenv("DAGSTER_MODELS_TARGET", "pg")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:s3cr3t@db/warehouse")
    target = usable_target(load(project.root))
    assert (target.type.name, target.schema_prefix, target.threads) == ("postgres", "dev_", 8)
    assert "s3cr3t" not in repr(target)


def test_what_a_failure_does(tmp_path: Path) -> None:
    settings = "name: test\n" + block("yaml", "on_error: continue")
    files = {"dagster_models.yaml": settings, "models/marts/a.sql": "select 1 as n"}
    project = make_project(tmp_path, files)
    (step,) = load(project.root).steps.values()
    assert step.config.on_error == "continue"
    assert step.config.timeout_seconds == 1800
    assert step.config.retries == Retries(3, 10.0, "exponential", "full")


def run_in(project: Project) -> str:
    name = yaml.safe_load((project.root / "dagster_models.yaml").read_text())["name"]
    report = project.run(job=name)
    assert report.code == 0, report.stdout + report.stderr[-3000:]
    return report.stdout


FLIGHTS = (
    "select 'UA' as carrier, date '2013-01-01' as date, i as delay from range(100) t(i) "
    "union all select 'AA', date '2013-01-02', 20"
)


@pytest.mark.slow
def test_the_project_of_the_readme(tmp_path: Path) -> None:
    project = make_project(
        tmp_path,
        {
            "dagster_models.yaml": block("yaml", "late_minutes: 15"),
            "definitions.py": block("python", "load_project(Path(__file__).parent)\n"),
            "models/staging/stg_flights.sql": FLIGHTS,
            "models/marts/carrier_delays.sql": block("sql", "@model"),
            "models/marts/daily_delays.py": block("python", "def model(warehouse)"),
        },
    )
    told = run_in(project)
    assert "Done. PASS=3 " in told
    database = project.root / "target" / "flights.duckdb"
    with connect(duckdb_at(database)) as session:
        rows = session.query("select * from marts.carrier_delays order by carrier")
        assert rows == [("AA", 1, 20.0), ("UA", 84, 57.5)]
        assert session.query("select count(*) from marts.daily_delays") == [(2,)]


@pytest.mark.slow
def test_the_ordinary_asset_of_the_readme(tmp_path: Path) -> None:
    project = make_project(
        tmp_path,
        {
            "definitions.py": block("python", "def orders("),
            "models/staging/stg_orders.sql": "select id from raw.orders",
        },
    )
    assert "Done. PASS=2 " in run_in(project)
    assert project.rows("select id from staging.stg_orders") == [(1,)]


def test_the_executor_of_a_location_in_the_readme(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"})
    text = block("python", "Definitions(executor=models_executor)")
    names: dict[str, Any] = {"__file__": str(project.root / "definitions.py")}
    exec(text, names)
    job = names["defs"].resolve_implicit_global_asset_job_def()
    assert job.executor_def.name == "models_executor"


def test_the_terminal_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, color=False, clock=lambda: "18:04:09")
    kind = {"kind": "sql", "materialized": "table"}
    error = TaskError(
        ErrorKind.BAD_COLUMN, 'Binder Error: Referenced column "dest" not found', line=7
    )
    done = StepResult(step="marts.carrier_delays", state="succeeded", seconds=0.31, rows=16, **kind)
    failed = StepResult(
        step="marts.routes",
        state="failed",
        seconds=0.02,
        error=error,
        file="models/marts/routes.sql",
        **kind,
    )
    canceled = StepResult(
        step="marts.plane_usage",
        state="canceled",
        seconds=0.34,
        cause="marts.routes",
        cause_state="failed",
        **kind,
    )
    skipped = StepResult(
        step="marts.busiest",
        state="skipped",
        cause="marts.routes",
        cause_state="failed",
        path=("marts.routes", "marts.busiest"),
        **kind,
    )
    terminal.found(models=4, checks=6)
    terminal.concurrency(4, "dev")
    for index, result in enumerate((done, failed, canceled), start=1):
        terminal.started(index, 4, result)
    terminal.finished(1, 4, done)
    terminal.finished(2, 4, failed)
    terminal.finished(4, 4, skipped)
    terminal.finished(3, 4, canceled)
    terminal.done([done, failed, skipped, canceled], 0.36)
    assert stream.getvalue() == block("text", "Found 4 models")


def test_the_explanation_is_shown_as_it_is() -> None:
    spans = {
        "staging.stg_flights": (0.5, 3.5, {}),
        "staging.stg_weather": (0.5, 3.9, {}),
        "marts.routes": (3.5, 6.2, {}),
        "marts.carrier_delays": (3.5, 6.65, {"slot": 0.4}),
    }
    results = [
        StepResult(
            *(step, "sql", "table", "succeeded"), ready_at=ready, ended_at=end, waited=waited
        )
        for step, (ready, end, waited) in spans.items()
    ]
    upstream = {step: ("staging.stg_flights",) for step in spans if step.startswith("marts")}
    header = RunHeader(
        *("7f3c41d0", "flights", "dev", 0.0, tuple(spans), "0.1.0"), slots=2, upstream=upstream
    )
    end = RunEnd("success", totals(results), 6.7)
    told = explain(JournalContents(header, tuple(results), end))
    assert told is not None
    assert "\n".join(run_lines(told, header)) + "\n" == block("text", "Run 7f3c41d0")


def test_no_block_of_the_readme_is_left_out() -> None:
    """Last in the file on purpose: the tests above have used what they run."""
    left = [text for _, text in BLOCKS if text not in used]
    assert len(BLOCKS) >= 9
    if len(used) > 4:  # not when a single test is run
        assert not left, left
