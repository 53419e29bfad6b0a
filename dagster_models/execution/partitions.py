"""The partitions of a run: which of a step's own ones it builds. A run that names none is refused
before anything starts: Dagster would note that all of the table was built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from dagster import PartitionsDefinition, TimeWindowPartitionsDefinition

from dagster_models._dagster.partitions import (
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    definition_of,
    is_partitioned,
    last_key,
    range_tags,
    run_partitions,
)
from dagster_models.compilation.tasks import TargetStep
from dagster_models.errors import SelectionError

_MOST_NAMES, _MOST_KEYS = 3, 10


def partition_tags(given: str, of: Iterable[tuple[str, PartitionsDefinition]]) -> dict[str, str]:
    """The tags of a run that is asked for a partition: a key, `A..B`, or "last".

    ``of``: what is selected and has partitions, by name.

    Raises:
        SelectionError: there is no such partition, or what is selected does not have one kind.
    """
    kinds: dict[PartitionsDefinition, list[str]] = {}
    for name, definition in of:
        kinds.setdefault(definition, []).append(name)
    if not kinds:
        raise SelectionError("--partition is given, and nothing that is selected has partitions")
    if len(kinds) > 1:
        raise SelectionError(
            "what is selected has several kinds of partitions, and a run has those of one:"
            f" {', and '.join(sorted(map(_some, kinds.values())))}. Select those of one"
        )
    (definition,), given = kinds, given.strip()
    if definition.has_partition_key(given):
        return {PARTITION_TAG: given}
    if given == "last":
        if not isinstance(definition, TimeWindowPartitionsDefinition):
            what = "the partitions are values, so that none is the last one in time"
            raise SelectionError(f"{what}. {_known(definition)}")
        if not (tags := range_tags(definition, 0)):
            raise SelectionError("no partition is complete yet, so that none is the last one")
        return tags
    first, dots, last = (it.strip() for it in given.replace("...", "..").partition(".."))
    if dots and not (first and last):
        what = f"`{given}` is a range with one end: write both, A..B"
        raise SelectionError(f"{what}. {_known(definition)}")
    for key in (first, last) if dots else (given,):
        if not definition.has_partition_key(key):
            raise SelectionError(f"there is no partition {key}. {_known(definition)}")
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}


def without_partition(names: Sequence[str], of: Collection[PartitionsDefinition]) -> str:
    """Why these assets cannot be run without a partition, and what to enter."""
    one = len(names) == 1
    text = f"{', '.join(names)} {'is' if one else 'are'} built by the partition: name one with"
    text += " --partition (a key, A..B, or last)"
    definition = next(iter(of))
    known = isinstance(definition, TimeWindowPartitionsDefinition) and len({*of}) == 1
    if known and (last := last_key(definition)):
        ends = f"{definition.get_partition_keys()[0]}..{last}"
        text += f". `--partition {ends}` builds all of them"
    return text


def _known(of: PartitionsDefinition) -> str:
    """Which partitions there are, in words."""
    if isinstance(of, TimeWindowPartitionsDefinition):
        first, last = of.get_first_partition_key(), last_key(of)
        return f"There are {first} to {last}" if last else "None is complete yet"
    keys = of.get_partition_keys()
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return f"There are {', '.join(keys[:_MOST_KEYS])}{more}"


def in_partitions(
    target_steps: Mapping[str, TargetStep], tags: Mapping[str, str], job: str
) -> dict[str, TargetStep]:
    """The steps, those that are partitioned with the partitions that a run with these tags builds.

    Raises:
        ValueError: the run names no partition, or one that a step does not have.
    """
    partitioned = [it for it in target_steps.values() if it.step.partitions and it.builds]
    if partitioned and not is_partitioned(tags):
        raise ValueError(_unnamed(partitioned, job))
    return {key: _of_run(it, tags) for key, it in target_steps.items()}


def _of_run(it: TargetStep, tags: Mapping[str, str]) -> TargetStep:
    if it.step.partitions is None or not it.builds:
        return it
    try:
        return replace(it, partitions=run_partitions(it.step.partitions, tags))
    except ValueError as error:
        raise ValueError(f"{it.name} cannot be built: {error}") from None


def _some(names: list[str]) -> str:
    if len(names) > _MOST_NAMES:
        names = [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"]
    return " and ".join(names)


def _unnamed(partitioned: list[TargetStep], job: str) -> str:
    step = partitioned[0].step
    assert step.partitions is not None
    of = step.partitions.of
    key = last_key(definition_of(of)) or "KEY"
    command = f'dagster job execute -j {job} --tags \'{{"{PARTITION_TAG}": "{key}"}}\''
    if job.startswith("__"):  # Dagster's own name for a run of assets that is of no job
        command = f"dagster asset materialize --select '*' --partition {key}"
    return (
        f"{_some([it.name for it in partitioned])}"
        f" {'is' if len(partitioned) == 1 else 'are'} partitioned by `{of.name}`,"
        f" and the run names no partition. Choose some in the UI, or name one: {command}"
    )
