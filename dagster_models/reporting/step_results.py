"""From what a runner reports of an attempt to the value that all writers write."""

from __future__ import annotations

from dataclasses import replace

from dagster_models.compilation.places import place_of
from dagster_models.compilation.sql_text import parsed_text
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.checks import Check
from dagster_models.core.messages import CheckOutcome, Outcome
from dagster_models.errors import Problem
from dagster_models.project.header import without_header
from dagster_models.project.python.sql_function import in_generated
from dagster_models.reporting.results import CheckResult, ResultKind, ResultState, StepResult

#: Of a value of an offending row; secrets in it are hidden before it is cut.
_MOST_CHARACTERS = 200


def step_result(
    name: str,
    target_step: TargetStep | None,
    state: ResultState,
    outcome: Outcome | None,
    attempt: int = 1,
) -> StepResult:
    """The result of an attempt. ``target_step`` is None for a step that is not ours, ``outcome``
    for one that never started."""
    step = target_step.step if target_step else None
    builds = target_step is not None and target_step.builds
    project = target_step.project if target_step else None
    error, file = outcome.error if outcome else None, step.location.path if step else ""
    if step and step.kind_path:  # its code builds the relation
        file = step.kind_path
    elif project and step and step.kind == "sql" and error and error.line:
        at = place_of(project, step, error.line, step.sql, file, step.references)
        message = error.message
        if step.sql_line and at.path == file:  # nobody can look into what is generated
            message = in_generated(step.sql, error.line, message)
        error, file = replace(error, line=at.line, message=message), at.path
    relation = target_step.relation if target_step else None
    checks = {check.name: check for check in step.checks} if step else {}
    return StepResult(
        step=name,
        kind=_kind(target_step),
        materialized=_materialized(target_step),
        state=state,
        attempt=attempt,
        started_at=outcome.started_at if outcome and state != "skipped" else None,
        seconds=outcome.seconds if outcome else 0.0,
        rows=outcome.rows if outcome else None,
        relation=str(relation) if relation else "",
        error=error,
        file=file,
        checks=tuple(_check_result(it, checks.get(it.name), target_step) for it in outcome.checks)
        if outcome
        else (),
        code_version=step.code_version if step and builds else "",
        changes=outcome.changes if outcome else None,
        partitions=outcome.partitions if outcome else (),
        undeclared=tuple(map(_line, step.undeclared)) if step else (),
    )


def _line(warning: Problem) -> str:
    return f"{warning.path}:{warning.line}:{warning.column}: {warning.what}"


def _kind(target_step: TargetStep | None) -> ResultKind:
    if target_step is None:
        return "asset"
    kind = target_step.step.kind
    return "checks" if kind == "source" or not target_step.builds else kind


def _materialized(target_step: TargetStep | None) -> str:
    if target_step is None or target_step.step.kind == "script" or not target_step.builds:
        return ""
    return target_step.step.config.materialized


def _check_result(
    outcome: CheckOutcome, check: Check | None, target_step: TargetStep | None
) -> CheckResult:
    file, line = (check.location.path, check.location.line) if check else ("", None)
    # The query of a column's check is ours: its lines are no lines of the user's file.
    written = check is not None and (check.text or check.function is not None)
    if check is not None and written and outcome.error is not None:
        line = outcome.error.line or line
        if target_step is not None and outcome.error.line and check.text:
            project, step = target_step.project, target_step.step
            read = parsed_text(project, check.text, queries_only=True).references
            at = place_of(project, step, outcome.error.line, check.text, file, read)
            file, line = at.path, at.line
    return CheckResult(
        name=outcome.name,
        severity=outcome.severity,
        failures=outcome.failures,
        error=outcome.error,
        seconds=outcome.seconds,
        file=file,
        line=line,
        rows=outcome.rows,
        accepted=outcome.accepted,
        threshold=_threshold(outcome, check),
        sample=tuple(tuple(map(_cut, row)) for row in outcome.sample),
        sample_columns=outcome.sample_columns,
        query=without_header(outcome.query),
        stored=outcome.stored,
        found=outcome.found,
        value=outcome.value,
        stored_rows=outcome.stored_rows,
    )


def _threshold(outcome: CheckOutcome, check: Check | None) -> str:
    """The threshold that was exceeded, as it is declared."""
    if check is None or outcome.passed or outcome.error is not None:
        return ""
    return str(check.thresholds.get(outcome.severity, ""))


def _cut(value: str | None) -> str | None:
    if value is None or len(value) <= _MOST_CHARACTERS:
        return value
    return f"{value[:_MOST_CHARACTERS]}..."
