"""`/*$name*/ literal`: an editor runs the text as it is, and the variable replaces the literal."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dagster_models.core.model import Key
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.fill_in import compile_sql
from dagster_models.sql.parse import parse_sql
from project_cases import make

DIALECTS = ("duckdb", "postgres", "bigquery", "snowflake", "clickhouse", "spark")


def compiled(text: str, dialect: str = "duckdb", **variables: object) -> str:
    return compile_sql(text, parse_sql(text, dialect), dialect, lambda _: None, variables)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("literal", "value", "filled"),
    [
        ("1", 2, "2"),
        ("- 1.5", 2, "2"),
        ("1", -2, "(-2)"),
        ("1", Decimal("1.50"), "1.50"),
        ("null", 7, "7"),
        ("true", False, "FALSE"),
        ("'a'", "it's", None),
        ("date '2020-01-01'", "2024-02-29", "date '2024-02-29'"),
        ("Timestamp  '2020-01-01'", "2024-02-29 10:00", "Timestamp  '2024-02-29 10:00'"),
        ("interval '3' day", "5", "interval '5' day"),
        ("interval '3 days'", "5 days", "interval '5 days'"),
        ("(1, 2)", [3, -4, 5], "(3, -4, 5)"),
        ("('a')", ("b", "c"), "('b', 'c')"),
        ("( date '2020-01-01', null )", [1], "(1)"),
    ],
)
def test_the_value_takes_the_place_of_the_literal_and_of_nothing_else(
    dialect: str, literal: str, value: object, filled: str | None
) -> None:
    before, after = (
        "select a -- '/*$x*/ 1'\nfrom t where a = /*$x*/ ",
        "  /* the $x */ and b <> ';'",
    )
    sent = compiled(before + literal + after, dialect, x=value)
    assert sent.startswith(before)
    assert sent.endswith(after)
    if filled is not None:
        assert sent[len(before) : -len(after)] == filled


def test_dates_and_lists_are_what_the_database_reads() -> None:
    text = (
        "select n from range(10) t(n) where n in /* $few */ (1, 2) and n = any(/*$some*/ [1])"
        " and date '2020-01-01' + n::int >= /*$day*/ date '2020-01-02' and n <> /*$no*/ 2 - 1"
    )
    assert duckdb.sql(text).fetchall() == []
    values = {"few": [3, 4, 5, 6], "some": [4, 5, 6], "day": datetime.date(2020, 1, 6), "no": 7}
    assert duckdb.sql(compiled(text, **values)).fetchall() == [(5,)]


def test_random_texts_run_as_written_and_as_filled_in() -> None:
    """The database computes the same from the variables as from the values written by hand."""
    random.seed(12)
    values: dict[str, list[object]] = {
        "1": [2, -3, 0, Decimal("2.5")],
        "'a'": ["b", "it''s", "--", "/*$y*/ 1", "$x"],
        "date '2020-01-01'": ["2021-02-03", datetime.date(1999, 12, 31)],
        "timestamp '2020-01-01'": ["2021-02-03 04:05:06", datetime.datetime(1999, 1, 2, 3)],
        "interval '3 days'": ["1 hour"],
        "[1, 2]": [[5], [7, 8, 9]],
    }
    fillers = ["", " ", "\n", " -- $no\n", "/* no */", "/* $no */ /* one binds: the last */"]
    for _ in range(300):
        columns, wanted, given = [], [], {"no": 1}
        for place in range(random.randint(1, 4)):
            literal = random.choice([*values])
            given[f"v{place}"] = value = random.choice(values[literal])
            before, after = random.choice(fillers), random.choice(fillers[:5])
            columns.append(f"{before}/*$v{place}*/{after}{literal} as c{place}")
            wanted.append(value)
        text = f"select {', '.join(columns)}"
        duckdb.sql(text).fetchall()
        (row,) = duckdb.execute(compiled(text, **given)).fetchall()
        for value, found in zip(wanted, row, strict=True):
            assert found == _read(value, found), text


def _read(value: object, found: object) -> object:
    """A value as the database returns it: a text of a typed literal has the literal's type."""
    if isinstance(value, str) and not isinstance(found, str):
        if isinstance(found, datetime.timedelta):
            return datetime.timedelta(hours=1)
        return type(found).fromisoformat(value)  # type: ignore[attr-defined]
    return value


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("select /*$x*/ a from t", (1, 8)),
        ("select /*$x*/ now()", (1, 8)),
        ("select a from t where b in /*$x*/ (select 1)", (1, 28)),
        ("select a from t where\n b in /*$x*/ (1, c)", (2, 7)),
        ("select 1 /*$x*/", (1, 10)),
        ("select /*$x*/ cast('1' as int)", (1, 8)),
    ],
)
def test_a_comment_without_a_literal_is_an_error(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(SqlSyntaxError, match=r"no literal follows /\*\$x\*/") as caught:
        parse_sql(text, "duckdb")
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("select /*$x*/ 1", [1], "it is a list, and the literal is one value"),
        ("select 1 in /*$x*/ (1)", 1, "it is one value, and the literal is a list"),
        ("select 1 in /*$x*/ (1)", [], "it is an empty list"),
    ],
)
def test_a_value_of_another_form_is_an_error(text: str, value: object, why: str) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        compiled(text, x=value)
    assert why in caught.value.what
    assert (caught.value.line, caught.value.column) == (1, text.index("/*") + 1)


def test_other_comments_bind_nothing() -> None:
    text = "select /*$5 fee*/ 12, /* the $x */ 1, '/*$x*/ 1', 2 -- /*$x*/ 1\n, /*+ $x */ 3"
    assert compiled(text) == text


def test_the_code_version_is_of_the_value_and_not_of_the_literal(tmp_path: Path) -> None:
    def version(folder: str, text: str, least: int) -> str:
        files = {"dagster_models.yaml": f"name: p\nvars: {{least: {least}}}", "models/a.sql": text}
        return make(tmp_path / folder, files).steps[Key("main", "a")].code_version

    first = version("1", "select /*$least*/ 1 as n", 5)
    assert version("2", "select /* $least */ -9 as n", 5) == first
    assert version("3", "select /*$least*/ 1 as n", 6) != first
    assert version("4", "select 1 as n", 5) != first


def test_a_variable_that_is_not_set_is_reported_with_its_place() -> None:
    with pytest.raises(SqlSyntaxError, match=r"placeholder /\*\$x\*/ has no variable") as caught:
        compiled("select 1,\n  /*$x*/ 2", y=1)
    assert (caught.value.line, caught.value.column) == (2, 3)
