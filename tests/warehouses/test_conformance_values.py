"""What every warehouse makes of values on their way in and out: asked of each.

See test_conformance.py.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dagster_models.errors import WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from systems import System

# Types both ways ---------------------------------------------------------------------------------

UTC = dt.timezone.utc
VALUES: dict[str, tuple[pa.DataType, list[object]]] = {
    "bool": (pa.bool_(), [True, False]),
    "int8": (pa.int8(), [-128, 127]),
    "int16": (pa.int16(), [-(2**15), 2**15 - 1]),
    "int32": (pa.int32(), [-(2**31), 2**31 - 1]),
    "int64": (pa.int64(), [-(2**63), 2**63 - 1]),
    "uint8": (pa.uint8(), [0, 255]),
    "uint32": (pa.uint32(), [0, 2**32 - 1]),
    "uint64": (pa.uint64(), [0, 2**64 - 1]),
    "float": (pa.float32(), [0.1, -1e30, float("inf")]),
    "double": (pa.float64(), [0.1, 1e308, 5e-324, -0.0, float("inf"), float("-inf")]),
    "nan": (pa.float64(), [float("nan"), 1.5]),
    "decimal": (pa.decimal128(38, 10), [decimal.Decimal("1.5"), decimal.Decimal("-" + "9" * 28)]),
    "text": (pa.string(), ["", "NULL", "\\N", 'a"b', "a,b\n\r\tc", "é😀", "  ", "\\", "'"]),
    "large_string": (pa.large_string(), ["x"]),
    "bytes": (pa.binary(), [b"", b"\x00\xff\n", b"\\x41"]),
    "date": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "time": (pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999)]),
    "timestamp": (pa.timestamp("us"), [dt.datetime(1, 1, 1), dt.datetime(2020, 2, 29, 1, 2, 3, 4)]),
    "timestamptz": (pa.timestamp("us", "UTC"), [dt.datetime(2020, 2, 29, 1, 2, 3, 4, UTC)]),
    "interval": (
        pa.month_day_nano_interval(),
        [
            pa.MonthDayNano([14, -3, 4_000_005_000]),
            pa.MonthDayNano([0, 0, -1000]),
            pa.MonthDayNano([-1, 2, 90 * 60 * 10**9]),  # one sign is not for all
        ],
    ),
    "duration": (
        pa.duration("us"),
        [
            dt.timedelta(days=-1, microseconds=5),
            dt.timedelta(0),
            dt.timedelta(microseconds=-1),
            dt.timedelta(days=20_000, seconds=3661, microseconds=40),
        ],
    ),
    "ints": (pa.list_(pa.int32()), [[1, None, 3], []]),
    "texts": (pa.list_(pa.string()), [["a,b", 'c"d', "{}", "", "NULL", None, "\\"]]),
    "dates": (pa.list_(pa.date32()), [[dt.date(2020, 1, 1), None]]),
    "struct": (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": "x"}]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["a", "b"]),
    "null": (pa.null(), [None]),
}
#: What comes back in another type of Arrow, with the same values.
OTHER_TYPE = {"duration", "dictionary", "large_string", "null", "int8", "uint8", "uint32", "uint64"}


def through(session: WarehouseSession, table: pa.Table, folder: Path) -> pa.Table:
    """Load a table and export it again."""
    path, _ = bulk.write([str(folder)], table.schema, table.to_batches())
    session.load(path, "s.through", "replace")
    back, rows = session.export("select * from s.through", [str(folder)])
    read = bulk.read(back)
    assert read.num_rows == rows == table.num_rows
    return read


@pytest.mark.parametrize("kind", [k for k in VALUES if k not in ("struct", "nan")])
def test_values_come_back_as_they_went(
    session: WarehouseSession, tmp_path: Path, kind: str
) -> None:
    type_, values = VALUES[kind]
    table = pa.table({"v": pa.array([*values, None], type_), "w": range(len(values) + 1)})
    back = through(session, table, tmp_path)
    if kind == "duration":
        table = table.set_column(
            0,
            "v",
            pa.array(
                [
                    pa.MonthDayNano([0, 0, (v // dt.timedelta(microseconds=1)) * 1000])  # type: ignore[operator]
                    for v in values
                ]
                + [None]
            ),
        )
    if kind not in OTHER_TYPE:
        found = back.schema.field("v").type
        # DuckDB names the session's zone, which may be another name of UTC.
        assert found == type_ or (pa.types.is_timestamp(found) and found.tz == "Etc/UTC")
    assert back.column("v").to_pylist() == table.column("v").to_pylist()


def test_not_a_number_comes_back(session: WarehouseSession, tmp_path: Path) -> None:
    type_, values = VALUES["nan"]
    back = through(session, pa.table({"v": pa.array([*values, None], type_)}), tmp_path)
    assert [repr(value) for value in back.column("v").to_pylist()] == ["nan", "1.5", "None"]


@pytest.mark.feature("nested_types")
def test_a_struct_comes_back(session: WarehouseSession, tmp_path: Path) -> None:
    type_, values = VALUES["struct"]
    back = through(session, pa.table({"v": pa.array([*values, None], type_)}), tmp_path)
    assert back.column("v").to_pylist() == [*values, None]


@pytest.mark.feature("time_type")
def test_a_time_of_day_comes_back(session: WarehouseSession, tmp_path: Path) -> None:
    type_, values = VALUES["time"]
    back = through(session, pa.table({"v": pa.array([*values, None], type_)}), tmp_path)
    assert back.schema.field("v").type == type_
    assert back.column("v").to_pylist() == [*values, None]


@pytest.mark.feature("interval_type")
def test_a_length_of_time_comes_back(session: WarehouseSession, tmp_path: Path) -> None:
    type_, values = VALUES["interval"]
    back = through(session, pa.table({"v": pa.array([*values, None], type_)}), tmp_path)
    assert back.column("v").to_pylist() == [*values, None]


@pytest.mark.feature("unsigned_types")
def test_unsigned_integers_stay_what_they_are(session: WarehouseSession, tmp_path: Path) -> None:
    back = through(session, pa.table({"v": pa.array([1], pa.uint16())}), tmp_path)
    assert back.schema.field("v").type == pa.uint16()


@pytest.mark.feature("decimal_nan")
def test_an_exact_number_that_is_none(session: WarehouseSession, tmp_path: Path) -> None:
    path, _ = session.export(
        "select cast(v as decimal(9, 2)) as v from (values ('NaN'), ('1.5')) as t(v)",
        [str(tmp_path)],
    )
    assert [repr(value) for value in bulk.read(path).column("v").to_pylist()] == ["nan", "1.5"]


def test_an_empty_frame_keeps_its_columns(session: WarehouseSession, tmp_path: Path) -> None:
    schema = pa.schema([(kind, type_) for kind, (type_, _) in VALUES.items() if kind != "struct"])
    back = through(session, schema.empty_table(), tmp_path)
    assert back.column_names == schema.names


def test_exact_numbers_without_a_declared_precision_stay_exact(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    path, _ = session.export(
        "select sum(v) as s, max(v) as m from"
        " (values (12345678901234567890.123), (0.001), (null)) as t(v)",
        [str(tmp_path)],
    )
    row = bulk.read(path).to_pylist()[0]
    assert row["s"] == decimal.Decimal("12345678901234567890.124")
    assert row["m"] == decimal.Decimal("12345678901234567890.123")


def test_a_uuid_is_read(session: WarehouseSession, tmp_path: Path) -> None:
    one = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
    path, _ = session.export(f"select cast('{one}' as uuid) as u", [str(tmp_path)])
    assert str(bulk.read(path).column("u").to_pylist()[0]) == one
    assert session.query(f"select cast('{one}' as uuid)")[1] == [(uuid.UUID(one),)]


def test_two_columns_of_one_name_and_one_of_nulls(
    session: WarehouseSession, tmp_path: Path
) -> None:
    path, rows = session.export("select 1 as a, 2 as a", [str(tmp_path)])
    assert [column.to_pylist() for column in bulk.read(path).columns] == [[1], [2]]
    path, rows = session.export(
        "select * from (values (cast(null as int)), (null)) as t(n)", [str(tmp_path)]
    )
    assert rows == 2
    assert bulk.read(path).column("n").to_pylist() == [None, None]


def test_many_rows_both_ways(system: System, session: WarehouseSession, tmp_path: Path) -> None:
    """More than one chunk of each kind, in order."""
    path, rows = session.export(
        "select i as n, cast(i as varchar) || repeat('x', 100) as t"
        f" from {system.rows_of(150_000)}",
        [str(tmp_path)],
    )
    assert rows == 150_000
    assert session.load(path, "s.many", "replace") == 150_000
    assert session.load(path, "s.many", "append") == 150_000
    assert session.query("select count(*), count(distinct t), max(n) from s.many")[1] == [
        (300_000, 150_000, 149_999)
    ]


def test_append_matches_columns_by_name(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create table s.named (a int, b varchar)")
    table = pa.table({"b": ["x"], "a": pa.array([1], pa.int32())})
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    assert session.load(path, "s.named", "append") == 1
    assert session.query("select a, b from s.named")[1] == [(1, "x")]


def test_load_replaces_a_view(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create view s.v as select 'old' as n")
    path, rows = session.export("select 'new' as n", [str(tmp_path)])
    assert rows == 1
    assert session.load(path, "s.v", "replace") == 1
    assert not session.in_transaction
    assert session.query("select * from s.v")[1] == [("new",)]
    assert session.load(path, "s.v", "append") == 1


# Exact, or an error that names column and row ---------------------------------------------------

D = decimal.Decimal


def file_of(table: pa.Table, folder: Path) -> str:
    path, _ = bulk.write([str(folder)], table.schema, table.to_batches())
    return path


@pytest.mark.parametrize(
    ("values", "back"),
    [
        (pa.array([D(12300), None], pa.decimal128(10, -2)), [D(12300), None]),
        (pa.array([D("1.25")], pa.decimal256(60, 2)), [D("1.25")]),
        (pa.array([[1], [2, 3], None], pa.list_view(pa.int32())), [[1], [2, 3], None]),
        (pc.run_end_encode(pa.array(["x", "x", "y"])), ["x", "x", "y"]),
        (pa.array([["a"], ["b"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a"], ["b"]]),
        (
            pa.array([1_000_000], pa.timestamp("ns", "UTC")),
            [dt.datetime(1970, 1, 1, 0, 0, 0, 1000, UTC)],
        ),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([1.5], pa.float16()), [1.5]),
    ],
    ids=str,
)
def test_types_that_few_know_keep_their_values(
    session: WarehouseSession, tmp_path: Path, values: pa.Array, back: list[object]
) -> None:
    assert through(session, pa.table({"v": values}), tmp_path).column("v").to_pylist() == back


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None, 2000, 2001], pa.timestamp("ns", "UTC")),
        pa.array([None, 2000, 2001], pa.duration("ns")),
        pa.array([None, pa.MonthDayNano([1, 2, 3000]), pa.MonthDayNano([0, 0, 1])]),
        pa.array([[], [2000], [3, 2001]], pa.list_(pa.duration("ns"))),
        pa.array([0, 1, 2**60], pa.timestamp("s")),
    ],
    ids=lambda values: str(values.type),
)
def test_a_value_that_would_be_cut_is_refused(
    session: WarehouseSession, tmp_path: Path, values: pa.Array
) -> None:
    path = file_of(pa.table({"w": [1, 2, 3], "v": values}), tmp_path)
    with pytest.raises(WarehouseError, match=r"column 'v', row 2 \(counted from 0\)"):
        session.load(path, "s.through", "replace")
    session.rollback()
    assert session.query("select 1")[1] == [(1,)]  # the process goes on


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("integer", pa.array([1.0, 2.5])),
        ("integer", pa.array([1, 2**40])),
        ("decimal(9, 2)", pa.array([D("1.25"), D("1.255")])),
        ("decimal(9, 2)", pa.array([0.25, 1.255])),
        ("real", pa.array([0.5, 0.1])),
        ("double precision", pa.array([1, 2**53 + 1])),
        ("date", pa.array([dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2, 3)])),
        ("timestamp", pa.array([None, dt.datetime(2024, 1, 2, tzinfo=UTC)])),
        ("timestamptz", pa.array([None, dt.datetime(2024, 1, 2)])),
        ("integer", pa.array(["12", "012"])),
        ("varchar", pa.array([{"a": 1}, {"a": 2}])),
        ("boolean", pa.array([1, 2])),
        ("date", pa.array(["2024-01-02", "01/02/2024"])),
    ],
    ids=str,
)
def test_a_value_that_another_type_would_change_is_not_appended(
    session: WarehouseSession, tmp_path: Path, column: str, values: pa.Array
) -> None:
    session.execute(f"create table s.typed (v {column})")
    with pytest.raises(WarehouseError, match=r"column 'v', (row [01]|which is of type)"):
        session.load(file_of(pa.table({"v": values}), tmp_path), "s.typed", "append")
    session.rollback()
    assert session.query("select count(*) from s.typed")[1] == [(0,)]


@pytest.mark.parametrize(
    ("column", "values", "back"),
    [
        ("integer", pa.array([1.0, None]), [1, None]),
        ("decimal(9, 2)", pa.array([1, None]), [D("1.00"), None]),
        ("decimal(9, 2)", pa.array(["1.5", "-2"]), [D("1.50"), D("-2.00")]),
        ("double precision", pa.array([1, 2**53]), [1.0, 2.0**53]),
        ("date", pa.array(["2024-01-02"]), [dt.date(2024, 1, 2)]),
        ("varchar", pa.array([1, None]), ["1", None]),
        ("timestamp", pa.array([dt.date(2024, 1, 2)]), [dt.datetime(2024, 1, 2)]),
        ("interval", pa.array([dt.timedelta(1)]), [pa.MonthDayNano([0, 0, 86400 * 10**9])]),
        ("json", pa.array(['{"a": 1}']), ['{"a": 1}']),
        ("uuid", pa.array([str(uuid.UUID(int=7))]), [str(uuid.UUID(int=7))]),
    ],
    ids=str,
)
def test_equal_values_of_another_type_are_appended(
    session: WarehouseSession, tmp_path: Path, column: str, values: pa.Array, back: list[object]
) -> None:
    session.execute(f"create table s.typed (v {column})")
    session.load(file_of(pa.table({"v": values}), tmp_path), "s.typed", "append")
    path, _ = session.export("select v from s.typed", [str(tmp_path)])
    assert bulk.read(path).column("v").to_pylist() == back
