"""What a predicate on the rows of a key says of the row of the table and of the new one."""

from __future__ import annotations

import pytest

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.predicate_rows import OF_INSERT, OF_UPDATE
from dagster_models.sql.predicates import predicate_of_rows


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        ("a > 1 -- x", "t.a > 1 -- x"),
        ("name.upper() = 'X'", "t.name.upper() = 'X'"),
        ("DBT_INTERNAL_DEST.a.lower() = dbt_internal_source.b", "t.a.lower() = n.b"),
        ("main.mine(a) > 1", "main.mine(t.a) > 1"),
        ("list_filter(l, x -> x > a) = []", "list_filter(t.l, x -> x > t.a) = []"),
        ("'x'.upper() = a", "'x'.upper() = t.a"),
        ("a = ')' or a = ';'", "t.a = ')' or t.a = ';'"),
    ],
)
def test_each_column_has_its_row_before_it(predicate: str, said: str) -> None:
    assert predicate_of_rows(predicate, "duckdb") == said


@pytest.mark.parametrize(
    "predicate",
    [
        "a > random()",
        "b = gen_random_uuid()::text",
        "a > 1 and setseed(0.5) is null",
        "u = Uuid ()",
        "a > statement_timestamp()",
        "a = (array_shuffle(b))[1]",
    ],
)
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_what_changes_from_one_statement_to_the_next_is_refused(
    predicate: str, dialect: str
) -> None:
    with pytest.raises(SqlSyntaxError, match="answers otherwise each time"):
        predicate_of_rows(predicate, dialect)


@pytest.mark.parametrize("predicate", ["a > now()", "a > current_date - 7", "random > 1"])
def test_what_a_transaction_has_once_is_taken(predicate: str) -> None:
    assert predicate_of_rows(predicate, "duckdb") == f"t.{predicate}"


@pytest.mark.parametrize(
    "predicate",
    [
        *("[x for x in l if x > 1] = l", "s.f.upper() = 'X'", "a) or (b", "a = '(') or (b = ')'"),
        *("a > $x", "a > /*$x*/ 5"),
    ],
)
def test_what_it_cannot_say_is_refused(predicate: str) -> None:
    with pytest.raises(SqlSyntaxError):
        predicate_of_rows(predicate, "duckdb")


def test_the_rows_of_conditions() -> None:
    both = "DBT_INTERNAL_SOURCE.a > dbt_internal_dest.a"
    assert predicate_of_rows(both, "duckdb", OF_UPDATE) == "n.a > t.a"
    assert predicate_of_rows("a > DBT_INTERNAL_SOURCE.b", "duckdb", OF_INSERT) == "n.a > n.b"
    for text, rows in (("a > 1", OF_UPDATE), (both, OF_INSERT)):
        with pytest.raises(SqlSyntaxError):
            predicate_of_rows(text, "duckdb", rows)
