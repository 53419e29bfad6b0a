"""The keys of a step's configuration: which there are, what values they take, how layers merge.

A step's configuration is made of layers: the folder defaults of ``dagster_models.yaml``, outermost
first, and then its own header. As in dbt, tags, kinds and statements add up, ``meta`` and ``vars``
merge by key, and any other value replaces the one before it.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable
from typing import Any

from dagster_models.core.materializations import COPY, KINDS
from dagster_models.core.model import Column, Config, Location, SinceConfig
from dagster_models.project.checks.keys import KEYS, WORDS
from dagster_models.project.checks.queries import query_arguments
from dagster_models.project.extras import ALIASES, EXTRAS
from dagster_models.project.freshness import of_model
from dagster_models.project.partitions import automation, partitions, upstream_names
from dagster_models.project.problems import Report
from dagster_models.project.promises import PROMISES
from dagster_models.project.retries import retries
from dagster_models.project.runner import runner
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

Values = dict[str, Any]
"""Configuration as read: key -> plain value, only for keys that are written."""

#: A model without a relation: its query stands in the queries that read it.
EPHEMERAL = "ephemeral"
#: A function of SQL, which other models call.
FUNCTION = "function"
MATERIALIZED = (*KINDS, EPHEMERAL, COPY)
MATERIALIZED_LATER = (
    "materialized_view",
    "dynamic_table",
    "microbatch",
)
STRATEGIES = {
    "incremental": ("append", "delete+insert", "merge", "replace"),
    "snapshot": ("timestamp", "check"),
    COPY: ("append", "delete+insert", "merge"),
}
HARD_DELETES = ("ignore", "invalidate", "new_record")
#: What a snapshot adds to a row. With dbt's own prefix, too.
META_COLUMNS = ("valid_from", "valid_to", "is_deleted", "scd_id", "updated_at")
#: Those of them that it adds only if they are named.
_NAMED_COLUMNS = ("scd_id", "updated_at")
ON_SCHEMA_CHANGE = ("fail", "append_new_columns", "sync_all_columns", "ignore")
#: What becomes of the rows that older code has made.
ON_CODE_CHANGE = ("warn", "keep", "full_refresh")
#: dbt's keys that we know by name and do not support, so that the message can say so.
LATER = frozenset(
    {
        "database",
        "partition_by",
    }
)


def materialized(node: YamlNode) -> str:
    word = fields.text(node)
    if word == "export":
        fix = "Write `materialized: table` (or another kind) and `export: {path: exports/orders}`."
        raise BadValue("`export` is a key of its own, for a model of any kind", node.place, fix)
    if word in MATERIALIZED_LATER:
        fix = f"Use one of: {', '.join(MATERIALIZED)}."
        raise BadValue(f"`{word}` is not supported yet", node.place, fix)
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", word):  # a class of the project
        return word
    return fields.OneOf(*MATERIALIZED)(node)


_SHARED: dict[str, Reader] = {
    "enabled": fields.boolean,
    "owner": fields.owners,
    "group": fields.name,
    "tags": fields.tags,
    "kinds": fields.kinds,
    "meta": fields.mapping,
    "pool": fields.pool,
    "priority": fields.Integer(),
    "retries": retries,
    "on_error": fields.OneOf("skip_downstream", "continue", "abort"),
    "timeout": fields.positive_seconds,
    "automation": automation,
    "freshness": of_model,
    "vars": fields.variables,
}


def strategy(node: YamlNode) -> str:
    if fields.text(node) in ("insert_overwrite", "microbatch"):
        fix = "Use `strategy: replace` with `partitions:`, which replaces the rows of each of them."
        raise BadValue(f"`{node.value}` is not supported", node.place, fix)
    return fields.OneOf(*(word for words in STRATEGIES.values() for word in words))(node)


_LOOKBACK = re.compile(r"(\d+)\s*(ms|s|m|h|d|w)\Z")
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


def lookback(node: YamlNode) -> str:
    """How far to read again, as SQL: an interval such as 3d, or a whole number."""
    if isinstance(node.value, str) and (found := _LOOKBACK.match(node.value.strip())):
        return f"INTERVAL '{found[1]} {_UNITS[found[2]]}'"
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
        return str(node.value)
    fix = "Write a time such as 30m, 12h or 3d, or a whole number for a column of numbers."
    raise BadValue(f"expected how far to look back, got {fields.describe(node)}", node.place, fix)


def begin(node: YamlNode) -> Any:
    known = (str, int, float, datetime.date)
    if isinstance(node.value, known) and not isinstance(node.value, bool):
        return node.value
    fix = "Write a date, a time or a number."
    raise BadValue(f"expected a value to begin with, got {fields.describe(node)}", node.place, fix)


SINCE_KEYS: dict[str, Reader] = {"column": fields.text, "lookback": lookback, "begin": begin}


def since(node: YamlNode) -> SinceConfig:
    """A column, or `{column: ..., lookback: ..., begin: ...}`."""
    if not isinstance(node.value, dict):
        return SinceConfig(fields.text(node))
    column = node.value.get("column")
    rest = SinceConfig(column.value) if column and isinstance(column.value, str) else None
    try:
        values = fields.values_of(node, SINCE_KEYS)
    except BadValue as wrong:
        raise BadValue(wrong.what, wrong.place, wrong.fix, rest) from wrong
    if "column" not in values:
        raise BadValue("`column` is missing", node.place, "Write `since: {column: updated_at}`.")
    return SinceConfig(**values)


def check_cols(node: YamlNode) -> tuple[str, ...]:
    """Columns, () for all."""
    found = fields.words(node)
    if not found:
        raise BadValue("expected columns, got none", node.place, "Write `all`, or their names.")
    return () if node.value == "all" else found


def valid_to_current(node: YamlNode) -> str:
    """What a version holds that has not ended: a date or time, in UTC."""
    fix = "Write a date of the year 2200 or later, such as 9999-12-31, or leave the key out."
    found = node.value
    try:
        if isinstance(found, str):
            found = datetime.datetime.fromisoformat(found.strip())
        elif isinstance(found, datetime.date) and not isinstance(found, datetime.datetime):
            found = datetime.datetime(found.year, found.month, found.day)
    except ValueError:
        found = None
    if not isinstance(found, datetime.datetime):
        raise BadValue(f"expected a date, got {fields.describe(node)}", node.place, fix)
    if found.tzinfo is not None and found.year < datetime.MAXYEAR:
        found = found.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    if found.year < 2200:
        raise BadValue("versions may end then, so it would mean two things", node.place, fix)
    return str(found.replace(tzinfo=None))


def meta_columns(node: YamlNode) -> dict[str, str]:
    """Role -> name of each column that a snapshot adds."""
    readers = {f"{dbt}{role}": fields.text for dbt in ("", "dbt_") for role in META_COLUMNS}
    names = {}
    for key, place, item in node.items() if isinstance(node.value, dict) else ():
        if key not in readers:
            raise BadValue(f"unknown key `{key}`", place, suggest(key, META_COLUMNS))
        names[key.removeprefix("dbt_")] = readers[key](item)
    if not names:
        fix = f"Write `{{valid_from: ..., valid_to: ...}}`; there are {', '.join(META_COLUMNS)}."
        raise BadValue(f"expected names of columns, got {fields.describe(node)}", node.place, fix)
    chosen = [
        names.get(role, role).lower()
        for role in META_COLUMNS
        if role in names or role not in _NAMED_COLUMNS
    ]
    if len(set(chosen)) < len(chosen):
        raise BadValue("two columns have the same name", node.place, "Give each its own.")
    return names


_TYPE = re.compile(r"""[A-Za-z_"][\w "(),.\[\]]*""")


def sql_type(node: YamlNode) -> str:
    """A type as the warehouse writes it, which goes into SQL as it is."""
    written = fields.text(node).strip()
    pairs = (("(", ")"), ("[", "]"))
    closed = all(written.count(one) == written.count(other) for one, other in pairs)
    if not _TYPE.fullmatch(written) or not closed or written.count('"') % 2:
        fix = "Write it as in a CAST: bigint, decimal(18, 2), timestamp with time zone, ..."
        raise BadValue(f"{fields.describe(node)} is no type", node.place, fix)
    return written


def arguments(node: YamlNode) -> tuple[tuple[str, str], ...]:
    """(name, type) of each argument of a function, in order."""
    if isinstance(node.value, list):
        what = "a function has one list of arguments: with several, each warehouse would choose by"
        what += " rules of its own which one a call means"
        fix = "Write `{name: type, ...}`, and give each function a name (and file) of its own."
        raise BadValue(what, node.place, fix)
    if not isinstance(node.value, dict):
        fix = "Write `{name: type, ...}`, or leave the key out if there are none."
        raise BadValue(f"expected names, got {fields.describe(node)}", node.place, fix)
    return tuple((name_of(key, place), sql_type(item)) for key, place, item in node.items())


def name_of(key: str, place: Location) -> str:
    """A name of an argument or of a column."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", key):
        fix = "Use a-z, 0-9 and _, so that it is one name in each warehouse."
        raise BadValue(f"{key!r} cannot be an argument's or a column's name", place, fix)
    return key


def returns(node: YamlNode) -> tuple[tuple[str, str], ...]:
    """(column, type) of each column of a table; ("", type) for one value."""
    if isinstance(node.value, dict) and node.value:
        return tuple((name_of(key, place), sql_type(item)) for key, place, item in node.items())
    if isinstance(node.value, str) and node.value.strip().lower() == "table":
        fix = "Write them: `returns: {name: type, ...}`."
        raise BadValue("the columns of the table are missing", node.place, fix)
    return (("", sql_type(node)),)


_PYTHON: dict[str, Reader] = {"runner": runner}
_OWN: dict[str, Reader] = {"description": fields.text, "upstream": upstream_names}
_RELATION: dict[str, Reader] = {"schema": fields.name, "severity": fields.OneOf("error", "warn")}
_TYPES: dict[str, Reader] = {"column_types": fields.texts_by_name}
_COLUMNS: dict[str, Reader] = {
    "alias": fields.text,
    "columns": fields.as_is,
    **dict.fromkeys(WORDS, fields.as_is),
}

_INCREMENTAL: dict[str, Reader] = {
    "strategy": strategy,
    "incremental_strategy": strategy,  # dbt's word
    "unique_key": fields.words,
    "merge_update_columns": fields.words,
    "merge_exclude_columns": fields.words,
    "merge_update_condition": fields.text,
    "merge_insert_condition": fields.text,
    "incremental_predicates": fields.words,
    "since": since,
    "on_schema_change": fields.OneOf(*ON_SCHEMA_CHANGE),
    "on_code_change": fields.OneOf(*ON_CODE_CHANGE),
    "full_refresh": fields.boolean,
    "partitions": partitions,
    "batch": fields.Integer(1),
}
_SNAPSHOT: dict[str, Reader] = {
    "updated_at": fields.text,
    "check_cols": check_cols,
    "hard_deletes": fields.OneOf(*HARD_DELETES),
    "valid_to_current": valid_to_current,
    "snapshot_meta_column_names": meta_columns,
}


def settings(node: YamlNode) -> dict[str, Any]:
    """Keys and values that JSON has too."""
    plain = fields.mapping(node)
    try:
        json.dumps(plain)
    except (TypeError, ValueError):
        fix = "Use texts, numbers, true, false, null, lists and keys; put a date in quotes."
        raise BadValue("a value of this sort cannot be a setting", node.place, fix) from None
    return plain


_FUNCTION: dict[str, Reader] = {"arguments": arguments, "returns": returns}
_CUSTOM: dict[str, Reader] = {"settings": settings}
_KEPT: dict[str, Reader] = {
    "materialized": materialized,
    "deterministic": fields.boolean,
    "from": fields.text,
    **_INCREMENTAL,
    **_SNAPSHOT,
}

#: The keys of a file's header, by the folder that the file is in. A check's are CHECK_KEYS.
HEADER_KEYS: dict[str, dict[str, Reader]] = {
    "models": {
        **_SHARED,
        **_OWN,
        **_RELATION,
        **_COLUMNS,
        **PROMISES,
        **_KEPT,
        **_FUNCTION,
        **_CUSTOM,
        **_PYTHON,
        **EXTRAS,
    },
    "scripts": {**_SHARED, **_OWN, **_PYTHON, "downstream": fields.placed_names},
}
#: The keys of the defaults in dagster_models.yaml. A seed has no header: all its keys are here.
DEFAULT_KEYS: dict[str, dict[str, Reader]] = {
    "models": {**_SHARED, **_RELATION, **PROMISES, **_KEPT, **_CUSTOM, **_PYTHON, **EXTRAS},
    "scripts": {**_SHARED, **_PYTHON},
    "seeds": {
        **_SHARED,
        **_RELATION,
        **_TYPES,
        **_COLUMNS,
        **EXTRAS,
        "description": fields.text,
    },
}


def _placed_text(node: YamlNode) -> tuple[str, Location]:
    return fields.text(node), node.place


#: The keys of the header of a checks/*.sql file.
CHECK_KEYS: dict[str, Reader] = {
    **{name: reader for name, reader in KEYS.items() if name != "where"},
    "model": _placed_text,
    "arguments": query_arguments,
}
#: The same of a checks/*.py file.
PYTHON_CHECK_KEYS: dict[str, Reader] = {
    **{name: reader for name, reader in CHECK_KEYS.items() if name != "arguments"},
    "upstream": upstream_names,
}
_MERGED = ("meta", "vars", "places_of_vars", "column_types", "settings")
_ADDED = ("pre_statements", "post_statements")
_ALIASES = {"incremental_strategy": "strategy", "from": "from_target", **ALIASES}


def merge(layers: Iterable[Values]) -> Values:
    """One configuration made of several layers; the later ones override the earlier ones."""
    result: Values = {}
    for layer in layers:
        for key, value in layer.items():
            key = _ALIASES.get(key, key)
            if key in _ADDED:
                result[key] = (*result.get(key, ()), *value)
            elif key == "tags":
                by_name = {tag.partition("=")[0]: tag for tag in (*result.get(key, ()), *value)}
                result[key] = tuple(by_name.values())
            elif key == "kinds":
                result[key] = tuple(dict.fromkeys((*result.get(key, ()), *value)))
            elif key in _MERGED:
                result[key] = {**result.get(key, {}), **value}
            else:
                result[key] = value
    return result


#: The settings that are written as they are.
_PLAIN = frozenset(Config.__slots__).difference(("columns", "upstream", "downstream"))


def build_config(values: Values, columns: tuple[Column, ...], *, materialized: str) -> Config:
    """The Config that merged *values* describe; *materialized* is its default."""
    plain = {key: value for key, value in values.items() if key in _PLAIN}
    return Config(
        **{"materialized": materialized, **plain},
        columns=columns,
        upstream=tuple(it.name for it in values.get("upstream", ())),
        upstream_partitions={
            it.name: it.partitions for it in values.get("upstream", ()) if it.partitions
        },
        downstream=tuple(name for name, _ in values.get("downstream", ())),
        timeout_seconds=values.get("timeout"),
    )


def read_config(header: YamlNode | None, folder: str, report: Report) -> Values:
    """The settings in the header of a file in *folder*."""
    return read_mapping(header, HEADER_KEYS[folder], report, LATER)
