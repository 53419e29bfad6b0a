"""What builds of an incremental model leave, in plain Python: the oracle of random histories."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.warehouses.base import WarehouseSession

Row = tuple[Any, ...]


def rows_of(session: WarehouseSession, columns: str = "*") -> list[Row]:
    """The rows of s.t, in an order."""
    return sorted(session.query(f"select {columns} from s.t")[1], key=str)


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


def random_builds(strategy: str, seed: int) -> Iterator[tuple[Incremental, list[Row]]]:
    """The builds of a history, some of them reruns and full refreshes, each with its rows."""
    r = random.Random(f"{strategy} {seed}")
    key = () if strategy == "append" else ("k", "l")
    given: list[Row] = []
    for _ in range(6):
        if r.random() < 0.8:  # else the same rows once more
            given = random_rows(r, strategy)
        yield Incremental(strategy, key, full_refresh=r.random() < 0.1), given


def check_outcome(
    outcome: Outcome, how: Incremental, table: list[Row] | None, given: list[Row], story: Any
) -> list[Row] | None:
    """The table after a build which must have this outcome."""
    does, what = expected(how, table, given)
    if does == "fails":
        assert outcome.error is not None, story
        assert (outcome.verdict, outcome.error.name) == (Verdict.ROLLED_BACK, what), story
        return table
    table, changes = what
    assert outcome.error is None, (story, outcome.error)
    assert outcome.changes == changes, story
    return table


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


def check_conditions_of_a_merge(
    session: WarehouseSession, build: Callable[..., Outcome], text_type: str
) -> None:
    """A row of the table stays as it is, and a new row is not added, where the condition does not
    hold or nobody knows it. A first build adds all rows."""
    newer, wanted = "n.v > t.v -- a", "n.l <> 'drop'"
    how = Incremental("merge", ("k",), merge_update_condition=newer, merge_insert_condition=wanted)

    def built(how: Incremental, *given: Row) -> Changes | None:
        outcome = build(query_of(text_type, *given), how)
        assert outcome.error is None, outcome.error
        return outcome.changes

    old: list[Row] = [(1, "a", 5), (2, "b", 5), (3, "drop", None)]
    assert built(how, *old) == Changes("whole", None, 3, 0, 0)
    new: list[Row] = [(1, "A", 6), (2, "B", 4), (3, "C", 9), (4, "d", 1), (5, "drop", 1)]
    assert built(how, *new, (6, None, 1)) == Changes("delta", None, 1, 1, 0)
    assert rows_of(session) == [(1, "A", 6), (2, "b", 5), (3, "drop", None), (4, "d", 1)]
    alone = Incremental("merge", ("k", "l"), merge_insert_condition=wanted)
    assert built(alone, (1, "A", 1), (7, "drop", 7)) == Changes("delta", None, 0, 1, 0)
    alone = Incremental("merge", ("k",), merge_update_condition=newer)
    assert built(alone, (1, "B", 0), (7, "drop", 7)) == Changes("delta", None, 1, 0, 0)
    table = [(1, "A", 1), (2, "b", 5), (3, "drop", None), (4, "d", 1), (7, "drop", 7)]
    assert rows_of(session) == table
    asks = "NOT n.beside"  # a column that the table does not take over
    alone = Incremental("merge", ("k",), on_schema_change="ignore", merge_insert_condition=asks)
    beside = (
        f"select *, k = 8 as beside from ({query_of(text_type, (8, 'e', 1), (9, 'f', 1))}) as x"
    )
    assert build(beside, alone).changes == Changes("delta", None, 1, 0, 0)
    table.append((9, "f", 1))
    assert rows_of(session) == table
    wrong = Incremental("merge", ("k",), full_refresh=True, merge_update_condition="t.nope > 1")
    error = build(query_of(text_type, *old), wrong).error
    assert error is not None
    assert "nope" in error.message
    assert rows_of(session) == table


def check_keys_that_a_condition_meets(
    session: WarehouseSession, build: Callable[..., Outcome], text_type: str
) -> None:
    """A key that the table has twice is reported, also if the condition keeps the merge from
    writing one of the two rows, or both."""
    how = Incremental("merge", ("k",), merge_update_condition="n.v > t.v")
    for value in (1, 5):
        given = [(1, "a", value), (2, "b", value)]
        assert build(query_of(text_type, *given), how).error is None
    session.execute("insert into s.t select k, l, v + 4 from s.t where k = 2")
    table = rows_of(session)
    for value in (4, 7, 10):
        error = build(query_of(text_type, (2, "c", value)), how).error
        assert error is not None, value
        assert error.name == "KeysOfTable"
        assert rows_of(session) == table
    assert build(query_of(text_type, (1, "c", 4)), how).error is None
    assert rows_of(session) == table
