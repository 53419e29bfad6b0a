"""dbt's unit tests become ours, which look at the table and not at what the query returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_models.compilation.unit_test_rows import cast_of, rows_query
from dagster_models.core.model import Location
from dagster_models.core.unit_tests import Cell, GivenRows
from dagster_models.dbt.properties.unit_tests import UnitTests, unit_tests_of
from dagster_models.dbt.yaml_text import yaml_text
from dagster_models.project.unit_tests.rows import RowsReader
from dagster_models.project.yaml.nodes import read_yaml
from dbt_cases import PlainNames, manifest_of, step

A, B, EPH = "model.shop.a", "model.shop.b", "model.shop.e"
SEED = "seed.shop.s"
ORDERS = "source.shop.raw.orders"


def converted(folder: Path, config: Any = None, **test: Any) -> UnitTests:
    source = {
        "unique_id": ORDERS,
        "package_name": "shop",
        "source_name": "raw",
        "name": "orders",
        "original_file_path": "s.yml",
        "schema": "raw",
    }
    entry = {
        "name": "t",
        "model": "b",
        "depends_on": {"nodes": [B], "macros": []},
        "expect": {"rows": [{"id": 1}], "format": "dict"},
        **test,
    }
    manifest = manifest_of(
        folder,
        step("a"),
        step("e", config={"materialized": "ephemeral"}),
        step("b", A, EPH, SEED, ORDERS, config=config or {}),
        {**step("s", kind="seed"), "original_file_path": "seeds/s.csv"},
        sources={ORDERS: source},
        unit_tests={"unit_test.shop.b.t": entry},
    )
    return unit_tests_of(manifest, PlainNames(manifest), lambda _: {"days"})


def given(name: str, rows: Any, form: str = "dict") -> dict[str, Any]:
    return {"input": name, "rows": rows, "format": form}


def test_rows_in_each_format(tmp_path: Path) -> None:
    found = converted(
        tmp_path,
        given=[
            given("ref('a')", [{"id": 1}, {"id": 2, "name": "x"}]),
            given("source('raw', 'orders')", [{"id": "1", "n": None}], "csv"),
        ],
        expect={"rows": "select 1 as id\n", "format": "sql"},
        overrides={"vars": {"days": 2}},
        description="Says why.",
    )
    assert found.tests == {
        "unit_tests/marts_b.yaml": [
            {
                "model": "marts.b",
                "name": "t",
                "description": "Says why.",
                "vars": {"days": 2},
                "given": {
                    "marts.a": [{"id": 1, "name": None}, {"id": 2, "name": "x"}],
                    "raw.orders": {"csv": "id,n\n1,\n"},
                },
                "expect": {"sql": "select 1 as id"},
            }
        ]
    }


INCREMENTAL = {"materialized": "incremental", "unique_key": "id"}
THIS = given("this", [{"id": 1, "n": 1, "x": 0}, {"id": 2, "n": 2, "x": 0}])
DELTA = {"rows": [{"id": 2, "n": 9}, {"id": 3, "n": 3}], "format": "dict"}


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (["a", "[1, 2]", "", "NULL", " p ", '"q"', "ü"], "VARCHAR[]"),
        ([[1, 2], []], "INTEGER[][]"),
        (
            {"Al b": 'E"d', "n": [{"z": True, "f": 1.5}]},
            'STRUCT("Al b" VARCHAR, n STRUCT(z BOOLEAN, f DOUBLE)[])',
        ),
        (["a", "b, c", "null"], "VARCHAR"),
        ({"a": 1, "b": [True]}, "VARCHAR"),
        ([], "VARCHAR"),
        ({"a": 1, "b": 2}, "MAP(VARCHAR, INTEGER)"),
        ({"a": {"b": [1.5]}}, "MAP(VARCHAR, MAP(VARCHAR, DOUBLE[]))"),
        ({"a": ["x", 'q"'], "c": {"d": True, "e": 1.5}}, "JSON"),
        ([{"a": 1}, {"b": "x"}], "JSON"),
    ],
)
def test_values_within_values_are_what_dbts_cast_makes_of_them(
    tmp_path: Path, value: Any, type_: str
) -> None:
    """dbt writes the text of the value in Python into the cast."""
    found = converted(tmp_path, expect={"rows": [{"id": value}], "format": "dict"})
    ((test,),) = found.tests.values()
    (file,) = found.tests
    ours = read_yaml(yaml_text([test]), file, pytest.fail)
    assert ours is not None
    rows = RowsReader("", "duckdb").read(ours.value[0].value["expect"])
    assert isinstance(rows, GivenRows)
    by_dbt = f"cast({value} as {type_})"
    with duckdb.connect() as session:
        expected = session.sql(f"select {by_dbt}, typeof({by_dbt})").fetchone()
        sql = rows_query(rows, {"id": type_}, "duckdb")
        assert session.sql(f"select id, typeof(id) from ({sql})").fetchone() == expected


def test_values_within_values_that_have_no_cast_in_dbt_or_another_one() -> None:
    """Python writes these in ways that DuckDB reads otherwise, or not at all."""
    place = Location("u.yaml")
    for value, type_, expected in (
        (["a", None], "VARCHAR[]", ["a", None]),
        (["it's", "x\\y", "two\nlines"], "VARCHAR[]", ["it's", "x\\y", "two\nlines"]),
        ({"b": None}, "JSON", '{"b":null}'),
        ({}, "JSON", "{}"),
        ({"a": {}}, "JSON", '{"a":{}}'),
        ([{}], "MAP(VARCHAR, INTEGER)[]", [{}]),
    ):
        sql = cast_of(Cell(value, str(value), place), type_, "duckdb")
        with duckdb.connect() as session:
            assert session.sql(f"select {sql}").fetchone() == (expected,)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (INCREMENTAL, [(1, 1), (2, 9), (3, 3)]),
        ({"materialized": "incremental"}, [(1, 1), (2, 2), (2, 9), (3, 3)]),
    ],
)
def test_an_increment_expects_the_rows_that_stay_as_well(
    tmp_path: Path, config: Any, expected: Any
) -> None:
    macros = {"macros": {"is_incremental": True}}
    found = converted(tmp_path, config, given=[THIS], expect=DELTA, overrides=macros)
    ((test,),) = found.tests.values()
    assert [(row["id"], row["n"]) for row in test["expect"]] == expected
    assert "this" in test["given"]


def test_a_build_in_full_does_not_read_its_table(tmp_path: Path) -> None:
    found = converted(tmp_path, INCREMENTAL, given=[THIS], expect=DELTA)
    ((test,),) = found.tests.values()
    assert test["full_refresh"] is True
    assert test["given"] == {}
    assert test["expect"] == DELTA["rows"]


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ({"overrides": {"macros": {"star": "a"}}}, "it overrides the macro star"),
        ({"overrides": {"vars": {"x": 1}}}, "it overrides the variable x"),
        ({"given": [given("ref('e')", [])]}, "which is ephemeral"),
        ({"given": [given("ref('gone')", [])]}, "does not read ref('gone')"),
        ({"given": [given("ref('s')", None)]}, "the seed s cannot be read: "),
        ({"depends_on": {"nodes": []}}, "its model is not imported"),
        (
            {
                "config": INCREMENTAL,
                "given": [THIS],
                "expect": {"rows": [{"n": 1}]},
                "overrides": {"macros": {"is_incremental": True}},
            },
            "do not follow",
        ),
        *(
            (
                {
                    "config": {**INCREMENTAL, key: ["id"]},
                    "given": [THIS],
                    "expect": DELTA,
                    "overrides": {"macros": {"is_incremental": True}},
                },
                "do not follow",
            )
            for key in ("merge_update_columns", "predicates", "merge_clauses")
        ),
    ],
)
def test_what_cannot_be_tested_alike_is_reported(tmp_path: Path, test: Any, why: str) -> None:
    found = converted(tmp_path, test.pop("config", None), **test)
    assert not found.tests
    (remark,) = found.remarks
    assert why in remark.what


def test_columns_whose_names_differ_by_their_case_are_one(tmp_path: Path) -> None:
    rows = [{"id": 1}, {"ID": 2}, {"Id": 3}]
    found = converted(tmp_path, given=[given("ref('a')", rows)], expect={"rows": rows})
    (test,) = found.tests["unit_tests/marts_b.yaml"]
    assert test["given"]["marts.a"] == test["expect"] == [{"id": 1}, {"id": 2}, {"id": 3}]
