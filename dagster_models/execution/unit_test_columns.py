"""The columns of the tables of unit tests: what the project says, and what the warehouse does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dagster_models.compilation.columns_on_target import columns_on, corrected, spelled
from dagster_models.compilation.sql_text import dialect_on, relation_for
from dagster_models.compilation.tasks import TargetStep, task_for, warehouse_address
from dagster_models.compilation.unit_test_tables import (
    Columns,
    joined,
    knows_too_little,
    needed,
)
from dagster_models.compilation.unit_tests import compile_test, create_schemas
from dagster_models.core.model import Key, Project, Step, Target
from dagster_models.core.tasks import BuildTask, ChecksTask
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import Given, GivenRows, UnitTest
from dagster_models.errors import ProjectError, WarehouseError, WarehouseLost
from dagster_models.processes.client.rehearsal import rehearse, rehearsing
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.built_schemas import BuiltSchema, remembered
from dagster_models.project.unit_tests.link import TESTED
from dagster_models.project.unit_tests.reads import read_tables


@dataclass(frozen=True, slots=True)
class KnownColumns:
    """The columns of all tables that tests need, as far as anybody knows them.

    ``real`` and ``real_target`` are the project's own, and the others those of the tests. Tables of
    ``tables_of`` are only described.
    """

    real: Project
    real_target: Target
    tables_of: Target | None
    project: Project
    target: Target
    session: Session
    _found: dict[Key, Schema] = field(default_factory=dict)
    #: Tables that somebody has to be asked about -> in lower case, their columns that may have
    #: another name or type on the target. What a model reads comes before it.
    _open: dict[Key, frozenset[str]] = field(default_factory=dict)
    #: Those of these whose columns or types are not all known.
    _unknown: set[Key] = field(default_factory=set)
    _there: dict[Key, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def of(self, test: UnitTest) -> Mapping[Key, Schema]:
        """Those of one test: a source that is not there has the names that its model's query has
        for the columns."""
        step = self._step(test.model)
        sources = {key: it for key, it in self._found.items() if key not in self._there}
        read = read_tables(self.project, step)
        return {**self._found, **spelled(self.project, step, read, self.target, sources)}

    def look(self, tests: Sequence[UnitTest]) -> None:
        """Find out what is to be known of the tables of these tests."""
        built = remembered(self.real.target_path)
        for test in tests:
            for key in needed(test, read_tables(self.project, self._step(test.model))):
                self._add(key, built, test.given.get(key))
        respelled = [
            key for test in tests for key, it in self.of(test).items() if it != self._found[key]
        ]
        for key in [key for key in self._open if key in self._unknown]:
            self._look_at_seed(key)
        self._look_at_tables([*dict.fromkeys((*self._open, *respelled))])
        for key, doubtful in self._open.items():
            if key not in self.project.sources:
                self._settle(key, doubtful)
            elif key in self._unknown:
                for own in self._explained_by(key):
                    self._found[key] = joined(self._found[key], self._found[own].columns)

    def _step(self, key: Key) -> Step:
        return self.project.steps.get(key) or self.project.ephemerals[key]

    def _has_query(self, key: Key) -> bool:
        if key in self.project.sources:
            return False
        step = self._step(key)
        return step.kind == "sql" and step.built_as in TESTED

    def _explained_by(self, key: Key) -> list[Key]:
        """The tables whose columns say those of this one: what the query of a model reads; and the
        table itself, if a source is one that the project builds."""
        if key in self.project.sources:
            table = self.real.sources[key].relation.folded
            steps = self.real.steps.items()
            return [it for it, step in steps if step.relation and step.relation.folded == table]
        step = self._step(key)
        return list(read_tables(self.project, step).tables) if self._has_query(key) else []

    def _add(self, key: Key, built: Mapping[str, BuiltSchema], rows: Given | None = None) -> None:
        """Note what the project says of the columns of a table; *rows* are those that a test gives.
        Where that is not all, the query of a model says the rest, on tables of its own."""
        doubtful = self._open.get(key, frozenset())
        if key not in self._found:
            self._found[key], doubtful = columns_on(self.project, key, built, self.target)
        unknown = key not in self._unknown and knows_too_little(self._found[key], rows)
        if not unknown and (key in self._open or not doubtful):
            return
        if unknown:
            self._unknown.add(key)
        for each in self._explained_by(key):
            self._add(each, built)
        self._open.setdefault(key, doubtful)

    def _settle(self, key: Key, doubtful: frozenset[str]) -> None:
        """Find out what is open of a step by its query, or else by its table. The table goes before
        the query where columns are only in doubt, as words of another dialect."""
        there: Columns = self._there.get(key, ())
        in_doubt = key not in self._unknown
        if not in_doubt or doubtful - {name.lower() for name, _ in there}:
            there = self._described(key) or there
        if not in_doubt and there:
            self._found[key] = joined(self._found[key], there)
        self._correct(key, there, doubtful)

    def _correct(self, key: Key, there: Columns, retyped: frozenset[str]) -> None:
        self._found[key] = corrected(self._found[key], there, retyped)

    def _look_at_seed(self, key: Key) -> None:
        seed = self.project.steps.get(key)
        if seed is not None and seed.kind == "seed":
            with rehearsing(self.session):
                task = task_for(TargetStep(self.project, seed, self.target), "unit_tests", 1)
                assert isinstance(task, BuildTask)
                self.session.execute(create_schemas([task], dialect_on(self.project, self.target)))
                self._found[key] = joined(self._found[key], rehearse(self.session, task))
            del self._open[key]

    def _look_at_tables(self, keys: Sequence[Key]) -> None:
        """The columns of those tables that are there."""
        if not keys or self.tables_of is None:
            return
        relations = {key: relation_for(self.real, key, self.tables_of) for key in keys}
        try:
            with connect(warehouse_address(self.real, self.tables_of)) as session:
                there = session.there(relations.values())
                for key, relation in relations.items():
                    if relation in there:
                        task = ChecksTask("unit_tests", str(key), 1, relation)
                        if columns := session.run(task).columns:
                            self._there[key] = columns
        except WarehouseError:
            if self.tables_of is self.real_target:
                raise
        for key, columns in self._there.items():
            if key in self.project.sources:
                if key in self._unknown:
                    self._found[key] = joined(self._found[key], columns)
                self._correct(key, columns, frozenset())

    def _described(self, key: Key) -> Columns:
        """What the query of a model returns from empty tables; () if that cannot be said."""
        if not self._has_query(key):
            return ()
        step = self._step(key)
        asked = UnitTest(key, "its columns", step.location, GivenRows(step.location))
        try:
            compiled = compile_test(self.project, self.target, asked, self.of(asked))
            tasks = [it.task for it in compiled.fixtures]
            with rehearsing(self.session):
                self.session.execute(compiled.schemas)
                return rehearse(self.session, *tasks, *compiled.functions, compiled.model)
        except WarehouseLost:
            raise
        except (ProjectError, WarehouseError):  # what is wrong there is for a test of that model
            return ()
