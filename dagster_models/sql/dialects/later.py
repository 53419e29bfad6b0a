"""What a dialect takes from a module that imports sqlglot, which is imported once it is needed.

sqlglot takes a process 33 MiB and 0.25 s. A load whose texts are all in the cache does not parse,
and neither do the steps of its run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def value(module: str, name: str) -> Callable[[], Any]:
    """A function that returns *name* of a *module* of the room sql."""

    @cache
    def returned() -> Any:
        return getattr(import_module(f"dagster_models.sql.{module}"), name)

    return returned


def function(module: str, name: str) -> Callable[..., Any]:
    """The function *name* of a *module* of the room sql."""
    found = value(module, name)
    return lambda *args: found()(*args)
