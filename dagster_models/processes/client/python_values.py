"""Columns of Python objects as Arrow: each value as it is, or an error that names its row.

pyarrow guesses one type for a column, and makes some values that are of another type fit it without
a word: of a date and a datetime it makes two dates. So it is asked what it has made, and only a
column of one type of which it is known that nothing can be lost is not compared.

``pa.array`` imports pandas wherever that is installed, to find out whether its values are pandas':
0.3 s, and 45 MiB for each step in flight. So it does not get columns of one plain type
(plain_columns.py), as long as nothing else has loaded pandas.
"""

from __future__ import annotations

import datetime as dt
import decimal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dagster_models.processes.client.plain_columns import plain_column
from dagster_models.util.arrow_values import row_text

#: Of a column whose values are all of one of these types, pyarrow keeps each one, or raises.
_KEPT = frozenset({str, bytes, bool, int, float, dt.date})


def to_array(values: Sequence[Any], *, of_pandas: bool = False) -> Any:
    """An array of Python objects. ``of_pandas``: not-a-number stands for a missing value there.

    Raises ValueError where a value cannot be stored, or would be stored as another one.
    """
    kinds = {type(value) for value in values if value is not None and not _is_nan(value)}
    try:
        array = None if "pandas" in sys.modules else plain_column(values, kinds)
        if array is None:
            array = pa.array(values, from_pandas=of_pandas)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ValueError(_unstorable(values, of_pandas, error)) from error
    if len(kinds) <= 1 and kinds <= _KEPT:
        return array
    for row, (given, stored) in enumerate(zip(values, array.to_pylist(), strict=True)):
        if not _same(given, stored):
            raise ValueError(_misfit(values, row, f", which would be stored as {stored!r}"))
    return array


def _is_nan(value: Any) -> bool:
    return type(value) is float and value != value


def is_missing(value: Any) -> bool:
    """Whether a value is None or one of pandas' words for it."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NaT or value is pandas.NA)


def _same(given: Any, stored: Any) -> bool:
    """Whether what came out of Arrow is the value that went in."""
    if is_missing(given) or stored is None:
        return is_missing(given) and is_missing(stored)
    if isinstance(given, Mapping):  # a struct has all keys of all rows
        return isinstance(stored, dict) and all(
            _same(given.get(key), item) for key, item in stored.items()
        )
    if isinstance(stored, list):
        items = list(given) if isinstance(given, Iterable) else []
        return len(items) == len(stored) and all(map(_same, items, stored))
    if hasattr(given, "as_py"):
        return _same(given.as_py(), stored)
    if type(given).__module__ == "numpy":
        return _same_of_numpy(given, stored)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return isinstance(stored, bytes) and bytes(given) == stored
    for kind in (bool, dt.datetime, str):
        if isinstance(given, kind) is not isinstance(stored, kind):
            return False
    if isinstance(given, dt.datetime):  # also one with another zone: the same moment
        return (given.tzinfo is None) is (stored.tzinfo is None) and bool(given == stored)
    return bool(given == stored)


def _same_of_numpy(given: Any, stored: Any) -> bool:
    import numpy as np

    if isinstance(given, (np.datetime64, np.timedelta64)):
        other = stored.to_numpy() if hasattr(stored, "to_numpy") else type(given)(stored)
        return bool(given == other)
    return _same(given.item(), stored)


def _unstorable(values: Sequence[Any], of_pandas: bool, error: Exception) -> str:
    """Why pyarrow refused the values: the first that it refuses alone, or else that is of another
    type than the first one."""
    for row, value in enumerate(values):
        try:
            pa.array([value], from_pandas=of_pandas)
        except Exception as alone:
            return f"cannot be stored: {_place(row, value)}: {alone}"
    present = [row for row, value in enumerate(values) if not is_missing(value)]
    if not present:
        return f"cannot be stored: {error}"
    first = type(values[present[0]])
    other = next((row for row in present if type(values[row]) is not first), present[0])
    return _misfit(values, other, f": {error}")


def _misfit(values: Sequence[Any], row: int, why: str) -> str:
    kinds = sorted({type(value).__name__ for value in values if not is_missing(value)})
    place = f"{_place(row, values[row])}{why}"
    if len(kinds) == 1:
        return f"cannot be stored: {place}"
    return f"mixes values of types {', '.join(kinds)}; convert it to one type: {place}"


def _place(row: int, value: Any) -> str:
    text = repr(value)
    return f"{row_text(row)} holds {text if len(text) <= 100 else text[:100] + '...'}"
