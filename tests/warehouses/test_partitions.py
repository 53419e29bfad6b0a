"""Partitions of a table are replaced as a plain Python model of that says, in every warehouse.

The oracle of times is zoneinfo: which rows are in a day of New York is decided by Python.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.parts import window_of
from dagster_models.core.stand_ins import KEYS, stand_in
from dagster_models.core.tasks import BuildTask
from dagster_models.core.windows import Partition, TimeWindow, ValueWindow, instant
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from systems import System, instrument, session_of
from tasks import arrow_task, relation_of, sql_task

#: Random histories of each warehouse; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "6"))

ZONE = ZoneInfo("America/New_York")
UTC = dt.timezone.utc
FIRST = dt.date(2024, 1, 1)
Row = tuple[Any, ...]
Build = Callable[..., Outcome]


def midnight(day: int, month: int = 1, zone: dt.tzinfo = ZONE) -> dt.datetime:
    start = dt.datetime(2024, month, 1) + dt.timedelta(days=day - 1)
    return start.replace(tzinfo=zone)


def daily(*days: int, month: int = 1, zone: dt.tzinfo = ZONE) -> tuple[Partition, ...]:
    windows = [TimeWindow(midnight(it, month, zone), midnight(it + 1, month, zone)) for it in days]
    return tuple(Partition(str(it.start.date()), it) for it in windows)


def hourly(first: dt.datetime, count: int) -> tuple[Partition, ...]:
    """That many hours, as they pass."""
    start = instant(first)
    moments = [(start + n * dt.timedelta(hours=1)).astimezone(ZONE) for n in range(count + 1)]
    return tuple(Partition(a.isoformat(), TimeWindow(a, b)) for a, b in pairwise(moments))


def values(*keys: str) -> tuple[Partition, ...]:
    return tuple(Partition(key, ValueWindow((key,))) for key in keys)


def replacing(*partitions: Partition, by: str = "d", **more: Any) -> Incremental:
    batch = more.pop("batch", None)
    return Incremental("replace", partitioned=Partitioned(by, partitions, batch), **more)


def committed(outcome: Outcome) -> Changes:
    assert outcome.error is None, outcome.error
    assert outcome.verdict is Verdict.COMMITTED
    assert outcome.changes is not None
    return outcome.changes


def rows(session: WarehouseSession, table: str = "s.t") -> list[Row]:
    return sorted(session.query(f"select * from {table}")[1], key=str)


def ledger(session: WarehouseSession) -> list[tuple[Any, ...]]:
    return [
        (it.kind, window_of(it), it.inserted, it.deleted)
        for it in session.find_proofs(relation_of("s.t"))
    ]


# Histories: the slice law ------------------------------------------------------------------------

DAYS = 6
SOURCE = "select d, k, count(*) as n, sum(v) as v from s.source group by d, k"


def summed(source: Sequence[Row]) -> dict[dt.date | None, Counter[Row]]:
    """What SOURCE returns, by day."""
    groups: dict[tuple[Any, Any], list[int]] = {}
    for d, k, v in source:
        groups.setdefault((d, k), []).append(v)
    found: dict[dt.date | None, Counter[Row]] = {}
    for (d, k), given in groups.items():
        found.setdefault(d, Counter())[d, k, len(given), sum(given)] += 1
    return found


def count_of(table: Mapping[Any, Counter[Row]], day: dt.date) -> int:
    return sum(table.get(day, Counter()).values())


def table_of(session: WarehouseSession) -> Counter[Row]:
    return Counter((d, k, int(n), int(v)) for d, k, n, v in rows(session))


def fill(session: WarehouseSession, source: Sequence[Row]) -> None:
    def text(value: Any) -> str:
        return (
            "null"
            if value is None
            else f"date '{value}'"
            if hasattr(value, "day")
            else f"{value!r}"
        )

    session.execute("delete from s.source")
    if source:
        listed = ", ".join(f"({', '.join(map(text, row))})" for row in source)
        session.execute(f"insert into s.source values {listed}")


def test_random_histories(session: WarehouseSession, build: Build) -> None:
    """Days in any order, several at once, with gaps, in batches, again and in full; the source
    changes in between. Then all days together are the table that a full refresh makes."""
    session.execute("create table s.source (d date, k varchar, v int)")
    for seed in range(HISTORIES):
        session.execute("drop table if exists s.t")
        r = random.Random(seed)
        table: dict[dt.date | None, Counter[Row]] | None = None
        source: list[Row] = []
        fill(session, source)
        for step in range(7):
            if r.random() < 0.7:
                source = [
                    (
                        FIRST + dt.timedelta(days=r.randint(-1, DAYS))
                        if r.random() > 0.05
                        else None,
                        r.choice("xy"),
                        r.randint(0, 3),
                    )
                    for _ in range(r.randint(0, 12))
                ]
                fill(session, source)
            days = (
                r.sample(range(1, DAYS + 1), r.randint(1, DAYS)) if step < 6 else range(1, DAYS + 1)
            )
            full = r.random() < 0.1 and step < 6
            batch = r.choice([None, None, 1, 2])
            outcome = build(SOURCE, replacing(*daily(*days), batch=batch, full_refresh=full))
            found, before = summed(source), table or {}
            if full:
                table = found
                unplaced = sum(found.get(None, Counter()).values())
                assert committed(outcome).unplaced == unplaced
            else:
                new = {FIRST + dt.timedelta(days=day - 1) for day in days}
                kept = {d: it for d, it in (table or {}).items() if d not in new}
                table = {**kept, **{d: it for d, it in found.items() if d in new}}
                inserted = sum(sum(table[d].values()) for d in new if d in table)
                assert {it.key: (it.inserted, it.deleted) for it in outcome.partition_rows} == {
                    str(d): (count_of(table, d), count_of(before, d)) for d in new
                }
                changes = committed(outcome)
                assert (changes.kind, changes.inserted) == ("window", inserted)
            assert set(outcome.partitions) == {str(FIRST + dt.timedelta(days=d - 1)) for d in days}
            story = (seed, step, days, full, batch)
            assert table_of(session) == sum(table.values(), Counter()), story
        inside = {FIRST + dt.timedelta(days=day) for day in range(DAYS)}
        by_days = Counter(row for row in table_of(session).elements() if row[0] in inside)
        committed(build(SOURCE, replacing()))
        in_full = table_of(session)
        assert by_days == Counter(row for row in in_full.elements() if row[0] in inside), seed


def test_the_ledger_has_the_rows_of_each_window(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.source (d date, k varchar, v int)")
    fill(session, [(FIRST + dt.timedelta(days=n), "x", 1) for n in (0, 0, 1, 2, 3, 4)])
    query = "select * from s.source"
    outcome = build(query, replacing(*daily(1, 2, 5)))
    committed(outcome)
    assert outcome.partition_rows == (
        PartitionRows("2024-01-01", 2, 0),
        PartitionRows("2024-01-02", 1, 0),
        PartitionRows("2024-01-05", 1, 0),
    )
    assert Outcome.from_json(outcome.to_json()) == outcome
    two, five = TimeWindow(midnight(1), midnight(3)), daily(5)[0].window
    assert ledger(session) == [("window", two, 3, 0), ("window", five, 1, 0)]
    outcome = build(query, replacing(*daily(2, 3, 4), batch=2))
    committed(outcome)
    assert outcome.partition_rows == (
        PartitionRows("2024-01-02", 1, 1),
        PartitionRows("2024-01-03", 1, 0),
        PartitionRows("2024-01-04", 1, 0),
    )
    assert ledger(session)[2:] == [
        ("window", TimeWindow(midnight(2), midnight(4)), 2, 1),
        ("window", daily(4)[0].window, 1, 0),
    ]
    parts = [(it.attempt, it.part) for it in session.find_proofs(relation_of("s.t"))]
    assert parts == [(1, 0), (1, 1), (2, 0), (2, 1)]
    committed(build(query, replacing(*daily(1), full_refresh=True)))
    assert [(kind, window) for kind, window, *_ in ledger(session)] == [("whole", None)]


def test_an_empty_delta_empties_the_window(session: WarehouseSession, build: Build) -> None:
    session.execute(
        "create table s.source as select date '2024-01-01' as d union all select date '2024-01-02'"
    )
    query = "select d from s.source"
    committed(build(query, replacing(*daily(1, 2))))
    session.execute("delete from s.source")
    assert committed(build(query, replacing(*daily(2)))) == Changes("window", None, 0, 0, 1)
    assert rows(session) == [(FIRST,)]


def test_a_view_becomes_the_table(session: WarehouseSession, build: Build) -> None:
    session.execute("create view s.t as select 1 as k")
    query = "select date '2024-01-01' as d union all select date '2024-01-02'"
    assert committed(build(query, replacing(*daily(2)))).inserted == 1
    assert rows(session) == [(dt.date(2024, 1, 2),)]


def test_values(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.source as select 'it''s' as r, 1 as n union all select 'b', 2")
    query = "select r, n from s.source"
    committed(build(query, replacing(*values("it's", "b", "none"), by="r")))
    session.execute("update s.source set n = 3")
    changes = committed(build(query, replacing(*values("it's"), by="R")))
    assert (changes.inserted, changes.deleted) == (1, 1)
    assert rows(session) == [("it's", 3), ("b", 2)]
    assert ledger(session)[-1][1] == ValueWindow(("it's",))


def test_values_of_a_column_of_numbers(session: WarehouseSession, build: Build) -> None:
    query = "select 1 as r union all select 2 union all select 3"
    committed(build(query, replacing(*values("1", "3"), by="r")))
    assert rows(session) == [(1,), (3,)]


# Times -------------------------------------------------------------------------------------------

SWITCHES = [(3, 10, 23), (11, 3, 25)]


def moments(month: int, day: int) -> list[dt.datetime]:
    """Every half hour of three days, of which the clock changes on the second."""
    start, end = instant(midnight(day - 1, month)), instant(midnight(day + 2, month))
    count = int((end - start) / dt.timedelta(minutes=30))
    return [start + n * dt.timedelta(minutes=30) for n in range(count)]


@pytest.mark.parametrize("zone_of_session", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize(("month", "day", "hours"), SWITCHES)
def test_a_day_of_23_or_25_hours(
    session: WarehouseSession, build: Build, month: int, day: int, hours: int, zone_of_session: str
) -> None:
    """Of times with a zone: the moments of that day in New York, whatever the session's zone."""
    session.execute(f"set timezone = '{zone_of_session}'")
    listed = ", ".join(f"(timestamptz '{it.isoformat(' ')}')" for it in moments(month, day))
    session.execute("create table s.source (d timestamptz)")
    session.execute(f"insert into s.source values {listed}")
    for first in (True, False):
        changes = committed(build("select d from s.source", replacing(*daily(day, month=month))))
        assert (changes.inserted, changes.deleted) == (2 * hours, 0 if first else 2 * hours)
    there = {instant(d) for (d,) in rows(session)}
    of_day = {it for it in moments(month, day) if it.astimezone(ZONE).day == day}
    assert there == of_day
    assert len(of_day) == 2 * hours


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
@pytest.mark.parametrize(("month", "day", "hours"), SWITCHES)
def test_the_hours_of_such_a_day(
    session: WarehouseSession, build: Build, month: int, day: int, hours: int, kind: str
) -> None:
    """Each moment is in one hour; a time without a zone that the clock shows twice is in one, too.
    One by one, and all together, they are the day."""
    shown = [it.astimezone(ZONE) for it in moments(month, day)]
    texts = [
        (it if kind == "timestamptz" else it.replace(tzinfo=None)).isoformat(" ") for it in shown
    ]
    session.execute(f"create table s.source (d {kind})")
    session.execute(
        f"insert into s.source values {', '.join(f'''({kind} '{it}')''' for it in texts)}"
    )
    wanted = sorted(text for it, text in zip(shown, texts, strict=True) if it.day == day)
    partitions = list(hourly(midnight(day, month), hours))
    random.Random(day).shuffle(partitions)
    counts = [
        committed(build("select d from s.source", replacing(it))).inserted for it in partitions
    ]
    assert sum(filter(None, counts)) == len(wanted)

    def there() -> list[str]:
        found = [d for (d,) in rows(session)]
        moved = [it.astimezone(ZONE) if kind == "timestamptz" else it for it in found]
        return sorted(it.isoformat(" ") for it in moved)

    assert there() == wanted
    committed(build("select d from s.source", replacing(*partitions)))
    assert there() == wanted


def test_a_date_cannot_tell_hours_apart(session: WarehouseSession, build: Build) -> None:
    outcome = build("select date '2024-01-01' as d", replacing(*hourly(midnight(1), 2)))
    assert outcome.error is not None
    assert (
        "`d` is a date, and cannot tell apart windows that begin within a day"
        in outcome.error.message
    )


def test_a_day_that_begins_at_one_o_clock(session: WarehouseSession, build: Build) -> None:
    """In Sao Paulo there was no midnight on 4 November 2018."""
    zone = ZoneInfo("America/Sao_Paulo")
    start = dt.datetime(2018, 11, 4, 1, tzinfo=zone)
    window = TimeWindow(start, dt.datetime(2018, 11, 5, tzinfo=zone))
    query = "select date '2018-11-03' as d union all select date '2018-11-04'"
    committed(build(query, replacing(Partition("x", window))))
    assert rows(session) == [(dt.date(2018, 11, 4),)]


@pytest.mark.parametrize("sql", ["select 'a' as d", "select 1 as d"])
def test_a_column_that_is_no_time(build: Build, sql: str) -> None:
    outcome = build(sql, replacing(*daily(1)))
    assert outcome.error is not None
    assert outcome.error.name == "NoTime"
    assert "cannot be compared with a time: cast it" in outcome.error.message


# Reserved names ----------------------------------------------------------------------------------


def test_the_bounds_are_typed_as_the_column_or_as_what_is_bound(
    session: WarehouseSession, build: Build
) -> None:
    """The session's zone changes nothing, and no offset is lost."""
    session.execute("set timezone = 'Asia/Kathmandu'")
    names = [
        *(stand_in("partition_start"), stand_in("partition_end")),
        *(stand_in("read_start", "timestamptz"), stand_in("read_end", "timestamp")),
    ]
    lo, hi, read_lo, read_hi = names
    query = (
        f"select date '2024-03-10' as d, {read_lo} as a, {read_hi} as b,"
        f" {lo} as c, {hi} as e, {stand_in('partition_key')} as k"
    )
    (partition,) = daily(10, month=3)
    read = TimeWindow(midnight(9, 3), midnight(12, 3))
    for _ in range(2):
        committed(build(query, replacing(replace(partition, read=read))))
        ((d, a, b, c, e, key),) = rows(session)
        assert instant(a) == dt.datetime(2024, 3, 9, 5, tzinfo=UTC)
        assert (b, d, key) == (dt.datetime(2024, 3, 12), dt.date(2024, 3, 10), "2024-03-10")
        assert (c, e) == (dt.date(2024, 3, 10), dt.date(2024, 3, 11))


def test_a_build_in_full_has_no_bounds(session: WarehouseSession, build: Build) -> None:
    lo, hi = stand_in("partition_start"), stand_in("partition_end", "timestamptz")
    query = (
        "select d from (select date '2024-01-01' as d union all select date '2999-01-01') as q"
        f" where d >= {lo} and d < {hi}"
    )
    for how in (replacing(), replacing(*daily(1), full_refresh=True)):
        assert committed(build(query, how)).kind == "whole"
        assert len(rows(session)) == 2


def test_keys(session: WarehouseSession, build: Build) -> None:
    one, many = map(stand_in, reversed(KEYS))
    query = f"select r from (select 'a' as r union all select 'b') as q where r in {many}"
    assert committed(build(query, replacing(*values("a", "c"), by="r"))).inserted == 1
    outcome = build(f"select {one} as r", replacing(*values("a", "b"), by="r"))
    assert outcome.error is not None
    assert "use `$partition_keys`" in outcome.error.message
    assert "or set `batch: 1`" in outcome.error.message
    committed(build(f"select {one} as r", replacing(*values("a", "b"), by="r", batch=1)))
    assert rows(session) == [("a",), ("b",)]
    outcome = build(query, replacing(by="r"))
    assert outcome.error is not None
    assert "between /* @incremental */ and /* @end */" in outcome.error.message
    committed(build(query, replacing(by="r"), full="select 'z' as r"))


def test_a_query_that_reads_its_own_table(session: WarehouseSession, build: Build) -> None:
    """The running balance of a day begins with that of the day before."""
    session.execute("create table s.payments (d date, n int)")
    session.execute(
        "insert into s.payments"
        " select date '2024-01-01' + i, i + 1 from (values (0), (1), (2)) as t(i)"
    )
    query = (
        "select p.d, p.n + coalesce((select max(b.n) from s.t as b where b.d < p.d), 0) as n"
        f" from s.payments as p where p.d >= {stand_in('partition_start', 'date')}"
    )
    how = replacing(*daily(1, 2, 3), batch=1, columns=(("d", "date"), ("n", "integer")))
    committed(build(query, how))
    assert [n for _, n in rows(session)] == [1, 3, 6]


# Rows in no window -------------------------------------------------------------------------------


def frame(tmp_path: Path, table: pa.Table, how: Incremental, attempt: int) -> BuildTask:
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    return replace(arrow_task("s.t", path), materialization=how, attempt=attempt)


def test_rows_of_python_outside_of_the_window_are_counted_and_left_out(
    session: WarehouseSession, tmp_path: Path
) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 9), None]
    table = pa.table({"d": days, "n": [1, 2, 3, 4]})
    for attempt in range(2):
        outcome = run(session, frame(tmp_path, table, replacing(*daily(1, 2)), attempt), Stop())
        changes = committed(outcome)
        assert (changes.inserted, changes.outside, changes.unplaced) == (2, 1, 1)
        assert [n for _, n in rows(session)] == [1, 2]
    assert Outcome.from_json(outcome.to_json()) == outcome
    changes = committed(run(session, frame(tmp_path, table, replacing(), 3), Stop()))
    assert (changes.inserted, changes.outside, changes.unplaced) == (4, None, 1)


def test_a_build_in_full_counts_rows_that_no_partition_reaches(
    session: WarehouseSession, build: Build
) -> None:
    """Before the first one, after the last one, and other values: such rows would be there or not,
    depending on how the table was built last."""
    one, five = (dt.datetime(2024, 1, day, tzinfo=dt.timezone.utc) for day in (1, 5))
    days = " union all ".join(f"select date '{it}' as d" for it in ("2023-12-31", "2024-01-01"))
    days += " union all select date '2024-01-05' union all select cast(null as date)"
    late = dt.datetime(9999, 1, 1, tzinfo=dt.timezone.utc)
    for reach, beyond in ((TimeWindow(one, five), 2), (TimeWindow(one, late), 1), (None, None)):
        how = Incremental("replace", partitioned=Partitioned("d", reach=reach))
        changes = committed(build(days, how))
        assert (changes.inserted, changes.outside, changes.unplaced) == (4, beyond, 1)
    how = Incremental("replace", partitioned=Partitioned("d", reach=ValueWindow(("a", "b"))))
    assert committed(build("select 'b' as d union all select 'c'", how)).outside == 1
    assert (
        committed(build("select 1 as d", replace(how, partitioned=Partitioned("d")))).outside
        is None
    )


def test_a_query_that_is_no_subquery(
    session: WarehouseSession, system: System, build: Build
) -> None:
    if not system.speaks_duckdb:
        pytest.skip("each of its queries may stand in parentheses")
    session.execute(
        "create table s.source as"
        " select date '2024-01-01' + cast(i as int) as d, 'k' || i as k, i from range(4) t(i)"
    )
    query = "pivot s.source on k using sum(i) group by d;"
    for _ in range(2):
        changes = committed(build(query, replacing(*daily(2, 3))))
        assert (changes.inserted, changes.outside, changes.unplaced) == (2, 2, 0)
        assert len(rows(session)) == 2


def test_the_text_of_a_query_may_end_anyhow(session: WarehouseSession, build: Build) -> None:
    for text in ("select date '2024-01-01' as d -- all", "select date '2024-01-01' as d; -- x\n"):
        for _ in range(2):
            committed(build(text, replacing(*daily(1))))
    assert rows(session) == [(FIRST,)]


def test_an_error_in_the_query_names_its_line(session: WarehouseSession, build: Build) -> None:
    text = "select date '2024-01-01' as d\n  , nope"
    outcome = build(text, replacing(*daily(1)))
    assert outcome.error is not None
    assert outcome.error.line == 2
    committed(build("select date '2024-01-01' as d", replacing(*daily(1))))
    outcome = build(text, replacing(*daily(1)))
    assert outcome.error is not None
    assert outcome.error.line == 2


def test_a_query_without_the_column(session: WarehouseSession, build: Build) -> None:
    outcome = build("select 1 as n", replacing(*daily(1)))
    assert outcome.error is not None
    assert "partitions: the query has no column `d`; it has n" in outcome.error.message
    committed(build("select date '2024-01-01' as d", replacing(*daily(1))))
    outcome = build("select 1 as n", replacing(*daily(1)))
    assert outcome.error is not None
    assert "is partitioned by the column `d`" in outcome.error.message
    assert rows(session) == [(FIRST,)]


# Columns -----------------------------------------------------------------------------------------


def test_columns_are_matched_by_name(session: WarehouseSession, build: Build) -> None:
    committed(build("select date '2024-01-01' as d, 'a' as l, 'b' as m", replacing(*daily(1))))
    committed(build("select 'b' as m, 'a' as l, date '2024-01-02' as d", replacing(*daily(2))))
    assert [row[1:] for row in rows(session)] == [("a", "b")] * 2


@pytest.mark.parametrize("policy", ["fail", "append_new_columns", "sync_all_columns", "ignore"])
def test_on_schema_change(session: WarehouseSession, build: Build, policy: str) -> None:
    committed(build("select date '2024-01-01' as d, 1 as n", replacing(*daily(1))))
    outcome = build(
        "select date '2024-01-02' as d, 2 as n, 'x' as l",
        replacing(*daily(2), on_schema_change=policy),
    )
    if policy == "fail":
        assert outcome.error is not None
        assert outcome.error.name == "SchemaChanged"
        assert len(rows(session)) == 1
        return
    committed(outcome)
    added = () if policy == "ignore" else ("x",)
    assert rows(session)[1] == (dt.date(2024, 1, 2), 2, *added)


def test_rows_of_other_tables_do_not_change_along(
    system: System, session: WarehouseSession, build: Build
) -> None:
    if system.speaks_duckdb:
        pytest.skip("its foreign keys have no actions")
    session.execute(
        "create table s.t (d date primary key); insert into s.t values ('2024-01-01');"
        "create table s.child (d date references s.t on delete cascade);"
        "insert into s.child values ('2024-01-01')"
    )
    outcome = build("select date '2024-01-01' as d", replacing(*daily(1)))
    assert outcome.error is not None
    assert "ON DELETE CASCADE" in outcome.error.message
    assert len(rows(session, "s.child")) == 1
    session.execute("drop table s.child")
    committed(build("select date '2024-01-01' as d", replacing(*daily(1))))


def test_a_trigger_that_leaves_rows_out_is_no_publication(
    system: System, session: WarehouseSession, build: Build
) -> None:
    if system.speaks_duckdb:
        pytest.skip("it has no triggers")
    committed(build("select date '2024-01-01' as d", replacing(*daily(1))))
    session.execute(
        "create function s.none() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger no before insert on s.t for each row execute function s.none()"
    )
    outcome = build("select date '2024-01-01' as d", replacing(*daily(1)))
    assert outcome.error is not None
    assert outcome.error.name == "RowsDiffer"
    assert rows(session) == [(FIRST,)]


# Batches -----------------------------------------------------------------------------------------


@pytest.fixture
def source(session: WarehouseSession) -> None:
    session.execute("create table s.source (d date)")
    listed = ", ".join(f"(date '2024-01-0{day}')" for day in range(1, 6))
    session.execute(f"insert into s.source values {listed}")


@pytest.mark.usefixtures("source")
def test_what_is_committed_is_said_when_a_later_batch_fails(
    session: WarehouseSession, build: Build
) -> None:
    text = "case when d = date '2024-01-03' then 'x' else '1' end"
    failing = f"select d, cast({text} as int) as n from s.source"
    outcome = build(failing, replacing(*daily(5, 4, 3, 2, 1), batch=1))
    assert (outcome.verdict, outcome.partitions) == (
        Verdict.ROLLED_BACK,
        ("2024-01-01", "2024-01-02"),
    )
    assert outcome.changes == Changes("window", None, 2, 0, 0)
    assert len(rows(session)) == 2
    assert [window for _, window, *_ in ledger(session)] == [it.window for it in daily(1, 2)]
    assert Outcome.from_json(outcome.to_json()) == outcome


@pytest.mark.usefixtures("source")
def test_after_a_stop_no_batch_is_begun(session: WarehouseSession, build: Build) -> None:
    stop, count = Stop(), 0

    def stop_after_two() -> None:
        nonlocal count
        count += 1
        if count == 2:
            stop.ask(lambda: None)

    instrument(session, after_write_record=stop_after_two)
    outcome = build("select d from s.source", replacing(*daily(1, 2, 3, 4, 5), batch=1), stop=stop)
    assert outcome.verdict is Verdict.CANCELED
    assert outcome.partitions == ("2024-01-01", "2024-01-02")
    assert len(rows(session)) == 2


@pytest.mark.usefixtures("source")
def test_a_part_that_was_committed_is_not_built_again(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    """The same attempt once more, as after a kill: each part has its own record."""
    how = replacing(*daily(1, 2, 3), batch=2)
    task = replace(sql_task("s.t", "select d from s.source"), materialization=how)
    assert committed(run(session, task, Stop())).inserted == 3
    with session_of(warehouse) as other:
        again = run(other, task, Stop())
    assert (again.verdict, again.partitions) == (
        Verdict.COMMITTED,
        tuple(p.key for p in daily(1, 2, 3)),
    )
    assert len(rows(session)) == 3
    assert len(ledger(session)) == 2


# Others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True])
def test_two_writers_of_one_window_do_not_double_its_rows(
    warehouse: OpenWarehouse, session: WarehouseSession, system: System, there: bool
) -> None:
    """On DuckDB its one process lets them in one by one; a server does so itself. On a lake none
    waits: the one that commits last conflicts, and builds again."""
    if system.name == "duckdb":
        pytest.skip("test_batches (execution)")
    query = "select date '2024-01-01' as d union all select date '2024-01-02'"

    def task(run_id: str, *days: int) -> BuildTask:
        found = sql_task("s.t", query, run_id=run_id)
        return replace(found, materialization=replacing(*daily(*days)))

    if there:
        committed(run(session, task("before", 1, 2), Stop()))
    with session_of(warehouse) as other:
        entered, outcomes = threading.Event(), list[Outcome]()

        def second() -> None:
            entered.set()
            outcomes.append(run(other, task("second", 1), Stop()))

        thread = threading.Thread(target=second)

        def start() -> None:
            if outcomes:
                return  # the second try, after a conflict
            thread.start()
            entered.wait()
            if system.name == "ducklake":
                thread.join()
                return
            waits = "select 1 from pg_locks where not granted"
            with session_of(warehouse) as third:
                while not third.query(waits)[1] and not outcomes:
                    pass

        instrument(session, before_commit=start)
        committed(run(session, task("first", 1, 2), Stop()))
        thread.join()
    committed(outcomes[0])
    assert rows(session) == [(FIRST,), (dt.date(2024, 1, 2),)]


def test_a_build_of_one_window_waits_for_no_reader(
    warehouse: OpenWarehouse, session: WarehouseSession, build: Build
) -> None:
    query = "select date '2024-01-01' as d"
    committed(build(query, replacing(*daily(1))))
    with session_of(warehouse) as reader:
        reader.begin()
        assert reader.query("select count(*) from s.t")[1] == [(1,)]
        committed(build("select date '2024-01-01' as d where 1 = 0", replacing(*daily(1))))
        reader.rollback()
    assert rows(session) == []


def test_the_error_kind_of_no_value(build: Build) -> None:
    outcome = build(f"select {stand_in('partition_start')} as r", replacing(*values("a"), by="r"))
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.INVALID_INPUT
    assert "compare with `$partition_keys`" in outcome.error.message


# Texts that are equal and spelled otherwise ------------------------------------------------------

#: A column in which 'a' equals 'A': what is to be done before, and its type.
FOLDED = {
    "citext": ("create extension if not exists citext schema public", "public.citext"),
    "collation": (
        "create collation s.folded (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false)",
        "{text} collate s.folded",
    ),
    "nocase": ("select 1", "{text} collate nocase"),
    "ofcitext": (
        "create extension if not exists citext schema public;"
        " create domain s.name as public.citext; create domain s.initial as s.name",
        "{text}",
    ),
    "domain": (
        "create collation s.folded (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false); create domain s.word as text collate s.folded;"
        " create domain s.short as s.word check (length(value) < 9)",
        "{text}",
    ),
}
FOLDED_TYPES = ["citext", "collation-text", "collation-varchar(9)", "collation-char(3)"]
FOLDED_TYPES += ["domain-s.word", "domain-s.short", "ofcitext-s.name", "ofcitext-s.initial"]


@pytest.mark.parametrize("type_", ["numeric(9,2)", "date", "timestamp(3)", "timestamptz"])
def test_a_domain_is_compared_as_the_type_that_it_restricts(
    system: System, session: WarehouseSession, build: Build, type_: str
) -> None:
    if system.name != "postgres":
        pytest.skip("it has no domains")
    session.execute(f"create domain s.given as {type_}")
    value = "1.50" if type_.startswith("numeric") else "2024-01-01 12:00"
    how = replacing(*values("1.5"), by="k") if value == "1.50" else replacing(*daily(1), by="k")
    session.execute(f"create table s.t as select '{value}'::s.given as k")
    query = f"select '{value}'::s.given as k"
    changes = committed(build(query, how))
    assert (changes.inserted, changes.deleted) == (1, 1)


@pytest.mark.parametrize("given", [*FOLDED_TYPES, "nocase-varchar"])
def test_a_key_that_equals_another_and_is_spelled_otherwise_is_another_partition(
    system: System, session: WarehouseSession, build: Build, given: str
) -> None:
    name, _, text = given.partition("-")
    if system.speaks_duckdb != (name == "nocase") or system.name == "ducklake":
        pytest.skip("it has no such columns")
    before, type_ = FOLDED[name]
    try:
        session.execute(before)
    except WarehouseError as error:
        pytest.skip(f"this server has none: {error.message}")
    session.execute(f"create table s.source (k {type_.format(text=text)}, n int)")
    session.execute("insert into s.source values ('a', 1), ('B', 2)")
    session.execute("create table s.t as select * from s.source")
    session.execute("insert into s.t values ('c', 3), ('C', 4)")
    first = build("select * from s.source", replacing(*values("a", "B"), by="k"))
    assert committed(first).deleted == 2
    other = build("select * from s.source", replacing(*values("A", "b"), by="k"))
    assert committed(other) == Changes("window", None, 0, 0, 0)
    assert committed(build("select * from s.source", replacing(*values("C"), by="k"))).deleted == 1
    left = [(str(key).strip(), number) for key, number in rows(session)]
    assert left == [("B", 2), ("a", 1), ("c", 3)]
