"""DuckDB behind the warehouse interface, on real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dagster_models.core.model import Relation
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.base import Commit, WarehouseSession
from dagster_models.warehouses.duckdb import DuckDB, connect

T = Relation("main", "t")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDB]:
    warehouse = connect({"path": str(tmp_path / "w.duckdb")})
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: DuckDB) -> Iterator[WarehouseSession]:
    session = warehouse.session()
    yield session
    session.close()


def test_settings_reach_the_database(tmp_path: Path) -> None:
    warehouse = connect({"path": str(tmp_path / "s.duckdb"), "memory_limit": "1GiB", "threads": 1})
    session = warehouse.session()
    assert session.query("select current_setting('memory_limit'), current_setting('threads')")[
        1
    ] == [("1.0 GiB", 1)]
    session.close()
    warehouse.close()


def test_a_missing_table_is_never_a_python_variable(session: WarehouseSession) -> None:
    path = statement = sql = relation = 1
    assert path == statement == sql == relation
    for name in ("path", "statement", "sql", "self", "relation"):
        with pytest.raises(WarehouseError) as caught:
            session.create(T, "table", f"select * from {name}")
        assert caught.value.kind == "CatalogException"


@pytest.mark.parametrize("what", ["table", "view"])
@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("select 1 as a,\n  nope", 2),
        ("-- head\n/* and\nmore */ select\n1 from\nnosuch", 5),
        ("select 1,\n\n from from", 3),
        ("\n\nselekt 1", 3),
        ("nosuch", 1),
    ],
)
def test_an_error_has_the_line_of_the_users_text(
    session: WarehouseSession, what: str, sql: str, line: int
) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.create(T, what, sql)
    assert caught.value.line == line
    assert f"LINE {line}:" in caught.value.message


@pytest.mark.parametrize("what", ["table", "view"])
def test_a_statement_that_is_no_query(session: WarehouseSession, what: str) -> None:
    session.execute("create table other (n int)")
    with pytest.raises(WarehouseError) as caught:
        session.create(T, what, "insert into other values (1)")
    assert caught.value.kind == "ParserException"
    assert session.query("from other")[1] == []


def test_an_error_while_rows_are_read_has_its_line(session: WarehouseSession) -> None:
    sql = "select *,\n cast(case when range = 9 then 'x' else '1' end as int)\nfrom range(10)"
    with pytest.raises(WarehouseError) as caught:
        session.create(T, "table", sql)
    assert (caught.value.kind, caught.value.line) == ("ConversionException", 2)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as n; -- done; really",
        "select 1 as n;;\n",
        "-- a\nselect 1 as n -- b",
        "with w as (select 1 as n) select * from w",
        "from (select 1 as n)",
        "(select 1 as n)",
        "values (1)",
    ],
)
def test_texts_that_are_one_query(session: WarehouseSession, sql: str) -> None:
    assert session.create(T, "table", sql) == 1
    assert session.count(sql) == 1
    assert session.query(sql)[1] == [(1,)]
    assert session.create(T, "view", sql) is None


@pytest.mark.parametrize(
    "sql", ["", "-- nothing", "select 1; select 2", "select 1; commit", "commit", "select 1; begin"]
)
def test_texts_that_are_not_one_query(session: WarehouseSession, sql: str) -> None:
    for use in (lambda: session.create(T, "table", sql), lambda: session.count(sql)):
        with pytest.raises(WarehouseError, match="one query is expected"):
            use()


def test_a_pivot_is_one_query_and_stays_in_its_transaction(session: WarehouseSession) -> None:
    session.execute("create table p as select range % 3 as k, range as v from range(10)")
    pivot = "pivot p on k using sum(v)"
    session.begin()
    assert session.create(T, "table", pivot) == 1
    assert session.count(pivot) == 1
    session.rollback()
    assert session.query("select table_name from duckdb_tables()")[1] == [("p",)]


def test_names_are_quoted(session: WarehouseSession) -> None:
    odd = Relation("main", 'we"ird name')
    assert session.create(odd, "table", "select 1 as n") == 1
    assert session.columns(odd) == (("n", "INTEGER"),)


def test_columns_have_the_warehouses_types(session: WarehouseSession) -> None:
    session.create(T, "view", "select 1.5::decimal(9,2) as d, [1] as l, {'a': 'x'} as s")
    assert session.columns(T) == (
        ("d", "DECIMAL(9,2)"),
        ("l", "INTEGER[]"),
        ("s", "STRUCT(a VARCHAR)"),
    )


def test_a_relation_may_change_its_type(session: WarehouseSession) -> None:
    for what in ("table", "view", "view", "table", "table"):
        session.begin()
        session.create(T, what, "select 1 as n")
        session.commit()
        tables = session.query("select count(*) from duckdb_tables() where table_name = 't'")[1]
        assert tables == [(int(what == "table"),)]


def test_rollback_of_a_type_change_brings_the_old_one_back(session: WarehouseSession) -> None:
    session.create(T, "view", "select 'old' as n")
    session.begin()
    session.create(T, "table", "select 'new' as n")
    session.rollback()
    assert session.query("select n from t")[1] == [("old",)]
    assert session.query("select sql from duckdb_views() where view_name = 't'")[1] != []


# Seeds -------------------------------------------------------------------------------------------


def seed(session: WarehouseSession, path: Path, text: str, **types: str) -> int:
    path.write_text(text)
    return session.create_from_csv(T, str(path), types)


def test_a_seed_has_inferred_types(session: WarehouseSession, tmp_path: Path) -> None:
    text = 'n,day,name\n1,2020-01-01,a\n2,,"b, c"\n'
    assert seed(session, tmp_path / "a.csv", text) == 2
    assert session.columns(T) == (("n", "BIGINT"), ("day", "DATE"), ("name", "VARCHAR"))


def test_a_seed_with_types(session: WarehouseSession, tmp_path: Path) -> None:
    assert seed(session, tmp_path / "a.csv", "zip,n\n01234,1\n", zip="VARCHAR") == 1
    assert session.query("select zip from t")[1] == [("01234",)]


def test_a_type_is_that_of_all_rows(session: WarehouseSession, tmp_path: Path) -> None:
    text = "n\n" + "1\n" * 30_000 + "x\n"
    assert seed(session, tmp_path / "a.csv", text) == 30_001
    assert session.columns(T) == (("n", "VARCHAR"),)


def test_a_seeds_name_is_no_pattern(session: WarehouseSession, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("n\n1\n2\n")
    assert seed(session, tmp_path / "a[1].csv", "n\n7\n") == 1
    assert seed(session, tmp_path / "a*.csv", "n\n8\n") == 1
    assert session.query("select n from t")[1] == [(8,)]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a,b\n1,x\n2,y,z\n3,w\n", 3, "3 values, the header has 2"),
        ("a,b\n1,x\n2\n3,w\n", 3, "1 values, the header has 2"),
        ('a,b\n1,"x\ny"\n2\n3,w\n', 4, "1 values, the header has 2"),
        ("a,b\n" + "1,x\n" * 30_000 + "2,y,z\n", 30_002, "3 values, the header has 2"),
    ],
)
def test_a_seed_with_a_bad_row(
    session: WarehouseSession, tmp_path: Path, text: str, line: int, told: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", text)
    assert caught.value.line == line
    assert told in caught.value.message
    assert "a.csv" in caught.value.message


def test_a_seed_with_a_bad_value(session: WarehouseSession, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", "n\n1\noops\n", n="INTEGER")
    assert caught.value.line == 3
    assert "Could not convert string \"oops\" to 'INTEGER'" in caught.value.message
    assert "read_csv" not in caught.value.message


@pytest.mark.parametrize("types", [{"zz": "INTEGER"}, {"n": "NOTYPE"}])
def test_a_seed_with_wrong_types(
    session: WarehouseSession, tmp_path: Path, types: dict[str, str]
) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", "n\n1\n", **types)
    assert next(iter({*types, *types.values()} & {"zz", "NOTYPE"})) in caught.value.message
    assert "CREATE OR REPLACE" not in caught.value.message


def test_a_seed_that_is_not_there(session: WarehouseSession) -> None:
    with pytest.raises(WarehouseError, match=r"nowhere\.csv"):
        session.create_from_csv(T, "nowhere.csv", {})


# Transactions and records ------------------------------------------------------------------------


def test_an_interrupt_of_an_idle_cursor_is_forgotten(session: WarehouseSession) -> None:
    for _ in range(100):
        session.interrupt()
        assert session.query("select 1")[1] == [(1,)]


@pytest.mark.parametrize("bad", ["select nope", "from from", "select cast('x' as int)"])
def test_a_commit_that_does_not_raise_has_committed(session: WarehouseSession, bad: str) -> None:
    """Which errors end a transaction differs between DuckDB 1.5 (few) and 2 (all)."""
    session.begin()
    session.execute("create table kept as select 1 as n")
    with pytest.raises(WarehouseError):
        session.execute(bad)
    try:
        session.commit()
        expected = 1
    except WarehouseError:
        expected = 0
    assert len(session.query("select * from duckdb_tables()")[1]) == expected


def test_load_replaces_a_view(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create view v as select 'old' as n; create table kept as select 1 as n")
    path, rows = session.export("select 'new' as n", [str(tmp_path)])
    assert rows == 1
    session.begin()
    session.execute("insert into kept values (2)")
    with pytest.raises(WarehouseError, match="is of type View"):
        session.load(path, "v", "replace")  # it would take the insert with it
    session.rollback()
    assert session.load(path, "v", "replace") == 1
    assert not session.in_transaction
    assert session.query("from v")[1] == [("new",)]
    assert session.load(path, "v", "append") == 1


def test_an_export_names_the_users_lines(session: WarehouseSession, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.export("select 1,\n nope", [str(tmp_path)])
    assert caught.value.line == 2
    with pytest.raises(WarehouseError) as caught:
        session.export(
            "select cast(case when range = 99999 then 'x' else '1' end as int) from range(100000)",
            [str(tmp_path)],
        )
    assert (caught.value.kind, caught.value.line) == ("ConversionException", None)
    assert "LINE" not in caught.value.message
    assert list(tmp_path.glob("*.arrow")) == []


def test_prepare_may_be_repeated_in_a_busy_database(warehouse: DuckDB) -> None:
    one, other = warehouse.session(), warehouse.session()
    one.prepare(["a"])
    one.begin()
    one.execute("create table a.t as select 1")
    other.prepare(["a"])
    one.commit()
    for session in (one, other):
        session.close()


def test_a_record_is_read_as_it_was_written(session: WarehouseSession) -> None:
    assert session.find_record("r", "s.t", 1) is None, "of a database that nobody prepared"
    session.prepare([])
    assert session.find_record("r", "s.t", 1) is None
    for attempt, rows in ((1, 7), (2, None)):
        session.write_record(Commit("r", "s.t", attempt, "s.t", "v1", {"s.up": "x'y"}, rows))
    found = session.find_record("r", "s.t", 1)
    assert found is not None
    assert (found.rows, found.input_versions, found.code_version) == (7, {"s.up": "x'y"}, "v1")
    assert found.committed_at.endswith("+00:00")
    assert session.find_record("r", "s.t", 3) is None


def test_a_write_conflict_is_transient(warehouse: DuckDB) -> None:
    one, other = warehouse.session(), warehouse.session()
    one.begin()
    one.create(T, "table", "select 1 as n")
    other.begin()
    with pytest.raises(WarehouseError) as caught:
        other.create(T, "table", "select 2 as n")
    assert (caught.value.kind, caught.value.transient) == ("TransactionException", True)
    for session in (one, other):
        session.close()


def test_a_closed_session_has_rolled_back(warehouse: DuckDB, tmp_path: Path) -> None:
    session = warehouse.session()
    session.begin()
    session.create(T, "table", "select 1 as n")
    session.close()
    session.close()
    warehouse.close()
    with duckdb.connect(str(tmp_path / "w.duckdb")) as direct:
        assert direct.sql("select count(*) from duckdb_tables()").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n5,6,7\n",
        "a\n1,2\n3,4\n",
        "a,b\n'x,y',2\n",
        "My title\na,b\n1,2\n",
        "a,b\n1,2\n# note\n3,4\n",
    ],
)
def test_a_seed_loses_no_line_in_silence(
    session: WarehouseSession, tmp_path: Path, text: str
) -> None:
    """DuckDB's reader would skip what does not fit above the longest table that it can find."""
    with pytest.raises(WarehouseError):
        seed(session, tmp_path / "s.csv", text)
