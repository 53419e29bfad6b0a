"""What is known of a relation's columns before it is built: frozen values, free of sqlglot.

A *schema* is what a reader may rely on; a *trace* is what a query was found to say: its columns,
and for each the upstream columns that it is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

#: (schema, name), as model.Key.
Name = tuple[str, str]
#: A column of something that the query reads.
Origin = tuple[Name, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a relation that is read, each with its type ("" if not known), in order.

    ``closed``: there are no others. ``certain``: it is what the project's own SQL and seeds say,
    so that a column that is not there will not be there in the warehouse either.
    """

    columns: tuple[tuple[str, str], ...] = ()
    closed: bool = False
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a name in a query means: the key of an asset, and its schema."""

    key: Name
    schema: Schema = Schema()


@dataclass(frozen=True, slots=True)
class TracedColumn:
    """One column of a query.

    ``name`` is "" where only the warehouse knows it (an expression without an alias). ``type`` is
    the warehouse's own word, "" if not known. ``reason`` says why ``sources`` are not all there.
    ``digest`` stands for its expression, down to the upstream columns: equal for equal ones.
    """

    name: str
    type: str = ""
    sources: tuple[Origin, ...] = ()
    reason: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """A column that is not there, or of which there are several. Counts start at 1.

    ``certain``: the warehouse would refuse the query; else the schema may be out of date.
    """

    what: str
    line: int
    column: int
    fix: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a query's columns. ``closed`` and ``certain`` as in Schema.

    ``reason``: why some columns are missing. ``rows`` is a digest of all that decides which rows
    there are: FROM, WHERE, GROUP BY, LIMIT and so on, down to the upstream columns, which are in
    ``row_sources``.
    """

    columns: tuple[TracedColumn, ...] = ()
    closed: bool = False
    certain: bool = False
    reason: str = ""
    rows: str = ""
    problems: tuple[ColumnProblem, ...] = ()
    row_sources: tuple[Origin, ...] = ()

    @property
    def schema(self) -> Schema:
        """What a reader of the query's relation may rely on."""
        named = tuple((column.name, column.type) for column in self.columns if column.name)
        closed = self.closed and len(named) == len(self.columns)
        return Schema(named, closed, self.certain)


NOTHING_TRACED = Trace()
