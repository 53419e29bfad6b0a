"""Words whose case is contents, and those whose case is not. DuckDB says which are which."""

from __future__ import annotations

import duckdb
import pytest

from dagster_models.sql import kept_case
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.unread import read_tokens

#: Texts, and the same in lower case: the contents differ.
CONTENTS = [
    "select to_json({Key: 1}) as j",
    "select to_json(t) as j from (select 1 as Key) as t",
    "select {'a': {Key: 1}} as s",
    "select struct_pack(Key := id) as s from t",
    "select cast({a: 1} as struct(Key integer)) as s",
    "select [{Key: x} for x in [1]] as l",
    "select unnest({Key: 1})",
    "unpivot (select 1 as Key) on *",
    "unpivot (select 1 as a) on a into name Label value Amount",
    "pivot t on id using sum(total) as Amount, max(total)",
    "pivot t on id using sum(total), max(Total)",
    "select columns('K.*') from (select 1 as Key, 2 as Kind)",
    "select total as Value from t",
    "select total as Date, id Labels from t",
    "select Value: 1",
    "select max(Total) from t",
    "select case when ID = 1 then total end from t",
    "select s.Field from t",
    "select T from t",
    "select * rename (id as Id) from t",
    "select * replace (9 as Id) from t",
    "select * from (values (1)) as v (Key)",
    "with c (Key) as (select 1) select * from c",
    "select (select max(Total) from t)",
]
#: Texts that mean the same in lower case.
NOT_CONTENTS = [
    "SELECT ID, T.Total FROM T WHERE Total > 0 ORDER BY ID",
    "SELECT Main.T.ID FROM Main.T",
    "select CAST(ID as VARCHAR) as x, Count(*) as n from t group by ALL",
    "WITH C as (select id as a from T) select X.A from C as X",
    "select * exclude (ID) from t",
    "select max(Total) as m from t where id in (select ID from t)",
    "select o.id from t as O join t as P using (ID)",
    "select list_transform([1], X -> X + 1) as l",
    "select sum(total) over W as x from t window W as (order by Id)",
]


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create table t as select 1 as id, 2 as total, {field: 3} as s")
    return connection


def contents(text: str, database: duckdb.DuckDBPyConnection) -> str:
    done = database.execute(text)
    return repr(([column[0] for column in done.description], done.fetchall()))


def normalized(text: str, dialect: str = "duckdb") -> str:
    return parse_sql(text, dialect).normalized


def lowered(text: str) -> str:
    return text.replace("'K", "'#k").lower().replace("'#k", "'K")


@pytest.mark.parametrize("text", CONTENTS)
def test_case_that_is_contents_counts(text: str, database: duckdb.DuckDBPyConnection) -> None:
    assert normalized(text) != normalized(lowered(text))
    try:
        other = contents(lowered(text), database)
    except duckdb.BinderException:  # no column matches the pattern any more
        return
    assert contents(text, database) != other


@pytest.mark.parametrize("text", NOT_CONTENTS)
def test_other_case_does_not_count(text: str, database: duckdb.DuckDBPyConnection) -> None:
    assert contents(text, database) == contents(lowered(text), database)
    assert normalized(text) == normalized(lowered(text))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("bigquery", "select 1 as Date, doc.Name as n from t"),
        ("clickhouse", "select 1 as Value"),
        ("databricks", "select doc:Name as n from t"),
        ("databricks", "select to_json(struct(Name)) as j, explode(m) as (Key, Value) from t"),
        ("mysql", "select 1 as Value"),
        ("snowflake", "select doc:Customer.Name::varchar as n from t"),
        ("snowflake", "select t.docs[0]:Name as n from t"),
        ("spark", "select Name from t"),
        ("trino", "select cast(row(1) as row(Key integer)) as r"),
        ("tsql", "select Name from dbo.t for json path"),
        ("tsql", "select name as Name from dbo.t for xml auto"),
        ("tsql", "select name from dbo.t as Rows for json auto"),
        ("tsql", "select Key = 1"),
    ],
)
def test_elsewhere(dialect: str, text: str) -> None:
    assert normalized(text, dialect) != normalized(text.lower(), dialect)


@pytest.mark.parametrize("dialect", ["postgres", "redshift", "snowflake", "oracle"])
def test_where_the_warehouse_folds_names_case_never_counts(dialect: str) -> None:
    text = "SELECT T.Name AS Label, Max(X) FROM S.T GROUP BY Label"
    assert normalized(text, dialect) == normalized(text.lower(), dialect)


def test_in_a_text_that_the_parser_does_not_know_names_keep_their_case() -> None:
    one = read_tokens("SELECT f(0.95)(Value) as Name from t", "clickhouse").normalized
    two = read_tokens("select f(0.95)(value) as name from t", "clickhouse").normalized
    assert one != two
    upper = read_tokens("SELECT ((1 as Name FROM t", "duckdb").normalized
    assert upper == read_tokens("select ((1 as Name from t", "duckdb").normalized
    assert upper != read_tokens("select ((1 as name from t", "duckdb").normalized


def test_the_tree_of_a_text_in_lower_case_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """sqlglot spells keywords of two words in upper case; they are no reason to look for names."""
    walked: list[str] = []
    monkeypatch.setattr(kept_case, "_names", lambda tree, dialect: walked.append(tree.sql()) or [])
    parse_sql("select id, count(*) as n from t group by id order by id", "duckdb", True)
    assert not walked
    parse_sql("select id, count(*) as N from t group by id", "duckdb", True)
    assert walked
