"""dbt's unit tests become ours, which look at the table and not at what the query returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_models.dbt.properties.unit_tests import UnitTests, unit_tests_of
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
        (["a", "it's", "x\\y", "[1, 2]", "", "NULL", None, " p ", '"q"'], "VARCHAR[]"),
        ([[1, None], []], "INTEGER[][]"),
        (
            {"Al b": 'E"d', "n": [{"z": True, "f": 1.5}]},
            'STRUCT("Al b" VARCHAR, n STRUCT(z BOOLEAN, f DOUBLE)[])',
        ),
        (["two\nlines"], "VARCHAR[]"),
    ],
)
def test_values_within_values_are_texts_that_duckdb_casts(
    tmp_path: Path, value: Any, type_: str
) -> None:
    found = converted(tmp_path, expect={"rows": [{"id": value}], "format": "dict"})
    ((test,),) = found.tests.values()
    with duckdb.connect() as session:
        cast = session.execute(f"select cast(? as {type_})", [test["expect"][0]["id"]]).fetchone()
    assert cast == (value,)


def test_values_within_values_are_json_too(tmp_path: Path) -> None:
    """As dbt's cast of them makes it: a column may be JSON."""
    value = {
        "a": ["it's", 'q"', "x\\y"],
        "b": None,
        "c": {"d": True, "e": 1.5},
    }
    found = converted(tmp_path, expect={"rows": [{"id": value}], "format": "dict"})
    ((test,),) = found.tests.values()
    written = test["expect"][0]["id"]
    with duckdb.connect() as session:
        cast = session.execute("select cast(? as json)", [written]).fetchone()
        struct = "{a: ['it''s', 'q\"', 'x\\y'], b: null, c: {d: true, e: 1.5}}"
        assert session.execute(f"select to_json({struct})").fetchone() == cast


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
