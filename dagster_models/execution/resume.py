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

A step that builds partitions is found if all of this holds for the last records of each of them. If
it holds for some, only the others are built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.compilation.inputs import codes
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, checks_task, task_for
from dagster_models.core.commit import Commit
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.parts import asked_for, partitioned, standing
from dagster_models.core.tasks import BuildTask, PythonTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import BrokenFile
from dagster_models.execution.single import run_checks
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


@dataclass(frozen=True, slots=True)
class FoundPartitions:
    """Some of a step's partitions, by key, that need not be built."""

    step: str
    keys: tuple[str, ...]


def find(
    graph: Mapping[str, Sequence[str]],
    target_steps: Mapping[str, TargetStep],
    earlier: Collection[str],
    run_id: str,
) -> Iterator[FoundCommit | FoundPartitions]:
    """The steps that the *earlier* runs have committed, or some partitions of which they have, in
    the order of *graph*.

    ``graph``: step key -> its upstreams in this run, in topological order.

    Raises:
        WarehouseError: a warehouse cannot be reached.
    """
    found: set[str] = set()
    with _Records(target_steps) as records:
        for step, upstream in graph.items():
            target_step = target_steps.get(step)
            if target_step is None or not target_step.builds or not found.issuperset(upstream):
                continue
            session, commits = records.of(target_step)
            if str(target_step.relation) not in commits:  # of a script, or never built
                continue
            try:
                task = task_for(target_step, run_id, 1)
            except BrokenFile:  # the step fails with that error
                continue
            if not isinstance(task, (BuildTask, PythonTask)):
                continue
            ledger = session.ledger(task.relation) if partitioned(task.materialization) else ()
            good = list(_standing(target_step, task, commits, earlier, ledger))
            if not good:
                continue
            wanted, commit = asked_for(task.materialization), good[-1]
            there = standing(ledger, wanted, good) if ledger else wanted
            if len(there) < len(wanted):
                if there:
                    yield FoundPartitions(step, tuple(it.key for it in there))
                continue
            checks = checks_task(target_step, run_id, 1)
            outcome = run_checks(session, checks, target_step.address)
            if outcome.succeeded:
                found.add(step)
                yield FoundCommit(step, task, _as_committed(outcome, task, commit), commit)


def _as_committed(checked: Outcome, task: BuildTask | PythonTask, commit: Commit) -> Outcome:
    """The outcome of *commit*, with the columns and checks of the relation as it is now."""
    return replace(
        checked,
        verdict=Verdict.COMMITTED,
        attempt=commit.attempt,
        rows=commit.rows,
        changes=commit.changes,
        started_at=0.0,
        partitions=tuple(it.key for it in asked_for(task.materialization)),
    )


def _standing(
    target_step: TargetStep,
    task: BuildTask | PythonTask,
    commits: Commits,
    earlier: Collection[str],
    ledger: Sequence[Commit],
) -> Iterator[Commit]:
    """Those of the step's records that an earlier run has made and that still stand: its last one,
    or some of the *ledger* of its partitions."""
    step = target_step.step
    for commit in ledger or (commits[str(task.relation)],):
        if (
            commit.run_id in earlier
            and commit.step == target_step.name
            and commit.code_version == task.code_version
            and codes(step, commit.input_versions) == codes(step, task.input_versions)
            and (commit.kind == "whole" or not target_step.is_built_in_full)
            and not _is_outdated(commit, target_step, commits)
        ):
            yield commit


def _is_outdated(commit: Commit, target_step: TargetStep, commits: Commits) -> bool:
    """Whether something that the step reads was published after the commit."""
    step, project = target_step.step, target_step.project
    for key in step.upstream:
        other = project.steps.get(key)
        if other is None or other.relation is None or key == step.key:
            continue  # a source, a script, or the table that it adds to
        read = commits.get(str(relation_for(project, key, target_step.target)))
        if read is None or read.committed_at > commit.committed_at:
            return True
    return False


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
