"""Values that a warehouse takes for equal and shows otherwise are other values.

A merge writes them, and a snapshot has a version of them, as a build in full would have them."""

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
    """Each by itself, so that none rides on another, and in both ways of a merge. DuckDB's UPDATE,
    which a table with an index needs, writes only texts of them; the others count as unchanged."""
    left = indexed and system.name == "duckdb"
    for before, after in OTHERS[system.name]:
        session.execute("drop table if exists s.t")
        assert build(select([before]), MERGE).error is None
        if indexed:
            session.execute("create unique index t_k on s.t (k)")
        changes = build(select([after]), MERGE).changes
        assert changes is not None
        stays = left and "collate" not in after
        assert (changes.inserted, changes.updated) == (0, int(not stays)), (before, after)
        now = session.query("select cast(c0 as varchar) from s.t")[1]
        assert now == shown(session, [before if stays else after])
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
