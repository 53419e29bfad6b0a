"""The order in which the instructions for several events are carried out, which came together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dagster_models.scheduling.states import Claim, Instruction, Report, ReportWait, Retry


def together(
    instructions: Sequence[Instruction], upstream_of: Callable[[str], Iterable[str]]
) -> list[Instruction]:
    """Starts and cancels first, reports last.

    Reporting is slow, and the steps of a wide run tend to end at the same moment. With reports
    first, their slots would stay empty until all of them are reported.

    What depends on a report stays behind it: the instructions for a step that is downstream of a
    reported one, a Claim of the pool slot that a report frees, and all later instructions for the
    same step.
    """
    reported = {it.step for it in instructions if isinstance(it, Report)}
    behind: set[str] = set()
    first: list[Instruction] = []
    last: list[Instruction] = []
    for it in instructions:
        slow = isinstance(it, (Report, Retry, Claim))
        if slow or not reported.isdisjoint(upstream_of(it.step)):
            behind.add(it.step)
        (last if it.step in behind else first).append(it)
    return first + _reports_in_a_row(last)


def _reports_in_a_row(instructions: Iterable[Instruction]) -> list[Instruction]:
    """The same, where a ReportWait goes behind the reports of other steps that follow it: the
    executor stores reports in one commit if nothing stands between them. It goes no further, as
    the step that waits may be started next."""
    found: list[Instruction] = []
    waits: dict[str, Instruction] = {}
    for it in instructions:
        if isinstance(it, ReportWait) and it.step not in waits:
            waits[it.step] = it
            continue
        if not isinstance(it, Report) or it.step in waits:
            found += waits.values()
            waits.clear()
        found.append(it)
    return [*found, *waits.values()]
