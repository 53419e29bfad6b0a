"""Publishing in a transaction: what DuckDB and PostgreSQL share.

    BEGIN -> build -> (checks) -> commit record -> COMMIT

So a reader sees either the old relation or the new one, and the commit record is there if and only
if the new one is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dagster_models.core.built import TAKEN_OVER, Built
from dagster_models.core.commit import ADOPTED_TABLE, Commit
from dagster_models.core.materializations import AddedTo, Custom, Reading, Snapshot
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses import contracts, extras
from dagster_models.warehouses.base import Staged, quoted
from dagster_models.warehouses.extras import ExtrasHooks
from dagster_models.warehouses.materializations import table
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.snapshot_columns import (
    history_in_the_way,
    no_snapshot_yet,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A relation that is there. ``identity`` is the one of its ``Commit``, if a commit made it."""

    relation: Relation
    is_view: bool
    identity: str | None


class TransactionalSession(Hooks):
    """A session whose transactions may contain DDL, and changes of several tables."""

    #: The names, as ``folded``, of relations that were snapshots when this session first built.
    _histories: frozenset[str] | None = None

    def build(self, task: BuildTask, first: Callable[[], None] | None = None) -> Staged:
        staged = self._built(task, first)
        if task.contract is not None:
            how = task.materialization
            own = how.own_columns if isinstance(how, Snapshot) else ()
            contracts.refuse_breach(self, staged.relation, task.contract, own)
        return staged

    def _built(self, task: BuildTask, first: Callable[[], None] | None) -> Staged:
        if isinstance(task.materialization, Custom):  # see read_before
            return table.build(self, task.relation, task.materialization, task.content)
        self.begin()  # first: it opens a lost connection again
        if first is not None:
            with self.shut(task.relation):
                first()
        if isinstance(task.materialization, Snapshot):
            self._refuse_to_begin_one_in(task.relation)
        else:
            self._refuse_to_end_a_history(task.relation)
        how = task.materialization
        extras.begin(self, task.relation, task.extras, how)
        staged = table.build(self, task.relation, how, task.content)
        if staged.written and all(check.scope != "window" for check in task.checks):
            staged = self._without_window(staged)
        return extras.complete(self, staged, task.extras, how)

    def read_before(self, relation: Relation, how: AddedTo | Custom) -> Reading:
        self.begin()
        if isinstance(how, Custom):
            self._refuse_to_end_a_history(relation)
        return table.read(self, relation, how)

    def rehearse(self, task: BuildTask) -> Staged:
        return table.build(self, task.relation, task.materialization, task.content)

    def name_of(self, staged: Staged) -> str:
        # What ``window_of`` makes has its name.
        return quoted(self.in_full(staged.relation) if staged.written else staged.relation)

    def window_of(self, staged: Staged) -> str:
        if not staged.written:
            return self.name_of(staged)
        window = self._window(staged)
        self.change(f"CREATE TEMPORARY VIEW {window} AS {staged.written}")
        return window

    def widen(self, staged: Staged) -> None:
        window = self._window(staged)
        self.change(f"CREATE OR REPLACE TEMPORARY VIEW {window} AS {staged.written_by_now}")

    def _window(self, staged: Staged) -> str:
        # It has the relation's name, as conditions may name a column with it.
        return quoted(replace(self.staging, name=staged.relation.name))

    def _without_window(self, staged: Staged) -> Staged:
        """Drop what has the rows that were written, which no one asks for any more."""
        self.change(f"DROP VIEW IF EXISTS {self._window(staged)}")
        self.change(f"DROP TABLE IF EXISTS {quoted(self.staging)}")
        return replace(staged, written="", written_by_now="")

    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        if staged.written:
            staged = self._without_window(staged)
        identity = None
        if commits[-1].builder is not None and not staged.is_function:
            identity = self.mark(staged, commits[-1])
        for commit in commits:
            self.write_record(replace(commit, identity=identity))
        self.commit()

    def discard(self) -> None:
        self.rollback()

    def _refuse_to_end_a_history(self, relation: Relation) -> None:
        """Raise WarehouseError if the relation is a table that snapshots have been built into."""
        name = self.folded(str(relation))
        if self._histories is None:  # asked once, as a run has many builds
            self._histories = frozenset(map(self.folded, self.histories()))
        if name not in self._histories:
            return
        last = max(self.last_proofs([relation]), key=lambda it: it.committed_at, default=None)
        there = (self.folded(str(it.relation)) for it in self.relations_there() if not it.is_view)
        if name in there and (last is None or last.kind == "snapshot"):
            raise history_in_the_way(relation)

    def _refuse_to_begin_one_in(self, relation: Relation) -> None:
        """Raise WarehouseError if the relation is a table that a build of another kind has made:
        columns that it has may have the names of a snapshot's, and mean something else."""
        last = max(self.last_proofs([relation]), key=lambda it: it.committed_at, default=None)
        if last is None or last.kind == "snapshot" or last.identity is None:
            return
        name = self.folded(str(relation))
        for it in self.relations_there():
            is_it = self.folded(str(it.relation)) == name and it.identity == last.identity
            if is_it and not it.is_view:
                raise no_snapshot_yet(relation)

    # What no model builds any more

    def there(self, relations: Collection[Relation]) -> list[Relation]:
        names = {self.folded(str(each.relation)) for each in self.relations_there()}
        return [relation for relation in relations if self.folded(str(relation)) in names]

    def built_by(self, builder: str, names: Collection[str] | None = None) -> list[Built]:
        there = {self.folded(str(each.relation)): each for each in self.relations_there()}
        if names is not None:
            wanted = {self.folded(name) for name in names}
            there = {name: each for name, each in there.items() if name in wanted}
        last: dict[str, Commit] = {}
        for commit in sorted(self.last_proofs(), key=lambda commit: commit.committed_at):
            last[self.folded(commit.relation)] = commit
        return [
            Built(each.relation, each.is_view, last[name], self._kept(last[name], each))
            for name, each in there.items()
            if name in last and last[name].builder == builder
        ]

    def _kept(self, commit: Commit, found: Found) -> str:
        """Why the relation must not be dropped; "" for one that is as it was published."""
        if commit.identity is None or found.identity != commit.identity:
            return "somebody else has replaced it since"
        as_it_is = TAKEN_OVER if commit.is_adopted else ""
        if found.is_view or commit.rows is None or commit.kind == ADOPTED_TABLE:
            return as_it_is
        if commit.contents:
            same = self.contents(found.relation) == commit.contents
            what = "its rows or columns are not those that were stored: somebody has written to it"
            return "" if same else what
        rows = self.count(f"SELECT 1 FROM {quoted(found.relation)}")
        if rows == commit.rows:
            return as_it_is
        return f"it has {rows} rows, and {commit.rows} were published: somebody has written to it"

    def drop(self, relation: Relation, builder: str) -> None:
        if self.in_transaction:
            what = f"{relation} is kept: a transaction is open, which is not ours to end"
            raise WarehouseError(ErrorKind.OPEN_TRANSACTION, what)
        views = self.unprotected_views(relation)
        self.begin()
        try:
            found = next(iter(self.built_by(builder, [str(relation)])), None)
            if found is None or found.kept:
                why = found.kept if found else f"{builder} has not built it"
                raise WarehouseError(ErrorKind.NOT_KEPT, f"{relation} is kept: {why}")
            self.change(f"DROP {'VIEW' if found.is_view else 'TABLE'} {quoted(relation)}")
            if any(each.identity == found.commit.identity for each in self.relations_there()):
                what = f"{relation} was replaced at the same moment"
                raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
            _refuse_to_break(self, views, relation)
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def unprotected_views(self, relation: Relation) -> list[Relation]:
        """Return the other views that work and that the warehouse itself would let break."""
        return []

    @contextmanager
    def shut(self, relation: Relation) -> Iterator[None]:
        """Let nobody else write to a table until the end of the open transaction. In the block all
        is read that others have committed by then."""
        self.take_turn(relation)
        yield

    @property
    @abstractmethod
    def beside(self) -> ExtrasHooks:
        """What the extras of a build ask of this session."""

    @abstractmethod
    def mark(self, staged: Staged, commit: Commit) -> str:
        """Mark the relation that the commit publishes; return its ``Commit.identity``."""

    def unmarked(self, identity: str) -> str:
        """The comment of a relation that is marked so, without the mark, if a comment has it."""
        return ""

    @abstractmethod
    def relations_there(self) -> list[Found]:
        """Return all tables and views, with the identity that each has now."""

    @abstractmethod
    def histories(self) -> list[str]:
        """Return the names of the relations that were snapshots at some time."""

    @abstractmethod
    def write_record(self, commit: Commit) -> None:
        """Write the commit record in the open transaction."""


def _refuse_to_break(
    session: TransactionalSession, views: Sequence[Relation], dropped: Relation
) -> None:
    for view in views:
        try:
            session.rows(f"SELECT 1 FROM {quoted(view)} LIMIT 0")
        except WarehouseError as error:
            what = f"{dropped} is kept: the view {view} reads it"
            raise WarehouseError(ErrorKind.NOT_KEPT, what) from error
