"""How a relation is kept: one value for each kind, which ``warehouses/materializations`` builds.

A new kind gets a class here and a row in KINDS, and a module in warehouses/materializations that
bears the name of its class, in lower case, and has a function ``build``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from dagster_models.core.model import Config


@dataclass(frozen=True, slots=True)
class Replace:
    """A table, which each build replaces as a whole."""

    of_python: ClassVar[bool] = True  #: whether a Python model may be kept in this way

    @classmethod
    def of(cls, config: Config) -> Replace:
        return cls()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Replace:
        return cls()


@dataclass(frozen=True, slots=True)
class View:
    """A view of the query."""

    of_python: ClassVar[bool] = False

    @classmethod
    def of(cls, config: Config) -> View:
        return cls()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> View:
        return cls()


@dataclass(frozen=True, slots=True)
class Since:
    """Where the value of `$since` comes from: the largest one of ``column`` in the table, less
    ``lookback``, and ``begin`` where the table is new or empty. Both are SQL, or ""."""

    column: str
    lookback: str = ""
    begin: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a Python model was given before it made its rows.

    ``whole``: it was to return the whole table; ``since`` is the value of ``$since`` as SQL.
    """

    whole: bool
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Incremental:
    """A table that each build adds to: the query returns the rows that are new (the delta).

    ``full_refresh``: this build replaces the whole table. ``columns``: (name, type) of the columns
    of a query that reads its own table, which therefore must exist, empty, before the first build;
    () for any other. ``reading``: what a Python model was given, if it was one.
    """

    strategy: str
    unique_key: tuple[str, ...] = ()
    on_schema_change: str = "fail"
    since: Since | None = None
    full_refresh: bool = False
    columns: tuple[tuple[str, str], ...] = ()
    reading: Reading | None = None

    of_python: ClassVar[bool] = True

    @classmethod
    def of(cls, config: Config) -> Incremental:
        return cls(
            config.strategy or ("merge" if config.unique_key else "append"),
            config.unique_key,
            config.on_schema_change,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Incremental:
        since, reading = values["since"], values["reading"]
        return cls(
            **{
                **values,
                "unique_key": tuple(values["unique_key"]),
                "columns": tuple((name, type_) for name, type_ in values["columns"]),
                "since": Since(**since) if since else None,
                "reading": Reading(**reading) if reading else None,
            }
        )


Materialization: TypeAlias = "Replace | View | Incremental"

#: The word of ``materialized:`` -> its kind.
KINDS: Mapping[str, type[Materialization]] = {
    "table": Replace,
    "view": View,
    "incremental": Incremental,
}
