"""unit_tests/*.yaml: what is wrong in them, exactly, and the words of dbt."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from dagster_models.core.model import Key, Location
from dagster_models.core.unit_tests import Cell, GivenQuery, GivenRows, UnitTest
from dagster_models.errors import Problem
from dagster_models.project.unit_tests.read import read_unit_tests
from dagster_models.project.unit_tests.values import text_of
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import read_yaml
from paths import DATA
from project_cases import load, write_project
from unit_test_cases import FILES, cell


def read(root: Path, text: str, **more: str) -> tuple[list[UnitTest], str]:
    """The tests of a file, and the report of what is wrong."""
    problems: list[Problem] = []
    write_project(root, {**FILES, "unit_tests/a.yaml": text, **more})
    found = read_unit_tests(load(root, environ={}), problems.append)
    problems.sort(key=lambda it: (it.path, it.line, it.column))
    return found, "\n".join(map(str, problems))


@pytest.mark.parametrize("case", ["names", "rows", "forms"])
def test_what_is_wrong_has_its_place(tmp_path: Path, case: str) -> None:
    text, _, report = (DATA / "unit_tests" / f"{case}.txt").read_text().partition("=== report\n")
    assert read(tmp_path, text)[1] == report.strip()


DBT = """\
version: 2
unit_tests:
  - name: with dbt's words
    description: a test
    model: orders
    overrides:
      vars: {least: 3}
      macros: {is_incremental: true}
    given:
      - input: source('raw', 'lines')
        format: csv
        rows: |
          order_id,status
          1,paid
      - input: ref('twin')
    expect:
      format: dict
      rows:
        - {order_id: 1}
"""
TWIN = "      - input: ref('twin')\n"


def test_the_words_of_dbt(tmp_path: Path) -> None:
    text = DBT.replace(TWIN, "")
    (test,), report = read(tmp_path, text)
    assert report == ""
    assert (test.model, test.name) == (Key("marts", "orders"), "with dbt's words")
    assert test.variables == {"least": 3}
    assert not test.full_refresh
    (rows,) = test.given.values()
    assert isinstance(rows, GivenRows)
    assert [[it and it.written for it in row] for row in rows.rows] == [["1", "paid"]]
    assert rows.location == Location("unit_tests/a.yaml", 12, 15)
    assert "marts.orders does not read `twin`" in read(tmp_path, DBT)[1]


BESIDE = """\
version: 2
models:
  - name: orders
unit_tests:
  - name: rows of files
    model: orders
    given:
      - input: source('raw', 'lines')
        format: csv
        fixture: lines
    expect: {format: sql, fixture: orders}
  - name: rows of a query
    model: orders
    config: {tags: [a]}
    given:
      - input: source('raw', 'lines')
        format: sql
        rows: |
          select 1 as order_id
    expect: {rows: []}
  - {name: not now, model: orders, config: {enabled: false}, expect: {rows: []}}
"""
LINES = "order_id,status\n1,paid\n"


def test_the_tests_in_a_file_beside_models(tmp_path: Path) -> None:
    files = {
        "models/marts/schema.yml": BESIDE,
        "tests/fixtures/raw/lines.csv": LINES,
        "unit_tests/fixtures/orders.sql": "select 1 as order_id",
    }
    (of_files, of_query), report = read(tmp_path, "[]", **files)
    assert report == ""
    (rows,) = of_files.given.values()
    assert isinstance(rows, GivenRows)
    assert [[it and it.written for it in row] for row in rows.rows] == [["1", "paid"]]
    assert isinstance(of_files.expect, GivenQuery)
    (query,) = of_query.given.values()
    assert isinstance(query, GivenQuery)
    assert of_query.location.path == "models/marts/schema.yml"

    (tmp_path / "tests/fixtures/raw/lines.csv").unlink()
    del files["tests/fixtures/raw/lines.csv"]
    wrong = BESIDE.replace("select 1 as order_id", "select {{ var('x') }} as order_id")
    report = read(tmp_path, "[]", **{**files, "models/marts/schema.yml": wrong})[1]
    assert "schema.yml:10:18: error: `given`: raw.lines: there is no fixture lines.csv" in report
    assert "schema.yml:19:15: error: `given`: raw.lines: this is Jinja" in report
    wrong = BESIDE.replace("select 1 as order_id", "select '{{ var(1) }}' as order_id")
    report = read(tmp_path, "[]", **{**files, "models/marts/schema.yml": wrong})[1]
    assert "schema.yml:19:15: error: `given`: raw.lines: this is Jinja" in report


def test_the_tests_in_a_file_beside_seeds(tmp_path: Path) -> None:
    (test,), report = read(tmp_path, "[]", **{"seeds/seeds.yml": DBT.replace(TWIN, "")})
    assert (test.location.path, report) == ("seeds/seeds.yml", "")


def test_a_fixture_that_is_not_utf_8(tmp_path: Path) -> None:
    fixture = tmp_path / "tests/fixtures/orders.sql"
    fixture.parent.mkdir(parents=True)
    fixture.write_bytes(b"select 1 as order_id -- \xe9")
    text = "- {model: orders, name: a, expect: {format: sql, fixture: orders}}"
    found, report = read(tmp_path, text)
    assert found == []
    assert "`expect`: tests/fixtures/orders.sql is not UTF-8" in report


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    write_project(tmp_path, {"unit_tests/b.yaml": ""})
    (tmp_path / "unit_tests/b.yaml").unlink()
    (tmp_path / "unit_tests/b.yaml").symlink_to("b.yaml")
    assert "unit_tests/b.yaml:1:1: error: cannot be read" in read(tmp_path, "[]")[1]


def test_a_file_of_ours(tmp_path: Path) -> None:
    text = (
        "- {model: orders, name: a, now: 2024-01-01, expect: {sql: select 1 as order_id},\n"
        "   given: {LINES: {csv: d/x.csv}}}\n"
    )
    (test,), report = read(tmp_path, text, **{"unit_tests/d/x.csv": "LINE\n1\n\n"})
    assert report == ""
    assert isinstance(test.expect, GivenQuery)
    assert test.now == dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    assert [*test.given] == [Key("raw", "lines")]


@pytest.mark.parametrize(
    ("value", "written", "type_", "expected"),
    [
        (1, "1", "INTEGER", "1"),
        (8, "010", "VARCHAR", "010"),
        (1.1, "1.10", "DECIMAL(18,2)", "1.10"),
        (1.1, "1.10", "varchar(4)", "1.10"),
        (1e400, ".inf", "DOUBLE", "inf"),
        (10.5, "1_0.5", "DOUBLE", "10.5"),
        (True, "yes", "boolean", "true"),
        (True, "yes", "text", "yes"),
        (dt.date(2024, 1, 5), "2024-01-05", "DATE", "2024-01-05"),
        (dt.date(2024, 1, 5), "2024-01-05", "TIMESTAMP", "2024-01-05"),
        (dt.datetime(2024, 1, 5, 9), "2024-01-05t09:00:00", "TIMESTAMP", "2024-01-05 09:00:00"),
        ("  x ", "  x ", "VARCHAR", "  x "),
        ("7fd4", "7fd4", "uuid", "7fd4"),
        (None, None, "INTEGER", None),
        (1.5, "1.5", "INTEGER", BadValue),
        ("12345", "12345", "varchar(4)", BadValue),
        (1.005, "1.005", "numeric(9,2)", BadValue),
        (16777217, "16777217", "real", BadValue),
        (1, "1", "DATE", BadValue),
        ("x", "x", "boolean", BadValue),
    ],
)
def test_values_of_a_type(value: object, written: str | None, type_: str, expected: object) -> None:
    if isinstance(expected, type):
        with pytest.raises(BadValue):
            text_of(cell(value, written), type_)
    else:
        assert text_of(cell(value, written), type_) == expected


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        ("23:59:59", "TIME", "23:59:59"),
        ("10:30", "TIME", "10:30"),
        ("23:59:59.25", "TIME", "23:59:59.25"),
        ("23:59:59", "VARCHAR", "23:59:59"),
        ("23:59:59", "INTEGER", BadValue),
        ("190:20:30.15", "DOUBLE", BadValue),
        ("0123", "INTEGER", BadValue),
        ("-0123", "DECIMAL(9,2)", BadValue),
        ("0123", "VARCHAR", "0123"),
        ("'0123'", "INTEGER", "0123"),
        ("07", "INTEGER", "7"),
        ("089", "INTEGER", "089"),
        ("0x1F", "INTEGER", "31"),
        ("1_000", "INTEGER", "1000"),
        ("1_000", "VARCHAR", "1_000"),
        ("1_000_000_000_000_000.755", "DECIMAL(30,3)", "1000000000000000.755"),
        ("1234567890123456.785e+0", "DECIMAL(30,3)", "1234567890123456.785"),
        ("1.0e+3", "DOUBLE", "1000"),
        (".12345678901234567891", "DECIMAL(38,20)", "0.12345678901234567891"),
        ("1e3", "DOUBLE", "1e3"),
        ("1e3", "INTEGER", BadValue),
        ("1e3", "VARCHAR", "1e3"),
        ("no", "BOOLEAN", "false"),
        ("off", "VARCHAR", "off"),
        ("no", "INTEGER", BadValue),
        ("~", "VARCHAR", None),
        ("Null", "INTEGER", None),
        ("'null'", "VARCHAR", "null"),
        ("none", "INTEGER", BadValue),
        ("2024-01-05 10:00:00.123456789", "timestamp_ns", "2024-01-05 10:00:00.123456789"),
        ("2024-01-05 10:00:00.1234567", "TIMESTAMP", BadValue),
        ("2024-01-05 10:00:00.0000001+02:00", "timestamptz", BadValue),
        ("2024-01-05 10:00:00+02:00", "timestamptz", "2024-01-05 10:00:00+02:00"),
        ("2024-01-05 10:00:00", "DATE", BadValue),
        ("2024-01-05T10:00:00Z", "TIMESTAMP", "2024-01-05 10:00:00"),
        ("'2024-01-05T10:00:00+00:00'", "timestamp(3) without time zone", "2024-01-05T10:00:00"),
        ("2024-01-05 10:00:00.1234567 -00", "TIMESTAMP", BadValue),
        ("2024-01-05 10:00:00.123456789Z", "TIMESTAMP_NS", "2024-01-05 10:00:00.123456789"),
        ("'2024-01-05 10:00:00+01'", "TIMESTAMP", BadValue),
        ("'2024-01-05 10:00:00+00:30'", "TIMESTAMP", BadValue),
        ("2024-01-05T10:00:00Z", "DATE", BadValue),
        ("2024-01-05T10:00:00Z", "timestamptz", "2024-01-05 10:00:00+00:00"),
    ],
)
def test_no_value_of_yaml_becomes_another_one(written: str, type_: str, expected: object) -> None:
    """Neither by YAML 1.1, which counts times in sixties and reads 0123 as 83, nor by Python."""
    node = read_yaml(f"model: m\nexpect: {{v: {written}}}", "a.yaml", pytest.fail)
    assert node is not None
    v = node.value["expect"].value["v"]
    it = Cell(v.value, None if v.value is None else v.written, v.place)
    if expected is BadValue:
        with pytest.raises(BadValue):
            text_of(it, type_)
    else:
        assert text_of(it, type_) == expected


def test_where_a_value_may_be_a_list_or_a_mapping(tmp_path: Path) -> None:
    tests = (
        "- {model: a, name: t, expect: [{x: [1]}]}\n- {model: a, name: u, expect: [{x: {k: 1}}]}\n"
    )
    for dialect, expected in (("duckdb", []), ("postgres", ["a list", "keys and values"])):
        files = {
            "dagster_models.yaml": f"name: p\ndialect: {dialect}\n",
            "models/a.sql": "select 1 as x",
            "unit_tests/a.yaml": tests,
        }
        problems: list[Problem] = []
        read_unit_tests(load(write_project(tmp_path / dialect, files)), problems.append)
        assert [it.what for it in problems] == [
            f"`expect`: {kind} cannot be a value of a row" for kind in expected
        ]


def test_a_nul_character_of_a_csv_file_has_its_place(tmp_path: Path) -> None:
    """YAML has none. SQL cannot write it."""
    line = "- {model: orders, name: n, given: {raw.lines: {csv: x.csv}}, expect: []}\n"
    report = read(tmp_path, line, **{"unit_tests/x.csv": "status\na\0b\n"})[1]
    assert report.startswith("unit_tests/x.csv:2:1: error: `status`: 'a\\x00b' has a NUL character")


SETTINGS = "name: p\ndialect: {}\nseeds: {{prices: {{column_types: {{code: text}}}}}}"
EPHEMERAL = "/* @model materialized: ephemeral */"
INCREMENTAL = "/* @model\nmaterialized: incremental\nsince: n\n*/"
OF_SEEDS = {
    "seeds/prices.csv": "code,amount,day,is_open,n\n1,1.5,2024-01-31,true,1\n2,2,2024-02-01,true,2",
    "models/kept.sql": f"{EPHEMERAL} select code, amount, day, n from prices",
    "models/summed.sql": "select sum(amount) as total, max(day) as day, n from kept group by n",
    "models/top.sql": "select total, day, n from summed",
    "models/new.sql": f"{INCREMENTAL} select n from prices where n > $since",
    "unit_tests/a.yaml": """\
- model: summed
  name: one
  given: {prices: [{code: 1, amount: much, day: 1 May, is_open: maybe}]}
  expect: [{total: a lot, day: 2024-01-31, n: 1.5}]
- {model: top, name: two, given: {summed: [{total: 1.5, day: soon}]}, expect: [{total: x, n: y}]}
- {model: new, name: three, since: late, expect: []}
- {model: top, name: right, given: {summed: [{day: 2024-01-31}]}, expect: [{total: 1.0}]}
""",
}


@pytest.mark.parametrize(
    ("dialect", "wrong"),
    [
        ("duckdb", {3: "amount day is_open", 4: "total n", 5: "day total n", 6: "since"}),
        # The types of aggregates are not known there.
        ("postgres", {3: "amount day is_open", 4: "n", 5: "n", 6: "since"}),
    ],
)
def test_values_of_seeds_whose_types_nobody_declares(
    tmp_path: Path, dialect: str, wrong: dict[int, str]
) -> None:
    """`check` reports what `dagster-models test` would, which has the types of the warehouse."""
    settings = {"dagster_models.yaml": SETTINGS.format(dialect)}
    project = load(write_project(tmp_path, {**settings, **OF_SEEDS}), environ={})
    found: list[Problem] = []
    (right,) = read_unit_tests(project, found.append)
    assert right.name == "right"
    places = [(it.line, it.what.partition(":")[0]) for it in found]
    assert places == [(line, f"`{it}`") for line, names in wrong.items() for it in names.split()]
