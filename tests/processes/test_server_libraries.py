"""What a warehouse process has loaded, and how its libraries are set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from addresses import duckdb_at
from dagster_models.core.target_types import target_type
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


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_duckdbs_allocator_is_set_unless_the_client_has_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = target_type("duckdb").process_environment.items()
    name, own = item[0], "dirty_decay_ms:2000"
    monkeypatch.delenv(name, raising=False)
    for value, expected in ((None, item[1]), (own, own)):
        if value is not None:
            monkeypatch.setenv(name, value)
        with connect(duckdb_at(tmp_path / f"{value}.duckdb")) as session:
            environ = Path(f"/proc/{session.server_pid}/environ").read_bytes().split(b"\0")
        assert f"{name}={expected}".encode() in environ


@pytest.mark.skipif(sys.platform != "linux", reason="DuckDB has jemalloc on Linux only")
def test_duckdbs_allocator_takes_these_settings() -> None:
    """They are DuckDB's to rename or drop. Wrong ones are ignored, and memory grows."""
    ((name, value),) = target_type("duckdb").process_environment.items()
    program = "import duckdb; duckdb.sql('select 1').fetchall()"
    environ = {**os.environ, name: f"{value},stats_print:true"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environ
    )
    assert "<jemalloc>" not in done.stderr  # it would complain of a word that it does not know
    for setting in ("dirty_decay_ms: 100", "muzzy_decay_ms: 0", "tcache_max: 16384"):
        assert f"opt.{setting}" in done.stderr + done.stdout
