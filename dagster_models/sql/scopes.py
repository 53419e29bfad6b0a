"""The scopes of a statement, and what a name means in them.

A name is looked up from the inside out: among the CTEs that a query sees, then among what its FROM
items are called, then in the query around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from sqlglot import exp


@dataclass(slots=True)
class TableScope:
    """One query: the CTEs that it sees, what its FROM items are called, the tables among them."""

    parent: TableScope | None
    ctes: frozenset[str]
    names: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)  #: those of ``names`` that will stay as they are
    aliases: set[str] = field(default_factory=set)  #: of expressions; kept for ClickHouse's IN
    tables: list[FoundTable] = field(default_factory=list)

    def chain(self) -> Iterator[TableScope]:
        """This scope and those around it, innermost first."""
        scope: TableScope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


@dataclass(frozen=True, slots=True, eq=False)
class FoundTable:
    """A name of a table: its identifiers (outermost first) and what they fold to.

    ``local``: its parts as the prefixes of columns are compared with them. ``aliased``: it has an
    alias, or stands where none may be written. ``certain``: it is the name of a table; else it may
    be a column's too (ClickHouse's `x in y`).
    """

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    local: tuple[str, ...]
    aliased: bool
    written: bool
    scope: TableScope
    certain: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FoundQualifier:
    """The part `a.b` of a column `a.b.c` that names ``table``."""

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    table: FoundTable


def clashing(scope: TableScope) -> Iterator[FoundTable]:
    """Tables of one FROM list that share their last part, with each other or with an alias."""
    by_name: dict[str, list[FoundTable]] = {}
    for table in scope.tables:
        if not table.aliased:
            by_name.setdefault(table.local[-1], []).append(table)
    for name, same in by_name.items():
        if name in scope.given or len({table.parts for table in same}) > 1:
            yield from same


def is_captured(table: FoundTable, scope: TableScope) -> bool:
    """Whether the table's bare name would mean another FROM item where *scope* sees the table from
    within: `select (select s.t.a from u as t) from s.t`."""
    inner = takewhile(lambda around: around is not table.scope, scope.chain())
    return any(table.local[-1] in around.names for around in inner)


def table_called(name: str, scope: TableScope) -> FoundTable | None:
    """The one table that the bare *name* means as a column's prefix."""
    around = next((s for s in scope.chain() if name in s.names), None)
    if around is None or name in around.given:
        return None
    same = [table for table in around.tables if not table.aliased and table.local[-1] == name]
    return same[0] if len(same) == 1 else None


def is_array_path(table: FoundTable) -> bool:
    """Whether the first part is what another FROM item is called. `orders.orders` is a table."""
    first = table.local[0]
    itself = table.scope if first == table.local[-1] else None
    return len(table.local) > 1 and any(
        first in around.names
        for around in table.scope.chain()
        if around is not itself or first in around.given or _is_second(table)
    )


def may_be_table(table: FoundTable) -> bool:
    """Whether `t.items`, which has the form of an array path, may be a table of a schema t as well:
    `from t.t join t.items`, where nothing but the table t.t is called t."""
    around = next((s for s in table.scope.chain() if table.local[0] in s.names), None)
    first = table.local[0]
    return around is not None and any(
        other.local[-2:] == (first, first) and not other.aliased for other in around.tables
    )


def _is_second(table: FoundTable) -> bool:
    """Whether a table before it in the same FROM list has the same bare name."""
    name, start = table.local[-1], table.identifiers[0].meta.get("start", 0)
    return any(
        not other.aliased
        and other.local[-1] == name
        and other.identifiers[0].meta.get("start", 0) < start
        for other in table.scope.tables
        if other is not table
    )


def qualifier(
    identifiers: tuple[exp.Identifier, ...], parts: tuple[str, ...], scope: TableScope
) -> FoundQualifier | None:
    """The table that a column's prefix names; None for the fields of a struct. ``parts``: what the
    identifiers fold to.

    `a.b.c.d` may be catalog.schema.table.column or schema.table.column.field, so every prefix is
    tried, the longest first, in the scopes from the inside out.
    """
    for around in scope.chain():
        free = [table for table in around.tables if not table.aliased]
        for length in range(len(parts), 1, -1):
            prefix = parts[:length]
            fitting = [t for t in free if _may_name(prefix, t.local, around.names)]
            if fitting:
                best = max(fitting, key=lambda t: (t.local == prefix, len(t.parts)))
                return FoundQualifier(identifiers[:length], prefix, best)
    return None


def _may_name(prefix: tuple[str, ...], table: tuple[str, ...], names: set[str]) -> bool:
    """Whether `prefix` may name the table: one is the end of the other.

    For a table written bare, `a.b.c` may also be the field b of its column or table `a`: then a
    FROM item of that name decides against it.
    """
    if len(table) == 1 and prefix[0] in names:
        return False
    length = min(len(table), len(prefix))
    return table[-length:] == prefix[-length:]
