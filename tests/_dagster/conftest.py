"""A pooled event log storage for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_models._dagster.storage import PooledSqliteEventLogStorage


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[PooledSqliteEventLogStorage]:
    storage = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    yield storage
    storage.dispose()
