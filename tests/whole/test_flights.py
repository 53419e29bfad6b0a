"""The example on two warehouses: the tables are equal, row by row."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from commands import DAGSTER, output_of
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target
from paths import REPOSITORY
from project_cases import load
from systems import NO_DUCKLAKE, ducklake_is_installed

pytestmark = pytest.mark.slow

#: What runs on a target that lacks something: the job, and how many of its steps pass.
JOBS = {"spark": ("flights_on_spark", 30)}

#: Sail's percentile_cont has six digits: 76.599962 between 72 and 77.
ROOM = {("marts.carrier_delays", "spark"): 1e-6}

#: A function, the time of each run, and what another job builds.
UNLIKE_TABLES = ("function", "snapshot", "incremental")

JANUARY = {
    "dagster/asset_partition_range_start": "2013-01-01",
    "dagster/asset_partition_range_end": "2013-01-31",
}
#: Days of January that differ from the flights themselves; then rows and flights in all.
DAYS_UNLIKE_THE_FLIGHTS = """
select count(*) filter (where f.flights is distinct from d.flights), count(*), sum(d.flights)
from marts.airport_days as d
full join (
    select flight_date, origin, count(*) as flights from intermediate.int_flights
    where flight_date < date '2013-02-01' group by flight_date, origin
) as f on f.flight_date = d.flight_date and f.origin = d.origin
"""


def run(folder: Path, target: str, *more: str, job: str = "flights") -> str:
    """On the target by the environment, unless the run config says something else."""
    command = [DAGSTER, "job", "execute", "-m", "project.definitions", "-j", job, *more]
    home = str(folder / "home")
    env = {**os.environ, "DAGSTER_MODELS_TARGET": target, "DAGSTER_HOME": home}
    return output_of(command, folder, env)


def table_of(session: Session, relation: str) -> pa.Table:
    """Columns by name, rows sorted, and numbers of one type: sums and means are exact numbers in
    PostgreSQL and doubles in DuckDB, and the two may differ in the width of an integer."""
    table = session.export(f"select * from {relation}")
    columns = {}
    for name in sorted(table.column_names):
        column = table.column(name)
        if pa.types.is_decimal(column.type) or pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    made = pa.table(columns)
    inexact = [f.name for f in made.schema if pa.types.is_floating(f.type)]
    exact = [name for name in made.column_names if name not in inexact]
    return made.sort_by([(name, "ascending") for name in [*exact, *inexact]])


def unlike(one: pa.ChunkedArray, other: pa.ChunkedArray, room_of: float) -> int:
    """In how many rows two columns differ: doubles in more than their last digits."""
    assert one.type == other.type
    assert one.is_null().equals(other.is_null())
    same = pc.equal(one, other)
    if pa.types.is_floating(one.type):
        room = pc.add(pc.multiply(pc.abs(one), room_of), 1e-8)
        close = pc.less_equal(pc.abs(pc.subtract(one, other)), room)
        both_nan = pc.and_(pc.is_nan(one), pc.is_nan(other))
        same = pc.or_(same, pc.or_(close, both_nan))
    return len(one) - pc.sum(pc.fill_null(same, True)).as_py()


@pytest.mark.nightly_for("pg")
@pytest.mark.parametrize(
    "target",
    [
        "pg",
        pytest.param(
            "ducklake",
            marks=[
                pytest.mark.nightly,
                pytest.mark.skipif(not ducklake_is_installed(), reason=NO_DUCKLAKE),
            ],
        ),
        pytest.param("spark", marks=pytest.mark.nightly),
    ],
)
def test_the_example_on_two_warehouses(
    tmp_path: Path,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    target: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    ignored = shutil.ignore_patterns("target", "__pycache__")
    shutil.copytree(REPOSITORY / "project", tmp_path / "project", ignore=ignored)
    job, passed = JOBS.get(target, ("flights", 33))
    if target == "spark":
        settings = tmp_path / "project" / "dagster_models.yaml"
        port = request.getfixturevalue("sail").port
        settings.write_text(settings.read_text().replace("port: 15002", f"port: {port}"))
    (tmp_path / "home").mkdir()
    shutil.copy(REPOSITORY / "dagster_models" / "cli" / "dagster.yaml", tmp_path / "home")
    (tmp_path / "dev.yaml").write_text("execution: {config: {target: dev}}\n")
    by_environment, by_run_config = (
        run(tmp_path, target, job=job),
        run(tmp_path, target, "--config", "dev.yaml", job=job),
    )
    assert f"slots (target='{target}')" in by_environment
    assert "slots (target='dev')" in by_run_config
    ends = {text.rstrip().splitlines()[-1][10:] for text in (by_environment, by_run_config)}
    total = passed + 2
    assert ends == {f"Done. PASS={passed} WARN=2 ERROR=0 SKIP=0 CANCEL=0 TOTAL={total}"}
    project = load(tmp_path / "project")
    dev, other = (usable_target(project, name) for name in ("dev", target))
    compared = 0
    addresses = warehouse_address(project, dev), warehouse_address(project, other)
    with connect(addresses[0]) as one, connect(addresses[1]) as two:
        for key, step in project.steps.items():
            if step.relation is None or step.config.materialized in UNLIKE_TABLES:
                continue
            if target == "spark" and str(key) == "marts.routes":
                continue
            expected = table_of(one, str(relation_for(project, key, dev)))
            found = table_of(two, str(relation_for(project, key, other)))
            assert found.column_names == expected.column_names
            assert found.num_rows == expected.num_rows > 0, key
            room = ROOM.get((str(key), target), 1e-9)
            wrong = {
                name: unlike(expected.column(name), found.column(name), room)
                for name in found.column_names
            }
            assert not any(wrong.values()), f"{key}: {wrong}"
            compared += 1
        assert compared == 32 - (target == "spark")
        for options in ((), ("--config", "dev.yaml")):
            run(tmp_path, target, "--tags", json.dumps(JANUARY), *options, job="days")
        for session in (one, two):
            assert session.query(DAYS_UNLIKE_THE_FLIGHTS) == [(0, 93, 27_004)]
