"""dbt-duckdb's `merge_clauses` -> the columns that a merge writes, where both write the same rows.

dbt sends one MERGE, whose clauses a model may write itself. A merge here updates the rows whose key
is there, all columns or some, and adds all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: What dbt sends for a list that is not given.
_UPDATE = {"action": "update", "mode": "by_name"}
_INSERT = {"action": "insert", "mode": "by_name"}


def columns_of_clauses(clauses: Any, key: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    """What the clauses say of a row whose *key* is there, in the words of a header: {} for all
    columns. None for clauses that do what no merge here does."""
    if not isinstance(clauses, Mapping):
        return None
    matched = _only(clauses.get("when_matched", [_UPDATE]))
    other = _only(clauses.get("when_not_matched", [_INSERT]))
    if matched is None or other is None or {"by": "target", **other} != {**_INSERT, "by": "target"}:
        return None
    if matched == {"action": "do_nothing"}:
        return {"merge_update_columns": key}  # which no merge changes
    if matched == _UPDATE:
        return {}
    return _of_explicit(matched)


def _only(clauses: Any) -> Mapping[str, Any] | None:
    """The clause of a list that has one, without what is empty."""
    if not isinstance(clauses, list) or len(clauses) != 1 or not isinstance(clauses[0], Mapping):
        return None
    return {name: value for name, value in clauses[0].items() if value}


def _of_explicit(matched: Mapping[str, Any]) -> Mapping[str, Sequence[str]] | None:
    """What an update names: the columns to write, or those to leave, or neither for all."""
    rest = {name: value for name, value in matched.items() if name != "update"}
    update = matched.get("update", {})
    if rest != {"action": "update", "mode": "explicit"} or not isinstance(update, Mapping):
        return None
    words = {"include": "merge_update_columns", "exclude": "merge_exclude_columns"}
    given = {name: value for name, value in update.items() if value}
    if not given.keys() <= words.keys() or len(given) > 1:
        return None
    return {words[name]: value for name, value in given.items()}
