"""docs/unit_tests.md is true: its models and tests are run, and print what it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pytest

from cli_cases import run
from dagster_models.core.unit_tests import UnitTest
from dagster_models.execution.unit_tests import UnitTestRun
from dagster_models.project.unit_tests.read import TEST_KEYS
from dagster_models.reporting.unit_tests import UnitTestResult
from pages import Page
from project_cases import write_project

PAGE = Page.of("unit_tests.md")


ORDERS = PAGE.section("A test").blocks("sql")[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of the page's models, sources and tests."""
    sources, test = PAGE.section("A test").blocks("yaml")
    of_files = PAGE.section("What a test says").block("yaml")
    clock = PAGE.section("The clock").block("yaml")
    target = f"targets: {{dev: {{type: duckdb, path: {tmp_path / 'w.duckdb'}}}}}\n"
    files = {
        "dagster_models.yaml": f"name: p\nvars: {{most: 9}}\n{target}",
        "models/sources.yaml": sources,
        "models/marts/orders.sql": ORDERS,
        "models/marts/seen.sql": PAGE.section("The clock").blocks("sql")[0],
        "unit_tests/orders.yaml": test,
        "unit_tests/files.yaml": of_files,
        "unit_tests/order_lines.csv": PAGE.section("What a test says").blocks("csv")[0],
        "unit_tests/clock.yaml": clock,
        "models/marts/schema.yml": PAGE.section("The words of dbt").blocks("yaml")[0],
        "tests/fixtures/paid_line.csv": PAGE.section("The words of dbt").blocks("csv")[0],
    }
    return write_project(tmp_path / "p", files)


def test_every_block_is_used_here() -> None:
    assert PAGE.count("\n```") == 2 * (5 + 2 + 2 + 1 + 1 + 2)
    assert len(re.findall(r"^## ", PAGE, re.MULTILINE)) == 8


def test_the_tests_of_the_page_pass(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "test") == 0
    out = capsys.readouterr().out
    assert out.count("PASS") == 4
    assert re.search(r"^4 passed in ", out, re.MULTILINE)


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d\d s", "0.00 s", text)


def test_what_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passed, failed = PAGE.section("A test").blocks("text")
    assert run(root, "test", "orders.yaml") == 0
    assert without_times(capsys.readouterr().out) == without_times(passed)
    wrong = ORDERS.replace("upper(status) as status", "status")
    (root / "models/marts/orders.sql").write_text(wrong)
    assert run(root, "test", "orders.yaml") == 1
    assert without_times(capsys.readouterr().out) == without_times(failed)


def test_the_commands(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which tests each of them runs; the others run them."""

    def passed(self: UnitTestRun, tests: Sequence[UnitTest]) -> Iterator[UnitTestResult]:
        assert (self.target.name == "dev") == (self.tables_of is self.target)
        return (UnitTestResult(test, "passed", 0.0) for test in tests)

    monkeypatch.setattr(UnitTestRun, "results", passed)
    duckdb.connect(str(root.parent / "w.duckdb")).close()
    monkeypatch.chdir(root)
    printed = []
    for line in PAGE.section("The command").blocks("sh")[0].splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "dagster-models"
        assert run(root, *arguments) == 0
        printed.append(capsys.readouterr().out.count("PASS"))
    assert printed == [4, 3, 3, 1, 1, 4, 4, 4]
    assert (root / "target/unit_tests.xml").exists()


def test_every_model_from_empty_tables(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb.connect(str(root.parent / "w.duckdb")).close()
    monkeypatch.chdir(root)
    every, one = PAGE.section("Every model from empty tables").block("sh").splitlines()
    assert run(root, *shlex.split(every)[1:]) == 0
    assert "PASS marts.seen: from empty tables" in capsys.readouterr().out
    assert run(root, *shlex.split(one)[1:]) == 0
    out = capsys.readouterr().out
    assert [it.partition(" (")[0] for it in out.splitlines()[:-1]] == [
        "PASS marts.orders: from empty tables",
        "PASS marts.orders: into an empty table",
    ]


def test_the_table_has_all_keys() -> None:
    (table,) = re.findall(r"^\| key \| what it is \|\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    keys = " ".join(row.split("|")[1] for row in table.splitlines())
    assert set(re.findall(r"`(\w+)`", keys)) - {"this"} == set(TEST_KEYS) - {"overrides"}
