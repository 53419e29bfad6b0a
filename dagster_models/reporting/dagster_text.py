"""What Dagster's event log says of a step or check that did not succeed.

Dagster's UI cannot send a lone surrogate, and then shows nothing of a run: here it is written as
\\ud8e9.
"""

from __future__ import annotations

import re

from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.wording import (
    cancel_story,
    check_failure,
    check_found,
    committed_partitions,
    failed_checks,
    failure,
    placed,
    skip_path,
    skip_reason,
    unchanged_since,
)

#: What Markdown takes for its own, outside of what stands between backticks: a tag, and emphasis.
_MARKDOWN = re.compile(r"(`[^`]*`)|<|\*|(?<![^\W_])_|_(?![^\W_])")


def step_text(result: StepResult, target: str = "") -> str:
    """What became of the step, with the place in the user's file; "" for one that succeeded.

    The *target*, if it is given, is in the last line: Dagster's pages are those of all targets, and
    so are the alerts that send this text.
    """
    text = writable(_step_text(result))
    return f"{text}\nTarget: {target}" if text and target else text


def step_summary(result: StepResult) -> str:
    """The first line of that: Dagster's page of an asset has one line for an observation."""
    return as_markdown(next(iter(step_text(result).splitlines()), ""))


def _step_text(result: StepResult) -> str:
    if result.state == "failed":
        reasons = (failure(result), failed_checks(result), committed_partitions(result))
        return placed(result.where, ": ".join(filter(None, reasons)))
    if result.state == "canceled":
        return f"Canceled: {cancel_story(result)}"
    if result.state == "skipped":
        path = skip_path(result)
        return f"Skipped: {skip_reason(result)}" + (f" ({path})" if path else "")
    if result.state == "unchanged":
        return f"Left alone: {unchanged_since(result)}, as neither its code nor its inputs changed"
    return ""


def check_text(check: CheckResult) -> str:
    """Where and how the check's own query failed; "" for one that could be run, or was not."""
    failed = check.error is not None and check.has_run
    return writable(check_failure(check)) if failed else ""


def check_summary(check: CheckResult) -> str:
    """What there is to say of a check that did not pass, or that has found something."""
    if not check.passed:
        return as_markdown(writable(check_failure(check)))
    if check.found or check.failures:
        return as_markdown(writable(check_found(check)))
    return ""


def traceback_text(result: StepResult) -> str:
    """The traceback of a failed step, in Markdown; "" if it has none."""
    trace = result.error.traceback if result.error else ""
    return writable(f"```\n{trace}\n```") if trace else ""


def as_markdown(text: str) -> str:
    """The text for a description: Dagster shows it as Markdown, and drops what is like a tag."""
    return _MARKDOWN.sub(lambda it: it[1] or f"\\{it[0]}", text)


def writable(text: str) -> str:
    """The text as Dagster's UI can send it."""
    return text.encode("utf-8", "backslashreplace").decode()
