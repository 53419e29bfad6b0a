"""What the writers say of a step or check that did not succeed, in words that they share.

Nothing here is stored: each writer composes its text from the result's values when it writes.
Terminal, run_results.json, Dagster and ``explain`` have one function each that lays these out.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.results import CheckResult, StepResult

# What is undone when a step is stopped. Only SQL models and seeds are built in one transaction of
# ours. The statements of a Python model have committed by themselves, and its table comes last; a
# script, or an asset that is not ours, has done whatever it has done.
_AS_BEFORE = "the relation is as before the run"
_CANCELED = {
    "sql": f"rolled back; {_AS_BEFORE}",
    "seed": f"rolled back; {_AS_BEFORE}",
    "python": f"stopped before its table was published; {_AS_BEFORE}",
    "script": "stopped; what it had already done stays",
    "asset": "stopped; what it had already done stays",
    "checks": "stopped; checks change nothing",
}
_TIMED_OUT = {
    "sql": "it was canceled and rolled back",
    "seed": "it was canceled and rolled back",
    "python": "it was stopped before its table was published",
    "script": "it was stopped, and what it had already done stays",
    "asset": "it was stopped, and what it had already done stays",
    "checks": "it was stopped; checks change nothing",
}


def placed(where: str, text: str) -> str:
    """``models/a.sql:3: text``, or less where less is known, or where the text says it itself."""
    if where and text.startswith(f"{where}:"):
        return text
    return ": ".join(part for part in (where, text) if part)


def error_text(error: TaskError) -> str:
    """The error in full. A driver's message names its kind; that of a Python exception does not."""
    named = error.name and error.kind in (ErrorKind.USER_CODE, ErrorKind.OTHER)
    return f"{error.name}: {error.message}" if named else error.message


def failure(result: StepResult) -> str:
    """Why the step failed, in full, without its place and its checks."""
    error = result.error
    if not result.timed_out:
        return error_text(error) if error else "failed"
    text = f"its timeout passed; {_TIMED_OUT[result.kind]}"
    # That it was stopped is known; how it died, if it did not stop, is not.
    if error is None or error.kind in (ErrorKind.CANCELED, ErrorKind.INTERRUPTED):
        return text
    return f"{text}\n{error_text(error)}"


def failed_checks(result: StepResult) -> str:
    """The checks that kept a failed step from being published: ``unique_id: 3 rows; ...``."""
    return "; ".join(f"{check.name}: {check_failure(check)}" for check in result.failed_checks)


def is_rolled_back(result: StepResult) -> bool:
    """Whether what the checks of the step have looked at is gone."""
    return result.state == "failed" and bool(result.materialized) and result.kind != "checks"


#: Before the query of a check that has found rows which were rolled back.
READS_THE_FORMER = "these were rolled back with the build; the query reads what was there before"


def check_failure(check: CheckResult) -> str:
    """Why the check did not pass: its rows, where and how its own query failed, or why that was
    not sent."""
    if not check.has_run and check.error is not None:
        return check.error.message
    if check.error is not None:
        return placed(check.where, error_text(check.error))
    found = check_found(check)
    if check.limit.endswith("%") and check.failures and check.rows == 0:
        return f"{found}, and any is too many: the limit is {check.limit} of 0 rows"
    return f"{found}, and the limit is {check.limit}" if check.limit else found


def check_found(check: CheckResult) -> str:
    """What a check that could run has found: ``3 rows``, ``3 of 1,000 rows (0.3%)``."""
    if check.found:
        return check.found
    percent = check.percent
    if check.rows is None or percent is None:
        return counted(check.failures, "row")
    return f"{check.failures:,} of {counted(check.rows, 'row')} ({_percent(percent)})"


def _percent(percent: float) -> str:
    """Two digits after the point, and never 0 or 100 for what is not."""
    text = f"{percent:.2f}"
    if text == "0.00" and percent:
        return "<0.01%"
    if text == "100.00" and percent < 100:
        return ">99.99%"
    return f"{text.rstrip('0').rstrip('.')}%"


def changed_rows(result: StepResult) -> str:
    """What a step that succeeded has written, "" if that is not known: ``2 inserted, 1 updated``
    for what was added to a table, ``2 new, 1 changed`` for a snapshot, else its rows."""
    changes = result.changes
    if changes is None or changes.kind == "whole":
        rows = "" if result.rows is None else counted(result.rows, "row")
        return f"{rows} (in full)" if rows and changes is not None else rows
    said = ", ".join(f"{count:,} {word}" for word, count in changes.counts.items() if count)
    return said or "no changes"


def committed_partitions(result: StepResult) -> str:
    """What a step that did not succeed has committed, "" for nothing."""
    keys = result.partitions
    if not keys:
        return ""
    shown = keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}"
    return f"{counted(len(keys), 'partition')} had been committed ({shown})"


def partition_notes(result: StepResult) -> Iterator[str]:
    """What there is to say of rows that are in no partition which was built."""
    changes = result.changes
    if changes is not None and changes.outside:
        rows = counted(changes.outside, "row")
        note = f"{result.step} returned {rows} outside of its partitions: left out"
        if changes.kind == "whole":
            note = f"{rows} of {result.step} with a value that no partition has: in no partition"
        yield f"WARNING: {note}"
    if changes is not None and changes.unplaced:
        rows = counted(changes.unplaced, "row")
        left_out = " and left out" if changes.kind == "window" else ""
        yield (
            f"WARNING: {rows} of {result.step} with NULL in the column that it is partitioned by:"
            f" in no partition{left_out}"
        )


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def skip_reason(result: StepResult) -> str:
    """Why a step never started, in a few words, without the path (``skip_path``)."""
    if result.cause is None:
        return "the run was stopped"
    if result.deliberate:
        return f"upstream {result.cause} chose to produce nothing for it"
    became = {"canceled": "was canceled", "failed": "failed"}.get(
        result.cause_state or "", "did not succeed"
    )
    if result.no_previous:
        became += " and has no previous version"
    if len(result.path) < 2:
        return f"stopped after {result.cause} {became}"
    return f"upstream {result.cause} {became}"


def skip_path(result: StepResult) -> str:
    """The path from the root cause to the step; "" if it is a single hop."""
    return path_text(result) if len(result.path) > 2 else ""


def path_text(result: StepResult) -> str:
    """The path from the root cause to the step, also if it is a single hop."""
    path, left_out = list(result.path), result.path_left_out
    if left_out:
        path.insert(len(path) // 2, f"... {left_out:,} more ...")
    return " -> ".join(path)


def cancel_story(result: StepResult) -> str:
    """What became of a step that was stopped, and why it was."""
    story = _CANCELED[result.kind]
    if result.partitions:
        story = f"stopped; {committed_partitions(result)}"
    return f"{story} (stopped after {result.cause} failed)" if result.cause else story


def unchanged_since(result: StepResult) -> str:
    """Which run has built a step that is left alone."""
    return f"unchanged since run {result.committed_in[:8]}"
