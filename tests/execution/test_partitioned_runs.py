"""Runs of partitioned models: what is built and reported, what is refused before it starts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import load_project
from dagster_models.cli.main import main
from running import IN_PROCESS, Project, RunReport, make_project

pytestmark = pytest.mark.slow

SETTINGS = "partitions: {daily: {every: day, start: 2024-01-01, end: 2024-02-01}}\n"
FLIGHTS = """/* @model
materialized: incremental
partitions: {of: daily, by: day}
*/
select cast(day as date) as day, i
from range(timestamp '2024-01-01', timestamp '2024-02-01', interval 1 day) as d(day),
    range(3) as r(i)
"""
COUNTS = """/* @model
materialized: incremental
partitions: daily
*/
select day, count(*) as n from flights group by day
"""
IN_PYTHON = '''"""
@model
materialized: incremental
partitions: {of: daily, by: day}
upstream: {counts: {partitions: same}}
"""
def model(warehouse):
    return warehouse.sql("""
        select * from counts
        where day >= /*$partition_start*/ date '2024-01-01'
        and day < /*$partition_end*/ date '2024-02-01'
    """).df()
'''
FILES = {
    "models/flights.sql": FLIGHTS,
    "models/counts.sql": COUNTS,
    "models/in_python.py": IN_PYTHON,
    "models/total.sql": "select sum(n) as n from in_python",
}
PARTITIONED = ("flights", "counts", "in_python")


def run(project: Project, tags: Mapping[str, str], config: Any = None) -> RunReport:
    done = subprocess.run(
        [*project.command(config), "--tags", json.dumps(tags)],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return project.report(done.returncode, done.stdout, done.stderr)


def of_range(first: str, last: str) -> dict[str, str]:
    tag = "dagster/asset_partition_range"
    return {f"{tag}_start": first, f"{tag}_end": last}


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["main", name])


def materializations(project: Project, name: str) -> list[tuple[str | None, dict[str, Any]]]:
    """(partition, metadata) of each materialization of a model, the first one first."""
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        found = instance.fetch_materializations(key(name), limit=1000, ascending=True)
        return [
            (it.partition_key, {n: v.value for n, v in it.asset_materialization.metadata.items()})
            for it in found.records
            if it.asset_materialization is not None
        ]


def days(numbers: Any) -> list[str]:
    return [f"2024-01-{number:02}" for number in numbers]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES, SETTINGS)


def windows(project: Project, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `dagster-models windows` prints."""
    assert main(["--project", str(project.root), "windows", *options]) == 0
    return capsys.readouterr().out


def counts_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: name.removeprefix("dagster_models/") for name in metadata}
    counts = {short: metadata[name] for name, short in names.items() if "row" in short}
    counts.pop("dagster/row_count", None)  # that of the table
    return counts


def test_one_partition_and_a_range(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert windows(project, capsys, "counts", "--missing") == "2024-01-01...2024-01-31\n"
    assert not project.database.exists(), "looking makes no database"
    ran = run(project, {"dagster/partition": "2024-01-05"})
    assert ran.code == 0, ran.stdout + ran.stderr
    ran = run(project, of_range("2024-01-07", "2024-01-09"))
    assert ran.code == 0, ran.stdout + ran.stderr
    expected = days([5, 7, 8, 9])
    for name in PARTITIONED:
        rows = project.rows(
            f"select distinct strftime(day, '%Y-%m-%d') from main.{name} order by 1"
        )
        assert [day for (day,) in rows] == expected, name
        assert [partition for partition, _ in materializations(project, name)] == expected, name
    assert project.rows("from main.total") == [(12,)], "what has no partitions is built as ever"
    assert [partition for partition, _ in materializations(project, "total")] == [None, None]
    for _, metadata in materializations(project, "counts"):
        assert metadata["dagster_models/build"] in ("in full", "partitions")
    # Neighbours are one window in the ledger, and their rows are counted apart.
    counted = [counts_of(metadata) for _, metadata in materializations(project, "counts")]
    own = {"dagster/partition_row_count": 1, "rows_inserted": 1, "rows_deleted": 0}
    of_run = {"all_rows_inserted": 3, "all_rows_deleted": 0}
    assert counted == [own, *[{**of_run, **own}] * 3]

    assert windows(project, capsys, "counts") == (
        "main.counts on target dev: 4 built, 0 stale, 27 missing\n"
        "missing  2024-01-01...2024-01-04\n"
        "built    2024-01-05\n"
        "missing  2024-01-06\n"
        "built    2024-01-07...2024-01-09\n"
        "missing  2024-01-10...2024-01-31\n"
    )
    project.write({"models/counts.sql": COUNTS.replace("count(*)", "count(*) + 1")})
    assert run(project, {"dagster/partition": "2024-01-08"}).code == 0
    stale = "2024-01-05\n2024-01-07\n2024-01-09\n"
    assert windows(project, capsys, "main.counts", "--stale") == stale
    assert main(["--project", str(project.root), "windows", "total"]) == 1
    assert "there is no partitioned model named 'total'" in capsys.readouterr().err


def test_a_run_without_its_partition_starts_nothing(project: Project) -> None:
    ran = run(project, {})
    assert ran.code == 1
    assert (
        "main.flights and main.counts and main.in_python are partitioned by `daily`" in ran.stderr
    )
    (command,) = [
        line.partition("name one: ")[2] for line in ran.stderr.splitlines() if "name one: " in line
    ]
    assert command == 'dagster job execute -j test --tags \'{"dagster/partition": "2024-01-31"}\''
    assert not ran.of_type("STEP_START")
    assert not project.database.exists(), "nothing was sent to the warehouse"
    for name in PARTITIONED:
        assert materializations(project, name) == []


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"dagster/partition": "2024-02-01"}, "'2024-02-01' is no partition of `daily`"),
        ({"dagster/partition": "2024-01-05-00:00"}, "They go from 2024-01-01 to 2024-01-31"),
        (of_range("2024-01-09", "2024-01-07"), "'2024-01-07' comes before '2024-01-09'"),
    ],
)
def test_under_another_executor_too(tmp_path: Path, tags: dict[str, str], what: str) -> None:
    project = make_project(tmp_path, FILES | {"definitions.py": IN_PROCESS}, SETTINGS)
    assets: Any = load_project(project.root).assets
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            assets, instance=instance, tags=tags, selection=[key("total"), key("flights")],
            raise_on_error=False,
        )  # fmt: skip
        failed = done.failure_data_for_node("main__flights")
        assert failed is not None
        assert failed.error is not None
        assert what in failed.error.to_string()
        assert instance.get_materialized_partitions(key("flights")) == set()
        good = dg.materialize(
            assets, instance=instance, tags=of_range("2024-01-01", "2024-01-03"),
            selection=[key("flights")],
        )  # fmt: skip
        assert good.success
        assert instance.get_materialized_partitions(key("flights")) == set(days([1, 2, 3]))
    assert project.rows("select count(*) from main.flights") == [(9,)]


def test_a_direct_call_with_a_partition(project: Project) -> None:
    assets: Any = load_project(project.root).assets
    (flights,) = [asset for asset in assets if asset.key == key("flights")]
    *_, result = flights(dg.build_asset_context(partition_key="2024-01-03"))
    assert result.asset_key == key("flights")
    assert project.rows("select distinct day::text from main.flights") == [("2024-01-03",)]
    with pytest.raises(ValueError, match="partitioned by `daily`, and the run names no partition"):
        list(flights(dg.build_asset_context()))


def test_a_full_refresh_reports_the_partitions_of_the_run(project: Project) -> None:
    assert run(project, {"dagster/partition": "2024-01-05"}).code == 0
    ran = run(project, of_range("2024-01-01", "2024-01-02"), {"full_refresh": ["flights"]})
    assert ran.code == 0, ran.stdout + ran.stderr
    assert project.rows("select count(*) from main.flights") == [(93,)]
    found = [partition for partition, _ in materializations(project, "flights")]
    assert found == days([5, 1, 2])
    assert project.rows("select count(*) from main.counts") == [(3,)], "it was not asked for"


BROKEN = """/* @model
materialized: incremental
partitions: daily
batch: 2
*/
select day, case when day = date '2024-01-06' then error('no such day') else 1 end as n from flights
"""


def test_what_a_step_has_committed_before_it_failed_is_reported(project: Project) -> None:
    project.write({"models/counts.sql": BROKEN})
    (project.root / "models/in_python.py").unlink()
    (project.root / "models/total.sql").unlink()
    ran = run(project, of_range("2024-01-01", "2024-01-10"))
    assert ran.code == 1
    assert ran.states() == {"main.flights": "succeeded", "main.counts": "failed"}
    committed = days([1, 2, 3, 4])
    assert [partition for partition, _ in materializations(project, "counts")] == committed
    counted = [counts_of(metadata) for _, metadata in materializations(project, "counts")]
    own = {"dagster/partition_row_count": 3, "rows_inserted": 3, "rows_deleted": 0}
    assert counted == [own] * 4, "two neighbours at a time"
    rows = project.rows("select distinct day::text from main.counts order by 1")
    assert [day for (day,) in rows] == committed
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        definition = dg.DailyPartitionsDefinition("2024-01-01", "2024-02-01")
        status = instance.get_status_by_partition(key("counts"), days(range(1, 11)), definition)
    assert status is not None
    assert {
        name for name, it in status.items() if it is not None and it.value == "MATERIALIZED"
    } == {*committed}

    fixed = BROKEN.replace("error('no such day')", "1")
    project.write({"models/counts.sql": fixed})
    ran = project.run_again_from_failure()
    assert ran.code == 0, ran.stdout + ran.stderr
    found = [partition for partition, _ in materializations(project, "counts")]
    assert sorted(set(found), key=str) == days(range(1, 11))
    rows = project.rows("select distinct day::text from main.counts order by 1")
    assert [day for (day,) in rows] == days(range(1, 11))
