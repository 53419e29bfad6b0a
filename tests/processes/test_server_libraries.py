"""What a warehouse process has loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from addresses import duckdb_at
from dagster_models.processes.client.session import connect
from dagster_models.processes.client.tables import to_arrow


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_rows_reach_duckdb_without_pandas(tmp_path: Path) -> None:
    """DuckDB and pyarrow import it wherever it is installed: 0.3 s and 35 MiB in every run that has
    a Python model."""
    import pandas  # noqa: F401  (it is installed here)

    with connect(duckdb_at(tmp_path / "w.duckdb")) as session:
        session.load(to_arrow([{"n": 1, "t": "a"}], "the rows"), "main.t")
        assert session.export("select n, t from main.t").to_pylist() == [{"n": 1, "t": "a"}]
        mapped = Path(f"/proc/{session.server_pid}/maps").read_text()
    assert "libarrow" in mapped
    assert "pandas" not in mapped
