"""Re-execution from failure: which steps an earlier run has committed, unknown to Dagster.

If a run worker is killed between a COMMIT and its STEP_SUCCESS, Dagster takes the step for
interrupted and runs it again. The commit record knows better. A step is *found*, and not built
again, if all of this is true:

- the last commit record of its relation is from one of the runs that this run goes on from, so
  nothing has published the relation since;
- the code version and the input versions are those that would be built now, and it was built in
  full if that is asked for;
- no upstream was published after it, and each of its upstreams in this run was found, too;
- the relation can be read, and passes its checks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.commit import Commit
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, ChecksTask, PythonTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import Session, connect

Commits = Mapping[str, Commit]
"""Relation -> its last commit record."""


@dataclass(frozen=True, slots=True)
class FoundCommit:
    """A step that need not be built, because an earlier run's commit still stands."""

    step: str
    task: BuildTask | PythonTask
    outcome: Outcome
    commit: Commit


def find(
    graph: Mapping[str, Sequence[str]],
    target_steps: Mapping[str, TargetStep],
    earlier: Collection[str],
    run_id: str,
) -> Iterator[FoundCommit]:
    """The steps that one of the *earlier* runs has committed, in the order of *graph*.

    ``graph``: step key -> its upstreams in this run, in topological order.

    Raises:
        WarehouseError: a warehouse cannot be reached.
    """
    found: set[str] = set()
    with _Records(target_steps) as records:
        for step, upstream in graph.items():
            target_step = target_steps.get(step)
            if target_step is None or not found.issuperset(upstream):
                continue
            session, commits = records.of(target_step)
            commit = standing_commit(target_step, commits, earlier)
            if commit is None:
                continue
            task = task_for(target_step, run_id, 1)
            if not isinstance(task, (BuildTask, PythonTask)):
                continue
            if dict(task.input_versions) != dict(commit.input_versions):
                continue
            outcome = session.run(ChecksTask(*task.id, task.relation, task.checks))
            if outcome.succeeded:
                found.add(step)
                yield FoundCommit(step, task, _as_committed(outcome, commit), commit)


def _as_committed(checked: Outcome, commit: Commit) -> Outcome:
    """The outcome of *commit*, with the columns and checks of the relation as it is now."""
    return replace(
        checked,
        verdict=Verdict.COMMITTED,
        attempt=commit.attempt,
        rows=commit.rows,
        changes=commit.changes,
        started_at=0.0,
    )


def standing_commit(
    target_step: TargetStep, commits: Commits, earlier: Collection[str]
) -> Commit | None:
    """The last commit of the step's relation, if one of the *earlier* runs made it and it still
    stands."""
    step, project = target_step.step, target_step.project
    commit = commits.get(str(target_step.relation)) if target_step.relation is not None else None
    if commit is None or commit.run_id not in earlier or commit.step != target_step.name:
        return None
    if commit.code_version != step.code_version:
        return None
    if target_step.is_built_in_full and commit.kind != "whole":
        return None
    for key in step.upstream:
        other = project.steps.get(key)
        if other is None or other.relation is None:
            continue  # a source, or a script
        read = commits.get(str(relation_for(project, key, target_step.target)))
        if read is None or read.committed_at > commit.committed_at:
            return None
    return commit


class _Records:
    """A session with each warehouse, and the commit records there. Use as a context manager."""

    def __init__(self, target_steps: Mapping[str, TargetStep]) -> None:
        self._relations: dict[WarehouseAddress, set[Relation]] = {}
        for target_step in target_steps.values():
            relations = self._relations.setdefault(target_step.address, set())
            relations.update(_relations_of(target_step))
        self._known: dict[WarehouseAddress, tuple[Session, Commits]] = {}

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *_: object) -> None:
        for session, _commits in self._known.values():
            session.close()

    def of(self, target_step: TargetStep) -> tuple[Session, Commits]:
        address = target_step.address
        if address not in self._known:
            session = connect(address)
            commits = session.last_proofs(self._relations[address])
            self._known[address] = session, {commit.relation: commit for commit in commits}
        return self._known[address]


def _relations_of(target_step: TargetStep) -> Iterator[Relation]:
    """The step's own relation, and those of the steps that it reads."""
    steps = target_step.project.steps
    for key in (target_step.step.key, *target_step.step.upstream):
        if key in steps and steps[key].relation is not None:
            yield relation_for(target_step.project, key, target_step.target)
