"""The compute function of each asset: it turns an attempt into what Dagster records.

Under models_executor the attempt is over when Dagster calls the function, and its result waits in
``execution.attempt_results``. Under any other executor the function runs the step itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Any
from uuid import uuid4

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterError,
    DagsterRun,
    Failure,
    MaterializeResult,
    MetadataValue,
)

from dagster_models._dagster.failures import AttemptFailed, StepCanceled, StepFailed
from dagster_models._dagster.partitions import PARTITION_TAG
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.checks import Check
from dagster_models.definitions.column_metadata import (
    NOT_MOVED,
    Moved,
    column_lineage,
    column_schema,
)
from dagster_models.definitions.resource import given_resource, refuse_another_warehouse
from dagster_models.definitions.run_variables import loaded_with
from dagster_models.definitions.steps_elsewhere import what_is_lost
from dagster_models.definitions.translator import PREFIX
from dagster_models.execution import attempt_results
from dagster_models.execution.attempt_results import AttemptResult
from dagster_models.execution.check_history import with_history
from dagster_models.execution.check_results import asset_check_result
from dagster_models.execution.options import chosen_target, on_run
from dagster_models.execution.partitions import in_partitions
from dagster_models.execution.run_variables import given_variables, in_projects
from dagster_models.execution.single import run_alone
from dagster_models.execution.step_ends import end_metadata
from dagster_models.execution.step_functions import register, selected_of
from dagster_models.project.function import is_function
from dagster_models.project.header import without_header
from dagster_models.reporting.dagster_text import step_summary, step_text, traceback_text
from dagster_models.reporting.wording import is_rolled_back
from dagster_models.util.durations import rounded

#: The signature of every compute function. Dagster asks for it 16 times per asset; if Python has to
#: work it out each time, that is a quarter of the cost of an asset.
_SIGNATURE = Signature([Parameter("context", Parameter.POSITIONAL_OR_KEYWORD)])


def compute_function(
    target_step: TargetStep, asset: AssetKey, moved: Moved = NOT_MOVED
) -> Callable[..., Iterator[Any]]:
    """The function that Dagster calls for an attempt of the step. ``moved``: the keys that a
    translator has given."""

    # Unannotated: Dagster cannot read the annotation of a module with postponed ones.
    def compute(context):  # type: ignore[no-untyped-def]
        run = _run_of(context)
        if run is None:
            yield from _called_directly(context, target_step, asset, moved)
            return
        attempt = _attempt(context, run, target_step, asset)
        if attempt.result.state == "succeeded" and attempt.target_step.builds:
            # Not as part of the result: Dagster would write all of it to STEP_OUTPUT as well.
            context.add_asset_metadata(_metadata(attempt, moved), asset)
            for rows in attempt.outcome.partition_rows:
                context.add_asset_metadata(_rows_of(rows), asset, rows.key)
        yield from _results(attempt, asset)

    register(compute, target_step)
    compute.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
    return compute


def _run_of(context: Any) -> DagsterRun | None:
    """The run; None if the asset is called directly, with ``build_asset_context``."""
    try:
        run: DagsterRun = context.run
    except DagsterError:
        return None
    return run


def _called_directly(
    context: Any, target_step: TargetStep, asset: AssetKey, moved: Moved
) -> Iterator[Any]:
    """The results of a step that runs now. A direct call knows no metadata but that of a result,
    and does not look for check results in there."""
    given = getattr(context.resources, target_step.resource_key, None)
    refuse_another_warehouse(target_step, given, None)
    tags = {PARTITION_TAG: context.partition_key} if context.has_partition_key else {}
    (target_step,) = in_partitions({"": target_step}, tags, "JOB").values()
    attempt = run_alone(target_step, f"direct-{uuid4()}", 1)
    for result in _results(attempt, asset):
        if isinstance(result, MaterializeResult):
            yield from result.check_results or ()
            yield MaterializeResult(asset, metadata=_metadata(attempt, moved))
        else:
            yield result


def _attempt(
    context: Any, run: DagsterRun, target_step: TargetStep, asset: AssetKey
) -> AttemptResult:
    """The attempt that Dagster asks for: models_executor has run it, or it runs now."""
    node = context.op_execution_context.op_handle
    step_key = str(node)
    attempt = attempt_results.take(run.run_id, step_key)
    if attempt is not None:
        return attempt
    target = chosen_target(run.tags, run.run_config)
    chosen, key = target_step.on(target), target_step.resource_key
    given = given_resource(key, context.job_def.resource_defs, run.run_config)
    refuse_another_warehouse(chosen, given, target)
    variables = given_variables(run.tags, run.run_config)
    if variables is not None:
        projects = loaded_with(variables, [chosen.project])
        (chosen,) = in_projects({step_key: chosen}, projects).values()
    chosen = selected_of(chosen, context.job_def, node)
    asked = on_run({step_key: chosen}, run.tags, run.run_config)
    (chosen,) = in_partitions(asked, run.tags, run.job_name).values()
    if lost := what_is_lost(context.job_def.executor_def.name, chosen):
        context.log.warning(lost)
    chosen = with_history(chosen, asset, context.instance, context.log.warning)
    return run_alone(chosen, run.run_id, context.retry_number + 1)


def _results(attempt: AttemptResult, asset: AssetKey) -> Iterator[Any]:
    """Yield what Dagster records of an attempt; raise an error if nothing was published, or if a
    check alone has failed.

    Raises:
        AttemptFailed: another attempt follows.
        StepFailed, StepCanceled: none follows.
        Failure: Dagster's RetryPolicy decides whether one follows.
    """
    target_step, result = attempt.target_step, attempt.result
    target = target_step.target.name
    text = step_text(result, target)
    if attempt.retry_after_seconds is not None:
        max_retries = target_step.step.config.retries.max_retries
        raise AttemptFailed(text, max_retries, attempt.retry_after_seconds or None)
    built = result.state == "succeeded" and target_step.builds
    # Nobody builds a source here: it is looked at.
    counts = built or target_step.step.kind == "source"
    gone = is_rolled_back(result)
    checks = [
        asset_check_result(it, target, asset, built=counts, rolled_back=gone)
        for it in result.checks
    ]
    if built:
        known = {check.name for check in result.checks}
        checks += [_lost_result(asset, c) for c in target_step.step.checks if c.name not in known]
        yield MaterializeResult(asset, check_results=checks)
        return
    yield from checks
    if result.state == "succeeded":
        return
    # Its other transactions are committed for good, and Dagster is to know.
    for key in attempt.outcome.partitions:
        yield AssetMaterialization(asset, partition=key, metadata=_of_partition(attempt, key))
    metadata = end_metadata(result, target, attempt.cause)
    if target_step.builds:
        yield AssetObservation(asset, description=step_summary(result), metadata=metadata)
    if trace := traceback_text(result):
        metadata["traceback"] = MetadataValue.md(trace)
    if not attempt.decided:
        raise Failure(text, metadata=metadata)
    raise (StepCanceled if result.state == "canceled" else StepFailed)(text, metadata)


def _lost_result(asset: AssetKey, check: Check) -> AssetCheckResult:
    """The result of a check whose worker was lost after the commit.

    Dagster fails a step that lacks one. A check that must pass has passed, or there would be no
    commit record. Whether a check that only warns has passed is not known.
    """
    warn = not check.blocking
    lost = "the worker was lost after the commit, before it reported the check"
    return AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=not warn,
        severity=AssetCheckSeverity.WARN if warn else AssetCheckSeverity.ERROR,
        description=f"not known: {lost}" if warn else f"passed, by the commit record: {lost}",
    )


def _metadata(attempt: AttemptResult, moved: Moved) -> dict[str, Any]:
    target_step, outcome, result = attempt.target_step, attempt.outcome, attempt.result
    metadata: dict[str, Any] = {
        f"{PREFIX}/seconds": rounded(outcome.seconds),
        f"{PREFIX}/target": target_step.target.name,
    }
    metadata.update(column_lineage(target_step.project, target_step.step, moved))
    if target_step.relation is not None:
        metadata[f"{PREFIX}/relation"] = str(target_step.relation)
        # The asset's own table name is that of the default target; this run may have another.
        if not is_function(target_step.step):
            metadata["dagster/table_name"] = str(target_step.relation)
    if result.committed_in:
        metadata[f"{PREFIX}/committed_in_run"] = MetadataValue.dagster_run(result.committed_in)
        del metadata[f"{PREFIX}/seconds"]  # this run built nothing
    if target_step.deferred:
        metadata[f"{PREFIX}/deferred"] = dict(target_step.deferred)
    if result.because:
        metadata[f"{PREFIX}/built_because"] = result.because
    if result.built_on_previous:
        metadata[f"{PREFIX}/built_on_previous"] = ", ".join(result.built_on_previous)
    if outcome.rows is not None:
        metadata["dagster/row_count"] = outcome.rows
    if outcome.changes is not None:
        metadata.update(_changes(outcome.changes, of_several=len(outcome.partitions) > 1))
    if outcome.notes:
        metadata[f"{PREFIX}/notes"] = "\n".join(outcome.notes)
    if outcome.exported is not None:
        metadata[f"{PREFIX}/export"] = MetadataValue.path(outcome.exported.path)
        for word in ("rows", "files", "bytes"):
            metadata[f"{PREFIX}/export_{word}"] = getattr(outcome.exported, word)
    if outcome.bytes is not None:
        metadata[f"{PREFIX}/bytes"] = outcome.bytes
    if attempt.sql:
        sql = without_header(attempt.sql)
        metadata[f"{PREFIX}/compiled_sql"] = MetadataValue.md(f"```sql\n{sql}\n```")
    if outcome.columns:
        metadata["dagster/column_schema"] = column_schema(target_step.step, outcome.columns)
    return metadata


def _of_partition(attempt: AttemptResult, key: str) -> dict[str, Any]:
    """The metadata of a partition that is committed, of a step that failed after that."""
    metadata = {
        f"{PREFIX}/target": attempt.target_step.target.name,
        f"{PREFIX}/build": "partitions",
    }
    for rows in attempt.outcome.partition_rows:
        if rows.key == key:
            metadata.update(_rows_of(rows))
    return metadata


def _rows_of(rows: PartitionRows) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": rows.inserted,
        f"{PREFIX}/rows_inserted": rows.inserted,
        f"{PREFIX}/rows_deleted": rows.deleted,
    }


_BUILDS = {
    "whole": "in full",
    "delta": "incremental",
    "window": "partitions",
    "snapshot": "snapshot",
}


def _changes(changes: Changes, *, of_several: bool) -> dict[str, Any]:
    """Metadata of a build that does not replace its table. What is not known is left out. Dagster
    shows it for each partition, so the counts of several ones together have other names."""
    counts = {**changes.counts, **changes.left_out}
    word_of = f"{PREFIX}/all_rows_" if of_several else f"{PREFIX}/rows_"
    found = {
        f"{PREFIX}/build": _BUILDS[changes.kind],
        f"{PREFIX}/since": changes.since,
        **{f"{word_of}{word}": count for word, count in counts.items()},
    }
    return {name: value for name, value in found.items() if value is not None}
