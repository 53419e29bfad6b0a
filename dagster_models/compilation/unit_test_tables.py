"""The tables that a test makes before its model: those that the model reads, and its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.compilation.sql_text import dialect_on, relation_for
from dagster_models.compilation.unit_test_rows import columns_of, rows_query
from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Key, Location, Project, Step, Target
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import Cell, Given, GivenQuery, GivenRows, UnitTest
from dagster_models.errors import ProjectError
from dagster_models.project.problems import problem
from dagster_models.project.snapshot import is_snapshot
from dagster_models.project.unit_tests.reads import ReadTables, columns_read
from dagster_models.util.nearest import suggest

Columns = Sequence[tuple[str, str]]
"""(name, type) of each column of a relation."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A table that a test needs, and where the test says so.

    ``known``: its columns as far as the project knows them. Those of a table whose rows are a
    query's are seen when it is built; they must be among the known ones, and what it lacks of these
    is added. () for the model's own table, which may be one of older code. ``read`` are the columns
    that the model reads, as far as that is known, and ``mark`` is the column of a snapshot's own
    table that marks deletions, "" for other tables.
    """

    key: Key
    location: Location
    task: BuildTask
    known: Schema
    read: Sequence[str]
    mark: str

    def completed(self, there: Columns) -> tuple[list[tuple[str, str]], str, list[str]]:
        """What makes the table the one that a run would find, and the columns that the model reads
        and that it will lack: (name, type) of the columns to add, and the mark of deletions, "" for
        none.

        Raises ProjectError for columns that the real table does not have.
        """
        known, names = self.known, {name.lower(): name for name, _ in there}
        listed = [name for name, _ in known.columns]
        problems = [
            problem(f"{self.key} has no column `{name}`", self.location, suggest(name, listed))
            for name, _ in there
            if known.closed and name.lower() not in map(str.lower, listed)
        ]
        if problems:
            raise ProjectError(problems)
        added = [it for it in known.columns if it[1] and it[0].lower() not in names]
        there_now = {*names, *(name.lower() for name, _ in added)}
        missing = [name for name in self.read if name.lower() not in there_now]
        return added, names.get(self.mark.lower(), ""), missing


def fixtures_of(
    project: Project,
    target: Target,
    test: UnitTest,
    step: Step,
    read: ReadTables,
    columns: Mapping[Key, Schema],
) -> Iterator[Fixture]:
    """A table for each that the model reads, empty if the test gives none, and for `this`."""
    of_model = columns_read(step, read)
    for key in needed(test, read):
        rows = test.given.get(key, GivenRows(test.location))
        known = columns.get(key, Schema())
        mark = _mark_of(step) if key == step.key else ""
        if isinstance(rows, GivenQuery):
            sql = rows.sql
        else:
            rows = _marked(rows, mark) if mark else rows
            named = columns_of(key, rows, known, of_model, is_given=key in test.given)
            sql = rows_query(rows, named, dialect_on(project, target))
        relation = relation_for(project, key, target)
        yield Fixture(
            key,
            rows.location,
            BuildTask("unit_tests", f"given {key}", 1, relation, Query(sql)),
            known if isinstance(rows, GivenQuery) and key != step.key else Schema(),
            tuple(of_model.columns.get(key, {}).values()),
            mark,
        )


def refuse_one_table_twice(test: UnitTest, fixtures: Sequence[Fixture]) -> None:
    """Raise ProjectError if two names are those of one table: whose rows does it have?"""
    seen: dict[str, Key] = {}
    for fixture in fixtures:
        first = seen.setdefault(str(fixture.task.relation).lower(), fixture.key)
        if first != fixture.key:
            what = f"{first} and {fixture.key} are one table, which cannot have the rows of both"
            fix = "Declare it once in models/sources.yaml."
            raise ProjectError([problem(what, test.location, fix)])


def _mark_of(step: Step) -> str:
    """The column in which a snapshot marks deletions, "" for none."""
    if not is_snapshot(step) or step.config.hard_deletes != "new_record":
        return ""
    return Snapshot.of(step.config).is_deleted


def _marked(rows: GivenRows, mark: str) -> GivenRows:
    """The rows with the mark of deletions, which is false where they do not name it."""
    unmarked = Cell(False, "false", rows.location)
    names = [name.lower() for name in rows.columns]
    if mark.lower() not in names:
        columns = {**rows.columns, mark: rows.location}
        return replace(rows, columns=columns, rows=tuple((*row, unmarked) for row in rows.rows))
    at = names.index(mark.lower())
    changed = ((*row[:at], row[at] or unmarked, *row[at + 1 :]) for row in rows.rows)
    return replace(rows, rows=tuple(changed))


# --- what is known of them ----------------------------------------------------------------------


def needed(test: UnitTest, read: ReadTables) -> list[Key]:
    """The tables that the test builds before the model. A value of `$since` is for a model that is
    there, if only as an empty table."""
    own = [test.model] if test.model in test.given or test.since is not None else []
    return [*read.tables, *own]


def knows_too_little(schema: Schema, rows: Given | None) -> bool:
    """Whether not all of the columns and types of a table are known."""
    if isinstance(rows, GivenQuery):
        return False
    return not schema.closed or not schema.columns or not all(type_ for _, type_ in schema.columns)


def joined(known: Schema, there: Columns) -> Schema:
    """What the project says of a table, and what the table itself says."""
    types = {name.lower(): (name, type_) for name, type_ in known.columns}
    found = {
        name.lower(): (name, types.get(name.lower(), ("", ""))[1] or type_) for name, type_ in there
    }
    rest = {low: column for low, column in types.items() if low not in found and column[1]}
    return Schema((*found.values(), *rest.values()), closed=True)
