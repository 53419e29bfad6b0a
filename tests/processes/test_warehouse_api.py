"""What user code may return (tables.py), and the ``warehouse`` object on each warehouse."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dagster_models import warehouse as public
from dagster_models.errors import Canceled, DagsterModelsError, ErrorKind, WarehouseError
from dagster_models.processes.client.session import connect
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.tables import to_arrow
from dagster_models.processes.client.warehouse import Warehouse, bound, quoted
from systems import System


def table(value: Any) -> pa.Table:
    made = to_arrow(value, "the table")
    return made if isinstance(made, pa.Table) else made.read_all()


def test_sql_that_a_warehouse_would_cut_is_refused_before_it_is_sent() -> None:
    """DuckDB and PostgreSQL end a text at a NUL character, and run what stands before it."""

    def connect_() -> Any:
        raise AssertionError("nothing is sent")

    warehouse = Warehouse(StepConnection(connect_))
    for call in (
        lambda: warehouse.sql("select 1 -- a\0\nunion all select 2"),
        lambda: warehouse.execute("insert into t select 1 -- a\0\nwhere false"),
    ):
        with pytest.raises(ValueError, match="what follows would not run"):
            call()


def test_sql_with_half_a_character_is_refused_before_it_is_sent() -> None:
    """A driver's own error of it names no cause."""

    def connect_() -> Any:
        raise AssertionError("nothing is sent")

    warehouse = Warehouse(StepConnection(connect_))
    for call in (
        lambda: warehouse.sql("select 'caf\ud8e9'"),
        lambda: warehouse.execute("create table caf\udce9 as select 1"),
        lambda: warehouse.table("caf\udce9"),
        lambda: warehouse.load([{"n": 1}], "caf\udce9"),
    ):
        with pytest.raises(ValueError, match="which is no character"):
            call()


# What may be returned --------------------------------------------------------------------------

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
SHAPES = {
    "rows": ROWS,
    "pandas": pd.DataFrame(ROWS),
    "polars": pl.DataFrame(ROWS),
    "polars lazy": pl.LazyFrame(ROWS),
    "arrow": pa.Table.from_pylist(ROWS),
    "batch": pa.RecordBatch.from_pylist(ROWS),
    "duckdb": duckdb.connect().sql("select * from (values (1, 'x'), (2, null)) as t(a, b)"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_table_becomes_the_same_rows(shape: str) -> None:
    assert table(SHAPES[shape]).to_pylist() == ROWS


def test_text_of_polars_is_of_a_kind_that_everybody_reads() -> None:
    assert table(pl.DataFrame({"t": ["x"]})).schema.types == [pa.large_string()]


def test_a_stream_is_not_read_before_it_is_written() -> None:
    batch = pa.RecordBatch.from_pylist(ROWS)
    read = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(3):
            read.append(1)
            yield batch

    made = to_arrow(pa.RecordBatchReader.from_batches(batch.schema, batches()))
    assert not read
    assert made.read_all().num_rows == 6


def test_an_unnamed_pandas_index_is_dropped_and_a_named_one_is_a_column() -> None:
    plain = pd.DataFrame({"n": [1, 2]}, index=[10, 20])
    assert table(plain).column_names == ["n"]
    grouped = pd.DataFrame({"k": ["x", "x", "y"], "m": [1, 1, 2], "n": [1, 2, 3]})
    made = table(grouped.groupby(["k", "m"]).sum())
    assert made.to_pylist() == [{"k": "x", "m": 1, "n": 3}, {"k": "y", "m": 2, "n": 3}]


def test_an_empty_frame_keeps_its_columns() -> None:
    assert table(pd.DataFrame(columns=["a", "b"])).schema.types == [pa.string()] * 2
    typed = pd.DataFrame({"n": pd.Series(dtype="int64"), "t": pd.Series(dtype="object")})
    assert table(typed).schema.types == [pa.int64(), pa.string()]
    assert table(pl.DataFrame(schema={"a": pl.Int8, "b": pl.Null})).column_names == ["a", "b"]


def test_rows_may_lack_keys_of_other_rows() -> None:
    made = table([{"a": 1}, {"b": 2.5}])
    assert made.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": 2.5}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the table is None, not a table; a table is a pandas DataFrame"),
        (7, "of type int, not a table; .* a list of dicts .* or an iterator of any of these"),
        ({"a": [1]}, "of type dict, not a table"),
        (pd.Series([1], name="a"), "is a Series, .* use .to_frame()"),
        (pl.Series([1]), "is a Series"),
        ([], "empty list, which has no columns"),
        ([(1, 2)], "a row of type tuple; every row must be a dict"),
    ],
)
def test_what_is_no_table_is_refused(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        to_arrow(value, "the table")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            pd.DataFrame({"p": pd.period_range("2024-01", periods=2, freq="M")}),
            "column 'p' of the table holds periods",
        ),
        (pd.DataFrame({"n": [1], "o": [object()]}), "column 'o' of the table cannot be stored"),
        (pd.DataFrame({"n": [1, "x"]}, dtype=object), "column 'n' .* types int, str; convert"),
        ([{"n": 1}, {"n": "x"}], "column 'n' of the table mixes values of types int, str"),
        ([{"n": 2**70}], "column 'n' of the table cannot be stored"),
        (pd.DataFrame({("a", "b"): [1]}), "several levels, .*; flatten"),
        (pd.DataFrame([[1, 2]], columns=["a", "A"]), "two columns of one name, 'a' and 'A'"),
        (pd.DataFrame({"a": [1]}).set_index("a", drop=False), "two columns of one name"),
        (pd.DataFrame(), "has no columns"),
        ([{}], "has no columns"),
    ],
)
def test_a_column_that_cannot_be_stored_is_named(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_arrow(value, "the table")


# The warehouse ---------------------------------------------------------------------------------


@pytest.fixture
def connection(system: System) -> Iterator[StepConnection]:
    connection = StepConnection(lambda: connect(system.address))
    yield connection
    connection.close()


@pytest.fixture
def warehouse(connection: StepConnection) -> Warehouse:
    return Warehouse(
        connection,
        queries={"select n from things": 'select n from "dev_x"."things"'},
        relations={"things": '"dev_x"."things"'},
    )


QUERY = "select * from (values (1, 'x'), (2, null)) as t(a, b)"


def test_a_result_in_every_shape(warehouse: Warehouse) -> None:
    result = warehouse.sql(QUERY)
    assert result.fetchall() == [(1, "x"), (2, None)]
    assert list(result) == result.fetchall()
    assert [result.fetchone(), result.fetchone(), result.fetchone()] == [(1, "x"), (2, None), None]
    assert result.columns == ["a", "b"]
    assert len(result) == 2
    assert result.arrow().to_pylist() == ROWS
    assert next(result.df().itertuples(index=False, name=None)) == (1, "x")
    assert result.pl().rows() == [(1, "x"), (2, None)]
    assert pl.DataFrame(result).rows() == result.fetchall()
    assert table(result).to_pylist() == ROWS


def test_python_values_of_a_row(warehouse: Warehouse) -> None:
    query = (
        "select date '2013-01-01', 1.50::decimal(9, 2), timestamp '2013-01-01 10:00', array[1, 2]"
    )
    (row,) = warehouse.sql(query)
    moment = dt.datetime(2013, 1, 1, 10)
    assert row == (dt.date(2013, 1, 1), decimal.Decimal("1.50"), moment, [1, 2])


def test_two_columns_of_one_name_stay_two(warehouse: Warehouse) -> None:
    assert warehouse.sql("select 1 as a, 2 as a").fetchall() == [(1, 2)]


def test_df_gives_numbers_to_count_with(warehouse: Warehouse) -> None:
    frame = warehouse.sql(
        "select sum(cast(1 as decimal(9, 0))) as n, 1.5::decimal(9, 2) as d,"
        " date '2013-01-01' as day"
    )
    kinds = {name: kind.kind for name, kind in frame.df().dtypes.items()}
    assert kinds == {"n": "f", "d": "f", "day": "M"}


def test_a_result_is_lazy_and_runs_once(warehouse: Warehouse) -> None:
    wrong = warehouse.sql("select * from nowhere")
    warehouse.execute("create table counted as select 1 as n")
    result = warehouse.sql("select n from counted")
    assert result.fetchall() == [(1,)]
    warehouse.execute("delete from counted")
    assert result.fetchall() == [(1,)]
    with pytest.raises(WarehouseError, match="nowhere"):
        wrong.fetchall()
    assert warehouse.sql("select 1").fetchall() == [(1,)]  # the session goes on after an error


def test_names_are_replaced_as_the_project_says(warehouse: Warehouse) -> None:
    warehouse.execute("create schema dev_x")
    warehouse.load([{"n": 1}], "things")
    assert warehouse.sql("select n from things").fetchall() == [(1,)]
    assert warehouse.table("things").fetchall() == [(1,)]
    assert warehouse.table("dev_x.things").fetchall() == [(1,)]


def test_load_replaces_or_appends(warehouse: Warehouse) -> None:
    warehouse.execute("create schema s")
    warehouse.load(pd.DataFrame({"n": [1]}), "s.loaded")
    warehouse.load(pl.DataFrame({"n": [2]}), "s.loaded", mode="append")
    assert sorted(warehouse.table("s.loaded").fetchall()) == [(1,), (2,)]
    warehouse.load([{"m": 3}], "s.loaded")
    assert warehouse.table("s.loaded").arrow().to_pylist() == [{"m": 3}]
    with pytest.raises(ValueError, match="mode is 'upsert'"):
        warehouse.load([{"m": 3}], "s.loaded", mode="upsert")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"the data for s\.loaded is of type int"):
        warehouse.load(3, "s.loaded")


@pytest.mark.parametrize("text", ["insert into t values (1)", "-- why\n/* so */ CREATE table t(n)"])
def test_sql_refuses_what_would_silently_not_run(warehouse: Warehouse, text: str) -> None:
    with pytest.raises(ValueError, match=r"use warehouse\.execute\(\)"):
        warehouse.sql(text)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("a", '"a"'),
        ("a.b", '"a"."b"'),
        ('a."b.c" . d', '"a"."b.c"."d"'),
        ('we"ird', ValueError),
        ("two words", '"two words"'),
        ("", ValueError),
        ("a.", ValueError),
        ('"a', ValueError),
        ("a..b", ValueError),
    ],
)
def test_dotted_names_are_quoted(name: str, sql: Any) -> None:
    if isinstance(sql, str):
        assert quoted(name) == sql
    else:
        with pytest.raises(sql, match="not a table's name"):
            quoted(name)


def test_threads_take_turns(system: System, warehouse: Warehouse) -> None:
    found: list[int] = []

    def ask(n: int) -> None:
        query = f"select sum(i) + {n} from {system.rows_of(100_000)}"
        found.append(warehouse.sql(query).fetchall()[0][0])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [4999950000 + n for n in range(8)]


def test_a_cancel_from_another_thread_stops_the_query(
    system: System, connection: StepConnection
) -> None:
    warehouse = Warehouse(connection)
    warehouse.sql("select 1").fetchall()
    done = threading.Event()

    def press() -> None:
        while not done.wait(0.05):
            connection.cancel()

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(Canceled):
        warehouse.sql(system.endless).fetchall()
    done.set()
    thread.join()
    assert warehouse.sql("select 1").fetchall() == [(1,)]


def test_an_interrupt_drops_the_session(connection: StepConnection) -> None:
    first = connection.use(lambda session: session.session_id)

    def interrupt(session: Any) -> None:
        session.send({"op": "query", "sql": "select 1"})  # its answer is never read
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connection.use(interrupt)
    assert connection.use(lambda session: session.session_id) != first
    assert Warehouse(connection).sql("select 2").fetchall() == [(2,)]


def test_an_error_of_a_statement_keeps_the_session(warehouse: Warehouse) -> None:
    warehouse.execute("create temp table mine as select 1 as n")
    with pytest.raises(WarehouseError):
        warehouse.execute("select * from nowhere")
    assert warehouse.table("mine").fetchall() == [(1,)]


def running(thread: threading.Thread) -> set[str]:
    """The names of the functions that a thread is in."""
    frame, names = sys._current_frames().get(thread.ident or 0), set()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_after_the_end_no_session_is_opened() -> None:
    connection = StepConnection(pytest.fail)
    connection.end()
    with pytest.raises(WarehouseError) as caught:
        connection.use(lambda session: None)
    assert caught.value.kind is ErrorKind.SESSION_CLOSED


def test_a_thread_that_waits_for_its_turn_is_refused(connection: StepConnection) -> None:
    errors = list[WarehouseError]()

    def use() -> None:
        with pytest.raises(WarehouseError) as caught:
            connection.use(lambda session: session.execute("create table late as select 1 as n"))
        errors.append(caught.value)

    thread = threading.Thread(target=use)

    def publish(session: Any) -> None:
        thread.start()
        connection.refuse()

    connection.use(publish)
    thread.join()
    assert [it.kind for it in errors] == [ErrorKind.SESSION_CLOSED]


def test_a_close_wakes_a_thread_that_waits_for_an_answer(connection: StepConnection) -> None:
    connection.use(lambda session: None)
    errors = list[BaseException]()

    def wait() -> None:
        try:
            connection.use(lambda session: session.receive())
        except WarehouseError as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while "_read" not in running(thread):
        time.sleep(0.01)
    time.sleep(0.1)  # nothing tells that it has entered the system call
    connection.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1


# Outside of a run ------------------------------------------------------------------------------


def test_outside_of_a_run_the_error_says_how_to_run() -> None:
    for use in (
        lambda: public.sql("select 1"),
        lambda: public.table("t"),
        lambda: public.execute("select 1"),
        lambda: public.load([{"a": 1}], "t"),
    ):
        with pytest.raises(DagsterModelsError, match="dagster job execute"):
            use()


def test_inside_of_a_step_the_module_is_its_warehouse(warehouse: Warehouse) -> None:
    with bound(warehouse):
        public.execute("create table t as select 5 as n")
        public.load([{"n": 6}], "t", mode="append")
        assert public.sql("select n from t order by n").fetchall() == [(5,), (6,)]
        assert len(public.table("t")) == 2
    with pytest.raises(DagsterModelsError):
        public.table("t")
