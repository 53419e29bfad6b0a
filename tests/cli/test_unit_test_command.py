"""`dagster-models test`: which tests it runs and where, what it prints, and its exit codes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from cli_cases import run
from project_cases import write_project
from unit_test_cases import FILES

GOOD = """
- model: orders
  name: rows above the limit
  given: {raw.lines: [{order_id: 1, line: 11, status: "<new>"}, {order_id: 2, line: 10}]}
  expect: [{order_id: 1, status: "<new>"}]
"""
FAILS = GOOD.replace("above", "at").replace("expect: [{order_id: 1", "expect: [{order_id: 2")
ERROR = """
- {model: broken, name: is not built, expect: []}
"""
WRONG = "- {model: orders, name: is wrong, expect: {sql: select 1 as nothing}}\n"
#: The models of which a build is possible, and that no test declares.
EMPTY = ("marts.orders", "marts.twin", "other.twin", "marts.broken", "marts.added", "marts.regions")
TARGET = "targets: {{dev: {{type: duckdb, path: {path}}}}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    target = TARGET.format(path=tmp_path / "w.duckdb")
    files = {
        "dagster_models.yaml": FILES["dagster_models.yaml"] + target,
        "models/marts/broken.sql": "select cast(status || 'x' as integer) as n from raw.lines",
    }
    return write_project(tmp_path / "p", {**FILES, **files})


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / "unit_tests").mkdir(exist_ok=True)
        (root / "unit_tests" / f"{name}.yaml").write_text(text)


def test_all_tests_in_a_database_of_their_own(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = set(Path(tempfile.gettempdir()).glob("dagster_models_*"))
    assert run(root, "test") == 0
    assert "no unit tests" in capsys.readouterr().out
    put(root, good=GOOD)
    assert run(root, "test") == 0
    out = capsys.readouterr().out
    assert out.startswith("PASS marts.orders: rows above the limit (")
    assert out.splitlines()[-1].startswith("1 passed in ")
    assert not (tmp_path / "w.duckdb").exists()
    assert set(Path(tempfile.gettempdir()).glob("dagster_models_*")) == folders


def test_exit_codes_and_junit(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, a=GOOD + FAILS, b="- {model: twin, name: x, expect: []}")
    assert run(root, "test") == 2
    assert "unit_tests/b.yaml:1:11: error: `twin` may be" in capsys.readouterr().err
    report = root / "out" / "junit.xml"
    put(root, b=GOOD.replace("model: orders", "model: inside").replace(" 11", " 10"))
    assert run(root, "test", "--junit", str(report)) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("1 passed, 2 failed in ")
    tree = ElementTree.parse(report).getroot()
    assert (tree.get("tests"), tree.get("failures"), tree.get("errors")) == ("3", "2", "0")
    assert [suite.get("name") for suite in tree] == ["unit_tests/a.yaml", "unit_tests/b.yaml"]
    good, bad = tree[0]
    assert (good.get("classname"), good.get("name")) == ("marts.orders", "rows above the limit")
    assert len(good) == 0
    assert bad[0].tag == "failure"
    assert "~ 2 -> 1    <new>" in str(bad[0].text)
    put(root, b=ERROR + WRONG)
    assert run(root, "test", "b.yaml", "--junit", str(report)) == 2
    tree = ElementTree.parse(report).getroot()
    assert tree.get("errors") == "1", "the model reads no rows, and is built"
    assert "has no column `nothing`" in str(tree[0][1][0].get("message"))


def test_which_tests(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, a=GOOD + FAILS, b="- {model: inside, name: empty, expect: []}")
    assert run(root, "test", "Inside") == 0
    assert run(root, "test", "unit_tests/b.yaml", "rows above the limit") == 0
    assert capsys.readouterr().out.count("PASS") == 3
    assert run(root, "test", "inside+", "--exclude", "orders") == 0
    capsys.readouterr()
    assert run(root, "test", "rows above the limit", "empty", "--exclude", "orders") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 passed")
    assert run(root, "test", "--exclude", "rows AT the limit", "inside") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 passed")
    assert run(root, "test", "empyt") == 2
    assert "did you mean the test empty?" in capsys.readouterr().err
    assert run(root, "test", "marts.ordrs") == 2
    assert "marts.orders" in capsys.readouterr().err
    assert run(root, "test", "other.twin") == 2
    assert "nothing that is selected has a unit test" in capsys.readouterr().err
    with pytest.raises(SystemExit) as error:
        run(root, "test", "--nothing")
    assert error.value.code == 2


def test_on_a_target(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, a=GOOD)
    assert run(root, "test", "--target", "dev") == 2
    assert "is not there yet" in capsys.readouterr().err
    assert not (tmp_path / "w.duckdb").exists()
    duckdb.connect(str(tmp_path / "w.duckdb")).execute("create table t as select 1 as x").close()
    assert run(root, "test", "--target", "dev") == 0
    assert run(root, "test", "--target", "prod") == 2
    with duckdb.connect(str(tmp_path / "w.duckdb")) as database:
        assert database.execute("select schema_name from duckdb_schemas()").fetchall()
        names = database.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
    assert names == [("main.t",)]


def test_the_check_command_reports_wrong_tests(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, a=GOOD.replace("status", "sttus"))
    assert run(root, "ls") == 0, "a load does not read them"
    capsys.readouterr()
    assert run(root, "check") == 1
    out = capsys.readouterr().out
    assert "unit_tests/a.yaml:4:47: error: raw.lines has no column `sttus`" in out
    assert "Did you mean `status`?" in out


def test_another_dialect_needs_a_target(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, a=GOOD)
    settings = root / "dagster_models.yaml"
    settings.write_text(settings.read_text() + "dialect: postgres\n")
    assert run(root, "test") == 2
    assert "its unit tests need a target: `--target dev`" in capsys.readouterr().err


def test_a_secret_is_not_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["UNIT_TEST_SECRET"] = "sesame"
    settings = root / "dagster_models.yaml"
    secret = "vars: {key: {type: text, env: UNIT_TEST_SECRET, secret: true}}"
    settings.write_text(settings.read_text().replace("vars: {least: 10}", secret))
    (root / "models/marts/orders.sql").write_text("select $key as k from raw.lines")
    put(root, a="- {model: orders, name: s, given: {lines: [{line: 1}]}, expect: [{k: x}]}")
    try:
        assert run(root, "test") == 1
    finally:
        del os.environ["UNIT_TEST_SECRET"]
    out = capsys.readouterr().out
    assert "+ ***" in out
    assert "sesame" not in out


def test_every_model_from_empty_tables(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests of the project are not asked, and nothing is left."""
    put(root, a=FAILS)
    added = "/* @model\nmaterialized: incremental\nunique_key: day\n*/\n"
    queries = {
        "wrong_type": "select sum(status) as n from raw.lines",
        "no_function": "select nowhere(status) as n from orders",
        "added": f"{added}select day, count(*) as n from raw.lines group by day",
        # Only the second build compares the two.
        "regions": f"{added}select day, line from raw.lines\n"
        "/* @incremental */ where day > (select sum(line) from orders) /* @end */",
    }
    for name, text in queries.items():
        (root / f"models/marts/{name}.sql").write_text(text)
    assert run(root, "test", "--empty") == 2
    lines = [it.rsplit(" (", 1)[0] for it in capsys.readouterr().out.splitlines()]
    states = {it for it in lines if it.startswith(("PASS", "ERROR"))}
    assert states == {
        *(f"PASS {it}: from empty tables" for it in EMPTY),
        "PASS marts.added: into an empty table",
        "ERROR marts.regions: into an empty table",
        *(f"ERROR marts.{it}: from empty tables" for it in ("wrong_type", "no_function")),
        "ERROR marts.undeclared: from empty tables",
    }
    assert any("reads raw.nowhere, which the project does not declare" in it for it in lines)
    assert any("models/marts/no_function.sql:1: Catalog Error" in it for it in lines)
    assert not (tmp_path / "w.duckdb").exists()
    assert run(root, "test", "--empty", "added") == 0
    assert run(root, "test", "--empty", "no_function") == 1
    capsys.readouterr()
    assert run(root, "test", "--empty", "inside") == 2, "an ephemeral model is built in others"
    assert "is a model that could be built from empty tables" in capsys.readouterr().err


def test_a_model_that_rests_on_one_that_is_not_built_is_skipped(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows the columns of that: the message names it, and not all that may be declared."""
    queries = {
        "a": "select nowhere(1) as n",
        "b": "select n + 1 as m from a",
        "c": "select m from marts.b",
        "d": "select status from raw.lines",
    }
    for name, text in queries.items():
        (root / f"models/marts/{name}.sql").write_text(text)
    report = root / "out.xml"
    assert run(root, "test", "--empty", *queries, "--junit", str(report)) == 1
    out = capsys.readouterr().out
    assert {it.partition(":")[0] for it in out.splitlines() if it[:1].isupper()} == {
        "ERROR marts.a",
        "SKIP marts.b",
        "SKIP marts.c",
        "PASS marts.d",
    }
    assert "it reads marts.a, which is not built" in out
    assert out.splitlines()[-1].startswith("1 passed, 1 not built, 2 skipped in ")
    tree = ElementTree.parse(report).getroot()
    assert (tree.get("errors"), tree.get("skipped")) == ("1", "2")
    assert len(list(tree.iter("skipped"))) == 2


def test_empty_tables_are_no_one_elses(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a target the real tables are neither read nor written, and no commit record says that they
    were built."""
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("create schema marts; create table marts.orders as select 7 as order_id")
    assert run(root, "test", "--empty", "orders", "--target", "dev") == 0
    assert "1 passed" in capsys.readouterr().out
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        there = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        assert there == [("marts", "orders")]
        assert connection.execute("from marts.orders").fetchall() == [(7,)]
