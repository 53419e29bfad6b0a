"""The result of each test of dbt beside that of the checks which it has become."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dagster_models.dbt.project.manifest import Manifest


class ResultState(Enum):
    EQUAL = "equal"
    MOMENT = "reads what differs between two runs of dbt"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class FoundResult:
    """``status``: pass, warn, fail or error. ``failures``: None where nothing was counted."""

    status: str
    failures: int | None = None
    message: str = ""

    def __str__(self) -> str:
        count = f" ({self.failures})" if self.failures else ""
        return f"{self.status}{count}"


@dataclass(frozen=True, slots=True)
class TestResult:
    unique_id: str
    name: str
    state: ResultState
    theirs: str = ""
    ours: str = ""
    note: str = ""


def results_of(
    checks: Sequence[tuple[str, str]], found: Mapping[tuple[str, str], FoundResult]
) -> list[FoundResult]:
    """The results of *checks*, each (who declares it, name). One that was moved to a later model is
    known by its name, if no other has that."""
    named: dict[str, list[FoundResult]] = {}
    for (_, name), result in found.items():
        named.setdefault(name, []).append(result)
    results = []
    for owner, name in checks:
        same = named.get(name.lower(), [])
        if one := found.get((owner, name.lower())):
            results.append(one)
        elif len(same) == 1:
            results += same
    return results


_WORST = ("error", "fail", "warn", "pass")


def compared_tests(
    manifest: Manifest,
    theirs: Mapping[str, FoundResult],
    ours: Mapping[str, Sequence[FoundResult]],
    left_out: Mapping[str, str],
    moments: Collection[str],
    not_built: Collection[str],
) -> Iterator[TestResult]:
    """*ours*: the results of the checks of a test, by its unique_id. *left_out*: why a test has
    become none. *moments*: the relations that differ between two runs of dbt; *not_built*: those
    that the run here has not built."""
    for node in manifest.nodes.values():
        unique_id, name = node.unique_id, node.name
        one, others = theirs.get(unique_id), ours.get(unique_id, ())
        if node.kind != "test" or (one is None and not node.depends_on):  # of a disabled model
            continue
        other = min(others, key=lambda it: _WORST.index(it.status), default=None)
        state, note = ResultState.NOT_COMPARED, ""
        if one is None or one.status not in _WORST:
            note = "dbt has not run it" if one is None else f"dbt: {one.status}"
        elif other is None:
            is_missing = not set(not_built).isdisjoint(node.depends_on)
            why = "what it reads was not built here" if is_missing else "no check of it was found"
            note = left_out.get(unique_id, why)
        else:
            state = ResultState.EQUAL
            if one.status != other.status:
                reads = not set(moments).isdisjoint(node.depends_on)
                state = ResultState.MOMENT if reads else ResultState.DIFFERS
                note = other.message or one.message
        yield TestResult(
            unique_id, name, state, str(one or ""), str(other or ""), " ".join(note.split())[:300]
        )
