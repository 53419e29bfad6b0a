"""Queries of dbt's `datediff()` between two dates that stand in them: no warehouse is asked."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dagster_models.dbt.importing import ImportOptions, import_project
from dagster_models.dbt.text.literal_dates import counted_between
from dagster_models.dbt.text.model_text import Way
from dbt_cases import manifest_of, step

#: As dbt-duckdb writes it.
OF_DUCKDB = "\n select\n (date_diff('{}', {}::timestamp, {}::timestamp ))\n"
DATES = ["cast('2019-12-31' as date)", "'2020-01-01'", "date '2024-02-29'", "('2031-07-15')"]


@pytest.mark.parametrize("part", ["day", "month", "quarter", "year", "hour"])
def test_the_answers_are_those_of_duckdb(part: str) -> None:
    with duckdb.connect() as session:
        for sql in (OF_DUCKDB.format(part, a, b) for a in DATES for b in DATES):
            (answer,) = session.sql(sql).fetchall()
            assert counted_between(sql, "duckdb") == answer[0], sql


BEGIN, END = "cast('2020-01-01' as date)", "CAST('2020-03-01 00:00:00' AS timestamp)"


@pytest.mark.parametrize(
    ("adapter", "sql", "days"),
    [
        ("postgres", f"select\n ((({END}))::date - ({BEGIN})::date)", 60),
        ("snowflake", f"select datediff(\n day,\n {BEGIN},\n {END}\n )", 60),
        (
            "snowflake",
            "select datediff( day, to_date('01/31/2020', 'mm/dd/yyyy'), '2020-02-01' )",
            1,
        ),
        ("redshift", f"select datediff( day, {END}, {BEGIN} )", -60),
        (
            "bigquery",
            f"select datetime_diff( cast({END} as datetime), cast({BEGIN} as datetime), month )",
            2,
        ),
        (
            "trino",
            f"select ((to_milliseconds((CAST(CAST({END} AS TIMESTAMP) AS DATE)"
            f" - CAST(CAST({BEGIN} AS TIMESTAMP) AS DATE)))) / 86400000)",
            60,
        ),
        *(
            ("duckdb", OF_DUCKDB.format(part, begin, BEGIN), None)
            for part, begin in [
                ("week", BEGIN),
                ("day", "current_date"),
                ("day", "cast('2020-02-30' as date)"),
                ("day", "'2020-01-01 10:00:00'"),
                ("day", "cast('2020-01-01' as varchar)"),
                ("day", "f('2020-01-01')"),
                ("day", "(select max(day) from t)"),
                ("day", "'2020-01-01' + 1"),
            ]
        ),
        ("postgres", f"select (({END})::date - ({BEGIN})::date) from t", None),
        ("postgres", f"select (@{10**30}@ - ({BEGIN})::date)", None),
        ("spark", f"select datediff( day, {BEGIN}, {END} )", None),
        ("duckdb", "select 1", None),
    ],
)
def test_what_is_not_such_a_query_is_the_warehouses(
    adapter: str, sql: str, days: int | None
) -> None:
    assert counted_between(sql, adapter) == days


#: As in dbt, without what it logs.
STATEMENT = (
    "{% macro statement(name=none, fetch_result=false) %}{% set sql = caller() %}"
    "{% set res, table = adapter.execute(sql, auto_begin=true, fetch=fetch_result) %}"
    "{{ store_result(name, response=res, agate_table=table) }}{% endmacro %}"
)
DAYS = (
    "{% macro days(begin, end) %}{% call statement('days', fetch_result=true) %}"
    f"{OF_DUCKDB.format('day', '{{ begin }}', '{{ end }}')}"
    "{% endcall %}{% set found = load_result('days') %}{% if found and found['data'] %}"
    "{{ return(found['data'] | map(attribute=0) | list | first) }}{% endif %}{% endmacro %}"
)
RUN_QUERY = (
    "{% macro rows_of(sql) %}{% call statement('rows', fetch_result=true) %}{{ sql }}{% endcall %}"
    "{{ return(load_result('rows').table) }}{% endmacro %}"
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("select {{ days(\"'2020-01-01'\", \"'2020-03-01'\") + 1 }} as n", "select 61 as n"),
        ("select {{ days(\"'2020-01-01'\", 'current_date') }} as n", None),
        (f"select {{{{ rows_of({OF_DUCKDB.format('day', *DATES[1:3])!r}) }}}} as n", None),
        ("select {{ load_result('days') }} as n", None),
    ],
)
def test_a_text_is_rendered_if_it_asks_for_nothing_else(
    tmp_path: Path, text: str, written: str | None
) -> None:
    macros = {
        "macro.shop.statement": STATEMENT,
        "macro.shop.days": DAYS,
        "macro.shop.rows_of": RUN_QUERY,
    }
    done = import_project(
        manifest_of(tmp_path, step("spine", raw_code=text), macros=macros), ImportOptions()
    )
    (model,) = done.report.models
    if written is None:
        assert model.disabled
        assert "asks the warehouse while dbt compiles" in model.why
    else:
        assert model.way is Way.RENDERED
        assert str(done.files[model.path]).endswith(f"{written}\n")
