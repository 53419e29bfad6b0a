"""dbt-duckdb's `merge_clauses` -> the words of a header, where both write the same rows.

dbt sends one MERGE, whose clauses a model may write itself. A merge here updates the rows whose key
is there, all columns or some, and adds all others; a condition may narrow either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What dbt sends for a list that is not given.
_UPDATE = {"action": "update", "mode": "by_name"}
_INSERT = {"action": "insert", "mode": "by_name"}


def words_of_clauses(clauses: Any, key: Any) -> Mapping[str, Any] | None:
    """What the clauses say, in the words of a header: {} for all columns of all rows. *key*: the
    columns of the key. None for clauses that do what no merge here does."""
    if not isinstance(clauses, Mapping):
        return None
    matched = _only(clauses.get("when_matched", [_UPDATE]))
    other = _only(clauses.get("when_not_matched", [_INSERT]))
    if matched is None or other is None:
        return None
    update, insert = (_condition(it.pop("condition", None)) for it in (matched, other))
    if {"by": "target", **other} != {**_INSERT, "by": "target"}:
        return None
    columns = _columns(matched, key)
    if columns is None:
        return None
    conditions = {"merge_update_condition": update, "merge_insert_condition": insert}
    return {**columns, **{name: it for name, it in conditions.items() if it}}


def _only(clauses: Any) -> dict[str, Any] | None:
    """The clause of a list that has one, without what is empty."""
    if not isinstance(clauses, list) or len(clauses) != 1 or not isinstance(clauses[0], Mapping):
        return None
    return {name: value for name, value in clauses[0].items() if value}


def _condition(given: Any) -> Any:
    """A list of conditions as one, as dbt joins them."""
    return f"({') AND ('.join(map(str, given))})" if isinstance(given, list) else given


def _columns(matched: Mapping[str, Any], key: Any) -> Mapping[str, Any] | None:
    """Which columns an update writes."""
    if matched == {"action": "do_nothing"}:
        return {"merge_update_columns": key}  # which no merge changes
    if matched == _UPDATE:
        return {}
    rest = {name: value for name, value in matched.items() if name != "update"}
    update = matched.get("update", {})
    if rest != {"action": "update", "mode": "explicit"} or not isinstance(update, Mapping):
        return None
    words = {"include": "merge_update_columns", "exclude": "merge_exclude_columns"}
    given = {name: value for name, value in update.items() if value}
    if not given.keys() <= words.keys() or len(given) > 1:
        return None
    return {words[name]: value for name, value in given.items()}
