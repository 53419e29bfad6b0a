"""Putting staged rows into their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.materializations.hooks import Hooks


def insert(table: Relation, staged: Relation, columns: Sequence[str]) -> str:
    """The statement that adds all staged rows; columns are matched by name."""
    names = [quote(column) for column in columns]
    listed, given = ", ".join(names), ", ".join(f"n.{name}" for name in names)
    return f"INSERT INTO {quoted(table)} ({listed}) SELECT {given} FROM {quoted(staged)} AS n"


def narrowed(predicates: Sequence[str]) -> str:
    """What narrows a condition to the rows that meet all of these; one may end in a comment."""
    return "".join(f" AND (\n{it}\n)" for it in predicates)


@dataclass(frozen=True, slots=True)
class Write:
    """What the statements that write the staged rows, ``count`` of them, are made of.

    ``predicates``: conditions on a row `t` of the table and a new row `n`. A row that does not meet
    them is left as it is, whatever its key.
    """

    relation: Relation
    staged: Relation
    count: int
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    predicates: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        return quoted(self.relation)

    @property
    def new(self) -> str:
        return quoted(self.staged)

    @property
    def same_key(self) -> str:
        return " AND ".join(f"t.{key} = n.{key}" for key in map(quote, self.keys))

    @property
    def meets(self) -> str:
        """Whether a new row stands for a row of the table."""
        return self.same_key + narrowed(self.predicates)

    def insert(self, which: str = "") -> str:
        return insert(self.relation, self.staged, self.columns) + which


def refuse_lost_rows(relation: Relation, inserted: int | None, staged: int) -> None:
    """Raise WarehouseError if not all of the rows are in the table."""
    if inserted != staged:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{relation} took {inserted} of {staged} rows, as a trigger or rule on it"
            " left some out. Nothing was changed: change or drop that first, by hand",
            name="RowsDiffer",
        )


def rows_of(session: Hooks, relation: Relation) -> str:
    """A query of the staged rows as the table now has them; "" where nobody can tell, as the table
    has columns that they lack, or somebody else writes along."""
    if session.address(relation) is None:
        return ""
    staged = {session.folded(name): name for name, _ in session.columns(session.staging)}
    listed = []
    for name, _ in session.columns(relation):  # their types are those of the table by now: ``fit``
        given = staged.get(session.folded(name))
        if given is None:
            return ""
        listed.append(f"{quote(given)} AS {quote(name)}")
    return f"SELECT {', '.join(listed)} FROM {quoted(session.staging)}"
