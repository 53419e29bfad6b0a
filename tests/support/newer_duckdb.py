"""A DuckDB file of a version that there is not yet."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import duckdb
import pytest


def write_newer_file(file: Path) -> None:
    """The version of its format is that of no DuckDB, and the checksum fits it."""
    duckdb.connect(str(file)).close()
    data = bytearray(file.read_bytes())
    data[12:20] = struct.pack("<Q", 9999)
    file.write_bytes(data)
    with pytest.raises(duckdb.Error, match="computed checksum") as refused:
        duckdb.connect(str(file))
    (checksum,) = re.findall(r"computed checksum (\d+)", str(refused.value))
    data[:8] = struct.pack("<Q", int(checksum))
    file.write_bytes(data)
