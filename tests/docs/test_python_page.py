"""docs/python.md is true: each block of it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_models.processes.client.session import connect
from paths import REPOSITORY
from systems import duckdb_system
from worker_driver import Driver

PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_model_that_yields(tmp_path: Path) -> None:
    (source,) = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
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
