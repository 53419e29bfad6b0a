"""docs/models.md is true: each block of it is loaded, and built or compared with what is sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Outcome
from dagster_models.core.model import Project
from dagster_models.core.tasks import BuildTask
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.definitions.run_settings import run_settings
from dagster_models.processes.client.session import connect
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, session_of
from tasks import sql_task

PAGE = Page.of("models.md")
SOURCES = "sources: [{name: raw, tables: [order_lines, orders, events, payments]}]"


def test_every_block_is_used_below() -> None:
    section = PAGE[: PAGE.index("\n## Snapshots\n")]  # for the rest see test_snapshots_page.py
    assert section.count("\n```") == 2 * (8 + 4)


Build = Callable[[], Outcome]


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., tuple[Project, Build, Any]]:
    """Loads the project of one model, and returns what builds it, and asks the database."""
    attempts = count(1)

    def make(path: str, text: str, raw: str) -> tuple[Project, Build, Any]:
        with duckdb.connect(str(tmp_path / "w.duckdb")) as database:
            database.execute(f"create schema raw; {raw}")
        settings = f"name: p\ntargets: {{dev: {{type: duckdb, path: {tmp_path / 'w.duckdb'}}}}}\n"
        files = {"dagster_models.yaml": settings, "models/sources.yaml": SOURCES, path: text}
        project = load(write_project(tmp_path, files), environ={})
        assert project.warnings == ()
        ((_, step),) = project.steps.items()
        target = TargetStep(project, step, usable_target(project))

        def build() -> Outcome:
            with connect(target.address) as session:
                task = task_for(target, "r", next(attempts))
                assert isinstance(task, BuildTask)
                session.prepare([task.relation.schema])
                outcome = session.run(task)
            assert outcome.error is None, outcome.error
            return outcome

        def ask(sql: str) -> Any:
            with connect(target.address) as session:
                return session.query(sql)

        return project, build, ask

    return make


def changed(outcome: Outcome) -> tuple[Any, ...]:
    changes = outcome.changes
    assert changes is not None
    return changes.kind, changes.inserted, changes.updated, changes.since


def test_only_what_is_new(built: Any) -> None:
    text, _ = PAGE.section("Only what is new").blocks("sql")
    raw = (
        "create table raw.order_lines as select 1 as order_id, 1 as line, 'open' as status,"
        " timestamp '2026-01-10' as updated_at"
    )
    _, build, ask = built("models/marts/order_lines.sql", text, raw)
    assert changed(build()) == ("whole", 1, 0, "timestamp '2020-01-01'")
    ask("insert into raw.order_lines values (1, 2, 'late', timestamp '2026-01-08')")
    assert changed(build()) == ("delta", 1, 0, "TIMESTAMP '2026-01-07 00:00:00'")


def test_a_region(built: Any) -> None:
    _, text = PAGE.section("Only what is new").blocks("sql")
    raw = "create table raw.events as select i as event_id, 5 as at_day from range(2) t(i)"
    _, build, ask = built("models/marts/events.sql", text, raw)
    assert changed(build()) == ("whole", 2, 0, None)
    ask("insert into raw.events values (2, 5), (3, 6)")
    assert changed(build()) == ("delta", 1, 0, None)


def test_what_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten, updated, deleted = PAGE.section("Strategies").blocks("sql")
    warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
    with session_of(warehouse) as session:
        session.prepare(["marts"])
        sent: list[str] = []
        monkeypatch.setattr(session, "change", recording(session.change, sent))  # type: ignore[attr-defined]
        for attempt, strategy in enumerate(("merge", "merge", "merge", "delete+insert")):
            if attempt == 2:
                session.execute("create index by_status on marts.orders (status)")
            task = replace(
                sql_task("marts.orders", f"select 1 as order_id, '{attempt}' as status"),
                attempt=attempt,
                materialization=Incremental(strategy, ("order_id",)),
            )
            assert run(session, task, Stop()).error is None
    warehouse.close()
    # What a build drops again is not on the page.
    told = [f"{' '.join(sql.split())};" for sql in sent if not sql.startswith("DROP ")]
    assert " ".join(rewritten.split()) == " ".join(told[:3])
    assert " ".join(updated.split()) == " ".join(told[3:6])
    assert " ".join(deleted.split()) == told[6]


def test_replacing_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, statements, reading = PAGE.section("Replacing partitions").blocks("sql")
    python = PAGE.section("Replacing partitions").block("python")
    database = tmp_path / "w.duckdb"
    files = {
        "dagster_models.yaml": f"name: p\ntargets: {{dev: {{type: duckdb, path: {database}}}}}\n"
        "partitions: {daily: {every: day, start: 2024-01-01}}\n",
        "models/sources.yaml": "sources: [{name: raw, tables: [flights, flights_by_day]}]",
        "models/marts/by_day.sql": model,
        "models/marts/weeks.sql": reading,
        "models/marts/in_python.py": python,
    }
    project = load(write_project(tmp_path, files), environ={})
    assert project.warnings == ()
    steps = {key.name: step for key, step in project.steps.items()}
    start = dt.datetime(2024, 1, 31, tzinfo=dt.timezone.utc)
    day = dt.timedelta(days=1)
    window, read = TimeWindow(start, start + day), TimeWindow(start - 6 * day, start + day)
    partitions = (Partition("2024-01-31", window, read),)

    def task(name: str, attempt: int = 1) -> Any:
        target = TargetStep(project, steps[name], usable_target(project), partitions=partitions)
        return task_for(target, "r", attempt)

    assert steps["weeks"].config.batch == 7
    assert task("in_python").materialization.strategy == "replace"
    with session_of(duckdb_system(str(database)).open()) as session:
        session.prepare(["marts"])
        session.execute(
            "create schema raw; create table raw.flights as select date '2024-01-31' as day, 'x' as"
            " carrier; create table raw.flights_by_day as select date '2024-02-01' - i::int as day,"
            " 'x' as carrier, 1 as flights from range(20) t(i)"
        )
        assert run(session, task("by_day"), Stop()).error is None
        assert run(session, task("weeks"), Stop()).error is None
        assert session.query("select week from marts.weeks")[1] == [(7,)]
        sent: list[str] = []
        for name in ("change", "_create"):
            monkeypatch.setattr(session, name, recording(getattr(session, name), sent))
        assert run(session, task("by_day", 2), Stop()).error is None
    staged = [" ".join(sql.split()) for sql in sent if not sql.startswith("DROP ")]
    header = model[: model.index("*/") + 2]
    wanted = " ".join(statements.split()).replace("( select", f"({' '.join(header.split())} select")
    assert "; ".join(staged) == wanted.rstrip(";")


def recording(method: Callable[..., Any], sent: list[str]) -> Callable[..., Any]:
    def call(sql: str, *more: Any) -> Any:
        sent.append(sql)
        return method(sql, *more)

    return call


def test_the_run_config() -> None:
    text = PAGE.section("Building in full").block("yaml")
    config = yaml.safe_load(text)["execution"]["config"]
    assert set(config) <= set(run_settings(None))
    assert config == {"full_refresh": ["marts.orders"]}


def test_python(tmp_path: Path) -> None:
    text = PAGE.section("Python").block("python")
    files = {"models/sources.yaml": SOURCES, "models/marts/orders.py": text}
    project = load(write_project(tmp_path, files), environ={})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    assert [str(key) for key in step.upstream] == ["raw.orders"]
    assert step.config.materialized == "incremental"  # it is run in test_incremental (execution)


def test_a_table_that_reads_itself(built: Any) -> None:
    text = PAGE.section("A table that reads itself").block("sql")
    raw = "create table raw.payments as select date '2026-01-01' as day, 10 as amount"
    _, build, ask = built("models/marts/balances.sql", text, raw)
    assert changed(build()) == ("whole", 1, 0, None)
    ask("insert into raw.payments values (date '2026-01-02', 5)")
    assert changed(build()) == ("delta", 1, 0, None)
    assert [float(n) for (n,) in ask("select balance from marts.balances order by day")] == [10, 15]
