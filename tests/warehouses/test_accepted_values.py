"""`accepted_values` on real warehouses: exact for each type of column and each kind of value.

A case is a value in SQL, the type of its column, the list as YAML has it, and whether it passes.
"""

from __future__ import annotations

import pytest
import yaml

from dagster_models.compilation.checks.accepted_values import is_accepted
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.base import WarehouseSession
from systems import System

EVERYWHERE = [
    ("'01'", "varchar", "[1]", False),
    ("'1'", "varchar", "[1]", True),
    ("'1.50'", "varchar", "[1.5]", False),
    ("'1.50'", "varchar", "['1.50']", True),
    ("'a '", "varchar", "[a]", False),
    ("'A'", "varchar", "[a]", False),
    ("'O''x'", "varchar", '["O\'x"]', True),
    ("'true'", "varchar", "[true]", True),
    ("'2024-01-01'", "varchar", "[2024-01-01]", True),
    ("'2024-01-01 00:00:00'", "varchar", "[2024-01-01]", False),
    ("1", "integer", "['1.4']", False),
    ("1", "integer", "[1.4]", False),
    ("1", "integer", "['1']", True),
    ("1", "integer", "['1.0', 7]", True),
    ("1", "integer", "['01']", False),
    ("1", "integer", "[true]", False),
    ("1", "integer", "[a, b]", False),
    ("100", "integer", "[1, 10, 1000]", False),
    ("100", "integer", "[1e2]", True),
    ("0", "smallint", "[0]", True),
    ("-5", "bigint", "[-5]", True),
    ("9007199254740993", "bigint", "[9007199254740992]", False),
    ("9007199254740993", "bigint", "[9007199254740993]", True),
    ("1.50", "decimal(10, 2)", "[1.5]", True),
    ("1.50", "decimal(10, 2)", "['1.5']", True),
    ("1.50", "decimal(10, 2)", "[1.500001]", False),
    ("1.50", "decimal(10, 2)", "[2]", False),
    ("0.1", "double precision", "[0.1]", True),
    ("1e16", "double precision", "[10000000000000000]", True),
    ("1.5e-7", "double precision", "[1.5e-7]", True),
    ("1e300", "double precision", "[1.0e+300]", True),
    ("0.1", "real", "[0.1]", True),
    ("0.1", "real", "[0.10000001]", False),
    ("16777217", "real", "[16777217]", False),
    ("'NaN'", "double precision", "[.nan]", True),
    ("'-infinity'", "double precision", "[-.inf]", True),
    ("'-infinity'", "double precision", "[.inf, 0]", False),
    ("true", "boolean", "[true]", True),
    ("true", "boolean", "['true']", True),
    ("true", "boolean", "[1]", False),
    ("false", "boolean", "[0, '']", False),
    ("false", "boolean", "[false, x]", True),
    ("'f'", "varchar", "[f, 1, 2024-01-01]", True),
    ("'x'", "varchar", "['1', f, '2024-01-01']", False),
    ("'2024-01-01'", "date", "[2024-01-01]", True),
    ("'2024-01-01'", "date", "['2024-01-01']", True),
    ("'2024-01-01'", "date", "['2024-01-01 00:00']", True),
    ("'2024-01-01'", "date", "['2024-01-01 10:00:00']", False),
    ("'2024-01-01 10:00:00'", "timestamp", "[2024-01-01]", False),
    ("'2024-01-01 00:00:00'", "timestamp", "[2024-01-01]", True),
    ("'2024-01-01 10:00:00.5'", "timestamp", "['2024-01-01T10:00:00.500']", True),
    ("'2024-01-01 10:00:00.123456'", "timestamp", "['2024-01-01 10:00:00.1234561']", False),
    ("'2024-01-01 10:00:00+02'", "timestamptz", "['2024-01-01T08:00:00Z']", True),
    ("'2024-01-01 10:00:00+02'", "timestamptz", "['2024-01-01 03:00:00-05:00']", True),
    ("'2024-01-01 10:00:00+02'", "timestamptz", "['2024-01-01 10:00:00+00:00']", False),
    ("'12:00:00'", "time", "['12:00:00']", True),
    (
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "uuid",
        "[a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11]",
        True,
    ),
    ("'a'", "varchar", "[null]", False),
]

ONLY = {
    "duckdb": [
        ("'a'", "enum('a', 'b')", "[a, c]", True),
        ("'a'", "enum('a', 'b')", "[c]", False),
        ("255", "utinyint", "[255]", True),
        ("1", "hugeint", "['1.4']", False),
        ("170141183460469231731687303715884105727", "hugeint", "[1.7014118346046923e+38]", False),
        (
            "'2024-01-01 10:00:00.123456789'",
            "timestamp_ns",
            "['2024-01-01 10:00:00.123456']",
            False,
        ),
        ("'2024-01-01 10:00:00'", "timestamp_s", "['2024-01-01 10:00:00']", True),
        ("[1, 2]", "integer[]", "['[1, 2]']", True),
    ],
    "postgres": [
        ("'a'", "char(3)", "[a]", True),
        ("'abc'", "char(3)", "[abcd]", False),
        ("'a'", "char(3)", "['a   b']", False),
        ("1.50", "numeric", "[1.5]", True),
        ("1.00000000000000000001", "numeric", "[1]", False),
        ("1.00000000000000000001", "numeric", "['1.00000000000000000001']", True),
        ("'NaN'", "numeric", "[.nan]", True),
        ("'{1,2}'", "integer[]", "['{1,2}']", True),
        ("'1 day'", "interval", "['1 day']", True),
        ("'10.0.0.1'", "inet", "[10.0.0.1]", True),
        ("1", "percent", "['1.4']", False),
        ("1.50", "percent", "[1.5]", True),
        ("true", "flag", "['t', 'yes']", False),
        ("true", "flag", "[true]", True),
        ("'open'", "state", "[open, no_such_state]", True),
        ("'open'", "state", "[no_such_state]", False),
    ],
}

_CASES = [
    *((name, *case) for case in EVERYWHERE for name in ONLY),
    *((name, *case) for name, cases in ONLY.items() for case in cases),
]


def test_a_value_passes_only_if_it_is_in_the_list(
    system: System, session: WarehouseSession
) -> None:
    if system.name == "postgres":
        session.execute(
            "create domain percent as numeric(5, 2); create domain flag as boolean;"
            " create type state as enum ('open', 'shut')"
        )
    wrong = []
    for name, value, type_, listed, expected in _CASES:
        if name == system.name:
            condition = is_accepted(yaml.safe_load(listed), system.address.type.value_forms, name)
            of = f"(select cast({value} as {type_}) as value_field) as t"
            ((found,),) = session.query(f"select {condition} from {of}")[1]
            if found is not expected:
                wrong.append((value, type_, listed, found))
    assert wrong == []


@pytest.mark.parametrize("word", ["f", "T", "no", "0"])
def test_a_text_that_would_be_cast_to_a_boolean_is_an_error(
    session: WarehouseSession, system: System, word: str
) -> None:
    """It stands for nothing in a column of booleans, and a `rejected_values` of it would pass."""
    condition = is_accepted([word, True], system.address.type.value_forms, system.name)
    with pytest.raises(WarehouseError, match=f"the list has '{word}'. Write true or false"):
        session.query(f"select {condition} from (select false as value_field) as t")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_an_instant_is_the_same_in_every_time_zone(
    system: System, session: WarehouseSession, zone: str
) -> None:
    session.execute(f"set timezone = '{zone}'")
    condition = is_accepted(["2024-07-01T08:00:00Z"], system.address.type.value_forms, system.name)
    of = "(select cast('2024-07-01 10:00:00+02' as timestamptz) as value_field) as t"
    assert session.query(f"select {condition} from {of}")[1] == [(True,)]
