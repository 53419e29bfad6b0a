"""The events of a step that ends without an attempt in flight: skipped, left alone, given up."""

from __future__ import annotations

from collections.abc import Iterator

from dagster import DagsterEvent

from dagster_models._dagster.events import engine_event, failure_event, left_alone, observations
from dagster_models.core.messages import Outcome
from dagster_models.execution.check_results import asset_check_result
from dagster_models.execution.run_context import RunContext
from dagster_models.execution.step_ends import end_metadata
from dagster_models.execution.unchanged import metadata_of
from dagster_models.reporting.dagster_text import step_summary, step_text
from dagster_models.scheduling.states import Report, State


def report_unstarted(
    run: RunContext, report: Report, last_outcome: Outcome | None
) -> Iterator[DagsterEvent]:
    """Report the end of the step. ``last_outcome``: of an attempt that another one was to follow.

    STEP_SKIPPED means that the step was not to run: a re-execution from failure leaves it out.
    For a step that a failure kept from running, Dagster has no event. Its asset has an observation,
    as nothing else on the asset's page would say why it was not built.
    """
    context, target = run.job.for_step(run.steps[report.step]), run.target_of(report.step)
    if report.state is State.UNCHANGED:
        left = run.decision.unchanged[report.step]
        result = run.report_end(report, left.outcome, left.commit.run_id)
        checks = [asset_check_result(check, target) for check in result.checks]
        yield from left_alone(context, step_text(result), metadata_of(left, result, target), checks)
        return
    result = run.report_end(report, last_outcome)
    text, metadata = step_text(result), end_metadata(result, target, run.asset_of(report.cause))
    if report.state is State.FAILED:  # it was waiting for another attempt
        yield failure_event(context, step_text(result, target))
    elif report.deliberate:
        context.log.info(text)
        yield DagsterEvent.step_skipped_event(context)
    else:  # skipped; or the run broke before it was started
        yield engine_event(context, text, metadata)
    if result.kind != "checks":
        yield from observations(context, step_summary(result), metadata)
