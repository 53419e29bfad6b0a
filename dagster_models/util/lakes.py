"""Where a DuckLake is: its catalog, and the folder of its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster_models.util import dsn
from dagster_models.util.environment import filled_settings


def identity(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """All that decides which catalog is reached, and as whom, in the words of PostgreSQL."""
    if settings.get("postgres"):
        found = dsn.identity({"dsn": settings["postgres"]}, environ)
    else:
        path = filled_settings({"sqlite": settings.get("sqlite", "")}, environ)["sqlite"]
        found = {"dbname": os.path.realpath(path)}
    return {**found, **filled_settings({"data": settings.get("data", "")}, environ)}
