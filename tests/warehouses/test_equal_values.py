"""Values that a warehouse takes for equal and shows otherwise are other values.

A merge writes them, and a snapshot has a version of them, as a build in full would have them. Keys
that are one in two spellings are no exception."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dagster_models.core.materializations import Incremental, Snapshot
from dagster_models.core.messages import Outcome
from dagster_models.warehouses.base import WarehouseSession
from systems import System

Build = Callable[..., Outcome]

MERGE = Incremental("merge", ("k",))
CHECK = Snapshot("check", ("k",))
#: Before and after, of each warehouse.
OTHERS = {
    "duckdb": [
        ("interval '1 month'", "interval '30 days'"),
        ("interval '1 day'", "interval '24 hours'"),
        ("'a' collate nocase", "'A' collate nocase"),
        ("'é' collate noaccent", "'e' collate noaccent"),
        ("0.0::double", "-0.0::double"),
        ("0.0::float", "-0.0::float"),
        ("{'z': 0.0::double, 't': 'x'}", "{'z': -0.0::double, 't': 'x'}"),
        ("[interval '1 month']", "[interval '30 days']"),
        ("map {'a': interval '1 month'}", "map {'a': interval '30 days'}"),
    ],
    "postgres": [
        ("interval '1 month'", "interval '30 days'"),
        ("0.0::float8", "'-0.0'::float8"),
        ("array[interval '1 month']", "array[interval '30 days']"),
        ("1.0::numeric", "1.00::numeric"),
    ],
}
#: Values that stay the same.
SAME = ["'nan'", "null", "-1.5", "0.0"]


def shown(session: WarehouseSession, values: list[str]) -> list[tuple[object, ...]]:
    """The values as the warehouse shows them."""
    return session.query("select " + ", ".join(f"cast({it} as varchar)" for it in values))[1]


def select(values: list[str]) -> str:
    return "select 1 as k, " + ", ".join(f"{value} as c{at}" for at, value in enumerate(values))


@pytest.mark.parametrize("indexed", [False, True])
def test_a_merge_writes_them(
    system: System, session: WarehouseSession, build: Build, indexed: bool
) -> None:
    """Each by itself, so that none rides on another, and in both ways of a merge: DuckDB updates a
    table with an index, and an UPDATE leaves values that it takes for equal."""
    for before, after in OTHERS[system.name]:
        session.execute("drop table if exists s.t")
        assert build(select([before]), MERGE).error is None
        if indexed:
            session.execute("create unique index t_k on s.t (k)")
        outcome = build(select([after]), MERGE)
        if indexed and after.startswith("{"):  # nothing makes DuckDB write it
            assert outcome.error is not None
            said = "s.t holds {'z': 0.0, 't': x} in \"c0\", which equals {'z': -0.0, 't': x}"
            assert said in outcome.error.message
            continue
        assert outcome.error is None, (before, after, outcome.error)
        assert outcome.changes is not None
        assert (outcome.changes.inserted, outcome.changes.updated) == (0, 1), (before, after)
        now = session.query("select cast(c0 as varchar) from s.t")[1]
        assert now == shown(session, [after])
        changes = build(select([after]), MERGE).changes
        assert changes is not None
        assert changes.updated == 0, after


def test_a_snapshot_has_a_version_of_them(
    system: System, session: WarehouseSession, build: Build
) -> None:
    for before, after in OTHERS[system.name]:
        session.execute("drop table if exists s.t")
        for value, versions in ((before, 1), (after, 2), (after, 2)):
            outcome = build(select([value]), CHECK)
            assert outcome.error is None, outcome.error
            assert outcome.rows == versions, (before, after)


#: Keys that are one, in two spellings.
KEYS = {
    "duckdb": [
        ("'a' collate nocase", "'A' collate nocase"),
        ("'é' collate noaccent", "'e' collate noaccent"),
        ("0.0::double", "-0.0::double"),
    ],
    "postgres": [
        ("1.0::numeric", "1.00::numeric"),
        ("0.0::float8", "'-0.0'::float8"),
        ("interval '1 day'", "interval '24 hours'"),
    ],
}


@pytest.mark.parametrize("way", ["merge", "merge, indexed", "delete+insert", "snapshot"])
def test_a_key_is_spelled_as_it_was_returned_last(
    system: System, session: WarehouseSession, build: Build, way: str
) -> None:
    """Whether anything else of its row has changed or not, as after a build in full."""
    how = Incremental(way.partition(",")[0], ("k",)) if way != "snapshot" else CHECK
    current = " where valid_to is null" if way == "snapshot" else ""
    for before, after in KEYS[system.name]:
        session.execute("drop table if exists s.t")
        assert build(f"select {before} as k, 1 as v", how).error is None
        if "indexed" in way:
            session.execute("create unique index t_k on s.t (k)")
        for spelled, value, updated in ((after, 1, 1), (after, 1, 0), (before, 2, 1)):
            outcome = build(f"select {spelled} as k, {value} as v", how)
            assert outcome.error is None, outcome.error
            assert outcome.changes is not None
            if way.startswith("merge"):
                assert (outcome.changes.inserted, outcome.changes.updated) == (0, updated)
            now = session.query(f"select cast(k as varchar), v from s.t{current}")[1]
            assert now == session.query(f"select cast({spelled} as varchar), {value}")[1]


def test_equal_values_are_not_written(session: WarehouseSession, build: Build) -> None:
    values = [f"cast({it} as double precision)" for it in SAME] + ["'ä'", "interval '1 day'"]
    for _ in range(2):
        changes = build(select(values), MERGE).changes
    assert changes is not None
    assert (changes.inserted, changes.updated) == (0, 0)


@pytest.mark.parametrize("known", ["('a', 1)", ""])
def test_keys_that_are_one_in_the_table_are_refused(
    system: System, session: WarehouseSession, build: Build, known: str
) -> None:
    """Whether the table knows the key or not. PostgreSQL refuses the collations by itself."""
    if system.name != "duckdb":
        pytest.skip("its collations are not mixed")
    session.execute("create table s.t (k varchar collate nocase, v integer)")
    if known:
        session.execute(f"insert into s.t values {known}")
    outcome = build("select * from (values ('a', 2), ('A', 3)) as n (k, v)", MERGE)
    assert outcome.error is not None
    assert "as s.t compares them: its column has a collation" in outcome.error.message
    assert session.query("select k, v from s.t")[1] == ([("a", 1)] if known else [])
    assert build("select * from (values ('A', 3)) as n (k, v)", MERGE).error is None
    assert session.query("select k, v from s.t")[1] == [("A", 3)]
