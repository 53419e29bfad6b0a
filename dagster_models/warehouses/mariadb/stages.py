"""What a build makes before it publishes: tables beside the relation, or rows in it."""

from __future__ import annotations

from collections.abc import Collection

from dagster_models.core.extras import Extras, Index
from dagster_models.core.model import Relation
from dagster_models.core.tasks import ArrowFile, BuildTask, Content, CsvFile
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb import effects, loading, staging, values
from dagster_models.warehouses.mariadb.fitting import TableFit
from dagster_models.warehouses.mariadb.reading import MariaReading
from dagster_models.warehouses.mariadb.staging import MARK, MariaStage
from dagster_models.warehouses.mariadb.text import literal, one_query, refuse_pipes


class MariaStages(MariaReading):
    """The stage of a build, and the new rows of one that adds to a table."""

    #: Where the new rows are, in a table of the relation's name.
    given: MariaStage | None = None
    _turn_of: Relation | None = None

    def take_turn(self, relation: Relation) -> None:
        """Be the only session that builds a relation, until ``discard``."""
        staging.take_turn(self, relation)
        self._turn_of = relation

    def give_turn(self) -> None:
        relation, self._turn_of = self._turn_of, None
        if relation is not None:
            staging.give_turn(self, relation)

    # Beside the relation

    def begin_stage(self, relation: Relation) -> MariaStage:
        """Make the database of what is to take the relation's place."""
        if staging.kind_of(self, relation) == "table":
            staging.refuse_losses(self, relation)
        self.stage = MariaStage.of(self, relation)
        staging.make_stage(self, self.stage)
        return self.stage

    def begin_given(self, relation: Relation) -> Relation:
        """Make the database of new rows; return the name of the table that they go into."""
        self.given = MariaStage.of(self, relation)
        staging.make_stage(self, self.given)
        return self.given.name

    def fill(self, relation: Relation, content: Content) -> int:
        """Make a table of these rows; return their number. ``line`` of an error counts in the
        query, or in the file."""
        name = quoted(relation)
        create = f"CREATE TABLE {name}"
        if isinstance(content, ArrowFile):
            with bulk.mapped(content.path) as given:
                table = values.storable(given)
                return loading.fill_from_arrow(self, name, table, create)
        if isinstance(content, CsvFile):
            path, types = content.file.path, content.column_types
            return loading.fill_from_seed(self, name, path, types, create)
        query = refuse_pipes(one_query(content.sql))
        return self.change(f"{create} ENGINE = InnoDB AS\n{query}\n", 1)

    def complete_stage(self, extras: Extras, *, is_added_to: bool = False) -> None:
        """Give the table that is to be published its indexes and its mark. One that later builds
        add to may have NULL in each column: it is NOT NULL where its query could not return it."""
        assert self.stage is not None
        name = quoted(self.stage.name)
        if is_added_to:
            effects.allow_nulls(self, self.stage.name)
        for index in extras.indexes:
            self._make_index(name, index)
        self._mark_stage()

    def _mark_stage(self) -> None:
        assert self.stage is not None
        name = quoted(self.stage.name)
        self.change(f"ALTER TABLE {name} COMMENT = {literal(MARK + self.stage.id)}")
        self.change(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {name}")

    def _make_index(self, name: str, index: Index) -> None:
        word = "UNIQUE INDEX" if index.unique else "INDEX"
        listed = ", ".join(map(quote, index.columns))
        self.change(f"CREATE {word} {quote(_name_of(index))} ON {name} ({listed})")

    # In the relation

    def begin_writing(
        self, task: BuildTask, fitted: TableFit, *, deletes: bool, updates: Collection[str]
    ) -> Relation:
        """Return the table that the new rows are to be written to: the relation itself, in a
        transaction that is open from here on, or a copy of it where its columns change."""
        relation = task.relation
        if fitted.alterations:
            return self._copied(relation, fitted, task.extras)
        effects.refuse_effects(self, relation, deletes=deletes, updates=updates)
        self._make_missing_indexes(relation, task.extras)
        self.stage = MariaStage.of(self, relation)
        self.stage.in_place = True
        self.begin()
        return relation

    def _copied(self, relation: Relation, fitted: TableFit, extras: Extras) -> Relation:
        stage = self.begin_stage(relation)
        name = quoted(stage.name)
        self.change(f"CREATE TABLE {name} LIKE {quoted(relation)}")
        self.change(f"ALTER TABLE {name} {', '.join(fitted.alterations)}")
        kept = ", ".join(map(quote, fitted.kept))
        self.change(f"INSERT INTO {name} ({kept}) SELECT {kept} FROM {quoted(relation)}")
        self._make_missing_indexes(stage.name, extras)
        self._mark_stage()
        return stage.name

    def _make_missing_indexes(self, relation: Relation, extras: Extras) -> None:
        there = set(effects.index_names(self, relation)) if extras.indexes else set()
        for index in extras.indexes:
            if _name_of(index).lower() not in there:
                self._make_index(quoted(relation), index)

    def has_triggers(self, relation: Relation) -> bool:
        """Whether somebody else writes along."""
        return bool(effects.triggers_of(self, relation))


def _name_of(index: Index) -> str:
    return index.name or "_".join(("on", *index.columns))[:64]
