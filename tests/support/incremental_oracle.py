"""What builds of an incremental model leave, in plain Python: the oracle of random histories."""

from __future__ import annotations

import random
from typing import Any

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental

Row = tuple[Any, ...]


def query_of(text_type: str, *given: Row) -> str:
    """A query of the columns k, l and v with these rows."""

    def text(value: Any) -> str:
        return "null" if value is None else repr(value)

    lines = [f"select {text(k)}, {text(m)}, {text(v)}" for k, m, v in given]
    typed = f"select cast(null as int) as k, cast(null as {text_type}) as l, cast(null as int) as v"
    return " union all ".join([f"{typed} where 1 = 0", *lines])


def random_rows(r: random.Random, strategy: str) -> list[Row]:
    """Rows with NULLs and duplicates; for a merge mostly without those."""
    given = [
        (
            r.randint(0, 3) if r.random() > 0.02 else None,
            r.choice(["x", "y", ""]) if r.random() > 0.02 else None,
            r.choice([None, 1, 2, 3]),
        )
        for _ in range(r.randint(0, 6))
    ]
    if strategy == "merge" and r.random() < 0.8:
        given = list({row[:2]: row for row in given}.values())
    return given


def expected(how: Incremental, table: list[Row] | None, given: list[Row]) -> tuple[str, Any]:
    """What a build does: ("fails", kind of key) or ("builds", (the table, its changes))."""
    keys = [row[:2] for row in given]
    if how.unique_key and any(None in key for key in keys):
        return "fails", "NullKey"
    if how.strategy == "merge" and len(set(keys)) < len(keys):
        return "fails", "DuplicateKey"
    if table is None or how.full_refresh:
        replaced = 0 if table is None else None
        return "builds", (given, Changes("whole", None, len(given), 0, replaced))
    if how.strategy == "append":
        return "builds", (table + given, Changes("delta", None, len(given), 0, 0))
    kept = [row for row in table if row[:2] not in keys]
    if how.strategy == "delete+insert":
        deleted = len(table) - len(kept)
        return "builds", (kept + given, Changes("delta", None, len(given), 0, deleted))
    old = {row[:2]: row for row in table}
    updated = sum(row[:2] in old and old[row[:2]] != row for row in given)
    inserted = sum(key not in old for key in keys)
    return "builds", (kept + given, Changes("delta", None, inserted, updated, 0))
