"""Snapshots on MariaDB: one transaction of versions and record, and moments that lose no digit.
What a snapshot answers, test_snapshot.py asks of each warehouse."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from dataclasses import replace
from typing import Any

import pytest

from dagster_models.core.materializations import Snapshot
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.mariadb import session as mariadb
from mariadb_server import MariaServer, left_on
from systems import System, mariadb_system
from tasks import sql_task

nightly = pytest.mark.nightly


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


CHECK = Snapshot("check", ("k",), hard_deletes="new_record")


def versioned(session: mariadb.MariaSession, how: Snapshot, *queries: str, first: int = 1) -> None:
    """Builds s.t of one query after the other."""
    for attempt, sql in enumerate(queries, first):
        task = replace(sql_task("s.t", sql, builder="b"), materialization=how, attempt=attempt)
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error.message


def test_a_snapshot_is_one_transaction_of_versions_and_record(
    mariadb: MariaServer, session: mariadb.MariaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each statement of a build others see the versions as they were, and no proof."""
    versioned(session, CHECK, "select 1 as k, 'a' as v union all select 2, 'a'")
    seen = set[tuple[int, int, int]]()
    change = type(session).change
    state = (
        "select count(*), count(valid_to), (select count(*) from dagster_models.commits where"
        " is_published) from s.t"
    )

    def watched(self: Any, sql: str, *arguments: int) -> int:
        seen.update(mariadb.rows(state))
        return int(change(self, sql, *arguments))

    monkeypatch.setattr(type(session), "change", watched)
    versioned(session, CHECK, "select 1 as k, 'b' as v union all select 3, 'a'", first=2)
    monkeypatch.undo()
    assert seen == {(2, 0, 1), (5, 2, 2)}
    found = mariadb.rows(
        "select k, v, is_deleted, valid_to is null from s.t order by k, valid_from"
    )
    ended = [(1, "a", 0, 0), (1, "b", 0, 1), (2, "a", 0, 0), (2, "a", 1, 1), (3, "a", 0, 1)]
    assert found == ended
    assert left_on(mariadb) == []


@nightly
def test_the_moments_of_a_snapshot_keep_each_digit(
    mariadb: MariaServer, session: mariadb.MariaSession
) -> None:
    """A TIMESTAMP is a moment, which becomes one of UTC wherever it was written."""
    attempts = itertools.count(1)
    how = replace(CHECK, strategy="timestamp", updated_at="u")
    for type_, digits in (
        ("timestamp(6)", 123456),
        ("datetime(6)", 123456),
        ("timestamp(3)", 123000),
        ("datetime", 0),
    ):
        mariadb.rows("drop table if exists s.t, s.source")
        mariadb.rows(f"create table s.source (k int, u {type_} null)")
        moments = [dt.datetime(2024, 3, 31, hour, 30, 15, digits) for hour in (1, 2)]
        for moment in moments:
            written = moment + dt.timedelta(hours=5 if type_.startswith("timestamp") else 0)
            with contextlib.closing(mariadb.connect()) as somebody, somebody.cursor() as cursor:
                cursor.execute("set time_zone = '+05:00'")
                cursor.execute("delete from s.source")
                cursor.execute(f"insert into s.source values (1, '{written}')")
                somebody.commit()
            versioned(session, how, "select * from s.source", first=next(attempts))
        found = mariadb.rows("select valid_from, valid_to from s.t order by valid_from")
        assert found == [(moments[0], moments[1]), (moments[1], None)]


@nightly
@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("valid_from datetime(3)", "datetime(3), and not datetime(6)"),
        ("valid_to date", "type date"),
    ],
)
def test_a_history_whose_moments_would_be_rounded_is_refused(
    mariadb: MariaServer, session: mariadb.MariaSession, column: str, said: str
) -> None:
    versioned(session, CHECK, "select 1 as k, 'a' as v")
    mariadb.rows(f"alter table s.t modify column {column}")
    again = replace(sql_task("s.t", "select 1 as k, 'b' as v"), materialization=CHECK, attempt=2)
    error = run(session, again, Stop()).error
    assert error is not None
    assert said in error.message
    assert mariadb.rows("select v from s.t") == [("a",)]


@nightly
def test_a_key_and_a_value_that_are_spelled_otherwise_have_changed(
    mariadb: MariaServer, session: mariadb.MariaSession
) -> None:
    """The collation takes them for equal."""
    how = Snapshot("check", ("k",))
    versioned(session, how, "select 'a' as k, 'x' as v", "select 'a' as k, 'X' as v")
    versioned(session, how, "select 'A' as k, 'X' as v", "select 'A' as k, 'X' as v", first=3)
    found = mariadb.rows("select k, v, valid_to is null from s.t order by valid_from")
    assert found == [("a", "x", 0), ("a", "X", 0), ("A", "X", 1)]


@nightly
def test_a_zero_date_is_no_moment(mariadb: MariaServer, session: mariadb.MariaSession) -> None:
    mariadb.rows("create table s.source (k int, u datetime null)")
    mariadb.rows("set sql_mode = ''")
    mariadb.rows("insert into s.source values (1, '0000-00-00 00:00:00')")
    how = Snapshot("timestamp", ("k",), "u")
    task = replace(sql_task("s.t", "select * from s.source"), materialization=how)
    error = run(session, task, Stop()).error
    assert error is not None
    assert mariadb.rows("select count(*) from information_schema.tables"
                        " where table_schema = 's' and table_name = 't'") == [(0,)]  # fmt: skip
