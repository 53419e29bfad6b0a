"""One state of a check, in the terminal, the journal, run_results.json and Dagster."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dagster import TableMetadataValue

from dagster_models.core.messages import CheckOutcome, Outcome, TaskError, Verdict
from dagster_models.errors import ErrorKind
from dagster_models.execution.check_results import BUILT_ON, VALUE, asset_check_result
from dagster_models.reporting.dagster_text import as_markdown
from dagster_models.reporting.results import CheckResult, RunHeader, StepResult
from dagster_models.reporting.run_results import write_run_results
from dagster_models.reporting.step_results import step_result
from dagster_models.reporting.terminal import Terminal
from dagster_models.reporting.wording import READS_THE_FORMER, check_failure, check_found
from results_examples import sql

ROWS = CheckResult(
    "in_range",
    "error",
    12,
    rows=1_000,
    threshold="> 1%",
    sample=(("1", None, "a\nb"), ("1000", "\x1b[31mred", "x" * 40)),
    sample_columns=("id", "word", "word"),
    query='select *\nfrom "s"."t" where id < 0',
)
SEEN = {
    "passed": CheckResult("c", "error", rows=10),
    "accepted": replace(ROWS, accepted=True, threshold=""),
    "warned": replace(ROWS, severity="warn"),
    "failed": ROWS,
    "broken": CheckResult("c", "error", error=TaskError(ErrorKind.OTHER, "no x")),
    "broken_warning": CheckResult("c", "warn", error=TaskError(ErrorKind.OTHER, "no x")),
    "not_run": CheckResult("c", "error", error=TaskError(ErrorKind.NOT_RUN, "it did not run: b")),
}
#: Passed and severity for Dagster, dbt's status, and the word of the terminal.
STATES = {
    "passed": (True, "ERROR", "pass", ""),
    "accepted": (True, "ERROR", "pass", ""),
    "warned": (False, "WARN", "warn", "WARN check"),
    "failed": (False, "ERROR", "fail", "FAIL check"),
    "broken": (False, "ERROR", "error", "ERROR check"),
    "broken_warning": (False, "WARN", "warn", "WARN check"),
    "not_run": (False, "WARN", "skipped", "SKIP check"),
}


def step_of(check: CheckResult) -> StepResult:
    state: Any = "failed" if not check.passed and check.severity == "error" else "succeeded"
    error = TaskError(ErrorKind.CHECK_FAILED, "not published, as a check failed")
    return sql("s.t", state, error=error if state == "failed" else None, checks=(check,))


def terminal_of(*checks: CheckResult) -> list[str]:
    stream = io.StringIO()
    terminal = Terminal(stream, color=False, clock=lambda: "")
    terminal.done([step_of(check) for check in checks], 1.0)
    return [line.removeprefix("  ") for line in stream.getvalue().splitlines()]


def entry_of(check: CheckResult, folder: Path) -> dict[str, Any]:
    header = RunHeader("r", "shop", "dev", 0.0, ("s.t",), "1")
    path = folder / "run_results.json"
    write_run_results(path, [step_of(check)], header=header, seconds=1, generated_at=0)
    entry: dict[str, Any] = json.loads(path.read_text())["results"][1]
    return entry


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_one(name: str, tmp_path: Path) -> None:
    check, (passed, severity, status, word) = SEEN[name], STATES[name]
    result = asset_check_result(check, "dev")
    assert (result.passed, result.severity.name) == (passed, severity)
    assert entry_of(check, tmp_path)["status"] == status
    said = [line.strip() for line in terminal_of(check) if "check in_range" in line]
    said += [line.strip() for line in terminal_of(check) if "check c:" in line]
    assert [line.startswith(word) for line in said] == ([True] if word else [])
    journal = json.loads(json.dumps(step_of(check).to_json()))
    assert StepResult.from_json(journal) == step_of(check)


def test_the_numbers_of_a_check_that_passes_are_plotted() -> None:
    metadata = asset_check_result(SEEN["passed"], "dev").metadata
    assert {name: metadata[name].value for name in ("failures", "rows", "percent")} == {
        "failures": 0,
        "rows": 10,
        "percent": 0.0,
    }
    metadata = asset_check_result(SEEN["accepted"], "dev").metadata
    assert (metadata["failures"].value, metadata["percent"].value) == (12, 1.2)
    assert "rows" not in asset_check_result(SEEN["broken"], "dev").metadata


def test_a_number_of_a_check_has_no_digits_of_arithmetic() -> None:
    check = CheckResult("c", "error", 7, rows=2_300, value=0.1 + 0.2)
    metadata = asset_check_result(check, "dev", built=True).metadata
    assert str(100 * 7 / 2_300) == "0.30434782608695654"
    assert metadata["percent"].value == 0.3043
    assert metadata[VALUE].value == 0.3
    assert metadata[BUILT_ON].value == "dev"


def test_dagster_shows_some_rows_and_the_query() -> None:
    result = asset_check_result(ROWS, "dev")
    assert result.description == "12 of 1,000 rows (1.2%), and the limit is > 1%"
    table = result.metadata["failing_rows"]
    assert isinstance(table, TableMetadataValue)
    assert [record.data for record in table.records] == [
        {"id": "1", "word": "NULL", "word (3)": "a\nb"},
        {"id": "1000", "word": "\x1b[31mred", "word (3)": "x" * 40},
    ]
    assert result.metadata["query"].value == '```sql\nselect *\nfrom "s"."t" where id < 0\n```'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("but got '<stream end>'", r"but got '\<stream end>'"),
        ("count(*) of stg_orders", r"count(\*) of stg_orders"),
        ("a/__x__.py: set `a_: <b>`", r"a/\_\_x\_\_.py: set `a_: <b>`"),
        ("the limit is > 1%", "the limit is > 1%"),
    ],
)
def test_a_description_is_markdown(text: str, shown: str) -> None:
    assert as_markdown(text) == shown


def test_whoever_runs_the_query_knows_whether_the_rows_are_still_there() -> None:
    warned = terminal_of(SEEN["warned"])
    assert '        to see them: select * from "s"."t" where id < 0' in warned, "it is published"
    gone = asset_check_result(ROWS, "dev", rolled_back=True).metadata["query"].value
    assert str(gone).startswith(f"{READS_THE_FORMER}:\n\n```sql\nselect *")


def test_the_terminal_shows_a_table_at_the_end() -> None:
    few, every, unknown = (
        replace(ROWS, name=name, stored=f"s.failures_{name}", stored_rows=number)
        for name, number in {"few": 3, "stored": 12, "old": None}.items()
    )
    lines = terminal_of(ROWS, few, every, unknown)
    at = next(n for n, line in enumerate(lines) if "FAIL check in_range" in line)
    assert lines[at : at + 5] == [
        "    FAIL check in_range: 12 of 1,000 rows (1.2%), and the limit is > 1%",
        "        id   | word | word",
        "        1    | NULL | a b",
        f"        1000 | red  | {'x' * 32}...",
        f'        {READS_THE_FORMER}: select * from "s"."t" where id < 0',
    ]
    assert "        all of them: select * from s.failures_stored" in lines
    assert "        3 of them: select * from s.failures_few" in lines
    assert "        the stored ones: select * from s.failures_old" in lines


@pytest.mark.parametrize(
    ("name", "text"),
    [("broken", "no x"), ("broken_warning", "no x"), ("not_run", "it did not run: b")],
)
def test_why_there_is_no_number_is_said_everywhere(name: str, text: str, tmp_path: Path) -> None:
    check = SEEN[name]
    entry, result = entry_of(check, tmp_path), asset_check_result(check, "dev")
    assert (entry["message"], entry["failures"]) == (text, None)
    assert result.description == text
    assert "failures" not in result.metadata
    assert ("error" in result.metadata) == (name != "not_run")
    assert any(line.endswith(f"check c: {text}") for line in terminal_of(check))
    # What has kept the model from being published is the check that failed, and no other.
    assert (check in step_of(check).failed_checks) == (name == "broken")


def test_run_results_name_the_threshold(tmp_path: Path) -> None:
    entry = entry_of(replace(ROWS, stored="s.f"), tmp_path)
    assert entry["message"] == "Got 12 results, configured to fail if > 1%"
    assert (entry["failures"], entry["relation_name"]) == (12, "s.f")
    assert entry["compiled_code"] == ROWS.query
    assert entry["adapter_response"] == {"severity": "error", "rows": 1_000}


@pytest.mark.parametrize(
    ("failures", "rows", "text"),
    [
        (0, 0, "0 of 0 rows (0%)"),
        (1, 0, "1 row"),
        (1, 1, "1 of 1 row (100%)"),
        (1, 3, "1 of 3 rows (33.33%)"),
        (1, 1_000_000, "1 of 1,000,000 rows (<0.01%)"),
        (999_999, 1_000_000, "999,999 of 1,000,000 rows (>99.99%)"),
        (3, None, "3 rows"),
    ],
)
def test_what_was_found(failures: int, rows: int | None, text: str) -> None:
    assert check_found(CheckResult("c", "error", failures, rows=rows)) == text


def test_a_row_of_none_exceeds_each_percentage() -> None:
    check = CheckResult("c", "error", 1, rows=0, threshold="> 50%")
    assert check_failure(check) == "1 row, and any is too many: the limit is > 50% of 0 rows"
    assert "percent" not in asset_check_result(check, "dev").metadata


def test_a_long_value_is_cut() -> None:
    found = CheckOutcome("c", "warn", 1, sample=(("x" * 201, "x" * 200, None),))
    outcome = Outcome("s.t", 1, Verdict.COMMITTED, checks=(found,))
    (check,) = step_result("s.t", None, "succeeded", outcome).checks
    assert check.sample == (("x" * 200 + "...", "x" * 200, None),)


def test_the_query_is_shown_without_the_header_of_its_file() -> None:
    text = "/* @check\nmodel: t\n*/\n-- late\nselect * from t"
    outcome = Outcome(
        "s.t", 1, Verdict.COMMITTED, checks=(CheckOutcome("c", "warn", 1, query=text),)
    )
    (check,) = step_result("s.t", None, "succeeded", outcome).checks
    assert check.query == "-- late\nselect * from t"
