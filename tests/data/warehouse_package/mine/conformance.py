"""What the conformance suite asks of the package: a System with an empty database."""

from dataclasses import replace
from pathlib import Path

from systems import System, duckdb_system


def system(folder: Path) -> System:
    return replace(duckdb_system(str(folder / "w.duckdb")), name="mine")
