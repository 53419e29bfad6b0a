"""The table of dialects: each difference that a dialect states is seen by a case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from dagster_models.core.traced import Schema, Upstream
from dagster_models.sql import fill_in, written
from dagster_models.sql.dialects import table
from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.table import DIALECTS, OFFERED, dialect_of
from dagster_models.sql.fill_in import compile_sql, literal, quote
from dagster_models.sql.lineage.trace import trace
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.type_words import type_in
from lineage_cases import CASES as LINEAGE
from reference_cases import CASES as REFERENCES
from reference_cases import renamed

#: Dialects, a text, and the names of the tables that it reads.
READS = [
    ("doris singlestore starrocks clickhouse", 'select * from Orders, "Lines"', "Orders Lines"),
    ("exasol teradata oracle", 'select * from Orders, "Lines"', "ORDERS Lines"),
    ("materialize risingwave", 'select * from Orders, "Lines"', "orders Lines"),
    ("duckdb", "select * from main.duckdb_tables, other.duckdb_tables", "other.duckdb_tables"),
    ("tsql", "select * from master.dbo.spt_values, db.dbo.t", "db.dbo.t"),
    ("trino presto", "select * from system.runtime.nodes, c.s.t", "c.s.t"),
    ("oracle", "select * from dual, sys.all_tables, t", "T"),
    ("fabric", "select * from sys.tables, db..t where x = @y", "db.dbo.t"),
    ("sqlite", "select * from sqlite_master, t", "t"),
    ("redshift", "select * from pg_class, orders o join o.lines on true", "orders"),
    ("spark spark2", "select * from parquet.`/data/x`, t", "t"),
    ("spark spark2", "select * from identifier('s.t')", "s.t"),
    ("spark spark2", "select * from t tablesample (1 percent)", "t"),
    ("trino", "select * from t where x = 1_000", "t"),
    ("fabric", "select Id from dbo.T for json auto", "dbo.t"),
    ("singlestore", "select * from a /*!80000 join b using (id) */", "a b"),
    ("duckdb", "select * from postgres_query('pg', 'select 1')", ""),
    ("presto trino", "select * from table(pg.system.query(query => 'select 1'))", ""),
    ("fabric", "select * from openquery(far, 'select 1')", ""),
    ("fabric tsql oracle", "with c as (select 1 as n from c) select * from c", "c|C"),
    (
        "fabric oracle",
        "with c as (select 1 as n from a union all select n + 1 from c) select * from c",
        "a|A",
    ),
]


#: A dialect, a query of t (id, s), and what its columns are called.
COLUMNS = [
    ("clickhouse", "select id as x, id as X from t", "x X"),
    ("snowflake", 'select id as "x", id as "X" from t', "x X"),
    ("duckdb", "select id as x, id as X from t", "x X_1"),
    ("redshift", "select id as Total from t", "total"),
    ("postgres", "values (1, 2)", "column1 column2"),
    ("snowflake", "values (1, 2)", "column1 column2"),
    ("duckdb", "values (1, 2)", "col0 col1"),
    ("duckdb", "select x_1 from (select id as x, s as x from t)", "x_1"),
    ("duckdb", "select * from (select 1 as a, id from t) join t using (id)", "a id s"),
    ("postgres", "select * from (select 1 as a, id from t) as q join t using (id)", "id a s"),
    ("duckdb", "select unnest(s) from t", ""),
    ("postgres", "select unnest(s) from t", "unnest"),
]
T = {"t": Upstream(("db", "t"), Schema((("id", "INTEGER"), ("s", "")), True, True))}


@pytest.mark.parametrize(("dialects", "text", "names"), READS)
def test_what_is_read(dialects: str, text: str, names: str) -> None:
    for dialect in dialects.split():
        found = " ".join(reference.name for reference in parse_sql(text, dialect).references)
        assert found in names.split("|"), dialect


@pytest.mark.parametrize(
    ("dialect", "text", "placeholders"),
    [
        ("clickhouse", "select {x:Int8}, :y from t", ""),
        ("fabric", "select * from t where x = @y", "y"),
        ("postgres", "select :x, $y from t", "x y"),
        ("sqlite", "select :x, @z from t", "x z"),
        ("postgres", "select ':'as a, '$'b, :x from t", "x"),
    ],
)
def test_placeholders(dialect: str, text: str, placeholders: str) -> None:
    found = parse_sql(text, dialect).placeholders
    assert " ".join(placeholder.name for placeholder in found) == placeholders


@pytest.mark.parametrize(("dialect", "text", "names"), COLUMNS)
def test_columns(dialect: str, text: str, names: str) -> None:
    found = trace(text, dialect, T)
    assert (" ".join(column.name for column in found.columns) if found.closed else "") == names
    assert not found.problems


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_an_insert_with_an_alias(dialect: str) -> None:
    text = "insert into t select 1"
    parsed = parse_sql(text, dialect, queries_only=False)
    moved = compile_sql(text, parsed, dialect, renamed(dialect), {})
    assert moved == 'insert into "dev_main"."t_v2" AS "t" select 1'


def test_the_table_and_a_dialect_that_is_not_in_it() -> None:
    assert list(DIALECTS) == sorted(DIALECTS)
    assert set(OFFERED) < set(DIALECTS)
    assert dialect_of("dremio").fold("Orders", quoted=True) == "orders"
    assert dialect_of("dremio") is dialect_of("dremio")


# --- each difference has a case ---------------------------------------------------------------

#: What project/trace.py asks, and tests/project/test_columns.py tests; and what project/contract.py
#: asks, and tests/data/errors/contracts.txt and tests/warehouses/test_contracts.py test.
ELSEWHERE = {"duckdb.columns_measured", "duckdb.type_identity", "postgres.type_identity"}
#: The advice of an error, and what the rows of unit tests may hold: tests/project/test_problems.py
#: and tests/project/test_unit_test_files.py.
ELSEWHERE |= {"duckdb.nul_character", "duckdb.nested_literals"}
#: What only saves an import has the same answer; tests here and in test_start.py.
ELSEWHERE |= {"duckdb.plain_types"}


def differences(dialect: Dialect) -> Iterator[tuple[str, object]]:
    """The fields that are not at their default, with the default."""
    for field in fields(dialect):
        if field.name not in ("name", "offered") and getattr(dialect, field.name) != field.default:
            yield field.name, field.default


def answers(name: str) -> list[str]:
    """What the cases of a dialect say, all in one."""
    dialect_of.cache_clear()
    fill_in.quote.cache_clear()
    queries = [(case.text, True) for case in REFERENCES if case.dialect == name]
    queries += [(text, True) for dialects, text, _ in READS if name in dialects.split()]
    queries += [(f"select {mark}y from t", True) for mark in ":$@"]
    queries += [("insert into t select 1", False)]
    found = [type_in(word, "duckdb", name) for word in ("HUGEINT", "DOUBLE[]", "STRUCT(a INTEGER)")]
    found += [dialect_of(name).own_type("timestamp")]
    for text, queries_only in queries:
        try:
            parsed = parse_sql(text, name, queries_only=queries_only)
            lists: dict[str, object] = {holder.name: [] for holder in parsed.placeholders}
            found += [repr(parsed), compile_sql(text, parsed, name, renamed(name), lists)]
        except Exception as error:  # a dialect with one difference less may fail in any way
            found.append(repr(error))
    traced = [(c.sql, c.upstream) for c in LINEAGE.values() if c.dialect == name]
    traced += [(text, T) for dialect, text, _ in COLUMNS if dialect == name]
    return found + [repr(trace(text, name, upstream)) for text, upstream in traced]


@pytest.mark.parametrize("name", DIALECTS)
def test_each_difference_is_seen_by_a_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that could as well be at its default is a mistake, or its case is missing."""
    dialect, before = DIALECTS[name], answers(name)
    unseen = set()
    for field, default in differences(dialect):
        monkeypatch.setitem(table.DIALECTS, name, replace(dialect, **{field: default}))
        if answers(name) == before:
            unseen.add(f"{name}.{field}")
    monkeypatch.undo()
    assert answers(name) == before
    assert unseen <= ELSEWHERE


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_alias_is_written_only_where_the_last_part_of_the_name_changes(dialect: str) -> None:
    for name in ("orders", "A b", "it's", "order", "a\\b", *'"`[]Ü'):
        text = f"select 1 as x from {quote(name, dialect)}"
        parsed = parse_sql(text, dialect)
        same, other = (f"{quote('s', dialect)}.{quote(it, dialect)}" for it in (name, f"{name}_2"))
        old = quote(parsed.references[0].parts[-1], dialect)
        for relation, end in (same, f" {same}"), (other, f" {other} AS {old}"):
            compiled = compile_sql(text, parsed, dialect, lambda _, it=relation: it, {})
            assert compiled.endswith(end), (name, compiled)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_plain_values_and_names_are_written_as_sqlglot_writes_them(dialect: str) -> None:
    """Without sqlglot, which a run worker does not import for them."""
    signs = [chr(code) for code in range(32, 127)]
    plain = 0
    for text in ["", *signs, *(f"a{sign}b" for sign in signs), "{{ x }}", "/* x */", "x--y"]:
        plain += fill_in._PLAIN_TEXT.fullmatch(text) is not None
        assert literal(text, dialect) == written.literal(text, dialect)
        if text:
            plain += fill_in._PLAIN_NAME.fullmatch(text) is not None
            assert fill_in.quote(text, dialect) == written.quote(text, dialect)
    assert plain > 300
    for number in (0, 7, -3, 10**30):
        assert literal(number, dialect) == written.literal(number, dialect)


def test_plain_types_are_those_that_sqlglot_reads_as_they_are() -> None:
    for dialect in DIALECTS.values():
        plain = [dialect.declared_type(type_.lower()) for type_ in sorted(dialect.plain_types)]
        read = replace(dialect, plain_types=frozenset())
        assert plain == [read.declared_type(type_.lower()) for type_ in sorted(dialect.plain_types)]
    assert DIALECTS["duckdb"].declared_type("varchar") == "VARCHAR"
