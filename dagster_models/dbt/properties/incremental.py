"""dbt's keys of incremental models -> ours."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties.columns_of_key import columns_of_key
from dagster_models.dbt.properties.header import ImportedHeader, accepted
from dagster_models.dbt.properties.merge_clauses import words_of_clauses
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.yaml.fields import words
from dagster_models.sql.predicate_rows import (
    BOTH_ROWS,
    OF_INSERT,
    OF_TABLE,
    OF_UPDATE,
    PredicateRows,
)
from dagster_models.sql.predicates import predicate_of_rows

#: What an adapter does with a unique_key if no strategy is given.
_DEFAULTS = {
    **dict.fromkeys(("duckdb", "postgres", "redshift"), "delete+insert"),
    **dict.fromkeys(("snowflake", "bigquery", "databricks"), "merge"),
}
_STRATEGIES = {
    "append": "append",
    "merge": "merge",
    "delete+insert": "delete+insert",
    "delete_insert": "delete+insert",
}
_ON_SCHEMA_CHANGE = ("ignore", "fail", "append_new_columns", "sync_all_columns")
#: What a merge of dbt-duckdb says of rows; ours has the same words for the conditions.
_CONDITIONS = {"merge_update_condition": OF_UPDATE, "merge_insert_condition": OF_INSERT}
_SET = "merge_update_set_expressions"
_SOME_COLUMNS = ("merge_update_columns", "merge_exclude_columns")
_BASIC = (*_SOME_COLUMNS, *_CONDITIONS, _SET)
_OF_MERGES = (
    *("merge_clauses", "merge_on_using_columns", "merge_returning_columns"),
    *(*_CONDITIONS, _SET),
)
_OTHER = "a merge here updates the rows of a key with the new rows, and adds others"
_EVERY = ("hour", "day", "month")
#: The keys of dbt that are read here.
KEYS = (
    *("incremental_strategy", "unique_key", "on_schema_change", "full_refresh"),
    *("incremental_predicates", "predicates"),
    *_SOME_COLUMNS,
    *_OF_MERGES,
    *("event_time", "batch_size", "lookback", "begin", "concurrent_batches"),
)


def incremental_keys(header: ImportedHeader, adapter: str, dialect: str) -> None:
    strategy = str(header.setting("incremental_strategy") or "default").lower()
    if isinstance(header.setting("full_refresh"), bool):
        header.values["full_refresh"] = header.setting("full_refresh")
    change = header.setting("on_schema_change")
    header.values["on_schema_change"] = change if change in _ON_SCHEMA_CHANGE else "ignore"
    if strategy == "microbatch":
        _microbatch(header)
    elif strategy == "insert_overwrite":
        _insert_overwrite(header)
    else:
        _keyed(header, adapter, dialect)


def strategy_of(node: DbtNode, adapter: str) -> tuple[str | None, tuple[str, ...]]:
    """Our strategy, None for one that is not known here, and the key that it uses."""
    strategy = str(node.config.get("incremental_strategy") or "default").lower()
    key, _ = columns_of_key(_key_of(node, strategy))
    if strategy == "default":
        strategy = _DEFAULTS.get(adapter, "merge" if key else "append")
    ours = _STRATEGIES.get(strategy)
    if key is None or ours is None:
        return None, ()
    return (ours, key) if key and ours != "append" else ("append", ())


def is_narrowed(node: DbtNode) -> bool:
    """Whether a build by a key need not write a new row as it is, in place of all of its key."""
    predicates = ("incremental_predicates", "predicates")
    names = (*_BASIC, "merge_clauses", *predicates)
    return any(node.config.get(name) for name in names)


def _key_of(node: DbtNode, strategy: str) -> Any:
    """dbt's key, as it is written. The merge of dbt-duckdb asks for other columns first."""
    using = node.config.get("merge_on_using_columns") if strategy == "merge" else None
    return using or node.config.get("unique_key")


def _keyed(header: ImportedHeader, adapter: str, dialect: str) -> None:
    written = _key_of(header.node, str(header.setting("incremental_strategy")).lower())
    key, is_expression = columns_of_key(written)
    if key is None:
        header.refused.append(f"the unique_key {written!r} is an expression")
        return
    ours, used = strategy_of(header.node, adapter)
    if ours is None:
        header.refused.append(
            f"the strategy {header.setting('incremental_strategy')!r} is not known"
        )
        return
    header.values["strategy"] = ours
    if used:
        header.values["unique_key"] = used[0] if len(used) == 1 else list(used)
        _narrowed(header, ours, used, dialect)
    elif key:
        header.remark("the strategy append does not use the unique_key", Weight.NOTE)
    elif str(header.setting("incremental_strategy")).lower() == "merge":
        _added(header)
    if is_expression and used:
        header.remark(f"the unique_key joins columns, and is {list(key)} here", Weight.NOTE)


def _narrowed(header: ImportedHeader, strategy: str, used: Sequence[str], dialect: str) -> None:
    """What narrows the rows or the columns that a strategy writes, or is another merge."""
    if strategy == "merge":
        _merged(header, used, dialect)
    else:
        for name in filter(header.setting, (*_SOME_COLUMNS, *_OF_MERGES)):
            header.remark(f"`{name}` means nothing to the strategy {strategy}", Weight.NOTE)
    for name in ("incremental_predicates", "predicates"):
        if given := header.setting(name):
            listed = list(map(str, given if isinstance(given, list) else [given]))
            whole = strategy == "merge" and not header.values.keys() & set(_SOME_COLUMNS)
            if why := _wrong_predicate(listed, dialect, BOTH_ROWS if whole else OF_TABLE):
                what = f"`{name}: {given}`: {why}: all rows of the table are looked at for a key"
                header.remark(what, Weight.DIFFERS)
            else:
                header.values["incremental_predicates"] = listed
            return


def _added(header: ImportedHeader) -> None:
    """A merge without a key finds no row of the table, so it adds all rows if nothing else says
    which."""
    for name in filter(header.setting, ("merge_insert_condition", "merge_clauses")):
        given = header.setting(name)
        found = {name: given} if name == "merge_insert_condition" else words_of_clauses(given, ())
        if found is None or "merge_insert_condition" in found:
            header.refused.append(f"`{name}: {given}`: a merge without a key adds all rows here")


def _merged(header: ImportedHeader, key: Sequence[str], dialect: str) -> None:
    """Which rows a merge writes, and which columns into the rows of a key."""
    written = {name: header.setting(name) for name in _BASIC if header.setting(name)}
    if clauses := header.setting("merge_clauses"):
        found = None if written else words_of_clauses(clauses, key)  # dbt refuses both
        if found is None:
            header.refused.append(f"`merge_clauses: {clauses}`: {_OTHER}")
        written = dict(found or {})
    if expressions := written.pop(_SET, None):
        header.refused.append(f"`{_SET}: {expressions}`: {_OTHER}")
    _conditions(header, {name: written.pop(name, None) for name in _CONDITIONS}, dialect)
    predicates = header.setting("incremental_predicates") or header.setting("predicates")
    if predicates and header.setting("merge_on_using_columns"):
        what = "with predicates, dbt sends both USING and ON, which DuckDB does not take"
        header.refused.append(f"`merge_on_using_columns`: {what}")
    if header.setting("merge_returning_columns"):
        what = "`merge_returning_columns`: a build shows no rows, and writes the same ones"
        header.remark(what, Weight.NOTE)
    keys = {it.lower() for it in key}  # which no merge writes
    for name, given in written.items():
        if not accepted(words, given):
            header.refused.append(f"`{name}: {given}` is no name of a column, and no list of names")
            continue
        names = [given] if isinstance(given, str) else list(given)
        others = [it for it in names if it.lower() not in keys]
        if name == "merge_update_columns":  # an empty list would mean all columns
            others = others or names
        if others:
            header.values[name] = others


def _conditions(header: ImportedHeader, given: Mapping[str, Any], dialect: str) -> None:
    """Which of the rows of a key, and of all others, a merge writes."""
    for name, text in given.items():
        if not text:
            continue
        why = f"{text!r} is no text"
        if isinstance(text, str):
            why = _wrong_condition(text, dialect, _CONDITIONS[name])
        if why:
            header.refused.append(f"`{name}: {text}`: {why}")
        else:
            header.values[name] = text


def _wrong_predicate(predicates: Sequence[str], dialect: str, rows: PredicateRows) -> str:
    """Why the first one that cannot be one of a build here cannot; "" if all can."""
    for it in predicates:
        if it.isidentifier():
            return f"`{it}` is a name that a macro of the project may read, and no condition"
        if why := _wrong_condition(it, dialect, rows):
            return why
    return ""


def _wrong_condition(text: str, dialect: str, rows: PredicateRows) -> str:
    """Why it is no condition on these rows; "" if it is."""
    try:
        predicate_of_rows(text, dialect, rows)
    except SqlSyntaxError as error:
        return error.what
    return ""


def _insert_overwrite(header: ImportedHeader) -> None:
    """dbt replaces the partitions that the new rows are in. That is `delete+insert` where the
    columns by which the table is partitioned are the partitions."""
    by = header.node.config.get("partition_by")
    columns: Any = None
    if isinstance(by, dict) and by.get("data_type", "date") == "date" and not by.get("range"):
        columns = by.get("field") if by.get("granularity", "day") == "day" else None
    elif not isinstance(by, dict):
        columns, _ = columns_of_key(by)
    if not columns:
        header.refused.append(f"insert_overwrite replaces partitions by {by!r}, and not by columns")
        return
    header.values |= {"strategy": "delete+insert", "unique_key": columns}
    header.remark("insert_overwrite is delete+insert by the columns of partition_by", Weight.NOTE)


def _microbatch(header: ImportedHeader) -> None:
    size, column = header.setting("batch_size"), header.setting("event_time")
    begin = _moment(header.setting("begin"))
    if begin is None or not column or size not in (*_EVERY, "year"):
        header.refused.append("microbatch without event_time, begin and batch_size")
        return
    start = _start(begin, size)
    plain: Any = start if size == "hour" and start.time() != datetime.time() else start.date()
    name = f"{size}s_from_{start:%Y_%m_%d}" + ("" if plain == start.date() else f"_{start:%H}")
    every = {"every": size} if size in _EVERY else {"cron": "0 0 1 1 *"}
    header.partitions[name] = {**every, "start": plain}
    header.values |= {"partitions": {"of": name, "by": column}, "batch": 1}
    if header.setting("unique_key"):
        header.remark("a partition is replaced, so the unique_key is not needed", Weight.NOTE)
    what = f"dbt builds the last partition and {header.node.config.get('lookback', 1)} before it in"
    what += " each run: a schedule with `partition: last` and `lookback` does the same"
    header.remark(what, Weight.NOTE)


def _moment(value: Any) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.astimezone(datetime.timezone.utc).replace(tzinfo=None) if found.tzinfo else found


def _start(begin: datetime.datetime, size: str) -> datetime.datetime:
    """Where the batch of *begin* starts."""
    begin = begin.replace(minute=0, second=0, microsecond=0)
    if size != "hour":
        begin = begin.replace(hour=0)
    if size in ("month", "year"):
        begin = begin.replace(day=1)
    return begin.replace(month=1) if size == "year" else begin
