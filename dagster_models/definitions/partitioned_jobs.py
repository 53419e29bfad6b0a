"""Jobs of partitioned assets, which have one definition each, and schedules of their partitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dagster import (
    AssetKey,
    AssetSpec,
    DefaultScheduleStatus,
    PartitionsDefinition,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    TimeWindowPartitionsDefinition,
    partition_loading_context,
)

from dagster_models._dagster.partitions import definition_of, every_partition, range_tags
from dagster_models.core.jobs import Job, Schedule
from dagster_models.core.model import Key, Project, Step
from dagster_models.core.partitions import StepPartitions
from dagster_models.core.windows import Partition
from dagster_models.definitions.column_metadata import asset_key
from dagster_models.definitions.held_back import Evaluate
from dagster_models.definitions.translator import PARTITIONS_TAG

Definition = PartitionsDefinition[str]

Groups = Mapping[Definition, list[AssetSpec]]
"""The definitions of a job's assets -> the assets that have each."""


def partitions_of(step: Step) -> tuple[Partition, ...]:
    """All partitions of a model that there are now, in their order; () if it has none."""
    return () if step.partitions is None else every_partition(step.partitions)


def groups_of(keys: Iterable[AssetKey], partitioned: Mapping[AssetKey, AssetSpec]) -> Groups:
    """The groups of these assets. ``partitioned``: the specs of those that have partitions."""
    found: dict[Definition, list[AssetSpec]] = {}
    for key in sorted(keys):
        if (spec := partitioned.get(key)) is not None and spec.partitions_def is not None:
            found.setdefault(spec.partitions_def, []).append(spec)
    return found


def unmapped(project: Project, given: Iterable[AssetSpec]) -> Iterator[tuple[Step, AssetKey, str]]:
    """The models that read a partitioned asset of others of which it is not known how its
    partitions correspond to theirs: the model, the asset, and the name of the source."""
    others = {spec.key: spec.partitions_def for spec in given if spec.partitions_def is not None}
    for step in project.steps.values() if others else ():
        if step.partitions is None:
            continue
        for key in step.upstream:
            other = others.get(asset_key(project, key))
            if other is not None and not _corresponds(step.partitions, key, other):
                yield step, asset_key(project, key), str(key)


def _corresponds(partitions: StepPartitions, key: Key, other: Definition) -> bool:
    how, own = partitions.upstream.get(key), definition_of(partitions.of)
    if how in ("last", "all") or (how == "same" and own == other):
        return True
    times = [it for it in (own, other) if isinstance(it, TimeWindowPartitionsDefinition)]
    return how in ("same", "read") and len({it.timezone for it in times}) == 1 and len(times) == 2


def several(job: Job, groups: Groups) -> tuple[str, str] | None:
    """What is wrong with a job of several definitions, and what to do."""
    if len(groups) < 2:
        return None
    names = [f"{_some(specs)} by `{_name(specs[0])}`" for specs in groups.values()]
    what = f"of several kinds of partitions, and a run has those of one: {', and '.join(names)}"
    if job.implied:
        entries = [
            f"`{_job_name(specs)}: {{selection: '{_selection(specs)}'}}`"
            for specs in groups.values()
        ]
        fix = f"Name a job for each below `jobs:`, e.g. {' and '.join(entries)}."
        return f"the project names no `jobs:`, and one job of all its assets would be {what}", fix
    selections = [f"`selection: {_selection(specs)}`" for specs in groups.values()]
    return (
        f"job {job.name} selects assets {what}",
        f"Make a job for each: {' and '.join(selections)}.",
    )


def _some(specs: list[AssetSpec]) -> str:
    names = [spec.key.to_user_string() for spec in specs]
    return ", ".join(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more"])


def _name(spec: AssetSpec) -> str:
    return spec.tags.get(PARTITIONS_TAG) or str(spec.partitions_def)


def _selection(specs: list[AssetSpec]) -> str:
    tag = specs[0].tags.get(PARTITIONS_TAG)
    if tag is not None:
        return f'tag:"{PARTITIONS_TAG}"="{tag}"'
    return f'key:"{specs[0].key.to_user_string()}"'


def _job_name(specs: list[AssetSpec]) -> str:
    """One that the job of these assets may have."""
    return re.sub(r"\W+", "_", specs[0].tags.get(PARTITIONS_TAG) or specs[0].key.path[-1])


def wrong_schedule(schedule: Schedule, groups: Groups) -> tuple[str, str] | None:
    """What is wrong with a schedule of a job with these assets, and what to do."""
    definition, specs = next(iter(groups.items()), (None, []))
    if definition is None:
        if not schedule.partition:
            return None
        what = f"no asset of job {schedule.job} is partitioned"
        return what, "Delete `partition` and `lookback`, and add a `cron`."
    if not schedule.partition:
        what = f"job {schedule.job} builds partitions of `{_name(specs[0])}`, and it names none"
        return what, "Add `partition: last`."
    if not isinstance(definition, TimeWindowPartitionsDefinition):
        what = f"none of the partitions of `{_name(specs[0])}` is the last one in time"
        return what, "Write the schedule in Python, with a RunRequest for each partition."
    return None


def partitioned_schedule(
    schedule: Schedule,
    name: str,
    job: Any,
    definition: TimeWindowPartitionsDefinition,
    held: Callable[[Evaluate], Evaluate],
) -> ScheduleDefinition:
    """A schedule whose runs build the last complete partition, and some before it. ``held`` makes
    its ticks wait for what they have to wait for."""

    def evaluate(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        with partition_loading_context(effective_dt=context.scheduled_execution_time):
            tags = range_tags(definition, schedule.lookback)
        if not tags:
            return SkipReason("No partition is complete yet.")
        return RunRequest(tags={**schedule.tags, **tags})

    return schedule_of(
        schedule,
        name,
        job,
        schedule.cron or definition.cron_schedule,
        schedule.timezone or definition.timezone,
        held(evaluate),
    )


def schedule_of(
    schedule: Schedule, name: str, job: Any, cron: str, timezone: str, evaluate: Evaluate
) -> ScheduleDefinition:
    """Dagster's schedule. *evaluate* gives the runs their tags; here the UI shows them."""
    status = DefaultScheduleStatus.RUNNING if schedule.running else DefaultScheduleStatus.STOPPED
    return ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        execution_fn=evaluate,
        tags=schedule.tags,
        description=schedule.description or None,
        default_status=status,
    )
