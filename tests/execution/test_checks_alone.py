"""Runs that select checks: exactly these run, and nothing is built or written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain, combinations, cycle
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_models import load_project, models_executor
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import ChecksTask
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.processes.server.attempt import Stop, run_checks
from on_postgres import postgres_project
from running import ENDLESS, EXHAUSTIVE, Project, make_project
from systems import System, T, session_of

FILES = {
    "models/sources.yaml": "sources:\n- name: raw\n  tables:\n"
    "  - {name: orders, columns: {n: {checks: [not_null, unique]}}}\n",
    "models/m/a.sql": "/* @model\nmaterialized: table\ncolumns:\n"
    "  n: {checks: [not_null, unique]}\n*/\nselect n from raw.orders",
    "models/m/b.sql": "/* @model\nmaterialized: view\ncolumns:\n"
    "  n: {checks: [{relationships: {to: m.a, field: n}}]}\n*/\nselect n from m.a",
    "models/m/c.sql": "/* @model\nmaterialized: incremental\nunique_key: n\ncolumns:\n"
    "  n: {checks: [not_null]}\n*/\nselect n from m.b",
    "checks/few.sql": "/* @check\nmodel: m.c\nseverity: warn\n*/\nselect * from m.c where n > 10",
}
CHECKS = {
    ("raw", "orders"): ("not_null_n", "unique_n"),
    ("m", "a"): ("not_null_n", "unique_n"),
    ("m", "b"): ("relationships_n",),
    ("m", "c"): ("not_null_n", "few"),
}
EVERY = [
    dg.AssetCheckKey(dg.AssetKey(asset), check)
    for asset, checks in CHECKS.items()
    for check in checks
]


OF_MODELS = [key for key in EVERY if key.asset_key.path[0] == "m"]


class Runner:
    """Runs of one project, loaded once, in this process; with its own executor."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.defs = load_project(project.root)

    def execute(self, sql: str) -> None:
        resource: Any = (self.defs.resources or {})["warehouse"]
        with connect(resource.address(None)) as session:
            session.execute(sql)

    def run(
        self,
        *checks: dg.AssetCheckKey,
        assets: Collection[str] = (),
        executor: dg.ExecutorDefinition = models_executor,
        tags: Mapping[str, str] | None = None,
    ) -> list[dg.DagsterEvent]:
        """As the UI's buttons do it: a run of `__ASSET_JOB` that names what it executes."""
        defs = dg.Definitions.merge(self.defs, dg.Definitions(executor=executor))
        selection = {
            "asset_selection": frozenset(dg.AssetKey(["m", name]) for name in assets),
            "asset_check_selection": frozenset(checks),
        }
        job = defs.resolve_implicit_global_asset_job_def().get_subset(**selection)
        with dg.DagsterInstance.ephemeral() as instance:
            run = instance.create_run_for_job(job, tags=tags)
            execute_run(InMemoryJob(job), run, instance, raise_on_error=False)
            logs = instance.all_logs(run.run_id)
            return [it.dagster_event for it in logs if it.dagster_event is not None]


def evaluated(events: list[dg.DagsterEvent]) -> dict[dg.AssetCheckKey, bool]:
    found = (it for it in events if it.event_type_value == "ASSET_CHECK_EVALUATION")
    data = [it.asset_check_evaluation_data for it in found]
    return {it.asset_check_key: it.passed for it in data}


def types(events: list[dg.DagsterEvent]) -> set[str]:
    return {it.event_type_value for it in events}


def failed(events: list[dg.DagsterEvent]) -> set[str]:
    return {str(it.step_key) for it in events if it.is_step_failure}


def built(events: list[dg.DagsterEvent]) -> set[str]:
    found = (it for it in events if it.event_type_value == "ASSET_MATERIALIZATION")
    return {str(it.asset_key.path[-1]) for it in found if it.asset_key}


@pytest.fixture
def duckdb_runner(tmp_path: Path) -> Runner:
    runner = Runner(make_project(tmp_path, FILES))
    runner.execute(RAW.format(series=SERIES["duckdb"]))
    assert built(runner.run(assets="abc")) == {"a", "b", "c"}
    return runner


RAW = "create schema raw; create table raw.orders as select i as n from {series}"
SERIES = {"duckdb": "range(3) as t(i)", "postgres": "generate_series(0, 2) as t(i)"}


@pytest.fixture(params=["duckdb", "postgres"])
def runner(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Runner:
    """A project that is built."""
    name = str(request.param)
    if name == "duckdb":
        project = make_project(tmp_path, FILES)
    else:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_dsn"))
        project = postgres_project(tmp_path, FILES)
    runner = Runner(project)
    runner.execute(RAW.format(series=SERIES[name]))
    assert built(runner.run(*OF_MODELS, assets="abc")) == {"a", "b", "c"}
    return runner


@contextmanager
def read_only(runner: Runner) -> Iterator[None]:
    """Nothing in the warehouse changes in the block: PostgreSQL refuses it, and DuckDB's file has
    the same bytes after it."""
    dsn = os.environ.get("DATABASE_URL")
    if not runner.project.database.exists():
        assert dsn
        with psycopg.connect(dsn, autocommit=True) as admin:
            name = admin.info.dbname
            setting = f'alter database "{name}" set default_transaction_read_only'
            admin.execute(f"{setting} = on".encode())
            try:
                yield
            finally:
                admin.execute(f'alter database "{name}" reset all'.encode())
        return
    leave_all()
    before = hashlib.sha256(runner.project.database.read_bytes()).hexdigest()
    yield
    leave_all()
    assert hashlib.sha256(runner.project.database.read_bytes()).hexdigest() == before
    assert not runner.project.database.with_name("test.duckdb.wal").exists()


def test_exactly_the_selected_checks_run_and_nothing_is_written(runner: Runner) -> None:
    every = list(chain.from_iterable(combinations(EVERY, n) for n in range(1, len(EVERY) + 1)))
    seed = int(os.environ.get("DAGSTER_MODELS_TEST_SEED", "0"))
    chosen = every if EXHAUSTIVE else [tuple(EVERY), *Random(seed).sample(every, 2)]
    executors = cycle([models_executor, dg.in_process_executor])
    remembered = (runner.project.root / "target" / "schemas.json").read_bytes()
    with read_only(runner):
        for subset, executor in zip(chosen, executors, strict=False):
            events = runner.run(*subset, executor=executor)
            assert evaluated(events) == dict.fromkeys(subset, True)
            assert "PIPELINE_SUCCESS" in types(events)
            assert types(events).isdisjoint(("ASSET_MATERIALIZATION", "ASSET_OBSERVATION"))
    assert (runner.project.root / "target" / "schemas.json").read_bytes() == remembered


@pytest.mark.parametrize("executor", [models_executor, dg.in_process_executor])
def test_a_failed_check_fails_the_run_and_holds_back_what_is_downstream(
    duckdb_runner: Runner, executor: dg.ExecutorDefinition
) -> None:
    runner = duckdb_runner
    runner.execute("insert into m.a values (null)")
    not_null, warns = OF_MODELS[0], dg.AssetCheckKey(dg.AssetKey(["m", "c"]), "few")
    events = runner.run(not_null, assets="b", executor=executor)
    assert evaluated(events) == {not_null: False}
    assert (built(events), failed(events)) == (set(), {"m__a"})
    assert "PIPELINE_FAILURE" in types(events)
    runner.execute("insert into m.c values (11)")  # the check only warns
    events = runner.run(warns, executor=executor)
    assert evaluated(events) == {warns: False}
    assert "PIPELINE_SUCCESS" in types(events)


def test_what_is_built_beside_checks_alone_reads_what_was_there(duckdb_runner: Runner) -> None:
    """It is recorded that it read the last build of `a`, of which this run runs only checks. And
    only_changed leaves no checks out."""
    runner = duckdb_runner
    events = runner.run(OF_MODELS[0], assets="b", tags={"dagster_models/only_changed": "true"})
    assert (built(events), evaluated(events)) == ({"b"}, {OF_MODELS[0]: True})
    commits = "from dagster_models.commits where step = "
    ((run_id,),) = runner.project.rows(f"select run_id {commits} 'm.a'")
    read = (
        f"select input_versions ->> '$.\"m.a\"' {commits} 'm.b' order by committed_at desc limit 1"
    )
    ((version,),) = runner.project.rows(read)
    assert run_id in version


def test_only_changed_leaves_no_check_out(duckdb_runner: Runner) -> None:
    tags = {"dagster_models/only_changed": "true"}
    duckdb_runner.run(assets="a", tags=tags)  # which records what it has read
    assert "STEP_SKIPPED" in types(duckdb_runner.run(assets="a", tags=tags))
    events = duckdb_runner.run(OF_MODELS[0], tags=tags)
    assert evaluated(events) == {OF_MODELS[0]: True}
    assert types(events).isdisjoint(("STEP_SKIPPED", "ASSET_OBSERVATION"))


def test_nothing_is_prepared_where_only_checks_run(tmp_path: Path) -> None:
    runner = Runner(make_project(tmp_path, FILES))
    runner.execute(RAW.format(series=SERIES["duckdb"]))
    for executor in (models_executor, dg.in_process_executor):
        assert evaluated(runner.run(*EVERY[:2], executor=executor)) == dict.fromkeys(
            EVERY[:2], True
        )
    schemas = "select distinct table_schema from information_schema.tables"
    assert runner.project.rows(schemas) == [("raw",)]


def test_a_run_without_checks_builds_and_checks_nothing(duckdb_runner: Runner) -> None:
    duckdb_runner.execute("insert into raw.orders values (null)")
    events = duckdb_runner.run(assets="ab")
    assert (built(events), evaluated(events)) == ({"a", "b"}, {})
    events = duckdb_runner.run(OF_MODELS[1], assets="a")
    assert (built(events), evaluated(events)) == ({"a"}, {OF_MODELS[1]: True})


def test_checks_alone_are_tried_again(tmp_path: Path) -> None:
    files = {
        "models/m/a.sql": "/* @model\nretries: 2\ncolumns: {n: {checks: [not_null]}}\n*/\n"
        "select 1 as n"
    }
    runner = Runner(make_project(tmp_path, files))
    runner.run(assets="a")
    runner.execute("insert into m.a values (null)")
    events = runner.run(OF_MODELS[0])
    kinds = [it.event_type_value for it in events]
    assert (kinds.count("STEP_UP_FOR_RETRY"), kinds.count("STEP_FAILURE")) == (2, 1)


@pytest.mark.parametrize("header", ["", "timeout: 0.5s\n"])
def test_checks_alone_are_canceled(tmp_path: Path, header: str) -> None:
    """Because another one has failed, or because their time is over."""
    fails = "checks: [not_null]" if not header else ""
    files = {
        "models/m/a.sql": f"/* @model\ncolumns: {{n: {{{fails}}}}}\n*/\nselect 1 as n",
        "models/m/b.sql": f"/* @model\n{header}*/\nselect 1 as n",
        "checks/endless.sql": f"/* @check\nmodel: m.b\n*/\n{ENDLESS}",
    }
    runner = Runner(make_project(tmp_path, files))
    runner.run(assets="ab")
    runner.execute("insert into m.a values (null)")
    endless = dg.AssetCheckKey(dg.AssetKey(["m", "b"]), "endless")
    checks = [OF_MODELS[0]] if fails else []
    events = runner.run(*checks, endless, tags={"dagster_models/fail_fast": "true"})
    assert evaluated(events) == dict.fromkeys(checks, False)
    assert failed(events) == ({"m__a", "m__b"} if fails else {"m__b"})
    (error,) = [
        it.step_failure_data.error for it in events if it.is_step_failure and it.step_key == "m__b"
    ]
    assert error is not None
    assert "checks change nothing" in error.to_string()


def test_a_partitioned_model_is_checked_without_a_partition(tmp_path: Path) -> None:
    files = {
        "models/m/a.sql": "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: d}\n"
        "columns: {n: {checks: [not_null]}}\n*/\nselect 1 as n, date '2024-01-01' as d",
    }
    settings = "partitions: {daily: {every: day, start: 2024-01-01, end: 2024-01-03}}\n"
    runner = Runner(make_project(tmp_path, files, settings))
    events = runner.run(assets="a", tags={"dagster/partition": "2024-01-01"})
    assert built(events) == {"a"}
    for executor in (models_executor, dg.in_process_executor):
        assert evaluated(runner.run(OF_MODELS[0], executor=executor)) == {OF_MODELS[0]: True}


MULTIPROCESS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project

def key(asset, check):
    return dg.AssetCheckKey(dg.AssetKey(asset), check)

some = dg.AssetSelection.checks(
    key(["raw", "orders"], "unique_n"),
    key(["m", "a"], "not_null_n"),
    key(["m", "b"], "relationships_n"),
    key(["m", "c"], "few"),
)
alone = dg.define_asset_job("alone", selection=some, executor_def=dg.multiprocess_executor)
defs = dg.Definitions.merge(load_project(Path(__file__).parent), dg.Definitions(jobs=[alone]))
"""


@pytest.mark.slow
@pytest.mark.nightly
def test_checks_alone_under_the_multiprocess_executor_of_dagster(tmp_path: Path) -> None:
    """Exactly those that are selected, each step in a process of Dagster's own."""
    project = make_project(tmp_path, FILES | {"definitions.py": MULTIPROCESS})
    with project.warehouse() as session:
        session.execute(RAW.format(series=SERIES["duckdb"]))
        session.execute("create schema m; create table m.a as select null::int as n")
        session.execute("create table m.b as select 1 as n; create table m.c as select 1 as n")
    done = project.python(EXECUTE_ALONE)
    assert done.returncode == 0, done.stderr
    found = {tuple(path): passed for path, passed in json.loads(done.stdout.splitlines()[-1])}
    assert found == {
        ("raw", "orders", "unique_n"): True,
        ("m", "a", "not_null_n"): False,
        ("m", "b", "relationships_n"): False,
        ("m", "c", "few"): True,
    }
    events = project.events()
    assert project.status() == "FAILURE"
    assert {step for step, type_, _ in events if type_ == "STEP_FAILURE"} == {"m__a", "m__b"}
    assert {type_ for _, type_, _ in events}.isdisjoint({"ASSET_MATERIALIZATION"})
    schemas = "select distinct table_schema from information_schema.tables order by 1"
    assert project.rows(schemas) == [("m",), ("raw",)]


EXECUTE_ALONE = """
import json
from dagster import DagsterInstance, execute_job
from dagster._core.definitions.reconstruct import ReconstructableRepository

def main():
    with DagsterInstance.get() as instance:
        repository = ReconstructableRepository.for_file("definitions.py", "defs")
        done = execute_job(repository.get_reconstructable_job("alone"), instance)
        found = [
            [[*it.asset_key.path, it.check_name], it.passed]
            for it in done.get_asset_check_evaluations()
        ]
        print(json.dumps(found))

if __name__ == "__main__":  # the processes of the steps import this file
    main()
"""


READS = re.compile(r"SELECT|DESCRIBE|BEGIN [A-Z ]*READ ONLY\Z|ROLLBACK|SAVEPOINT|select", re.ASCII)


def test_only_what_reads_is_sent(system: System) -> None:
    """By the log of the statements; and a query that writes, through a function, is refused."""
    checks = (
        CheckTask("good", f"select * from {OWN_RELATION} where n is null"),
        CheckTask("writes", f"select nextval('s.numbers') from {OWN_RELATION}"),
        CheckTask("also_good", f"select * from {OWN_RELATION} where n > 5"),
    )
    sent: list[str] = []
    with closing(system.open()) as warehouse, session_of(warehouse) as session:
        session.execute("create schema s; create sequence s.numbers")
        session.execute("create table s.t as select 1 as n")
        with logged(session, sent):
            outcome = run_checks(session, ChecksTask("r", "s.t", 1, T, checks), Stop())
        assert session.execute("select nextval('s.numbers')") == [(1,)]
    assert [check.passed for check in outcome.checks] == [True, False, True]
    (error,) = [check.error for check in outcome.checks if check.error]
    assert "read" in error.message
    for part in ("where n is null", "nextval('s.numbers')", "where n > 5"):  # the log has them all
        assert any(part in sql for sql in sent)
    assert [sql for sql in sent if not READS.match(sql)] == []


@contextmanager
def logged(session: Any, sent: list[str]) -> Iterator[None]:
    """Every statement that the session gives to its driver goes to *sent*, too."""
    if hasattr(session, "_connection"):

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, *rest: Any, **more: Any) -> Any:
                sent.append(query.decode() if isinstance(query, bytes) else str(query))
                return super().execute(query, *rest, **more)

        session._connection.cursor_factory = Cursor
        yield
        return
    own = session._cursor

    class Logging:
        def __getattr__(self, name: str) -> Any:
            return getattr(own, name)

        def execute(self, sql: Any, *rest: Any) -> Any:
            sent.append(str(sql))
            return own.execute(sql, *rest)

    session._cursor = Logging()
    yield
    session._cursor = own
