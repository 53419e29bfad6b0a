"""Literals in place of what reads the clock, and nothing else."""

from __future__ import annotations

import datetime as dt

import duckdb
import psycopg
import pytest

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.clock import frozen

NOW = dt.datetime(2024, 2, 1, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
DIALECTS = ("duckdb", "postgres")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select now()", "select TIMESTAMPTZ '2024-01-31 23:30:00+00:00'"),
        ("select NOW(\n), 1", "select TIMESTAMPTZ '2024-01-31 23:30:00+00:00'\n, 1"),
        ("select current_date - 1 as d", "select DATE '2024-01-31' - 1 as d"),
        ("select current_timestamp(3)", "select TIMESTAMPTZ '2024-01-31 23:30:00+00:00'"),
        ("select localtimestamp", "select TIMESTAMP '2024-01-31 23:30:00'"),
        ("select localtime", "select TIME '23:30:00'"),
        ("select age(a, now())", "select age(a, TIMESTAMPTZ '2024-01-31 23:30:00+00:00')"),
    ],
)
def test_what_is_replaced(dialect: str, sql: str, expected: str) -> None:
    assert frozen(sql, dialect, NOW) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "sql",
    [
        "select t.current_date, t.now from t",
        'select "now"(), s.now(), x as today from t',
        "select 'now', 'today' as word, a = 'today' -- now()\nfrom t",
        "select nower(), today from t",
    ],
)
def test_what_stays(dialect: str, sql: str) -> None:
    assert frozen(sql, dialect, NOW) == sql


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "sql",
    [
        "select\n  clock_timestamp()",
        "select\n  age(seen)",
        "select\n  date 'today'",
        "select\n  'now'::timestamp",
        "select\n  cast('tomorrow' as date)",
    ],
)
def test_what_is_refused(dialect: str, sql: str) -> None:
    with pytest.raises(SqlSyntaxError, match="real clock") as error:
        frozen(sql, dialect, NOW)
    assert error.value.line == 2


WORDS = (
    *("now()", "current_date", "current_timestamp", "localtimestamp", "localtime", "current_time"),
    "transaction_timestamp()",
)


def test_the_types_are_those_of_duckdb() -> None:
    own = ("today()", "get_current_timestamp()", "current_localtimestamp()", "get_current_time()")
    for word in (*WORDS, *own, "current_localtime()"):
        sql = frozen(f"select typeof({word})", "duckdb", NOW)
        real, stopped = (
            duckdb.sql(text).fetchall()[0][0] for text in (f"select typeof({word})", sql)
        )
        assert real == stopped, word


def test_the_types_are_those_of_postgres(admin: psycopg.Connection) -> None:
    for word in (*WORDS, "statement_timestamp()"):
        text = f"select pg_typeof({word})::text"
        rows = [
            admin.execute(it.encode()).fetchone() for it in (text, frozen(text, "postgres", NOW))
        ]
        assert rows[0] == rows[1], word
