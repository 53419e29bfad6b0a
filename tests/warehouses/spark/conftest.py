"""What tests of Spark share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dagster_models.warehouses.spark import session as spark
from systems import SPARKS, server_of, spark_settings


@pytest.fixture(params=SPARKS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, way: str, location: str) -> dict[str, Any]:
    return spark_settings(server_of(request, way).settings, location, way)


@pytest.fixture
def warehouse(settings: dict[str, Any]) -> Iterator[spark.Spark]:
    warehouse = spark.connect(settings)
    yield warehouse
    warehouse.close()
