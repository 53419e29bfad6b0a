"""Python values on their way to Arrow: each one as it is, or an error that names column and row."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from commands import output_of
from dagster_models.processes.client.plain_columns import plain_column
from dagster_models.processes.client.tables import to_arrow

D = decimal.Decimal
UTC = dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=2))
DAY, MOMENT = dt.date(2024, 2, 3), dt.datetime(2024, 2, 3, 17, 30)


class Color(str, enum.Enum):
    RED = "red"


def column(value: Any) -> list[Any]:
    """What becomes of the column v."""
    made = to_arrow(value, "the table")
    table = made if isinstance(made, pa.Table) else made.read_all()
    found: list[Any] = table.column("v").to_pylist()
    return found


def rows(*values: Any) -> list[dict[str, Any]]:
    return [{"v": value} for value in values]


@pytest.mark.parametrize(
    "values",
    [
        (DAY, MOMENT),
        (MOMENT, 45326),
        (MOMENT.replace(tzinfo=EAST), MOMENT),
        (None, dt.time(5, 6, tzinfo=EAST)),
        (dt.timedelta(1), 5),
        ("a", b"b"),
        ([DAY], [MOMENT]),
        ({"day": DAY}, {"day": MOMENT}),
        (True, 1),
        (1, True),
        (1.5, D("1.5")),
        (0.5, 2**53 + 1),
        (1, 2**70),
        ("a", "\ud800"),
        (None, pd.Timestamp("2024-01-01 00:00:00.000000001")),
        (None, pd.Timedelta(1, "ns")),
        ("a", 1),
        (None, NotImplemented),
    ],
    ids=repr,
)
@pytest.mark.parametrize("shape", ["rows", "pandas", "polars"])
def test_a_value_that_would_be_another_one_is_refused(values: Any, shape: str) -> None:
    table: Any = rows(*values)
    if shape == "pandas":
        table = pd.DataFrame({"v": pd.Series(values, dtype=object)})
    elif shape == "polars":
        table = pl.DataFrame({"v": pl.Series(values, dtype=pl.Object)})
    with pytest.raises(
        ValueError, match=r"column 'v' of the table .*: row [01] \(counted from 0\)"
    ):
        to_arrow(table, "the table")


@pytest.mark.parametrize(
    "values",
    [
        (DAY, None),
        (MOMENT, None),
        (MOMENT.replace(tzinfo=EAST), MOMENT.replace(tzinfo=UTC)),
        (1, 2.5),
        (D("1.5"), 2, D("1E+2")),
        ("a", Color.RED),
        ([1], [None, 2], []),
        ({"a": 1}, {"a": None}),
        (uuid.UUID(int=7), None),
        (dt.time(5, 6), None),
        (b"a", None),
        (D("1" * 50), None),
    ],
    ids=repr,
)
def test_values_that_are_kept(values: Any) -> None:
    assert column(rows(*values)) == list(values)
    assert column(pd.DataFrame({"v": pd.Series(values, dtype=object)})) == list(values)
    assert column(pl.DataFrame({"v": pl.Series(values, dtype=pl.Object)})) == list(values)


def test_a_decimal_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\) holds Decimal\('NaN'\)"):
        column(rows(D("1.10"), D("NaN")))


def test_numbers_of_numpy_are_those_of_python() -> None:
    assert column(rows(np.float32(0.5), np.int8(1))) == [0.5, 1.0]
    assert column(rows(np.bool_(True), None)) == [True, None]
    assert column(rows(np.array([1, 2]), [])) == [[1, 2], []]
    assert column(rows(np.datetime64("2024-02-03T17:30:00"))) == [MOMENT]


def test_pandas_words_for_a_missing_value_are_null() -> None:
    missing = [None, float("nan"), pd.NA, pd.NaT]
    assert (
        column(pd.DataFrame({"v": pd.Series(["a", *missing], dtype=object)})) == ["a"] + [None] * 4
    )


def test_categories_are_their_values() -> None:
    def part(*values: str) -> pl.DataFrame:
        return pl.DataFrame({"v": values}, schema={"v": pl.Categorical})

    assert column(pl.concat([part("a", "b"), part("z")])) == ["a", "b", "z"]
    parts = [pa.table({"v": pa.array([value]).dictionary_encode()}) for value in "ab"]
    assert column(pa.concat_tables(parts)) == ["a", "b"]
    assert column(pa.concat_tables(parts).to_reader()) == ["a", "b"]
    mixed = pd.DataFrame({"v": pd.Categorical([DAY, MOMENT])})
    with pytest.raises(ValueError, match="types date, datetime"):
        column(mixed)


def test_wide_numbers_of_polars() -> None:
    wide = pl.Series([2**126, None, -(2**126)], dtype=pl.Int128)
    assert column(pl.DataFrame({"v": wide})) == [D(2**126), None, D(-(2**126))]


def test_what_duckdb_writes_to_arrow_as_another_value() -> None:
    query = "select '10101'::bit as v, '10:00:00+02'::timetz as t, 2::uhugeint as u"
    (row,) = to_arrow(duckdb.sql(query), "the table").read_all().to_pylist()
    assert row == {"v": "10101", "t": "10:00:00+02", "u": D(2)}
    with pytest.raises(duckdb.ConversionException, match="column v"):
        column(duckdb.sql("select 340282366920938463463374607431768211455::uhugeint as v"))


BAD_TEXT = pa.StringArray.from_buffers(
    3, pa.py_buffer(np.array([0, 1, 2, 3], "int32").tobytes()), pa.py_buffer(b"a\xffb")
)
TOO_LONG = pa.Array.from_buffers(
    pa.decimal128(2, 0), 1, [None, pa.py_buffer((12345).to_bytes(16, "little"))]
)
UNION = pa.UnionArray.from_dense(
    pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (BAD_TEXT, r"column 'v' of the table, row 1 .*UTF8"),
        (TOO_LONG, r"column 'v' of the table, row 0 .*12345"),
        (UNION, r"column 'v' of the table is of Arrow's type dense_union"),
        (pa.array(pd.period_range("2024-01", periods=2, freq="M")), "extension type pandas.period"),
        (pa.array([D(10**75)], pa.decimal256(76, -3)), "more than 76 digits"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_values_of_arrow_that_nobody_could_read(values: Any, message: str, stream: bool) -> None:
    table = pa.table({"v": values})
    with pytest.raises(ValueError, match=message):
        column(table.to_reader() if stream else table)


def test_runs_and_views_are_their_values() -> None:
    assert column(pa.table({"v": pc.run_end_encode(pa.array([1, 1, 2]))})) == [1, 1, 2]
    views = pa.array([["a"], None, ["b", "c"]], pa.list_view(pa.string_view()))
    assert column(pa.table({"v": views})) == [["a"], None, ["b", "c"]]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        [True, None, False] * 5,
        [False],
        [0, -1, None, 2**63 - 1, -(2**63)],
        [0.0, -0.0, None, float("inf"), 5e-324, 1e308],
        ["", "a", None, "ä\0€", "\N{GRINNING FACE}" * 9],
        [b"", None, b"\xff\0"],
        [DAY, None, dt.date.min, dt.date.max],
        [MOMENT, None, dt.datetime.min, dt.datetime.max, MOMENT.replace(fold=1)],
    ],
    ids=lambda values: next((type(it).__name__ for it in values if it is not None), "none"),
)
def test_columns_of_one_plain_type_are_those_of_pyarrow(values: list[Any]) -> None:
    made = plain_column(values, {type(it) for it in values if it is not None})
    made.validate(full=True)
    assert made.equals(pa.array(values))
    assert made.type == pa.array(values).type
    assert made.null_count == pa.array(values).null_count
    nothing = plain_column([float("nan")], {float})
    assert nothing.null_count == 0


@pytest.mark.parametrize(
    "values",
    [
        [2**63],
        ["\ud800"],
        [MOMENT.replace(tzinfo=UTC)],
        [D("1.5")],
        [Color.RED],
        ["a", float("nan")],
        [1, 1.5],
        [[1]],
        [1] * 200_001,
    ],
    ids=lambda values: repr(values)[:30],
)
def test_all_other_columns_are_left_to_pyarrow(values: list[Any]) -> None:
    assert plain_column(values, {type(it) for it in values}) is None


def in_a_new_process(program: str) -> str:
    return output_of([sys.executable, "-c", program], Path.cwd(), dict(os.environ)).strip()


@pytest.mark.parametrize("value", [True, 1, 1.5, "a", b"a", DAY, MOMENT, None], ids=repr)
def test_rows_are_converted_without_pandas(value: Any) -> None:
    """Its import takes 0.3 s and 45 MiB, in each step of those that run at once."""
    assert (
        in_a_new_process(
            "import datetime, sys\n"
            "from dagster_models.processes.client.tables import to_arrow\n"
            f"to_arrow([{{'v': {value!r}}}, {{'v': None}}], 'the table')\n"
            "print('pandas' in sys.modules)"
        )
        == "False"
    )
