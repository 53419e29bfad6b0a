"""What a materialization asks of a session: where warehouses differ."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from dagster_models.core.materializations import Function
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.base import WarehouseSession, quoted

RelationKind: TypeAlias = Literal["table", "view"]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A column of which an UPDATE leaves a value that equals the new one and is another: where
    ``condition`` holds of the rows t and n. So ``meanwhile`` is written first; "" if nothing
    helps."""

    column: str
    condition: str
    meanwhile: str


@dataclass(frozen=True, slots=True)
class Merging:
    """How staged rows are merged into a table.

    ``differs`` is the condition that what is written besides the keys differs between the rows t
    and n, and ``respelled`` that their keys, which are equal, do; "" where they cannot.
    ``rewrites``: a row that changes is better deleted, by its ``rowid``, and inserted anew than
    updated, and may be. ``keys_source`` is what a FROM reads to see the staged keys as the table's
    columns compare them, "" if that is how they compare by themselves.
    """

    differs: str
    respelled: str = ""
    rewrites: bool = False
    keys_source: str = ""
    unwritten: tuple[Unwritten, ...] = ()

    @property
    def changes(self) -> str:
        """The condition that anything differs."""
        return " OR ".join(filter(None, (self.differs, self.respelled))) or "false"


class Asking(WarehouseSession):
    """A session that can be asked about the rows of a build."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of one query of our own."""

    def compared_type(self, type_: str) -> str:
        """Return the type whose values a column's values are compared as: that of a domain is the
        type that it restricts."""
        return type_


class Hooks(Asking):
    """A session as materializations see it. All of this happens in the open transaction."""

    #: Where ``stage`` puts rows.
    staging: ClassVar[Relation]

    @abstractmethod
    def replace_table(self, relation: Relation, content: Content) -> int:
        """Put a table in place of whatever has its name; return the number of its rows.

        This, or ``replace_view``, is the first statement of its transaction. ``line`` of an error
        counts in the query or in the CSV file.
        """

    @abstractmethod
    def replace_view(self, relation: Relation, sql: str) -> None:
        """Put a view of the user's query in place of whatever has its name."""

    #: Puts a function of the user's query in place of one that has its name. Raises WarehouseError
    #: if it cannot be replaced.
    replace_function: ClassVar[Callable[[Any, Relation, Function, str], None]]

    @abstractmethod
    def take_turn(self, relation: Relation) -> RelationKind | None:
        """Be the only writer of a relation until the end of the transaction; return what it is.

        What is read of it from here on is what the last writer has committed. Raises WarehouseError
        for what no model builds.
        """

    @abstractmethod
    def stage(self, content: Content) -> int:
        """Put rows into a temporary table, ``staging``; return their number. ``line`` of an error
        counts in the query."""

    def in_full(self, relation: Relation) -> Relation:
        """Return the relation by a name that no temporary relation hides."""
        return relation

    @abstractmethod
    def change(self, sql: str, lines_before: int = 0) -> int:
        """Run one statement of our own; return how many rows it has changed. ``lines_before``: its
        lines before those of the user's text, if it holds some."""

    def delete_counted(self, relation: Relation, where: str, group: str) -> dict[Any, int]:
        """Delete rows of a table; return how many there were of each value of *group*."""
        source = f"FROM {quoted(relation)} WHERE {where}"
        found = dict(self.rows(f"SELECT {group}, count(*) {source} GROUP BY 1"))
        deleted = self.change(f"DELETE {source}")
        return found if deleted == sum(found.values()) else {0: deleted}

    def row_count(self, relation: Relation) -> int | None:
        """Return how many rows a table has; None where all of it would have to be read for that."""
        return None

    def refuse_effects(self, relation: Relation, *, deletes: bool, updates: Sequence[str]) -> None:
        """Raise WarehouseError if rows of other tables would change with rows that are deleted and
        inserted anew, or with these columns."""

    @abstractmethod
    def differs(self, relation: Relation, columns: Sequence[str]) -> str:
        """Return the condition that some of these columns of the table (quoted) differ between the
        rows t and n: that the warehouse would show them otherwise, and not only that it takes them
        for unequal. NULL is a value like any other."""

    def respelled(self, relation: Relation, keys: Sequence[str]) -> str:
        """Return the condition that some of these columns (quoted), which are equal in the rows t
        and n, are not the same; "" where it never holds."""
        return self.differs(relation, keys)

    def merging(
        self, relation: Relation, staged: Relation, keys: Sequence[str], others: Sequence[str]
    ) -> Merging:
        """Return how rows with these columns (quoted) are merged into a table, by their keys."""
        differs = self.differs(relation, others) if others else ""
        return Merging(differs, self.respelled(relation, keys))

    def folded(self, name: str) -> str:
        """Return a column's name such that two names are one column exactly if these are equal."""
        return name

    @abstractmethod
    def has_default(self, relation: Relation, column: str) -> bool:
        """Return whether a column of a table has a default."""

    def address(self, relation: Relation) -> str | None:
        """Return the column by which a row of a table is found at once; "" if there is none, or
        other ways are as fast; None if what was found may change while the table is written, as
        somebody else (a trigger, for example) writes along."""
        return ""

    def fits(self, given: str, table: str) -> bool:
        """Whether a column of the type *table* takes all values of the type *given* as they are."""
        return False

    @abstractmethod
    def altered(self, column: str, old: str, new: str) -> str:
        """Return the condition that a value of the column (quoted), whose type is *old*, would not
        be the same value as a *new*. It may raise an error for a value that is no *new* at all."""

    def add_column(self, relation: Relation, column: str, type_: str, value: str) -> None:
        """Add a column (quoted), of which this constant is the default and the value of each
        row."""
        self.change(f"ALTER TABLE {quoted(relation)} ADD COLUMN {column} {type_} DEFAULT {value}")

    def fill_column(self, relation: Relation, column: str, type_: str, value: str) -> None:
        """Let a column (quoted) of this type have this value, an expression, in each row."""
        alter = f"ALTER TABLE {quoted(relation)} ALTER COLUMN {column}"
        self.change(f"{alter} TYPE {type_} USING {value}")

    @abstractmethod
    def alter(self, relation: Relation, added: Sequence[str], others: Sequence[str]) -> None:
        """Change the columns of a table with these clauses of ALTER TABLE; *added* are the ADDs.

        Raises WarehouseError if an object of somebody else's would not survive it.
        """
