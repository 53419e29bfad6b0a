"""``only_changed``: which steps a run leaves alone, because a build would leave the same relation.

A step is *unchanged* if all of this is true:

- its relation is there, is the one that the last commit record is about, and has its rows;
- that record has the code version of the step as it is now, and for each of its inputs, with those
  behind views, the version that is there now: of a step the publication, of a source the rows;
- none of its upstreams in this run is built, and those outside of it are as they were published;
- a build from the same rows would leave the same (``compilation.repeatable``);
- its checks pass.

Whatever is not known counts as changed. This is decided once, before the first step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dagster import MetadataValue

from dagster_models.compilation.inputs import (
    holds_rows,
    input_versions,
    inputs_of,
    is_complete,
    relations_read,
    rows_version,
)
from dagster_models.compilation.repeatable import Repeatable, repeatable
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, builder_of, checks_task
from dagster_models.core.built import Built
from dagster_models.core.commit import Commit
from dagster_models.core.messages import Outcome
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import WarehouseError, WarehouseLost
from dagster_models.execution.known_inputs import KnownInputs, not_built_here
from dagster_models.processes.client.session import Session, connect
from dagster_models.reporting.explain_text import PREFIX
from dagster_models.reporting.results import StepResult


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A step that is left alone. ``outcome``: that of its checks, and its columns."""

    step: str
    commit: Commit
    outcome: Outcome


class Because(NamedTuple):
    """Why a step is built. ``kind``: "new", "code" (its own), "data" (what it reads has changed, or
    nobody knows), "upstream" (what it reads is built in this run), "check" (one fails), or "always"
    (a build is not repeatable)."""

    kind: str
    text: str


@dataclass(slots=True)
class Decision:
    """``unchanged``: step key -> why it need not be built; ``because``: step key -> why it is."""

    unchanged: dict[str, Unchanged] = field(default_factory=dict)
    because: dict[str, Because] = field(default_factory=dict)


def decide(
    graph: Mapping[str, Sequence[str]],
    target_steps: Mapping[str, TargetStep],
    known: KnownInputs,
    found: Collection[str],
    run_id: str,
) -> Decision:
    """Decide about each of our steps.

    ``graph``: step key -> its upstreams in this run, in topological order. ``found``: steps that
    are not built, as an earlier run that this one goes on from has committed them. What the sources
    hold is added to *known*.

    Raises:
        WarehouseError: a warehouse cannot be reached.
    """
    decision = Decision()
    target_steps = {step: it for step, it in target_steps.items() if it.builds}
    with ExitStack() as sessions:
        warehouses = {
            address: _Warehouse(sessions.enter_context(connect(address)), steps)
            for address, steps in _by_address(target_steps).items()
        }
        for warehouse in warehouses.values():
            warehouse.look(known)
        left = set(found)
        for step, upstream in graph.items():
            target_step = target_steps.get(step)
            if target_step is None or step in left:
                continue
            warehouse = warehouses[target_step.address]
            built_now = next((it for it in upstream if it not in left), None)
            if built_now is not None:
                name = target_steps[built_now].name if built_now in target_steps else built_now
                why = f"{name} is built in this run, or runs"
                decision.because[step] = Because("upstream", why)
                continue
            if target_step.step.problems:
                decision.because[step] = Because("code", "its file is wrong")
                continue
            result = warehouse.look_at(target_step, known, run_id)
            if isinstance(result, Because):
                decision.because[step] = result
            else:
                commit, outcome = result
                known.found(target_step, commit)
                decision.unchanged[step] = Unchanged(step, commit, outcome)
                left.add(step)
    return decision


def metadata_of(left: Unchanged, result: StepResult, target: str) -> dict[str, Any]:
    """What Dagster shows of a step that is left alone."""
    return {
        f"{PREFIX}/state": "unchanged",
        f"{PREFIX}/target": target,
        f"{PREFIX}/committed_in_run": MetadataValue.dagster_run(left.commit.run_id),
        f"{PREFIX}/committed_at": left.commit.committed_at,
        f"{PREFIX}/relation": result.relation,
    }


def _by_address(
    target_steps: Mapping[str, TargetStep],
) -> dict[WarehouseAddress, list[TargetStep]]:
    found: dict[WarehouseAddress, list[TargetStep]] = {}
    for target_step in target_steps.values():
        found.setdefault(target_step.address, []).append(target_step)
    return found


class _Warehouse:
    """What one warehouse says of the steps that work in it."""

    def __init__(self, session: Session, steps: Sequence[TargetStep]) -> None:
        self._session, self._steps = session, steps
        self._built: dict[str, Built] = {}
        self._repeatable: dict[tuple[str, str], Repeatable] = {}
        self._functions: Mapping[str, str] = {}
        self._unreadable: dict[str, str] = {}  # source -> the error of reading it

    def look(self, known: KnownInputs) -> None:
        """Ask all that is asked once for all steps."""
        relations = not_built_here({it.name: it for it in self._steps})
        others = {name for names in relations.values() for name in names}
        builders: dict[str, set[str]] = {}
        for it in self._steps:
            names = builders.setdefault(builder_of(it.project, it.target), set(others))
            names.update([str(it.relation)] if it.relation is not None else ())
        for builder, names in builders.items():
            for built in self._session.built_by(builder, names):
                self._built[built.commit.relation] = built
        self._read_sources(known)
        self._repeatable = {_id(it): repeatable(it.project, it.step) for it in self._steps}
        functions = {name for it in self._repeatable.values() for name in it.functions}
        self._functions = self._session.unrepeatable(functions)

    def _read_sources(self, known: KnownInputs) -> None:
        seen: set[str] = set()
        for it in self._steps:
            for key, relation in relations_read(it.project, it.step, it.target):
                if key in it.project.steps or str(relation) in seen:
                    continue
                seen.add(str(relation))
                try:
                    rows = self._session.fingerprint(relation)
                except WarehouseLost:
                    raise
                except WarehouseError as error:  # what reads it reports that
                    self._unreadable[str(relation)] = error.message
                else:
                    known.put(it.address, relation, rows_version(rows))

    def look_at(
        self, it: TargetStep, known: KnownInputs, run_id: str
    ) -> tuple[Commit, Outcome] | Because:
        """The commit that stands and the outcome of the step's checks; else why it is built."""
        if it.relation is None:
            return Because("always", "it is a script")
        built = self._built.get(str(it.relation))
        if built is None:
            return Because("new", "its relation is not there, or was not built by this project")
        why = next(self._changes(it, built, known), None)
        if why is not None:
            return why
        outcome = self._session.run(checks_task(it, run_id, 1))
        if not outcome.succeeded:
            failed = [check.name for check in outcome.checks if not check.passed]
            text = f"its check {failed[0]} fails" if failed else "its relation cannot be read"
            return Because("check", text)
        return built.commit, outcome

    def _changes(self, it: TargetStep, built: Built, known: KnownInputs) -> Iterator[Because]:
        step, commit = it.step, built.commit
        if built.changed:
            yield Because("new", built.changed)
        if commit.step != it.name:
            yield Because("code", f"{commit.step} was built under its name")
        if commit.code_version != step.code_version:
            yield Because("code", "its code has changed")
        if it.is_built_in_full:
            yield Because("always", "it is built in full each time, or was asked to be")
        found = self._repeatable[_id(it)]
        if found.why_not:
            yield Because("always", found.why_not)
        yield from (
            Because("always", f"it calls {name}: {why}")
            for name, why in self._functions.items()
            if name in found.functions
        )
        yield from (Because("data", why) for why in self._changed_inputs(it, commit, known))

    def _changed_inputs(self, it: TargetStep, commit: Commit, known: KnownInputs) -> Iterator[str]:
        project, target = it.project, it.target
        now = input_versions(project, it.step, target, known.of(it))
        for key in inputs_of(project, it.step):
            name, other = str(key), project.steps.get(key)
            before = commit.input_versions.get(name)
            if other is None:
                relation = str(relation_for(project, key, target))
                if relation in self._unreadable:
                    yield f"{name} cannot be read: {self._unreadable[relation]}"
                elif not is_complete(before):
                    yield f"nobody has recorded which rows of {name} it was built from"
                elif before != now.get(name):
                    yield f"{name} has other rows"
                continue
            if other.relation is None:
                yield f"{name} is a script"
                continue
            source = self._built.get(str(relation_for(project, key, target)))
            if source is None:
                yield f"{name} is not there, or was not built by this project"
            elif source.changed:
                yield f"{name}: {source.changed}"
            elif not holds_rows(other) and source.commit.code_version != other.code_version:
                yield f"{name} has other code than its view"
            elif not is_complete(before):
                yield f"nobody has recorded which build of {name} it was built from"
            elif before != now[name]:
                yield f"{name} was built since"
        gone = set(commit.input_versions) - set(now)
        if gone:
            yield f"it was built from {min(gone)}, too"


def _id(target_step: TargetStep) -> tuple[str, str]:
    """Several projects may have a step of one name."""
    return target_step.project.root, target_step.name
