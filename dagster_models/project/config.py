"""The keys of a step's configuration: which there are, what values they take, how layers merge.

A step's configuration is made of layers: the folder defaults of ``dagster_models.yaml``, outermost
first, and then its own header. As in dbt, tags add up, ``meta`` and ``vars`` merge by key, and any
other value replaces the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagster_models.core.model import Column, Config, Location, Retries
from dagster_models.project.problems import Report
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

Values = dict[str, Any]
"""Configuration as read: key -> plain value, only for keys that are written."""

MATERIALIZED = ("view", "table")
MATERIALIZED_LATER = (
    "incremental",
    "function",
    "ephemeral",
    "materialized_view",
    "dynamic_table",
    "snapshot",
    "microbatch",
)
#: dbt's keys that we know by name and do not support, so that the message can say so.
LATER = frozenset(
    {
        "unique_key",
        "incremental_strategy",
        "on_schema_change",
        "pre_hook",
        "post_hook",
        "grants",
        "contract",
        "persist_docs",
        "full_refresh",
        "database",
        "partition_by",
        "partitions",
    }
)


def materialized(node: YamlNode) -> str:
    word = fields.text(node)
    if word in MATERIALIZED_LATER:
        raise BadValue(f"`{word}` is not supported yet", node.place, "Use `table` or `view`.")
    return str(fields.one_of(*MATERIALIZED)(node))


_RETRIES: dict[str, Reader] = {
    "max_retries": fields.integer(0),
    "delay": fields.seconds,
    "backoff": fields.one_of("linear", "exponential"),
    "jitter": fields.one_of("full", "plus_minus"),
}


def retries(node: YamlNode) -> Retries:
    """A number of retries, or the settings of Dagster's RetryPolicy under their own names."""
    if not isinstance(node.value, dict):
        return Retries(fields.integer(0)(node))
    values: dict[str, Any] = {}
    for key, place, item in node.items():
        if key not in _RETRIES:
            raise BadValue(f"unknown key `{key}`", place, suggest(key, _RETRIES))
        values[key] = _RETRIES[key](item)
    for key in ("backoff", "jitter"):
        if key in values and not values.get("delay"):
            raise BadValue(f"`{key}` needs a `delay`", node.keys[key], "Add e.g. `delay: 10s`.")
    return Retries(
        values.get("max_retries", 1),  # Dagster's default
        values.get("delay", 0.0),
        values.get("backoff"),
        values.get("jitter"),
    )


_SHARED: dict[str, Reader] = {
    "enabled": fields.boolean,
    "owner": fields.owners,
    "group": fields.name,
    "tags": fields.tags,
    "meta": fields.mapping,
    "pool": fields.pool,
    "priority": fields.integer(),
    "retries": retries,
    "on_error": fields.one_of("skip_downstream", "continue", "abort"),
    "timeout": fields.positive_seconds,
    "vars": fields.variables,
}


def placed_names(node: YamlNode) -> tuple[tuple[str, Location], ...]:
    """One name or a list of them, each with its place."""
    items = node.value if isinstance(node.value, list) else [node]
    return tuple((fields.text(item).strip(), item.place) for item in items)


_OWN: dict[str, Reader] = {"description": fields.text, "upstream": placed_names}
_RELATION: dict[str, Reader] = {"schema": fields.name, "severity": fields.one_of("error", "warn")}
_TYPES: dict[str, Reader] = {"column_types": fields.texts_by_name}
_COLUMNS: dict[str, Reader] = {"alias": fields.text, "columns": fields.as_is}

#: The keys of a file's header, by the folder that the file is in. A check's are CHECK_KEYS.
HEADER_KEYS: dict[str, dict[str, Reader]] = {
    "models": {**_SHARED, **_OWN, **_RELATION, **_COLUMNS, "materialized": materialized},
    "scripts": {**_SHARED, **_OWN, "downstream": placed_names},
}
#: The keys of the defaults in dagster_models.yaml. A seed has no header: all its keys are here.
DEFAULT_KEYS: dict[str, dict[str, Reader]] = {
    "models": {**_SHARED, **_RELATION, "materialized": materialized},
    "scripts": _SHARED,
    "seeds": {
        **_SHARED,
        **_RELATION,
        **_TYPES,
        **_COLUMNS,
        "description": fields.text,
    },
}


def _placed_text(node: YamlNode) -> tuple[str, Location]:
    return fields.text(node), node.place


#: The keys of the header of a checks/*.sql file.
CHECK_KEYS: dict[str, Reader] = {
    "name": fields.name,
    "severity": fields.one_of("error", "warn"),
    "description": fields.text,
    "model": _placed_text,
}
_MERGED = ("meta", "vars", "column_types")


def merge(layers: Iterable[Values]) -> Values:
    """One configuration made of several layers; the later ones override the earlier ones."""
    result: Values = {}
    for layer in layers:
        for key, value in layer.items():
            if key == "tags":
                result[key] = tuple(dict.fromkeys((*result.get(key, ()), *value)))
            elif key in _MERGED:
                result[key] = {**result.get(key, {}), **value}
            else:
                result[key] = value
    return result


def build_config(values: Values, columns: tuple[Column, ...], *, materialized: str) -> Config:
    """The Config that merged *values* describe; *materialized* is its default."""
    plain = {
        key: value
        for key, value in values.items()
        if key in Config.__slots__ and key not in ("columns", "upstream", "downstream")
    }
    return Config(
        **{"materialized": materialized, **plain},
        columns=columns,
        upstream=tuple(name for name, _ in values.get("upstream", ())),
        downstream=tuple(name for name, _ in values.get("downstream", ())),
        timeout_seconds=values.get("timeout"),
    )


def read_config(header: YamlNode | None, folder: str, report: Report) -> Values:
    """The settings in the header of a file in *folder*."""
    return read_mapping(header, HEADER_KEYS[folder], report, LATER)
