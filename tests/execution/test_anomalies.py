"""Checks that look back: bounds from earlier builds, which are read in Dagster's event log."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from random import Random

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from addresses import duckdb_at
from dagster_models import load_project
from dagster_models.core.anomalies import by_deviations, by_percent
from dagster_models.processes.client.session import connect
from running import Project, make_project

# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_bounds_beside_the_definition(seed: int) -> None:
    random = Random(seed)
    values = [random.choice([random.gauss(1000, 50), random.randrange(3)]) for _ in range(30)]
    last, reach = random.choice([2, 5, 20, 30, 40]), random.choice([0.5, 1, 3])
    known = values[-last:]
    mean = sum(known) / len(known)
    deviation = (sum((it - mean) ** 2 for it in known) / (len(known) - 1)) ** 0.5
    found = by_deviations(values, last, reach)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(
        (mean - reach * deviation, mean + reach * deviation), abs=1e-5
    )
    found = by_percent(values, last, 20)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((mean * 0.8, mean * 1.2), abs=1e-5)
    assert found.why.startswith(f"20% of the mean of the last {len(known)}: ")


def test_too_few_values_say_nothing() -> None:
    assert by_percent([], 20, 20) is None
    assert by_percent([7], 20, 20) is not None
    assert [by_deviations([1, 2, 3, 4, 5][:n], 20, 3) is None for n in range(6)] == [
        *(True, True, True, True, True, False)
    ]
    assert by_deviations([1, 2], 2, 3) is not None
    same = by_deviations([0.1] * 20, 20, 3)
    assert same is not None
    assert same.low <= statistics.fmean([0.1] * 20) <= same.high


# --- runs -----------------------------------------------------------------------------------------

MODEL = """/* @model
materialized: table
columns:
  v: {checks: [{anomaly: {of: null_share, last: 3, deviations: 2}}]}
  at_time: {checks: [{anomaly: {of: freshness, within: 50%}}]}
checks:
  - row_count: {within: 30%, last: 4}
  - anomaly: {of: row_count, last: 20, deviations: 3, severity: warn}
*/
select * from raw.numbers
"""
SOURCES = "sources: [{name: raw, tables: [numbers]}]"
ROWS, SHARE, AGE = "row_count", "anomaly_v", "anomaly_at_time"


class Runs:
    """Runs of one project in this process, whose events one instance keeps."""

    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self.project, self.instance = project, instance
        self.job = load_project(project.root).resolve_job_def("test")

    def fill(self, rows: int, nulls: int, database: Path) -> None:
        with connect(duckdb_at(database)) as session:
            session.execute(
                "create schema if not exists raw; create or replace table raw.numbers as select"
                f" case when i >= {nulls} then i end as v, now() - interval '1 hour' as at_time"
                f" from range({rows}) t(i)"
            )

    def run(self, rows: int, nulls: int = 0, target: str = "test") -> dict[str, tuple[bool, str]]:
        """Check -> whether it has passed, and what it has found."""
        self.fill(rows, nulls, self.project.database.with_name(f"{target}.duckdb"))
        tags = {} if target == "test" else {"dagster_models/target": target}
        run = self.instance.create_run_for_job(self.job, tags=tags)
        result = execute_run(InMemoryJob(self.job), run, self.instance, raise_on_error=False)
        found = {}
        for entry in self.instance.all_logs(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ):
            assert entry.dagster_event is not None
            it = entry.dagster_event.asset_check_evaluation_data
            found[it.check_name] = (it.passed, str(it.metadata["found"].value))
        blocked = not all(passed for name, (passed, _) in found.items() if name != "anomaly")
        assert result.success is not blocked
        return found

    def table_rows(self) -> int:
        return int(self.project.rows("select count(*) from main.m")[0][0])


OTHER = "target: dev\ntargets: {other: {type: duckdb, path: target/other.duckdb, threads: 1}, "


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    project = make_project(tmp_path, {"models/sources.yaml": SOURCES, "models/m.sql": MODEL})
    path = project.root / "dagster_models.yaml"
    path.write_text(path.read_text().replace("targets: {", OTHER))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(project, instance)


def test_a_build_is_compared_with_those_that_were_published(runs: Runs) -> None:
    first = runs.run(100, 10)
    assert [passed for passed, _ in first.values()] == [True] * 4
    nothing = "and nothing to compare with: no earlier build has reported a value"
    assert first[ROWS][1] == f"100 rows, {nothing}"
    assert first[SHARE][1] == f"0.1 of the rows are NULL, {nothing}"
    age, _, said = first[AGE][1].partition(" ")
    assert (3600 <= int(age) < 3700, said) == (True, f"s since the newest row, {nothing}")
    said = "110 rows, expected 70 to 130 (30% of the mean of the last 1: 100)"
    assert runs.run(110, 11)[ROWS] == (True, said)
    said = "200 rows, expected 73.5 to 136.5 (30% of the mean of the last 2: 100, 110)"
    assert runs.run(200, 20)[ROWS] == (False, said)
    assert runs.table_rows() == 110
    # What was not published is no history, whichever check has kept it from being published.
    assert runs.run(120, 12)[ROWS][1].endswith("the last 2: 100, 110)")
    found = runs.run(110, 55)
    said = "0.5 of the rows are NULL, expected 0.1 to 0.1 (2 standard deviations around the mean of"
    assert found[SHARE] == (False, f"{said} the last 3: 0.1, 0.1, 0.1)")
    found = runs.run(110, 11)
    assert found[ROWS][1].endswith("the last 3: 100, 110, 120)")
    assert found[SHARE][1].endswith("the last 3: 0.1, 0.1, 0.1)")
    assert runs.run(120, 12)[ROWS][1].endswith("the last 4: 100, 110, 120, 110)")
    passed, said = runs.run(140, 14)["anomaly"]  # which only warns
    assert (passed, runs.table_rows()) == (False, 140)
    assert said.endswith(" around the mean of the last 5: 100, 110, 120, 110, 120)")


def test_another_target_has_a_history_of_its_own(runs: Runs) -> None:
    runs.run(100)
    assert "nothing to compare" in runs.run(1000, target="other")[ROWS][1]
    assert runs.run(110)[ROWS][1].endswith("the last 1: 100)")
    assert runs.run(1000, target="other")[ROWS][1].endswith("the last 1: 1000)")


def test_under_another_executor(runs: Runs) -> None:
    for rows, passed in ((100, True), (110, True), (200, False), (110, True)):
        runs.fill(rows, 0, runs.project.database)
        result = runs.job.execute_in_process(instance=runs.instance, raise_on_error=False)
        found = {it.check_name: it.passed for it in result.get_asset_check_evaluations()}
        assert (found[ROWS], result.success) == (passed, passed)


def test_a_history_that_cannot_be_read_is_a_warning(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run(100)

    def broken(*args: object, **more: object) -> None:
        raise OSError("no such disk")

    monkeypatch.setattr(runs.instance, "fetch_materializations", broken)
    passed, said = runs.run(1000)[ROWS]
    assert passed
    assert "nothing to compare with" in said
    (run,) = runs.instance.get_runs(limit=1)
    logged = [entry.user_message for entry in runs.instance.all_logs(run.run_id)]
    assert any("earlier values of " in it and "no such disk" in it for it in logged)
