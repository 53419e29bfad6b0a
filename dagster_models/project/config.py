"""The keys of a step's configuration: which there are, what they take, how defaults merge.

A step's configuration is the folder defaults of ``dagster_models.yaml``, outermost first, and then
its own header. As in dbt, tags add up, ``meta`` and ``vars`` merge by key, and the rest overrides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dagster_models.core.model import Column, Config, Location, Retries
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, problem, read_mapping
from dagster_models.project.yaml.nodes import Report, YamlNode
from dagster_models.util.nearest import suggest

Values = dict[str, Any]
"""Configuration as read: key -> plain value, only of keys that were written."""

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
#: dbt's keys that we know by name and do not serve, so that the message can say so.
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


def as_is(node: YamlNode) -> YamlNode:
    """Read later, once the step's key and severity are known."""
    return node


_RETRIES: dict[str, Reader] = {
    "max_retries": fields.integer(0),
    "delay": fields.seconds,
    "backoff": fields.one_of("linear", "exponential"),
    "jitter": fields.one_of("full", "plus_minus"),
}


def retries(node: YamlNode) -> Retries:
    """A number of retries, or Dagster's RetryPolicy in its words."""
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
        values.get("max_retries", 1),  # as in Dagster
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
_OWN: dict[str, Reader] = {"description": fields.text, "upstream": as_is}
_RELATION: dict[str, Reader] = {"schema": fields.name, "severity": fields.one_of("error", "warn")}
_TYPES: dict[str, Reader] = {"column_types": fields.texts_by_name}
_COLUMNS: dict[str, Reader] = {"alias": fields.text, "columns": as_is}

#: What a header may say, by kind of file.
HEADER_KEYS: dict[str, dict[str, Reader]] = {
    "model": {**_SHARED, **_OWN, **_RELATION, **_COLUMNS, "materialized": materialized},
    "script": {**_SHARED, **_OWN, "downstream": as_is},
}
#: What dagster_models.yaml may say for a folder of them. A seed has no header: all is here.
DEFAULT_KEYS: dict[str, dict[str, Reader]] = {
    "model": {**_SHARED, **_RELATION, "materialized": materialized},
    "script": _SHARED,
    "seed": {
        **_SHARED,
        **_RELATION,
        **_TYPES,
        **_COLUMNS,
        "description": fields.text,
    },
}


def _placed_text(node: YamlNode) -> tuple[str, Location]:
    return fields.text(node), node.place


#: What the header of a checks/*.sql file may say.
CHECK_KEYS: dict[str, Reader] = {
    "name": fields.name,
    "severity": fields.one_of("error", "warn"),
    "description": fields.text,
    "model": _placed_text,
}
_MERGED = ("meta", "vars", "column_types")


def merge(layers: Iterable[Values]) -> Values:
    """One configuration of several, the last one winning."""
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
    """The Config of merged *values*; ``materialized`` is the default of its kind of file."""
    plain = {
        key: value
        for key, value in values.items()
        if key in Config.__slots__ and key not in ("columns", "upstream", "downstream")
    }
    return Config(
        **{"materialized": materialized, **plain},
        columns=columns,
        upstream=names_of(values.get("upstream")),
        downstream=names_of(values.get("downstream")),
        timeout_seconds=values.get("timeout"),
    )


def names_of(node: YamlNode | None) -> tuple[str, ...]:
    return tuple(name for name, _ in placed_names(node))


def placed_names(node: YamlNode | None) -> list[tuple[str, Location]]:
    """The names of ``upstream:`` or ``downstream:``, each with its place. Raises BadValue."""
    if node is None:
        return []
    items = node.value if isinstance(node.value, list) else [node]
    return [(fields.text(item).strip(), item.place) for item in items]


def read_header(node: YamlNode | None, kind: str, report: Report) -> Values:
    """The own configuration of a model or script."""
    values = read_mapping(node, HEADER_KEYS[kind], report, LATER)
    for key in ("upstream", "downstream"):
        if key in values:
            try:
                placed_names(values[key])
            except BadValue as wrong:
                report(problem(f"`{key}`: {wrong.what}", wrong.place, wrong.fix))
                del values[key]
    return values


# --- defaults by folder ----------------------------------------------------------------------


def read_defaults(
    node: YamlNode | None,
    kind: str,
    places: Collection[tuple[str, ...]],
    project: str,
    report: Report,
) -> dict[tuple[str, ...], Values]:
    """``models:``, ``seeds:`` or ``scripts:``: the defaults of each folder or file.

    ``places`` are the paths of all folders and files (by stem) there are, e.g. ("marts",) and
    ("marts", "carrier_delays"): a key that is one of them is a folder, others are settings. dbt's
    shape, with the project's name around it all and ``+`` before settings, is understood.
    """
    found: dict[tuple[str, ...], Values] = {}
    if node is not None:
        _read_folder(_unwrapped(node, places, project), (), kind, places, report, found)
    return found


def _unwrapped(node: YamlNode, places: Collection[tuple[str, ...]], project: str) -> YamlNode:
    inner = node.value.get(project) if isinstance(node.value, dict) else None
    if inner is None or len(node.value) > 1 or (project,) in places:
        return node
    return inner if isinstance(inner, YamlNode) else node


def _read_folder(
    node: YamlNode,
    path: tuple[str, ...],
    kind: str,
    places: Collection[tuple[str, ...]],
    report: Report,
    found: dict[tuple[str, ...], Values],
) -> None:
    readers = DEFAULT_KEYS[kind]
    if not isinstance(node.value, dict):
        found[path] = read_mapping(node, readers, report)
        return
    settings: dict[str, YamlNode] = {}
    keys: dict[str, Location] = {}
    for key, place, item in node.items():
        inside = (*path, key)
        is_setting = key.removeprefix("+") in readers
        if inside in places and (not is_setting or isinstance(item.value, dict)):
            _read_folder(item, inside, kind, places, report, found)
        elif not is_setting and isinstance(item.value, dict):
            names = {p[-1] for p in places if p[:-1] == path}
            what = f"there is no folder or file `{'/'.join(inside)}` in {kind}s/"
            report(problem(what, place, suggest(key, {*names, *readers}, "There are")))
        else:
            settings[key.removeprefix("+")], keys[key.removeprefix("+")] = item, place
    found[path] = read_mapping(YamlNode(settings, node.place, keys), readers, report, LATER)


def defaults_for(
    defaults: Mapping[tuple[str, ...], Values], path: tuple[str, ...]
) -> Iterable[Values]:
    """The layers that hold for the file at *path* (folders and stem), outermost first."""
    return (defaults.get(path[:depth], {}) for depth in range(len(path) + 1))
