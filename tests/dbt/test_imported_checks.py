"""dbt's tests become checks: in the header where a kind of ours finds the same, else as a query."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from dagster_models.dbt.checks.files import CheckFile
from dagster_models.dbt.checks.placing import Checks, OwnChecks, place_checks
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.project.remarks import Weight
from dagster_models.project.checks.aliases import ALIASES
from dbt_cases import PlainNames, Texts, dbt_test, manifest_of, step
from project_cases import load, write_project

A, B, C = "model.shop.a", "model.shop.b", "model.shop.c"
SOURCE, PAID = "source.shop.raw.orders", "source.shop.raw.paid"
FILE = "source.shop.raw.sent"


def placed(folder: Path, *nodes: dict[str, Any], **texts: str) -> Checks:
    manifest = manifest_of(folder, *nodes)
    return place_checks(manifest, PlainNames(manifest), Texts(**texts))


def declared(folder: Path, word: str, column: str | None = "id", **given: Any) -> Any:
    """The check in the header of b, which reads a; None if it is a query."""
    test = dbt_test(B, word, column, **given)
    found = placed(folder, step("a"), step("b", A), test, **{test["name"]: "select 1"})
    assert not found.remarks
    if found.files:
        assert not found.declared
        return None
    of = found.declared[B]
    ((item,),) = of.columns.values() if column else (of.whole,)
    return item


@pytest.mark.parametrize(
    ("word", "given", "expected"),
    [
        ("unique", {}, "unique"),
        ("not_null", {"config": {"severity": "warn"}}, {"not_null": {"severity": "warn"}}),
        ("not_null", {"config": {"where": "id > 1"}}, {"not_null": {"where": "id > 1"}}),
        ("accepted_values", {"values": ["a", 1, None, True]}, ["a", "1", "None", "True"]),
        ("accepted_values", {"values": [1, 2], "quote": False}, [1, 2]),
        # Any failure is an error, so the number of failures does not matter.
        ("accepted_values", {"values": ["a"], "config": {"warn_if": "> 5"}}, ["a"]),
        (
            "relationships",
            {"to": "ref('a')", "field": '"id"', "reads": [A]},
            {"relationships": {"to": "marts.a", "field": "id"}},
        ),
        (
            "dbt_utils.accepted_range",
            {"min_value": 0, "inclusive": False},
            {"dbt_utils.accepted_range": {"min_value": 0, "inclusive": False}},
        ),
        (
            "dbt_expectations.expect_column_values_to_be_in_set",
            {"value_set": ["a"], "row_condition": "id > 0"},
            {
                "dbt_expectations.expect_column_values_to_be_in_set": {
                    "value_set": ["a"],
                    "row_condition": "id > 0",
                }
            },
        ),
    ],
)
def test_a_test_that_we_have_stands_in_the_header(
    tmp_path: Path, word: str, given: Any, expected: Any
) -> None:
    found = declared(tmp_path, word, **given)
    assert (found["accepted_values"]["values"] if isinstance(expected, list) else found) == expected


@pytest.mark.parametrize(
    ("word", "column", "given"),
    [
        ("mine", "id", {}),
        ("unique", "a || b", {}),
        ("not_null", "id", {"package": "shop"}),  # the project's own test of that name
        ("not_null", "id", {"config": {"where": "{{ var('x') }}"}}),
        ("not_null", "id", {"config": {"fail_calc": "sum(n)"}}),
        ("not_null", "id", {"config": {"error_if": "between 2 and 3"}}),
        ("accepted_values", "id", {"values": ["current_date"], "quote": False}),
        # dbt counts values, and we count rows.
        ("accepted_values", "id", {"values": ["a"], "config": {"error_if": "> 2"}}),
        ("not_null", "id", {"config": {"error_if": "> 2", "limit": 1}}),
        ("dbt_utils.accepted_range", "id", {"min_value": "(select 1)"}),
        ("dbt_utils.recency", None, {"field": "at", "datepart": "day", "interval": 1}),
        ("dbt_utils.unique_combination_of_columns", None, {"combination_of_columns": ["lower(a)"]}),
    ],
)
def test_what_would_find_something_else_is_the_query_of_dbt(
    tmp_path: Path, word: str, column: str | None, given: Any
) -> None:
    assert declared(tmp_path, word, column, **given) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"error_if": "> 10"}, {"warn_if": "> 0", "error_if": "> 10"}),
        ({"error_if": ">= 10", "warn_if": "> 5"}, {"warn_if": "> 5", "error_if": "> 9"}),
        ({"error_if": "> 1", "warn_if": "> 5"}, {"error_if": "> 1"}),
        ({"warn_if": "> 5"}, {}),
        ({"severity": "warn", "warn_if": "> 5", "error_if": "> 9"}, {"warn_if": "> 5"}),
    ],
)
def test_thresholds(tmp_path: Path, config: Any, expected: Any) -> None:
    found = declared(tmp_path, "not_null", config=config)
    assert found == ({"not_null": expected} if expected else "not_null")


def query(folder: Path, **config: Any) -> list[CheckFile]:
    test = {**dbt_test(A, "mine", "id", config=config), "description": "Says why."}
    found = placed(folder, step("a"), test, **{test["name"]: "select * from marts.a;\n"})
    assert not found.remarks
    return found.files


def test_a_query_keeps_thresholds_and_rows(tmp_path: Path) -> None:
    (file,) = query(tmp_path, severity="warn", store_failures=True, limit=7)
    assert file.path == "checks/mine_a_id.sql"
    assert file.sql == "select * from marts.a"
    assert file.header == {
        "model": "marts.a",
        "description": "Says why.",
        "store_failures": True,
        "severity": "warn",
        "limit": 7,
    }


def test_a_number_that_dbt_calculates_is_compared_in_the_query(tmp_path: Path) -> None:
    error, warn = query(tmp_path, fail_calc="sum(n)", error_if="= 3", warn_if="between 1 and 5")
    assert error.sql.endswith("as dbt_internal_calc\nwhere failures = 3")
    assert "select sum(n) as failures from (\nselect * from marts.a\n)" in error.sql
    assert warn.path == "checks/mine_a_id_warn.sql"
    assert warn.header["severity"] == "warn"
    assert warn.sql.endswith("where failures between 1 and 5 and not (failures = 3)")


def test_a_limit_is_part_of_a_query_whose_rows_are_compared(tmp_path: Path) -> None:
    (error, _) = query(tmp_path, limit=3, error_if="> 5")
    assert "as dbt_internal_test\nlimit 3\n) as dbt_internal_test" in error.sql


def test_names_that_somebody_has_given_are_kept(tmp_path: Path) -> None:
    found = placed(
        tmp_path,
        step("a"),
        dbt_test(A, "not_null", "id", name="has_id"),
        dbt_test(A, "accepted_values", "id", values=["x"], name="accepted_values_a_id__x"),
        dbt_test(A, "accepted_values", "id", values=["y"], name="accepted_values_a_id__y"),
        dbt_test(A, "unique", "id", config={"store_failures": True}),
    )
    assert found.declared[A].columns["id"] == [
        {"accepted_values": {"values": ["x"], "name": "accepted_values_a_id__x"}},
        {"accepted_values": {"values": ["y"], "name": "accepted_values_a_id__y"}},
        {"not_null": {"name": "has_id"}},
        # Its rows are in a table, whose name another model's check could have, too.
        {"unique": {"name": "unique_a_id", "store_failures": True}},
    ]


def test_a_check_of_rows_looks_at_all_of_an_incremental_model(tmp_path: Path) -> None:
    kept = step("a", config={"materialized": "incremental"})
    found = placed(tmp_path, kept, dbt_test(A, "not_null", "id"), dbt_test(A, "unique", "id"))
    assert found.declared[A].columns["id"] == [{"not_null": {"scope": "table"}}, "unique"]


def relation(of: str, to: str, **given: Any) -> dict[str, Any]:
    name = to.rsplit(".", 1)[-1]
    return dbt_test(of, "relationships", "id", to=f"ref('{name}')", field="id", reads=[to], **given)


def test_a_check_that_reads_a_later_model_stays_in_the_header(tmp_path: Path) -> None:
    """It runs with the later model by our own rule."""
    found = placed(tmp_path, step("a"), step("b", A), relation(A, B))
    assert found.declared[A].columns["id"] == [{"relationships": {"to": "marts.b", "field": "id"}}]


def test_two_models_whose_tests_read_each_other_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A check then runs with the later one of both, and the project loads without a cycle."""
    tests = [relation(A, B), relation(B, A), dbt_test(B, "mine", reads=[A], name="z_mine")]
    text = "select * from marts.b where id not in (select id from marts.a)"
    found = placed(tmp_path, step("a"), step("b"), *tests, z_mine="select 1 as n")
    (file,) = found.files
    assert file.header["model"] == "marts.a"
    files = {f"models/marts/{it[-1]}.sql": _model(found.declared[it].columns) for it in (A, B)}
    files["checks/mine.sql"] = f"/* @check\n{json.dumps(dict(file.header))}\n*/\n{text}"
    project = load(write_project(tmp_path / "ours", {"dagster_models.yaml": "name: p", **files}))
    (built,) = [step for step in project.steps.values() if step.checks]
    assert len(built.checks) == 3


def _model(columns: Any) -> str:
    checks = {name: {"checks": items} for name, items in columns.items()}
    return f"/* @model\n{json.dumps({'columns': checks})}\n*/\nselect 1 as id"


def test_a_check_of_an_ephemeral_model_runs_with_what_reads_it(tmp_path: Path) -> None:
    inner = step("a", config={"materialized": "ephemeral"})
    found = placed(
        tmp_path, inner, step("b", A), dbt_test(A, "not_null", "id"), not_null_a_id="select 1"
    )
    assert [file.header["model"] for file in found.files] == ["marts.b"]
    alone = placed(tmp_path, inner, dbt_test(A, "not_null", "id"), not_null_a_id="select 1")
    assert [it.what for it in alone.remarks] == [
        "the test not_null_a_id: no model is built after all that it reads"
    ]


def test_a_check_of_an_ephemeral_model_runs_with_the_last_table_that_it_reads(
    tmp_path: Path,
) -> None:
    """What it asks is there by then, and no other model need be built."""
    nodes = [
        step("c"),
        step("b", C),
        step("a", B, C, config={"materialized": "ephemeral"}),
        step("d", A),
    ]
    tests = [dbt_test(A, "not_null", "id"), singular(A)]
    texts = {"not_null_a_id": "select 1 from a", "singular": "select * from a"}
    found = placed(tmp_path, *nodes, *tests, **texts)
    assert [file.header["model"] for file in found.files] == ["marts.b", "marts.b"]


def source(unique_id: str, written: str = "") -> dict[str, Any]:
    name = unique_id.rsplit(".", 1)[-1]
    return {
        "unique_id": unique_id,
        "package_name": "shop",
        "source_name": "raw",
        "name": name,
        "original_file_path": "models/s.yml",
        "schema": "raw",
        "identifier": name,
        "relation_name": written or f'"dev"."raw"."{name}"',
    }


def of_sources(folder: Path, *nodes: dict[str, Any], same: str = "") -> tuple[Manifest, Checks]:
    manifest = manifest_of(folder, *nodes, sources={it: source(it) for it in (SOURCE, PAID)})
    names = PlainNames(manifest, **({SOURCE: same} if same else {}))
    return manifest, place_checks(manifest, names, Texts(singular="select * from raw.orders"))


def test_checks_of_sources(tmp_path: Path) -> None:
    tests = [dbt_test(SOURCE, "unique", "id"), relation(A, SOURCE)]
    tests[1]["test_metadata"]["kwargs"]["to"] = "source('raw', 'orders')"
    _, found = of_sources(tmp_path, step("a"), *tests)
    assert found.declared[SOURCE] == OwnChecks({"id": ["unique"]}, [])
    assert found.declared[A].columns["id"] == [
        {"relationships": {"to": "raw.orders", "field": "id"}}
    ]


def test_a_check_of_two_sources_is_that_of_the_one_that_dbt_asks(tmp_path: Path) -> None:
    """dbt lists the other one first."""
    test = relation(PAID, SOURCE)
    assert test["depends_on"]["nodes"] == [SOURCE, PAID]
    test["test_metadata"]["kwargs"]["to"] = "source('raw', 'orders')"
    _, found = of_sources(tmp_path, test)
    expected = {"relationships": {"to": "raw.orders", "field": "id"}}
    assert found.declared == {PAID: OwnChecks({"id": [expected]}, [])}


def of_a_file(folder: Path, *nodes: dict[str, Any]) -> Checks:
    """The checks of a project whose source `sent` is a file. All tests have one text."""
    sources = {FILE: source(FILE, "'data/sent.csv'"), SOURCE: source(SOURCE)}
    manifest = manifest_of(folder, *nodes, sources=sources)
    tests = [it["name"] for it in nodes if it["resource_type"] == "test"]
    texts = dict.fromkeys(tests, "select * from 'data/sent.csv'")
    return place_checks(manifest, PlainNames(manifest, FILE), Texts(**texts))


@pytest.mark.parametrize(
    ("test", "runs_with"),
    [
        (lambda: dbt_test(FILE, "unique", "id"), "marts.a"),  # the first that reads the file
        (lambda: singular(FILE), "marts.a"),
        (lambda: singular(FILE, B), "marts.b"),
        (lambda: relation(FILE, B), "marts.b"),
        (lambda: relation(B, FILE), "marts.b"),
        (lambda: relation(FILE, SOURCE), "raw.orders"),
    ],
)
def test_a_test_that_reads_a_file_is_a_query(tmp_path: Path, test: Any, runs_with: str) -> None:
    """dbt-duckdb's `external_location`: no header and no sources.yaml names a file."""
    nodes = [step("b", A), step("a", FILE), step("aa", B)]
    found = of_a_file(tmp_path, *nodes, test())
    assert not found.remarks
    assert not found.declared
    ((header, sql),) = [(file.header, file.sql) for file in found.files]
    assert (header["model"], sql) == (runs_with, "select * from 'data/sent.csv'")


def test_a_test_of_a_file_that_no_model_reads_is_reported(tmp_path: Path) -> None:
    found = of_a_file(tmp_path, step("a"), dbt_test(FILE, "unique", "id"))
    assert [it.what for it in found.remarks] == [
        "the test unique_sent_id: no model reads the file that it reads"
    ]


def test_a_source_that_is_a_seed_has_the_checks_of_both(tmp_path: Path) -> None:
    seed = step("orders", kind="seed")
    _, found = of_sources(tmp_path, seed, dbt_test(SOURCE, "unique", "id"), same=seed["unique_id"])
    assert found.declared["seed.shop.orders"].columns == {"id": ["unique"]}


def singular(*reads: str) -> dict[str, Any]:
    made = dbt_test(reads[0] if reads else "", "mine", name="singular")
    made |= {"raw_code": "select 1 as n"}
    return {**made, "test_metadata": None, "depends_on": {"nodes": list(reads), "macros": []}}


def test_singular_tests_belong_to_the_latest_of_what_they_read(tmp_path: Path) -> None:
    text = {"singular": "select * from marts.a"}
    found = placed(tmp_path, step("a"), step("b", A), singular(A, B), **text)
    assert found.files[0].header["model"] == "marts.b"
    _, of_source = of_sources(tmp_path, singular(SOURCE))
    assert of_source.files[0].header["model"] == "raw.orders"
    nothing = placed(tmp_path, step("a"), singular(), **text)
    assert [it.what for it in nothing.remarks] == ["the test singular: it reads no table"]


def test_what_cannot_be_rendered_is_reported_or_nearly_the_same(tmp_path: Path) -> None:
    word = "dbt_utils.not_constant"
    found = placed(tmp_path, step("a"), dbt_test(A, word, "id"), dbt_test(A, "mine", "id"))
    assert found.declared[A].columns["id"] == [word]
    differs = f"the test dbt_utils_not_constant_a_id is `{word}`, which differs: "
    assert [(it.weight, it.what) for it in found.remarks] == [
        (Weight.DIFFERS, differs + ALIASES[word].note),
        (Weight.LEFT_OUT, "the test mine_a_id: it needs the warehouse"),
    ]


def test_a_test_of_a_model_that_is_not_imported_is_reported(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, step("a"), dbt_test(A, "unique", "id"))
    found = place_checks(manifest, PlainNames(manifest, A), Texts())
    assert [it.what for it in found.remarks] == [
        "the test unique_a_id: it reads model.shop.a, which is not imported"
    ]


def test_two_tests_of_one_name_are_two_checks(tmp_path: Path) -> None:
    """dbt tells them apart by their hashes: its names leave out what is no letter. Two are in
    the header, and two are queries, as no kind has their numbers of failures."""
    regex = "dbt_expectations.expect_column_values_to_match_regex"
    name = f"{regex.replace('.', '_')}_b_id_"
    tests = [
        {
            **dbt_test(B, regex, "id", name=name, regex=it, config=config),
            "unique_id": f"test.shop.{k}",
        }
        for k, (it, config) in {
            "declared.1": ("@", {}),
            "declared.4": ("%", {}),
            "query.2": ("&", {"error_if": "> 2", "fail_calc": "sum(n)"}),
            "query.3": ("#", {"fail_calc": "sum(n)"}),
        }.items()
    ]
    found = placed(tmp_path, step("b"), *tests, declared="select 1", query="select 2")
    assert not found.remarks
    names = [name for of in found.names.values() for _, name in of]
    assert len({it.lower() for it in names}) == len(names) >= 4
    assert {PurePosixPath(it.path).stem for it in found.files} <= set(names)
    (entries,) = found.declared[B].columns.values()
    assert {it[regex]["name"] for it in entries} < set(names)
