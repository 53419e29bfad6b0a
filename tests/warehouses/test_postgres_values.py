"""Values that PostgreSQL and Arrow have different types for, on their way in and out."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_models.errors import WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from systems import postgres_system, session_of

D = decimal.Decimal


@pytest.fixture
def session(postgres_dsn: str) -> Iterator[WarehouseSession]:
    warehouse = postgres_system(postgres_dsn).open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        yield session
    warehouse.close()


def load(
    session: WarehouseSession, folder: Path, values: pa.Array, mode: str = "replace"
) -> list[str]:
    """Store the column v, and return the server's own text of each value."""
    table = pa.table({"v": values})
    path, _ = bulk.write([str(folder)], table.schema, table.to_batches())
    session.load(path, "s.t", mode)
    return [row[0] for row in session.query("select v::text from s.t")[1]]


def export(session: WarehouseSession, folder: Path, expression: str) -> pa.Array:
    path, _ = session.export(f"select {expression} as v", [str(folder)])
    return bulk.read(path).column("v").combine_chunks()


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([[], [("a", 1)]], pa.map_(pa.string(), pa.int64())), ["{}", '{"a": 1}']),
        (pa.array([[]], pa.list_(pa.list_(pa.int8()))), ["[]"]),
        (pa.array([{"d": D("12345678901234567890.50")}]), ['{"d": 12345678901234567890.50}']),
        (pa.array([{"f": float("nan")}, {"f": 0.1}]), ['{"f": "NaN"}', '{"f": 0.1}']),
        (pa.array([{"b": b"\x01", "n": None}]), ['{"b": "\\\\x01", "n": null}']),
        (pa.array([{"t": 'a"\n', "y": True}]), ['{"t": "a\\"\\n", "y": true}']),
        (pa.array([[(1, "x")]], pa.map_(pa.int8(), pa.string())), ['{"1": "x"}']),
        (pa.array([{"at": dt.datetime(2024, 1, 2, 3)}]), ['{"at": "2024-01-02T03:00:00"}']),
    ],
    ids=str,
)
def test_what_is_nested_becomes_jsonb_by_its_type(
    session: WarehouseSession, tmp_path: Path, values: pa.Array, texts: list[str]
) -> None:
    assert load(session, tmp_path, values) == texts
    assert session.query("select pg_typeof(v)::text from s.t limit 1")[1] == [("jsonb",)]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())),
        pa.array(["x", "a\0b"]),
        pa.array([{"t": "x"}, {"t": "a\0b"}]),
        pa.array([0, -(10**7)], pa.date32()),
        pa.array(["two\nlines", "a\0b"]),
    ],
    ids=str,
)
def test_a_value_that_postgresql_does_not_have_is_named(
    session: WarehouseSession, tmp_path: Path, values: pa.Array
) -> None:
    with pytest.raises(WarehouseError, match=r"row 1 \(counted from 0\)"):
        load(session, tmp_path, values)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("array['{\"a\": 1, \"b\": 1.50}'::jsonb, '2']", [['{"a": 1, "b": 1.50}', "2"]]),
        ("array['[1, \"x\"]'::json]", [['[1, "x"]']]),
        ("array[row(1, 'x')::s.pair, row(null, 'a,\"b')::s.pair]", [["(1,x)", '(,"a,""b")']]),
        ("array[b'101', b'1']", [["101", "1"]]),
        ("array['10:00:00+02'::timetz]", [["10:00:00+02"]]),
        ("array['192.168.0.1'::inet]", [["192.168.0.1"]]),
        ("array[int4range(1, 5)]", [["[1,5)"]]),
        ("array['happy'::s.mood, null]", [["happy", None]]),
        ("array[1.50, 2]::numeric(9, 2)[]", [[D("1.50"), D("2.00")]]),
        ("array[12345678901234567890.5]", [["12345678901234567890.5"]]),
        (
            "array['2024-01-02 03:00+01'::timestamptz]",
            [[dt.datetime(2024, 1, 2, 2, tzinfo=dt.timezone.utc)]],
        ),
        ("array['\\x01'::bytea]", [[b"\x01"]]),
        ("array[true, null]", [[True, None]]),
        ("'1 2'::int2vector", [[1, 2]]),
        ("row(1, 'x')::s.pair", ["(1,x)"]),
    ],
)
def test_arrays_are_read_element_by_element(
    session: WarehouseSession, tmp_path: Path, expression: str, values: list[object]
) -> None:
    session.execute("create type s.pair as (a int, b text)")
    session.execute("create type s.mood as enum ('happy')")
    assert export(session, tmp_path, expression).to_pylist() == values


def test_a_number_that_is_none_does_not_round_the_others(
    session: WarehouseSession, tmp_path: Path
) -> None:
    digits = "12345678901234567890.123456789"
    found = export(session, tmp_path, f"unnest(array['NaN', '{digits}'::numeric])")
    assert found.to_pylist() == ["NaN", digits]


@pytest.mark.parametrize(
    "expression",
    ["array['infinity'::date]", "array['NaN']::numeric(9, 2)[]", "'[2:3]={5,6}'::int[]"],
)
def test_an_element_that_arrow_does_not_have_names_its_column(
    session: WarehouseSession, tmp_path: Path, expression: str
) -> None:
    with pytest.raises(WarehouseError, match=r"column 'v' of the result .* cast"):
        export(session, tmp_path, expression)


@pytest.mark.parametrize("day", ["infinity", "0044-03-15 BC"])
def test_a_value_that_arrow_does_not_have_names_column_and_row(
    session: WarehouseSession, tmp_path: Path, day: str
) -> None:
    with pytest.raises(WarehouseError, match=r"column 'v', row 2 \(counted from 0\)"):
        export(session, tmp_path, f"unnest(array['2024-01-01', null, '{day}']::date[])")


def test_jsonb_takes_what_is_nested(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create table s.t (v jsonb)")
    assert load(session, tmp_path, pa.array([{"a": 1}]), "append") == ['{"a": 1}']
    assert load(session, tmp_path, pa.array(["[2]"]), "append") == ['{"a": 1}', "[2]"]


def test_a_table_statement_is_exact_too(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create table s.j as select '{\"a\": 1.50}'::jsonb as v")
    path, _ = session.export("table s.j", [str(tmp_path)])
    assert bulk.read(path).column("v").to_pylist() == ['{"a": 1.50}']
    path, _ = session.export("explain (format json) table s.j", [str(tmp_path)])
    (text,) = bulk.read(path).column(0).to_pylist()
    assert json.loads(text)[0]["Plan"]["Relation Name"] == "j"


def test_an_appended_row_that_breaks_a_rule_is_named(
    session: WarehouseSession, tmp_path: Path
) -> None:
    session.execute("create table s.t (v text unique)")
    with pytest.raises(WarehouseError, match=r"row 2 \(counted from 0\): duplicate key"):
        load(session, tmp_path, pa.array(["a\nb", "c", "a\nb"]), "append")
