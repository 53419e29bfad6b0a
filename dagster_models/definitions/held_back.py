"""Schedules that wait for fresh sources: a tick asks the warehouse how old their rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dagster import RunRequest, ScheduleEvaluationContext, SkipReason

from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.sql_text import relation_sql
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.model import Project, Source, Target
from dagster_models.errors import WarehouseError
from dagster_models.processes.client.session import connect
from dagster_models.project.source_freshness import freshness_of

Evaluate = Callable[[ScheduleEvaluationContext], "RunRequest | SkipReason"]


def launch(tags: Mapping[str, str]) -> Evaluate:
    """What a tick does that waits for nothing: it launches a run with these tags."""

    def evaluate(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        return RunRequest(tags=tags)

    return evaluate


def held_back(
    evaluate: Evaluate, project: Project, target: Callable[[], Target], sources: Sequence[Source]
) -> Evaluate:
    """*evaluate*, whose ticks are skipped as long as one of the sources is stale.

    A warehouse that cannot be asked fails the tick: nobody knows then whether they are.
    """

    def evaluate_if_fresh(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        stale = stale_sources(project, target(), sources)
        if not stale:
            return evaluate(context)
        return SkipReason("\n".join(stale))

    return evaluate_if_fresh


def stale_sources(project: Project, target: Target, sources: Sequence[Source]) -> list[str]:
    """A text about each of the sources that is too old: older than `fail`, or than `warn` where it
    has nothing else.

    Raises WarehouseError.
    """
    stale = []
    with connect(warehouse_address(project, target)) as session:
        for source in sources:
            check = freshness_of(source)
            assert check is not None, source.key
            task = check_task(project, source, check, target)
            name = relation_sql(project, source.key, target)
            try:
                ((seconds, found),) = session.query(task.sent(task.number, name, ()))
            except WarehouseError as error:
                what = f"the freshness of {source.key}: {error.message}"
                raise WarehouseError(error.kind, what, name=error.name) from error
            limit = next(iter(task.thresholds.values()))
            if limit.exceeded(int(seconds), None):
                hours = float(limit.above) / 3600
                stale.append(f"{source.key} is stale: {found}, and {hours:.4g} h are allowed")
    return stale
