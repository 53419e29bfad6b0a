"""Column lineage and types: cases as data, run on DuckDB, and read by sqlglot's own lineage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from random import Random

import duckdb
import psycopg
import pytest
from sqlglot import exp
from sqlglot.lineage import lineage

from dagster_models.core.traced import Schema, Upstream
from dagster_models.sql.lineage.trace import followed, trace
from lineage_cases import CASES, Case, lines_of, split_columns
from lineage_queries import TABLES, Queries
from paths import environment_of_tests
from reference_cases import CASES as REFERENCES
from reference_cases import Case as ReferenceCase

#: Cases that DuckDB can run: its own dialect, and every table's columns are known.
RUNNABLE = {
    name: case
    for name, case in CASES.items()
    if case.dialect == "duckdb" and "open" not in case.kinds.values() and "files/" not in case.sql
}


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 110
    assert len(RUNNABLE) >= 90
    assert len({case.dialect for case in CASES.values()}) >= 10


@pytest.mark.parametrize("name", CASES)
def test_the_trace(name: str) -> None:
    case = CASES[name]
    assert lines_of(trace(case.sql, case.dialect, case.upstream)) == case.expected


def test_a_trace_is_the_same_in_every_process() -> None:
    """It is kept in a cache, and compared with what another process found: no digest may rest on
    the order of a set."""
    program = (
        "from lineage_cases import CASES; from dagster_models.sql.lineage.trace import trace\n"
        "for case in CASES.values(): print(trace(case.sql, case.dialect, case.upstream))"
    )
    said = set()
    for seed in "1234":
        environment = {**environment_of_tests(), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program]
        said.add(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert len(said) == 1


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def described(case: Case, database: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """What the columns of the query's relation are in DuckDB itself."""
    database.execute("begin")
    try:
        for name, columns in case.tables.items():
            schema, _, _ = name.rpartition(".")
            if schema:
                database.execute(f"create schema if not exists {schema}")
            database.execute(f"create table {name} ({columns})")
        database.execute(f"create table built as {case.sql}")
        return [row[:2] for row in database.execute("describe built").fetchall()]
    finally:
        database.execute("rollback")


@pytest.mark.parametrize("name", RUNNABLE)
def test_duckdb_agrees(name: str, database: duckdb.DuckDBPyConnection) -> None:
    """Every column in its place, with its name and type where we claim to know them; and a query
    in which we find something wrong does not run."""
    case = RUNNABLE[name]
    found = trace(case.sql, case.dialect, case.upstream)
    certain = any(problem.certain for problem in found.problems)
    if certain or (found.problems and "uncertain" in case.kinds.values()):
        with pytest.raises(duckdb.BinderException):
            described(case, database)
        return
    real = described(case, database)
    assert not found.closed or len(found.columns) == len(real)
    if found.closed:
        for column, (real_name, real_type) in zip(found.columns, real, strict=True):
            assert column.name in ("", real_name)
            # DuckDB quotes a field that is a word of its own: STRUCT("name" VARCHAR).
            assert column.type in ("", real_type.replace('"', "")), real_name


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.dialect == "postgres"])
def test_postgres_agrees(name: str, postgres: psycopg.Connection) -> None:
    """As in DuckDB. Each column that we find is also among those that a view depends on."""
    case = CASES[name]
    found = trace(case.sql, case.dialect, case.upstream)
    assert found.problems == ()
    postgres.execute("begin")
    try:
        postgres.execute("create schema my")
        for function in ("my.f", 'public."F"'):
            text = f"create function {function}(integer) returns integer return $1"
            postgres.execute(text.encode())
        for table, columns in case.tables.items():
            schema, _, _ = table.rpartition(".")
            if schema:
                postgres.execute(f"create schema {schema}".encode())
            postgres.execute(f"create table {table} ({columns})".encode())
        postgres.execute(f"create temp view built as {case.sql}".encode())
        real = postgres.execute(_COLUMNS).fetchall()
        read = {(f"{s}.{t}".removeprefix("public."), c) for s, t, c in postgres.execute(_READ)}
        assert not found.closed or len(found.columns) == len(real)
        for column, (real_name, real_type) in zip(found.columns, real, strict=False):
            assert column.name == real_name
            known = postgres.execute("select to_regtype(%s)::oid", [column.type]).fetchone()
            assert not column.type or known == (real_type,), real_name
            assert {(table, name) for (_, table), name in column.sources} <= read
    finally:
        postgres.execute("rollback")


_COLUMNS = """
select attname, atttypid from pg_attribute
where attrelid = 'pg_temp.built'::regclass and attnum > 0 order by attnum"""
_READ = """
select relnamespace::regnamespace::text, relname, attname
from pg_depend join pg_rewrite on pg_rewrite.oid = objid and classid = 'pg_rewrite'::regclass
join pg_class on pg_class.oid = refobjid and refclassid = 'pg_class'::regclass
join pg_attribute on attrelid = refobjid and attnum = refobjsubid
where ev_class = 'pg_temp.built'::regclass and refobjid != ev_class"""


@pytest.fixture(scope="module")
def postgres(postgres_of_module: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_of_module, autocommit=True) as connection:
        yield connection


def test_most_types_are_known(database: duckdb.DuckDBPyConnection) -> None:
    columns = [
        column
        for case in RUNNABLE.values()
        for column in trace(case.sql, case.dialect, case.upstream).columns
    ]
    assert len([column for column in columns if column.type]) > 0.85 * len(columns)


# --- sqlglot's own lineage, an independent reading --------------------------------------------

#: What sqlglot does differently, or cannot do. Each was looked at.
OTHERWISE = {
    "basics: names of columns without an alias": "folds quoted names",
    "basics: the schema in front": "leaves the schema out",
    "basics: two columns of one name are told apart": "does not tell them apart",
    "basics: VALUES": "refuses what is no SELECT",
    "basics: a function that makes rows": "takes the function for a table",
    "basics: a whole row": "does not know whole rows",
    "basics: names that look like columns": "takes rowid for a column of the table",
    "ctes: columns change places in the recursion": "goes round once",
    "ctes: four columns go round in the recursion": "goes round once",
    "ctes: a table's alias with names for columns": "does not know the columns of an alias",
    "ctes: nested parentheses": "loses the parentheses",
    "pivots: PIVOT in FROM": "takes the value for the only source",
    "pivots: UNPIVOT in FROM": "says the name has sources",
    "pivots: the statement UNPIVOT": "refuses what is no SELECT",
    "pivots: PIVOT with a list of columns": "takes the value for the only source",
    "pivots: UNPIVOT with a list of columns": "does not know the list",
    "pivots: a list of columns before PIVOT and one behind": "does not know the list",
    "pivots: a list of columns that is too short": "does not refuse it",
    "stars: the names that match a pattern": "does not expand them",
    "stars: a pattern of files": "does not expand them",
    "stars: SIMILAR TO is not followed": "does not expand them",
    "stars: columns of one table but one": "does not expand them",
    "stars: the names that match a pattern, of one table, under one name": "does not expand them",
    "stars: the left column of USING is left out": "leaves out both",
    "structs: a function behind a dot": "does not know the column",
    "structs: functions behind dots with lambdas and structs": "does not know the column",
    "structs: the index of a list is not seen outside of it": "does not refuse it",
    "subqueries: numbered rows of a series": "does not know the columns of a series",
    "sets: UNION BY NAME": "goes by position",
    "sets: EXCEPT takes its values from the left": "counts the right half",
    "stars: a join by USING shows its column once": "takes both sides of every USING",
    "stars: a right join by USING": "takes both sides of every USING",
    "stars: three tables by USING": "takes both sides of every USING",
    "stars: NATURAL JOIN": "takes both sides",
    "stars: both sides have the name": "does not tell them apart",
    "stars: columns by a pattern": "does not expand them",
    "structs: a field of a value in parentheses has a name of its own": "calls it by the field",
    "structs: all fields of a struct": "does not expand them",
    "structs: a struct that bears its table's name": "knows no struct there",
    "subqueries: a correlated column of the outer query": "leaves the outer column out",
    "subqueries: a lateral join": "takes the condition for the value",
    "subqueries: a subquery that sees its neighbour": "does not see the neighbour",
}


def by_sqlglot(case: Case, column: str) -> set[tuple[str, str]]:
    """The leaves of sqlglot's lineage of a column."""
    schema = {name: dict(split_columns(columns)) for name, columns in case.tables.items()}
    tree = lineage(column, case.sql, schema=schema, dialect=case.dialect)
    leaves = set()
    for node in tree.walk():
        if isinstance(node.expression, exp.Table) and not node.downstream:
            leaves.add((node.expression.name, node.name.rpartition(".")[2].strip('"')))
    return leaves


def test_every_difference_is_of_a_case() -> None:
    assert set(OTHERWISE) <= set(RUNNABLE)
    assert len(OTHERWISE) < 0.35 * len(RUNNABLE)


@pytest.mark.parametrize(
    "name", [n for n in RUNNABLE if n not in OTHERWISE and not n.startswith("problems")]
)
def test_sqlglot_reads_the_same(name: str) -> None:
    case = RUNNABLE[name]
    for column in trace(case.sql, case.dialect, case.upstream).columns:
        ours = {(table, source) for (_, table), source in column.sources}
        assert by_sqlglot(case, column.name) == ours, column.name


@pytest.mark.parametrize(
    ("sql", "decide"),
    [
        ("select x from a", []),
        ("select y, x + 1 as z from a where k > 1 order by y limit 1", ["a.k", "a.y"]),
        ("select distinct x from a", ["a.x"]),
        ("select y, max(x) as x from a group by all", ["a.x", "a.y"]),
        ("select a.y from a join b on a.k = b.x", ["a.k", "b.x"]),
        ("select y, z from a join b using (k)", ["a.k", "b.k"]),
        ("with c as (select y from a where x > 1) select y from c", ["a.x"]),
        ("select y from a where exists (select 1 from b where z > 1)", ["b.z"]),
        ("select y from a where columns(*) > 1", ["a.k", "a.x", "a.y"]),
        ("select x from a union select x from b", ["a.x", "b.x"]),
        ("select x from a union all select x from b where z > 1", ["b.z"]),
        ("select x from a except all select x from b", ["a.x", "b.x"]),
        ("select t.y from (a join b on a.k = b.x) as t", ["a.k", "b.x"]),
        ("select a.y from a, generate_series(1, a.x) as s", ["a.x"]),
        ("select a.y from a, unnest([a.x]) as s(u)", ["a.x"]),
        ("select y, unnest([x]) + 1 as e from a", ["a.x"]),
        ("select (select unnest([x]) limit 1) as e, y + 1 as z from a", ["a.x"]),
        ("select y + (select max(u) from unnest([x]) as s(u)) as e from a", ["a.x", "a.y"]),
        (
            "with recursive r as (select y from a where k > 1 union all"
            " select a.y from a join r on a.x = 1) select y from r",
            ["a.k", "a.x"],
        ),
    ],
)
def test_what_decides_the_rows(sql: str, decide: list[str]) -> None:
    schemas = {name: Schema(split_columns(columns)) for name, columns in TABLES.items()}
    upstream = {name: Upstream(("db", name), schema) for name, schema in schemas.items()}
    found = trace(sql, "duckdb", upstream).row_sources
    assert [f"{name}.{column}" for (_, name), column in found] == decide


def test_a_lateral_view_decides_the_rows() -> None:
    upstream = {"a": Upstream(("db", "a"), Schema((("k", "INT"), ("tags", "")), True, True))}
    found = trace("select k from a lateral view explode(tags) t as tag", "spark", upstream)
    assert found.row_sources == ((("db", "a"), "tags"),)


@pytest.mark.parametrize("case", REFERENCES, ids=lambda case: case.title)
def test_sql_of_every_dialect_is_followed_or_left_alone(case: ReferenceCase) -> None:
    """Where nothing is known of any table, nothing can be wrong with a column."""
    found = followed(case.text, case.dialect, {})
    assert found.problems == ()
    assert found.reason or found.closed or found.columns


def test_what_was_not_foreseen_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("dagster_models.sql.lineage.trace.followed", fails)
    assert trace("select 1", "duckdb", {}).reason == (
        "its columns could not be traced (KeyError: 'x')"
    )


# --- any query ------------------------------------------------------------------------------


def test_no_query_that_runs_is_refused() -> None:
    """DuckDB's own binder says which queries are right: ours must never say less of one that is,
    name its columns and types as DuckDB does, and find most of what is wrong in the others."""
    database = duckdb.connect()
    for name, columns in TABLES.items():
        database.execute(f"create table {name} ({columns})")
    upstream = {
        name: Upstream(("db", name), Schema(split_columns(columns), closed=True, certain=True))
        for name, columns in TABLES.items()
    }
    right, found, missed = 0, 0, 0
    for seed in range(600):
        query = Queries(Random(seed)).query(2)
        trace_ = trace(query, "duckdb", upstream)
        certain = [problem for problem in trace_.problems if problem.certain]
        try:
            real = database.execute(f"describe select * from ({query})").fetchall()
        except duckdb.BinderException:
            found, missed = found + bool(certain), missed + (not certain)
            continue
        except (duckdb.ParserException, duckdb.NotImplementedException):
            continue
        right += 1
        assert not certain, (seed, query)
        assert trace_.closed, (seed, query)
        assert [column.name for column in trace_.columns] == [name for name, *_ in real], query
        types = [(column.type, row[1]) for column, row in zip(trace_.columns, real, strict=True)]
        assert all(ours in ("", theirs.replace('"', "")) for ours, theirs in types), (query, types)
    database.close()
    assert right > 120
    assert found > 2 * missed


# --- what decides which rows there are --------------------------------------------------------

#: Queries of t (a, b, c, l) and u (a, d). No column is in all of their sources of rows.
ROWS = [
    "select b from t where a > 1",
    "select b, c from t order by a limit 2",
    "select c from ((select a, b, c from t) order by a limit 2)",
    "select b from (select a, b from t union all select a, d from u order by a limit 3)",
    "select sum(c) as s from t group by a",
    "select sum(b) as s from (select distinct b, c from t)",
    "select * from (select b, c from t) pivot (count(c) for b in (1, 2))",
    "select x.q1 from (select a, b, c from t) pivot (sum(c) for b in (1, 2)) as x (a, q1, q2)",
    "select b, v from (select a, b, c from t) unpivot (v for k in (a, c))",
    "select k from (select a, b, c from t) unpivot (v for k in (a, c))",
    "select b, unnest(l) as e from t",
    "select b from (select b, unnest(l) as e from t)",
    "select b, g.i from t, range(a) as g (i)",
    "select t.b from t join u on u.a = t.a",
    "select b from t semi join u using (a)",
    "select b, c from t natural join u",
    "select b from t qualify row_number() over (partition by a order by c) = 1",
    "select b from t where exists (select 1 from u where u.d > t.c)",
    "select b from t except select d from u where a = 1",
    "with recursive r (n) as (select min(a) from t union select n + 1 from r where n < 4)"
    " select n from r",
    "select b from t where a.abs() > 1",
]
T_ROWS = "(1, 1, 3, [1]), (2, 1, NULL, [1, 2]), (3, 2, 5, []), (NULL, 2, 5, [7, 8, 9])"
ROWS_TABLES = {"t": "a INTEGER, b INTEGER, c INTEGER, l INTEGER[]", "u": "a INTEGER, d INTEGER"}
CHANGED = {
    "a": "case a when 1 then 9 else 1 end",
    "l": "case when len(l) = 1 then [1, 2] else [3] end",
}


@pytest.mark.parametrize("query", ROWS)
def test_other_columns_decide_nothing(query: str, database: duckdb.DuckDBPyConnection) -> None:
    """Other values in a column that is no source of the rows leave the number of rows as it is,
    and the values of every column that is not made of it."""
    columns = {name: split_columns(text) for name, text in ROWS_TABLES.items()}
    upstream = {n: Upstream(("db", n), Schema(c, True, True)) for n, c in columns.items()}
    found = trace(query, "duckdb", upstream)
    deciding = {f"{name}.{column}" for (_, name), column in found.row_sources}
    every = {f"{name}.{column}" for name, those in columns.items() for column, _ in those}
    assert deciding < every
    before = rows_with(query, "", database)
    for column in sorted(every - deciding):
        after = rows_with(query, column, database)
        assert len(after) == len(before), column
        for index, traced in enumerate(found.columns):
            if column not in {f"{name}.{source}" for (_, name), source in traced.sources}:
                one, two = (sorted(repr(row[index]) for row in rows) for rows in (before, after))
                assert one == two, (column, traced.name)


def rows_with(
    query: str, changed: str, database: duckdb.DuckDBPyConnection
) -> list[tuple[object, ...]]:
    """What the query returns if one column has other values."""

    def table(name: str, columns: str, rows: str) -> str:
        other = []
        for column in columns.split():
            value = CHANGED.get(column, f"coalesce({column}, 7) * 2 + (number % 2)")
            other.append(f"{value} as {column}" if f"{name}.{column}" == changed else column)
        values = f"(values {rows}) as v ({', '.join(columns.split())})"
        numbered = f"(select row_number() over () as number, * from {values})"
        return f"create or replace temp table {name} as select {', '.join(other)} from {numbered}"

    database.execute(table("t", "a b c l", T_ROWS))
    database.execute(table("u", "a d", "(1, 4), (2, 4), (2, 1)"))
    rows: list[tuple[object, ...]] = database.execute(query).fetchall()
    database.execute("drop table t")
    database.execute("drop table u")
    return rows
