"""How a relation is kept: one value for each kind, which ``warehouses/materializations`` builds.

A new kind gets a class here and a row in KINDS, and a module in warehouses/materializations that
bears the name of its class, in lower case, and has a function ``build``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from dagster_models.core.model import Config
from dagster_models.core.windows import Partition, Window, window_from_json


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

    ``whole``: it was to return the whole table; ``since`` is the value of ``$since`` as SQL. Of a
    snapshot, ``seen`` says how far its history went, and of partitions that their table is there.
    ``windows``: (what stands in its SQL for a
    part of the windows that it builds, its value as SQL).
    """

    whole: bool
    since: str | None = None
    seen: str = ""
    windows: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Reading:
        windows = tuple((stand_in, sql) for stand_in, sql in values["windows"])
        return cls(**{**values, "windows": windows})


@dataclass(frozen=True, slots=True)
class Partitioned:
    """Which rows a build replaces: by the values in one column of what the query returns.

    ``by``: that column. ``partitions``: those of this build, () for the whole table. ``batch``: how
    many of them go into one transaction, None for all. ``part``: the number that the first commit
    record of this transaction has in its attempt. ``earlier``: the partitions that other
    transactions of the run have built already; the checks of a window look at them, too. ``reach``:
    what all partitions of the set reach by now and later, as far as that is known.
    """

    by: str
    partitions: tuple[Partition, ...] = ()
    batch: int | None = None
    part: int = 0
    earlier: tuple[Partition, ...] = ()
    reach: Window | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Partitioned:
        reach = window_from_json(values["reach"]) if values["reach"] else None
        partitions, earlier = (
            tuple(map(Partition.from_json, values[name])) for name in ("partitions", "earlier")
        )
        return cls(**{**values, "partitions": partitions, "earlier": earlier, "reach": reach})


def strategy_of(config: Config) -> str:
    """How the rows of an incremental model are written: as it says, or as its other keys do."""
    by_keys = "replace" if config.partitions else "merge" if config.unique_key else "append"
    return config.strategy or by_keys


#: The code version of a build that leaves no commit record, and that rests on none.
UNRECORDED = "unrecorded"


@dataclass(frozen=True, slots=True)
class Incremental:
    """A table that each build adds to: the query returns the rows that are new (the delta).

    A merge writes only ``merge_update_columns``, or all but ``merge_exclude_columns``, of a row
    whose key is there. A new row that does not meet its condition is left out, and the table as it
    is: ``merge_update_condition`` is about a row `t` of the table and the new row `n` of its key,
    and ``merge_insert_condition`` about a new row `n` whose key is not there; "" for none.
    ``incremental_predicates``: conditions on a row `t` of the table and a new
    row `n` of its key; a row that does not meet them is left as it is. ``full_refresh``: this build
    replaces the whole table. ``columns``: (name, type) of the columns of a query that reads its own
    table, which therefore must exist, empty, before the first build; () for any other. ``reading``:
    what a Python model was given, if it was one. ``partitioned``: of the strategy replace, which
    puts what the query returns into windows in place of their rows. ``code_version`` is the
    model's: a build by another one may have filled the table without this key.
    """

    strategy: str
    unique_key: tuple[str, ...] = ()
    on_schema_change: str = "fail"
    since: Since | None = None
    merge_update_columns: tuple[str, ...] = ()
    merge_exclude_columns: tuple[str, ...] = ()
    merge_update_condition: str = ""
    merge_insert_condition: str = ""
    incremental_predicates: tuple[str, ...] = ()
    full_refresh: bool = False
    columns: tuple[tuple[str, str], ...] = ()
    reading: Reading | None = None
    partitioned: Partitioned | None = None
    code_version: str = ""
    on_code_change: str = "warn"

    of_python: ClassVar[bool] = True
    refreshable: ClassVar[bool] = True  #: whether a full refresh can make its rows once more
    _LISTS: ClassVar = (
        *("unique_key", "merge_update_columns", "merge_exclude_columns"),
        "incremental_predicates",
    )

    @classmethod
    def of(cls, config: Config) -> Incremental:
        return cls(
            strategy_of(config),
            config.unique_key,
            config.on_schema_change,
            merge_update_columns=config.merge_update_columns,
            merge_exclude_columns=config.merge_exclude_columns,
            on_code_change=config.on_code_change,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Incremental:
        since, reading = values["since"], values["reading"]
        partitioned = values["partitioned"]
        return cls(
            **{
                **values,
                **{name: tuple(values[name]) for name in cls._LISTS},
                "columns": tuple((name, type_) for name, type_ in values["columns"]),
                "since": Since(**since) if since else None,
                "reading": Reading.from_json(reading) if reading else None,
                "partitioned": Partitioned.from_json(partitioned) if partitioned else None,
            }
        )

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """What this build replaces; () for the whole table."""
        return self.partitioned.partitions if self.partitioned and not self.full_refresh else ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table that keeps each version of each row, with the time in which it was valid.

    A row has changed if its ``updated_at`` is later (strategy "timestamp"), or if one of
    ``check_cols``, () for all, differs (strategy "check"). ``hard_deletes`` decides what becomes of
    a row that the query no longer returns. ``open_end`` is what ``valid_to`` holds in the current
    version, as a timestamp without its quotes; "" for NULL. ``valid_from`` and the next two are
    the names of columns that the query does not return. ``reading``: what a Python model was given.
    ``now``: the time of the build in UTC, as a timestamp without its quotes; "" asks the clock.
    ``scd_id`` and ``scd_updated_at`` are the names of two columns that dbt adds as well, "" for
    none: a hash that identifies a version, and the ``updated_at`` of the row that began it.
    """

    strategy: str
    unique_key: tuple[str, ...]
    updated_at: str = ""
    check_cols: tuple[str, ...] = ()
    hard_deletes: str = "ignore"
    open_end: str = ""
    on_schema_change: str = "append_new_columns"
    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    is_deleted: str = "is_deleted"
    reading: Reading | None = None
    now: str = ""
    scd_id: str = ""
    scd_updated_at: str = ""

    of_python: ClassVar[bool] = True
    refreshable: ClassVar[bool] = False
    columns: ClassVar[tuple[tuple[str, str], ...]] = ()

    @classmethod
    def of(cls, config: Config) -> Snapshot:
        names = config.snapshot_meta_column_names
        return cls(
            config.strategy,
            config.unique_key,
            config.updated_at if config.strategy == "timestamp" else "",
            config.check_cols,
            config.hard_deletes,
            config.valid_to_current,
            config.on_schema_change,
            names.get("valid_from", "valid_from"),
            names.get("valid_to", "valid_to"),
            names.get("is_deleted", "is_deleted"),
            scd_id=names.get("scd_id", ""),
            scd_updated_at=names.get("updated_at", ""),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Snapshot:
        lists = {name: tuple(values[name]) for name in ("unique_key", "check_cols")}
        reading = Reading.from_json(values["reading"]) if values["reading"] else None
        return cls(**{**values, **lists, "reading": reading})

    @property
    def meta_columns(self) -> Mapping[str, str]:
        """Role -> name of each column that is added to those of the query, in dbt's order."""
        names = {
            "scd_id": self.scd_id,
            "updated_at": self.scd_updated_at,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            "is_deleted": self.is_deleted if self.hard_deletes == "new_record" else "",
        }
        return {role: name for role, name in names.items() if name}

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns that are added to those of the query."""
        return tuple(self.meta_columns.values())


def argument_name(name: str) -> str:
    """What the warehouse calls an argument of a function: no column of a table that the function
    reads has this name, which could be meant instead."""
    return f"${name}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the query. ``arguments``: (name, type); ``returns``: (column, type) of each
    column of a table, or ("", type) for one value."""

    arguments: tuple[tuple[str, str], ...]
    returns: tuple[tuple[str, str], ...]

    of_python: ClassVar[bool] = False

    @classmethod
    def of(cls, config: Config) -> Function:
        return cls(config.arguments, config.returns)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Function:
        pairs = {key: tuple((name, type_) for name, type_ in values[key]) for key in values}
        return cls(**pairs)

    @property
    def is_table(self) -> bool:
        return self.returns[0][0] != ""


@dataclass(frozen=True, slots=True)
class Custom:
    """What a class of the project keeps: ``kind`` is its module and name, with dots.

    ``settings`` are those of the header, and ``query`` is the model's. ``full_refresh``: this build
    is to make the whole relation.
    """

    kind: str
    settings: Mapping[str, Any]
    query: str = ""
    full_refresh: bool = False

    of_python: ClassVar[bool] = False

    @classmethod
    def of(cls, config: Config) -> Custom:
        return cls(config.materialized, config.settings)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Custom:
        return cls(**values)


Materialization: TypeAlias = "Replace | View | Incremental | Snapshot | Function | Custom"
#: Those whose table is read before a Python model makes its rows.
AddedTo: TypeAlias = Incremental | Snapshot

#: The word of ``materialized:`` -> its kind.
KINDS: Mapping[str, type[Materialization]] = {
    "table": Replace,
    "view": View,
    "incremental": Incremental,
    "snapshot": Snapshot,
    "function": Function,
}
EVERY_KIND: tuple[type[Materialization], ...] = (*KINDS.values(), Custom)


def is_custom(word: str) -> bool:
    """Whether the word of ``materialized:`` names a class of the project: `kinds.latest.Latest`."""
    return "." in word


#: Rows of another target, which are kept as a table or an incremental model.
COPY = "copy"


def materialization_of(config: Config) -> Materialization:
    """How the relation of a model is kept, as its configuration says it."""
    word = config.materialized
    if word == COPY:
        adds = config.since is not None or config.unique_key
        return Incremental.of(config) if adds else Replace()
    return (Custom if is_custom(word) else KINDS[word]).of(config)
