"""An incremental build leaves what a plain Python model of it leaves, in every warehouse."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from tasks import sql_task

#: Random histories of each strategy and warehouse; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "6"))

Row = tuple[Any, ...]
Build = Callable[..., Outcome]


@pytest.fixture
def build(session: WarehouseSession) -> Build:
    """Builds s.t, as a new attempt each time."""
    attempt = 0

    def build(sql: str, how: Incremental) -> Outcome:
        nonlocal attempt
        attempt += 1
        task = replace(sql_task("s.t", sql), materialization=how, attempt=attempt)
        return run(session, task, Stop())

    return build


def rows(session: WarehouseSession, table: str = "s.t") -> list[Row]:
    return sorted(session.query(f"select * from {table}")[1], key=str)


def values(*given: Row) -> str:
    """A query of the columns k, l and v with these rows."""

    def text(value: Any) -> str:
        return "null" if value is None else repr(value)

    lines = [f"select {text(k)}, {text(m)}, {text(v)}" for k, m, v in given]
    typed = "select cast(null as int) as k, cast(null as varchar) as l, cast(null as int) as v"
    return " union all ".join([f"{typed} where 1 = 0", *lines])


MERGE = Incremental("merge", ("k", "l"))


# Histories ---------------------------------------------------------------------------------------


def expected(how: Incremental, table: list[Row] | None, given: list[Row]) -> tuple[str, Any]:
    """What a build does, in plain Python: ("fails", kind of key) or the table and its changes."""
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


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_random_histories(session: WarehouseSession, build: Build, strategy: str) -> None:
    """Rows with NULLs and duplicates, composite keys, reruns and full refreshes."""
    session.execute("create table s.source (k int, l varchar, v int)")
    fails = 0
    for seed in range(HISTORIES):
        session.execute("drop table if exists s.t")
        r = random.Random(f"{strategy} {seed}")
        table: list[Row] | None = None
        given: list[Row] = []
        for step in range(6):
            if r.random() < 0.8:  # else the same rows once more
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
            session.execute(f"delete from s.source; insert into s.source {values(*given)}")
            key = () if strategy == "append" else ("k", "l")
            how = Incremental(strategy, key, full_refresh=r.random() < 0.1)
            outcome = build("select * from s.source", how)
            does, what = expected(how, table, given)
            story = (strategy, seed, step, given, table)
            if does == "fails":
                fails += 1
                assert outcome.error is not None, story
                assert (outcome.verdict, outcome.error.name) == (Verdict.ROLLED_BACK, what), story
            else:
                table, changes = what
                assert outcome.error is None, story
                assert outcome.changes == changes, story
            if table is not None:
                assert rows(session) == sorted(table, key=str), story
    assert fails or strategy == "append"


def test_the_record_says_what_was_changed(session: WarehouseSession, build: Build) -> None:
    build(values((1, "x", 1), (2, "x", 2)), MERGE)
    outcome = build(values((1, "x", 9), (2, "x", 2), (3, "x", 3)), MERGE)
    assert outcome.changes == Changes("delta", None, 1, 1, 0)
    (commit,) = session.last_proofs()
    assert commit.changes == outcome.changes
    assert (commit.kind, commit.rows, commit.part) == ("delta", outcome.rows, 0)
    assert Outcome.from_json(outcome.to_json()) == outcome


# Keys --------------------------------------------------------------------------------------------


def test_a_null_key_fails_with_an_example(session: WarehouseSession, build: Build) -> None:
    for first in (True, False):  # the first build is guarded, too
        outcome = build(values((1, "x", 1), (2, None, 7)), MERGE)
        assert outcome.error is not None
        assert "1 row has NULL in unique_key (k, l)" in outcome.error.message
        assert "k=2, l=NULL, v=7" in outcome.error.message
        if first:
            assert build(values((1, "x", 0)), MERGE).error is None
    assert rows(session) == [(1, "x", 0)]


def test_a_key_that_occurs_twice_fails_a_merge_only(
    session: WarehouseSession, build: Build
) -> None:
    twice = values((1, "x", 1), (1, "x", 2), (2, "x", 3))
    outcome = build(twice, MERGE)
    assert outcome.error is not None
    assert "k=1, l=x, rows=2" in outcome.error.message
    both = replace(MERGE, strategy="delete+insert")
    assert build(twice, both).error is None
    assert build(twice, both).changes == Changes("delta", None, 3, 0, 3)
    assert len(rows(session)) == 3


def test_a_key_that_is_no_column(build: Build) -> None:
    outcome = build(values(), Incremental("merge", ("id",)))
    assert outcome.error is not None
    assert "unique_key: the query has no column `id`; it has k, l, v" in outcome.error.message


def test_a_key_is_found_whatever_its_case(session: WarehouseSession, build: Build) -> None:
    how = Incremental("merge", ("K",))
    build(values((1, "x", 1)), how)
    build(values((1, "x", 2)), how)
    assert rows(session) == [(1, "x", 2)]


def test_a_table_of_keys_only(session: WarehouseSession, build: Build) -> None:
    how = Incremental("merge", ("k",))
    build("select 1 as k", how)
    assert build("select 1 as k union all select 2", how).changes == Changes("delta", None, 1, 0, 0)
    assert rows(session) == [(1,), (2,)]


def test_an_empty_delta(session: WarehouseSession, build: Build) -> None:
    build(values((1, "x", 1)), MERGE)
    assert build(values(), MERGE).changes == Changes("delta", None, 0, 0, 0)
    assert rows(session) == [(1, "x", 1)]


def test_a_view_becomes_the_table(session: WarehouseSession, build: Build) -> None:
    session.execute("create view s.t as select 1 as k")
    assert build(values((1, "x", 1)), MERGE).changes == Changes("whole", None, 1, 0, 0)
    assert rows(session) == [(1, "x", 1)]


# Columns -----------------------------------------------------------------------------------------


def test_columns_are_matched_by_name(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 'a' as l, 'b' as m", Incremental("append"))
    build("select 'b' as m, 2 as k, 'a' as l", Incremental("append"))
    assert rows(session) == [(1, "a", "b"), (2, "a", "b")]


SCHEMAS = {
    "added": "select 2 as k, 'b' as l, 7 as v",
    "gone": "select 2 as k",
    "retyped": "select 2 as k, 5 as l",
    "reordered": "select 'b' as l, 2 as k",
}
FAILS = None
#: Change, policy -> the table afterwards; it held (1, '1') before.
TABLES: dict[tuple[str, str], Any] = {
    ("added", "fail"): FAILS,
    ("added", "ignore"): [(1, "1"), (2, "b")],
    ("added", "append_new_columns"): [(1, "1", None), (2, "b", 7)],
    ("added", "sync_all_columns"): [(1, "1", None), (2, "b", 7)],
    ("gone", "fail"): FAILS,
    ("gone", "ignore"): [(1, "1"), (2, None)],
    ("gone", "append_new_columns"): [(1, "1"), (2, None)],
    ("gone", "sync_all_columns"): [(1,), (2,)],
    ("retyped", "fail"): FAILS,
    ("retyped", "ignore"): FAILS,
    ("retyped", "append_new_columns"): FAILS,
    ("retyped", "sync_all_columns"): [(1, 1), (2, 5)],
    **{
        ("reordered", policy): [(1, "1"), (2, "b")]
        for policy in ("fail", "ignore", "append_new_columns", "sync_all_columns")
    },
}


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
@pytest.mark.parametrize(("change", "policy"), list(TABLES))
def test_on_schema_change(
    session: WarehouseSession, build: Build, change: str, policy: str, strategy: str
) -> None:
    how = Incremental(strategy, () if strategy == "append" else ("k",), policy)
    assert build("select 1 as k, '1' as l", how).error is None
    outcome = build(SCHEMAS[change], how)
    table = TABLES[change, policy]
    if table is FAILS:
        assert outcome.error is not None
        assert outcome.error.name == "SchemaChanged"
        assert "`on_schema_change:" in outcome.error.message
        assert "`full_refresh`" in outcome.error.message
        table = [(1, "1")]
    else:
        assert outcome.error is None
    assert rows(session) == table


def test_a_changed_type_that_cannot_hold_the_values_is_refused(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("append", (), "sync_all_columns")
    build("select cast(1.5 as decimal(9,2)) as n", how)
    outcome = build("select 2 as n", how)
    assert outcome.error is not None
    assert "cannot hold all of its values, e.g. 1.50" in outcome.error.message
    assert [float(n) for (n,) in rows(session)] == [1.5]


def test_half_a_number_is_never_rounded(session: WarehouseSession, build: Build) -> None:
    for policy in ("fail", "ignore", "append_new_columns"):
        how = Incremental("append", (), policy)
        build("select 1 as n", replace(how, full_refresh=True))
        assert build("select 1.5 as n", how).verdict is Verdict.ROLLED_BACK
        assert rows(session) == [(1,)]
