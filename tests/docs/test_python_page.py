"""docs/python.md is true: each block of it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_models.cli.main import main
from dagster_models.core.model import Key
from dagster_models.core.on_ray import RayCluster, RayNeeds
from dagster_models.processes.client.session import connect
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system
from wheels import make_wheel
from worker_driver import Driver

PAGE = Page.of("python.md")

BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_script_with_packages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a package of its name that is made here, as the real one would be downloaded."""
    _, script, *_ = BLOCKS
    wheel = make_wheel(tmp_path, "humanize", "def intcomma(n): return f'{n:,}'\n")
    settings = f"name: p\ntargets: {{dev: {{type: duckdb, path: {tmp_path / 'w.duckdb'}}}}}\n"
    files = {
        "dagster_models.yaml": settings,
        "models/marts/daily.sql": "select 336776 as flights",
        "scripts/report.py": script.replace("humanize>=4", wheel),
    }
    root = write_project(tmp_path / "p", files)
    with connect(duckdb_system(str(tmp_path / "w.duckdb")).address) as session:
        session.prepare(["marts"])
        session.execute("create view marts.daily as select 336776 as flights")
    assert main(["--project", str(root), "script", "scripts/report.py"]) == 0
    assert "336,776 flights" in capfd.readouterr().out


@pytest.mark.slow
def test_the_model_that_yields(tmp_path: Path) -> None:
    source = BLOCKS[0]
    path = tmp_path / "events.parquet"
    kinds = ["a", None, "b"] * 400_000
    pq.write_table(pa.table({"kind": kinds, "n": range(len(kinds))}), path)
    system = duckdb_system(str(tmp_path / "w.duckdb"))
    with connect(system.address) as session:
        session.prepare(["main"])
        driver = Driver(tmp_path, system.address)
        try:
            outcome = driver.run("python", source.replace('"events.parquet"', repr(str(path))))
        finally:
            driver.close()
        assert (outcome.error, outcome.rows) == (None, 800_000)
        counted = "select kind, count(*), sum(n) from main.built group by kind order by kind"
        each = 400_000
        assert session.query(counted) == [
            ("a", each, 3 * sum(range(each))),
            ("b", each, 3 * sum(range(each)) + 2 * each),
        ]


def test_sql_that_python_writes(tmp_path: Path) -> None:
    module, model = (it for it in BLOCKS if "money" in it)
    files = {
        "macros/money.py": module,
        "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
        "models/marts/amounts.py": model,
    }
    root = write_project(tmp_path, files)
    project = load(root)
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    assert step.sql.startswith("select id,\n    round(total / 100.0, 2) as total,\n    round(tax")
    assert [column.name for column in step.trace.columns] == ["id", "total", "tax"]
    write_project(root, {"macros/money.py": module.replace("round(", "rnd(")})
    assert load(root).steps[step.key].code_version != step.code_version


def test_a_model_and_a_project_on_ray(tmp_path: Path) -> None:
    """Both blocks load without a warning, and mean what the text says."""
    model, settings = BLOCKS[-2:]
    files = {"dagster_models.yaml": settings, "models/marts/totals.py": model}
    files["models/marts/orders.sql"] = "select 1 as customer, 2 as amount"
    files["scripts/report.py"] = "print(1)\n"
    environ = {"DATABASE_URL": "postgresql://h/d"}
    project = load(write_project(tmp_path, files), environ=environ)
    assert project.warnings == ()
    totals, report = project.steps[Key("marts", "totals")], project.steps[Key("scripts", "report")]
    assert totals.config.runner == RayNeeds(cpus=2.0, memory=8_000_000_000)
    assert report.config.runner == RayNeeds()
    assert project.ray == RayCluster("${RAY_ADDRESS}", "/srv/shop")
