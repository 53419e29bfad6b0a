"""A folder of plain SQL models and Python scripts as Dagster assets.

The names below are loaded at first use (PEP 562), so that ``import dagster_models``, which a worker
process and every script does, loads neither Dagster nor a driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_models import warehouse
    from dagster_models.core.finding import Finding
    from dagster_models.definitions.build import load_project
    from dagster_models.definitions.component import ModelsComponent
    from dagster_models.definitions.executor import models_executor
    from dagster_models.definitions.resource import WarehouseResource
    from dagster_models.definitions.translator import ModelsTranslator
    from dagster_models.errors import (
        Canceled,
        DagsterModelsError,
        Problem,
        ProjectError,
        SqlSyntaxError,
        WarehouseError,
        WarehouseLost,
    )

_HOMES = {
    "Canceled": "errors",
    "DagsterModelsError": "errors",
    "Finding": "core.finding",
    "ModelsComponent": "definitions.component",
    "ModelsTranslator": "definitions.translator",
    "Problem": "errors",
    "ProjectError": "errors",
    "SqlSyntaxError": "errors",
    "WarehouseError": "errors",
    "WarehouseLost": "errors",
    "WarehouseResource": "definitions.resource",
    "load_project": "definitions.build",
    "models_executor": "definitions.executor",
}

__all__ = [
    "Canceled",
    "DagsterModelsError",
    "Finding",
    "ModelsComponent",
    "ModelsTranslator",
    "Problem",
    "ProjectError",
    "SqlSyntaxError",
    "WarehouseError",
    "WarehouseLost",
    "WarehouseResource",
    "load_project",
    "models_executor",
    "warehouse",
]


def __getattr__(name: str) -> Any:
    if name == "warehouse":  # a module: its functions work on the warehouse of the running step
        return import_module("dagster_models.warehouse")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dagster_models.util.gc_tuning import rare_collections

    with rare_collections():  # what it imports stays
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
